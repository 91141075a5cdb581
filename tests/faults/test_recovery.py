"""After a crash: what is found is finished or cleared away and told of; a damaged catalogue is made anew."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from configs.settings import Home
from pipelines import packages
from pipelines.recovery import left_behind
from tests.faults import syscalls, witness

pytestmark = pytest.mark.skipif(not syscalls.available(), reason="this kernel lets no process fail another's calls")
_DIES = """
import os, sys
from pathlib import Path
from configs.settings import Home
from pipelines import packages
print(packages._take_workspace(Home(Path(sys.argv[1])), "cd" * 32), flush=True)
os._exit(9)
"""
ITEM = "KZ1_20260424T052011_00000001_L1C"


def order(servers, home, step, **more):
    return servers.ask({"step": step, "home": str(home), **more})


def killed_at(servers, home, name, file, **more):
    """Kill an ingest at the first call of this name on a file that ends so; a run that is only counted finds it."""
    scratch = home.parent / "counted"
    shutil.rmtree(scratch, ignore_errors=True)
    if home.exists():
        shutil.copytree(home, scratch, symlinks=True)
    for number in range(1, 700):
        fault = {"number": number, "effect": "kill", "error": 5, "among": [name]}
        answer = order(servers, scratch, "ingest", fault=fault, **more)
        if answer["hit"] and answer["hit"][1].endswith(file):
            break
        shutil.rmtree(scratch)
        if home.exists():
            shutil.copytree(home, scratch, symlinks=True)
    else:
        pytest.fail(f"no {name} of {file}")
    assert answer["ended"] == "killed"
    shutil.rmtree(home, ignore_errors=True)
    scratch.rename(home)


def test_killed_between_the_two_names_it_is_finished_without_its_package(servers, tmp_path):
    home = tmp_path / "home"
    killed_at(servers, home, "rename", f"products/kazeosat-1-l1c/{ITEM}")
    assert witness.visible_items(home) == set()
    assert left_behind(Home(home)) == (f"kazeosat-1-l1c--{ITEM}",)
    answer = order(servers, home, "recover")
    assert answer["ended"] == "done"
    assert any(line.startswith("finished: product") for line in answer["said"]), answer
    assert witness.faults_of(home, None, at_rest=True) == []
    assert set(witness.rows(home)) == {("kazeosat-1-l1c", ITEM)}
    assert left_behind(Home(home)) == ()


def test_killed_before_a_new_revision_takes_its_place_it_takes_it(servers, tmp_path):
    home = tmp_path / "home"
    earlier = order(servers, home, "ingest")["said"]
    killed_at(servers, home, "renameat2", f"products/kazeosat-1-l1c/{ITEM}", resampling="bilinear")
    assert [row["properties"]["version"] for row in witness.rows(home).values()] == earlier
    assert witness.faults_of(home, None, at_rest=False) == []
    answer = order(servers, home, "recover")
    assert answer["said"][0].startswith("finished: new revision"), answer
    assert witness.faults_of(home, None, at_rest=True) == []
    assert [row["properties"]["version"] for row in witness.rows(home).values()] != earlier


def test_killed_before_its_row_it_is_catalogued(servers, tmp_path):
    home = tmp_path / "home"
    assert order(servers, home, "publish")["ended"] == "done"
    assert left_behind(Home(home)) == (f"kazeosat-1-l1c/{ITEM}",)
    answer = order(servers, home, "recover")
    assert [line.partition(":")[0] for line in answer["said"]] == ["finished"]
    assert witness.faults_of(home, None, at_rest=True) == []


def test_killed_while_computing_it_is_cleared_away(servers, tmp_path):
    home = tmp_path / "home"
    killed_at(servers, home, "openat", "/pan/c/0/0")
    answer = order(servers, home, "recover")
    assert [line.partition(":")[0] for line in answer["said"]] == ["cleared"]
    assert witness.visible_items(home) == set()
    assert witness.faults_of(home, None, at_rest=True) == []


def test_a_store_that_no_record_names_is_told_of_and_taken_over(servers, tmp_path):
    home = tmp_path / "home"
    killed_at(servers, home, "rename", f"products/kazeosat-1-l1c/{ITEM}")
    shutil.rmtree(home / "staging")
    assert order(servers, home, "recover")["said"] == []
    (said,) = order(servers, home, "recover", thorough=True)["said"]
    assert said.startswith("kept: store without a record")
    assert order(servers, home, "ingest")["ended"] == "done"
    assert order(servers, home, "recover", thorough=True)["said"] == []
    assert witness.faults_of(home, None, at_rest=True) == []


def test_what_is_being_worked_on_is_left_alone(servers, tmp_path):
    from processing.archive import durable

    staging = tmp_path / "staging"
    (staging / "c--a").mkdir(parents=True)
    (staging / "c--a" / "pixels").write_bytes(b"x")
    with durable.exclusive(staging / "c--a.lock"):
        assert order(servers, tmp_path, "recover")["said"] == []
        assert (staging / "c--a" / "pixels").exists()
    assert len(order(servers, tmp_path, "recover")["said"]) == 1
    assert list(staging.iterdir()) == []


def test_an_unpacked_package_goes_with_its_process(tmp_path):
    home = Home(tmp_path)
    workspace = packages._take_workspace(home, "ab" * 32)
    assert packages.clear_workspaces(home) == ()
    left = subprocess.run([sys.executable, "-c", _DIES, str(tmp_path)], capture_output=True, text=True, check=False)
    assert Path(left.stdout.strip()).is_dir(), left.stderr
    (cleared,) = packages.clear_workspaces(home)
    assert cleared.where.startswith("staging/unpacked/cdcdcdcdcdcdcdcd-")
    packages._give_up(workspace)
    assert list((home.staging / "unpacked").iterdir()) == []


def damage_header(database: Path) -> None:
    database.write_bytes(b"\0" * 200 + database.read_bytes()[200:])


def damage_pages(database: Path) -> None:
    content = bytearray(database.read_bytes())
    for place in range(4096, len(content), 4096):
        content[place : place + 64] = b"\xa5" * 64
    database.write_bytes(content)


def lose(database: Path) -> None:
    database.unlink()


@pytest.mark.parametrize("damage", [damage_header, damage_pages, lose])
def test_a_damaged_catalogue_is_noticed_and_made_anew(servers, tmp_path, damage):
    for number in (1, 2, 3):
        assert order(servers, tmp_path, "ingest", number=number)["ended"] == "done"
    assert order(servers, tmp_path, "ingest", number=1, resampling="bilinear")["ended"] == "done"
    before = witness.rows(tmp_path)
    damage(tmp_path / "catalogue" / "catalogue.sqlite")
    if damage is not lose:
        ended = order(servers, tmp_path, "ingest", number=4)["ended"]
        assert ended in ("Defect catalogue.file", "Defect catalogue.corrupt"), ended
    answer = order(servers, tmp_path, "rebuild")
    assert answer["ended"] == "done", answer
    done = json.loads(answer["said"][0])
    assert done["skipped"] == []
    assert (done["set_aside"] is not None) == (damage is not lose)
    after = witness.rows(tmp_path)
    assert {key: after[key] for key in before} == before
    assert order(servers, tmp_path, "recover", thorough=True)["ended"] == "done"
    assert witness.faults_of(tmp_path, None, at_rest=True) == []


def test_a_rebuild_gives_no_row_to_what_is_not_whole_and_takes_those_of_nothing(servers, tmp_path):
    for number in (1, 2, 3):
        assert order(servers, tmp_path, "ingest", number=number)["ended"] == "done"
    (lost,) = tmp_path.glob("archive/*/*/*/*/*_00000002_L1C/*.zarr/measurements/pan/r4m/pan/c/0/0")
    lost.unlink()
    shutil.rmtree(tmp_path / "products/kazeosat-1-l1c/KZ1_20260424T052011_00000003_L1C")
    done = json.loads(order(servers, tmp_path, "rebuild")["said"][0])
    assert done["removed"] == ["kazeosat-1-l1c/KZ1_20260424T052011_00000003_L1C"]
    assert [skipped["item"] for skipped in done["skipped"]] == ["kazeosat-1-l1c/KZ1_20260424T052011_00000002_L1C"]
    assert "missing" in done["skipped"][0]["why"]
