"""What may go goes by the rules, said beforehand; what the catalogue names stays, whatever is wrong around it."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from catalogs import open_store
from catalogs.versions import read_versions
from configs.keeping import load_keeping
from configs.load import ConfigError
from configs.registry import load_registry
from configs.settings import Home
from pipelines import verify as verifying
from pipelines.clean import CleanReport, clean
from pipelines.mirror import mirror
from pipelines.verify import verify
from processing.archive import durable
from processing.archive.write import published as published_product
from tests.pipelines.archived import COLLECTION, PLAIN, REVISED, fill, objects

DAY_S = 86_400
AT_ONCE = "retention: {superseded_days: 1.0e-9, orphan_days: 1.0e-9, staging_hours: 1.0e-9, quarantine_days: 1.0e-9}\n"


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_YOUNG_S", -1.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home.resolve(tmp_path_factory.mktemp("kept"))
    fill(home, load_registry())
    return home.path


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Home:
    shutil.copytree(made, tmp_path / "home", symlinks=True)
    (tmp_path / "home" / "configs").mkdir()
    return Home.resolve(tmp_path / "home")


def rules(home: Home, text: str) -> None:
    (home.configs / "keeping.yaml").write_text(text)


def age(path: Path, days: float) -> Path:
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(each, (time.time() - days * DAY_S,) * 2, follow_symlinks=False)
    return path


def by_kind(report: CleanReport) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for removal in report.removals:
        found.setdefault(removal.kind, []).append(removal.objects)
    return found


def plant(home: Home) -> dict[str, Path]:
    """One thing of every kind, old enough by the shipped rules, and beside each a younger one that stays."""
    store = next(home.archive.glob(f"*/*/*/*/{PLAIN}/*.zarr"))
    old = {
        "orphan": shutil.copytree(store, store.with_name("0123456789abcdef.zarr")),
        "staging": home.staging / "left",
        "quarantine": home.quarantine / "bad_0123456789ab",
        "landing": home.landing / "scene.zip.part",
        "inputs": home.inputs / ("0" * 64),
    }
    for kind in ("staging", "quarantine", "inputs"):
        old[kind].mkdir(parents=True)
        (old[kind] / "content").write_bytes(bytes(1000))
    home.landing.mkdir()
    old["landing"].write_bytes(bytes(500))
    (home.landing / "young.zip.part").write_bytes(bytes(500))
    (home.landing / "whole.zip").write_bytes(bytes(500))
    age(home.landing / "whole.zip", 400)
    for path in old.values():
        age(path, 100)
    return old


def test_by_the_shipped_rules_no_product_goes(home):
    before = {name: path.read_bytes() for name, path in objects(home).items()}
    old = plant(home)
    trial = clean(home, act=False)
    assert trial.dry_run
    assert {kind: [name] for kind, path in old.items() for name in [(path.relative_to(home.path).as_posix(),)]} == (
        by_kind(trial)
    )
    assert all(path.exists() for path in old.values())
    assert trial.bytes == sum(removal.bytes for removal in trial.removals) >= 3500
    assert trial.freed_bytes == 0

    done = clean(home, act=True)
    assert by_kind(done) == by_kind(trial)
    assert all(removal.gone for removal in done.removals)
    assert done.freed_bytes == trial.bytes
    assert not any(path.exists() for path in old.values())
    assert (home.landing / "young.zip.part").exists()
    assert (home.landing / "whole.zip").exists()
    assert {name: path.read_bytes() for name, path in objects(home).items()} == before
    assert not clean(home, act=True).removals
    assert verify(home, deep=True).ok


def test_an_earlier_revision_goes_when_the_rules_say_so_and_is_no_longer_named(home):
    (shelf,) = home.archive.rglob("*.files")
    assert not clean(home, act=False).removals
    rules(home, "retention: {superseded_days: 1.0e-9}\n")
    trial = clean(home, act=False)
    assert by_kind(trial) == {
        "superseded": [tuple(path.relative_to(home.path).as_posix() for path in (shelf, shelf.with_suffix(".zarr")))]
    }
    assert clean(home, act=True).freed_bytes == trial.bytes > 0
    assert not shelf.exists()
    assert not shelf.with_suffix(".zarr").exists()
    assert verify(home, deep=True).ok
    with closing(open_store(home.catalogue)) as store:
        item = store.get_item(COLLECTION, REVISED)
    assert item is not None
    assert len(read_versions(item, home.products / COLLECTION / REVISED)) == 1
    assert not [link for link in item["links"] if link["rel"] == "predecessor-version"]


def test_a_recipes_own_rule_comes_first(home):
    rules(home, "retention: {superseded_days: 1.0e-9}\n")
    recipes = home.configs / "recipes"
    recipes.mkdir()
    shipped = (Path(__file__).parents[2] / "configs" / "recipes" / "l1c.yaml").read_text()
    (recipes / "l1c.yaml").write_text(f"{shipped}keep_superseded_days: 3650\n")
    assert not clean(home, act=False).removals


def test_a_revision_that_another_item_derives_from_stays(home):
    (shelf,) = home.archive.rglob("*.files")
    rules(home, AT_ONCE)
    with closing(open_store(home.catalogue)) as store:
        item = store.get_item(COLLECTION, PLAIN)
        assert item is not None
        href = (shelf / "item.json").relative_to(home.products / COLLECTION / PLAIN, walk_up=True).as_posix()
        store.put_item(item | {"links": [*item["links"], {"rel": "derived_from", "href": href}]})
    assert "superseded" not in by_kind(clean(home, act=True))
    assert shelf.exists()


@pytest.mark.parametrize("lost", ["record", "folder", "catalogue", "database"])
def test_bytes_of_a_catalogued_item_stay_whatever_is_lost_around_them(home, lost):
    """The rules are at their strictest, and the witnesses that say what is named are damaged one by one."""
    rules(home, AT_ONCE)
    (shelf,) = home.archive.rglob("*.files")
    stores = {path for path in home.archive.glob("*/*/*/*/*/*.zarr") if path != shelf.with_suffix(".zarr")}
    assert len(stores) == 2
    folder = home.products / COLLECTION / PLAIN
    if lost == "record":
        (folder / "product.json").write_bytes(b"{")
        (home.archive / COLLECTION / f"{PLAIN}.zarr").unlink()
    elif lost == "folder":
        shutil.rmtree(folder)
        (home.archive / COLLECTION / f"{PLAIN}.zarr").unlink()
    elif lost == "catalogue":
        shutil.rmtree(home.catalogue)
    else:
        for path in home.catalogue.glob("catalogue.sqlite*"):
            path.write_bytes(b"not a database" * 1000)
    for store in stores:
        age(store, 100)
    report = clean(home, act=True)
    if lost in ("catalogue", "database"):
        assert any("nothing of archive and products goes" in note for note in report.notes)
        assert shelf.exists()
    assert all((store / "manifest.json").is_file() for store in stores)


def test_what_somebody_works_on_stays(home):
    rules(home, AT_ONCE)
    (shelf,) = home.archive.rglob("*.files")
    with durable.exclusive(home.staging / f"{COLLECTION}--{REVISED}.lock"):
        report = clean(home, act=True)
    assert [removal.gone for removal in report.removals if removal.kind == "superseded"] == [False]
    assert shelf.exists()


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from configs.settings import Home
from pipelines.clean import clean
from processing.archive import durable

def die_at(step):
    done, move, remove = [], durable.move, shutil.rmtree

    def counted(source, target):
        if len(done) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(source)
        move(source, target)

    def late(path, *rest, **more):
        if "trash" in str(path) and len(done) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return remove(path, *rest, **more)

    durable.move, shutil.rmtree = counted, late

for step, home in enumerate(sys.argv[1:]):
    if os.fork() == 0:
        die_at(step)
        clean(Home.resolve(Path(home)), act=True)
        os._exit(0)
    assert os.wait()[1] == signal.SIGKILL, step
"""


