"""The command ``qyran cube``, and what it does to an installation."""

import json
import shutil
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from configs.settings import Home
from pipelines import cubes
from pipelines.cli import app
from processing.archive.cube import open_cube
from processing.archive.write import publish_product
from processing.model.errors import Defect
from tests.archive import synthetic

RUN = CliRunner()
TILE = "epsg32643-e6-n47"
COLLECTION = "kazeosat-1-l1c"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Home:
    home = tmp_path_factory.mktemp("home")
    for number in range(2):
        image = synthetic.image(synthetic.values((500, 500), 2, number), synthetic.geobox((500, 500)), ("red", "nir"))
        draft = synthetic.draft(
            ("red", "nir"), item=f"KZ1_{number}", visual=(), lineage=synthetic.lineage(f"{number:02d}"),
            acquired=synthetic.ACQUIRED + timedelta(days=number),
        )  # fmt: skip
        publish_product(home, draft, [image])
    return Home(home)


@pytest.fixture
def home(made, tmp_path) -> Home:
    return Home(shutil.copytree(made.path, tmp_path / "home", symlinks=True))


def run(home: Home, *arguments: str) -> tuple[int, dict]:
    result = RUN.invoke(app, ["cube", *arguments, "--home", str(home.path), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_from_nothing_by_one_command(home):
    code, before = run(home, "list")
    assert (code, [cube["status"] for cube in before["cubes"]]) == (0, ["missing"])
    code, built = run(home, "build")
    assert code == 0
    (cube,) = built["cubes"]
    assert (cube["collection"], cube["tile"], cube["status"]) == (COLLECTION, TILE, "made again")
    assert (cube["groups"], cube["chunks"], cube["waiting"]) == ({"reflectance/r4m": 2}, 2 * 3, [])
    assert (cube["first"][:10], cube["last"][:10]) == ("2026-04-24", "2026-04-25")
    assert [cube["status"] for cube in run(home, "list")[1]["cubes"]] == ["whole"]
    shown = RUN.invoke(app, ["cube", "list", "--home", str(home.path)])
    assert TILE in shown.stdout
    assert "whole" in shown.stdout


def test_damage_is_told_and_mended(home):
    run(home, "build")
    (record,) = (home.path / "cubes").rglob("cube.json")
    snapshot = next((record.parent / json.loads(record.read_text())["repository"]).glob("snapshots/*"))
    for path in snapshot.parent.iterdir():
        path.write_bytes(b"")
    code, found = run(home, "list")
    assert (code, found["cubes"][0]["status"]) == (1, "damaged")
    code, built = run(home, "build", "--only-behind")
    assert (code, built["cubes"][0]["status"]) == (0, "made again")
    assert run(home, "build", "--only-behind")[1]["cubes"][0]["status"] == "whole"


def test_what_was_published_unseen_is_found(home):
    """A product without a note: published by a process that died, or restored from elsewhere."""
    run(home, "build")
    image = synthetic.image(synthetic.values((500, 500), 2, 7), synthetic.geobox((500, 500)), ("red", "nir"))
    draft = synthetic.draft(("red", "nir"), item="KZ1_7", visual=(), lineage=synthetic.lineage("07"))
    product = publish_product(home.path, draft, [image])
    assert run(home, "list")[1]["cubes"][0]["waiting"] == ["KZ1_7"]
    assert run(home, "build", "--only-behind")[1]["cubes"][0]["groups"] == {"reflectance/r4m": 3}
    assert cubes.note_in_cubes(home, product) == ()


def test_a_damaged_product_is_left_out_until_it_is_repaired(home):
    run(home, "build")
    (store,) = [path for path in (home.path / "archive").rglob("*.zarr") if path.parent.name == "KZ1_1"]
    shard = store / "measurements/reflectance/r4m/nir/c/0/0"
    content = shard.read_bytes()
    shard.write_bytes(content[:-9])
    _, built = run(home, "build")
    assert list(built["cubes"][0]["left_out"]) == built["cubes"][0]["waiting"] == ["KZ1_1"]
    assert built["cubes"][0]["groups"] == {"reflectance/r4m": 1}
    assert run(home, "build", "--only-behind")[1]["cubes"][0]["waiting"] == ["KZ1_1"]
    shard.write_bytes(content)
    _, mended = run(home, "build", "--only-behind")
    assert (mended["cubes"][0]["left_out"], mended["cubes"][0]["groups"]) == ({}, {"reflectance/r4m": 2})


@pytest.mark.usefixtures("prefect")
def test_keeping_the_archive_mends_cubes(home):
    from pipelines.keep import keep_archive
    from pipelines.requests import KeepRequest

    assert [cube["status"] for cube in run(home, "list")[1]["cubes"]] == ["missing"]
    keep_archive(KeepRequest(home=str(home.path)), return_state=True)
    assert [cube["status"] for cube in run(home, "list")[1]["cubes"]] == ["whole"]


def test_a_scene_is_none_the_worse_for_its_cube(home, monkeypatch, caplog):
    """What goes wrong with the index is told, stays noted, and stops nobody."""
    from processing.archive import cube_keep

    product = cube_keep.published(home.path, COLLECTION, "KZ1_0")
    behind = cubes.note_in_cubes(home, product)
    assert behind == (TILE,)
    with monkeypatch.context() as patch:
        patch.setattr(cube_keep, "commit", lambda *_: (_ for _ in ()).throw(Defect("no", kind="cube.damaged")))
        cubes.bring_up(home, COLLECTION, behind)
    assert "is behind" in caplog.text
    cubes.bring_up(home, COLLECTION, cubes.note_in_cubes(home, product))
    assert open_cube(home.path, COLLECTION, TILE).sizes["time"] == 2


@pytest.mark.parametrize("arguments", [["--tile", "43TGK"], ["--collection", "nothing"]])
def test_what_is_not_there_is_said(home, arguments):
    code, found = run(home, "build", *arguments)
    assert code == 1
    assert found["error"]["kind"] in ("cube.tile", "cube.not_found")


@pytest.mark.parametrize("command", ["list", "build"])
def test_help_shows_an_example(command):
    shown = RUN.invoke(app, ["cube", command, "--help"]).stdout
    assert f"qyran cube {command}" in shown
    assert "--json" in shown