def test_killed_on_the_way_the_next_run_ends_it(made, tmp_path):
    """Before the first rename, between the two, and before anything is deleted."""
    homes = [Home.resolve(tmp_path / str(step)) for step in range(3)]
    for home in homes:
        shutil.copytree(made, home.path, symlinks=True)
        home.configs.mkdir()
        rules(home, AT_ONCE)
    subprocess.run([sys.executable, "-c", KILLED, *(str(home.path) for home in homes)], check=True)
    left = [len([path for path in home.archive.glob("*/[0-9]*/*/*/*/*") if path.suffix != ".json"]) for home in homes]
    assert left == [4, 3, 2]
    for home in homes:
        assert not [name for name in verify(home).missing if name.endswith(".zarr")]
        done = clean(home, act=True)
        assert done.removals
        assert all(removal.gone for removal in done.removals)
        assert not list(home.archive.rglob("*.files"))
        assert len(list(home.archive.glob("*/*/*/*/*/*.zarr"))) == 2
        assert not list((home.staging / "trash").glob("*"))
        assert verify(home, deep=True).ok
        assert published_product(home.path, COLLECTION, REVISED) is not None


def test_what_was_never_finished_at_the_second_place_goes_after_its_days(home, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    (home.configs / "archive.yaml").write_text(f"url: {second}\n")
    assert {sent.outcome for sent in mirror(home)} == {"published"}
    product = published_product(home.path, COLLECTION, PLAIN)
    manifest = second / product.archive_href / "manifest.json"
    manifest.unlink()
    assert "unfinished" not in by_kind(clean(home, act=True))  # it may be under way
    whole = {path for path in second.rglob("*") if path.is_file()}
    age(second, 8)

    (trial,) = by_kind(clean(home, act=False))["unfinished"]
    assert {path for path in second.rglob("*") if path.is_file()} == whole
    done = clean(home, act=True, only=frozenset({"unfinished"}))
    assert [removal.gone for removal in done.removals] == [True]
    assert whole - {path for path in second.rglob("*") if path.is_file()} == {second / key for key in trial}
    assert done.freed_bytes == sum(removal.bytes for removal in done.removals) > 1000
    assert {sent.outcome for sent in mirror(home)} == {"published", "present"}


def test_a_second_place_that_does_not_answer_stops_nothing(home, tmp_path):
    old = plant(home)
    (home.configs / "archive.yaml").write_text(f"url: {tmp_path / 'gone'}\n")
    done = clean(home, act=True)
    assert not any(path.exists() for path in old.values())
    assert any("second place was not cleared" in note for note in done.notes)


def test_rules_that_mean_nothing_are_refused(home):
    rules(home, "retention: {superceded_days: 3}\n")
    with pytest.raises(ConfigError, match="did you mean 'superseded_days'"):
        load_keeping(home.configs)
    rules(home, "retention: {orphan_days: 0}\n")
    with pytest.raises(ConfigError, match="greater than 0"):
        load_keeping(home.configs)


def test_the_command_says_what_would_go(home):
    plant(home)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", "clean", "--home", str(home.path)]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=True)

    document = json.loads(run("--json").stdout)
    assert document["dry_run"]
    assert len(document["removals"]) == 5
    assert "MB freed" in run("--yes").stdout
