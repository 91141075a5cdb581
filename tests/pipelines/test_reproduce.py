"""Products made again from their records: the same bytes, or a plain word about what is missing or differs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from configs.settings import Home
from pipelines.cli import app
from pipelines.remake import Sources
from pipelines.reproduce import reproduce
from processing.model.errors import BadInput
from tests.pipelines.small_delivery import (
    EAST,
    WEST,
    SmallDelivery,
    names,
    process,
    small_lattice,
    write_delivery,
    write_tile,
)

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def _lattice() -> Iterator[None]:
    with small_lattice():
        yield


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> SmallDelivery:
    return write_delivery(tmp_path_factory.mktemp("delivery"))


@pytest.fixture(scope="module")
def made(prefect: None, delivery: SmallDelivery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An installation with a scene's product of both groups and angles, its NDVI, and a segment; originals are gone."""
    home = tmp_path_factory.mktemp("made")
    whole = process(delivery.package, home, dem=str(delivery.dem), derive=["all"])
    part = process(delivery.package, home, dem=str(delivery.dem), first_line=9, lines=32)
    for outcome in (whole, part):
        assert outcome.reasons == ()
    return home, [*names(whole), *names(part)]


@pytest.fixture
def home(made: tuple[Path, list[str]], tmp_path: Path) -> Home:
    """A copy of it, to be spoilt. Nothing in a record depends on where HOME is."""
    shutil.copytree(made[0], tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("number", [0, 1, 2], ids=["l1c", "ndvi", "segment"])
@pytest.mark.parametrize("workers", [1, 2])
def test_every_kind_of_product_is_made_again_byte_for_byte(
    made: tuple[Path, list[str]], number: int, workers: int
) -> None:
    """With the copies in HOME alone: no package and no elevation model is given."""
    before = {room: _files(made[0] / room) for room in ("archive", "products", "catalogue")}
    found = reproduce(Home(made[0]), made[1][number], workers=workers)
    assert found.identical, found.differences
    assert (found.differences, found.software, found.damaged) == ((), (), ())
    assert found.objects >= (22 if number == 1 else 71)
    assert {room: _files(made[0] / room) for room in before} == before, "the archive is left alone"
    left = [path.name for path in (made[0] / "staging").iterdir()]
    assert not [name for name in left if name.startswith("reproduce")]


def test_worker_processes_make_the_same_bytes(made: tuple[Path, list[str]]) -> None:
    with dask.config.set(scheduler="processes", num_workers=2):
        assert reproduce(Home(made[0]), made[1][0]).identical


def test_what_was_tampered_with_is_named(made: tuple[Path, list[str]], home: Home) -> None:
    """Pixels changed in good form, checksums of chunks and all: only the record can tell."""
    store = (home.archive / f"{made[1][0]}.zarr").resolve()
    level = next(path.parent.relative_to(store) for path in store.glob("measurements/pan/*/pan"))
    array = zarr.open_array(store, path=f"{level}/pan", mode="r+")
    values = np.asarray(array[:])
    row, column = (int(axis[len(axis) // 2]) for axis in np.nonzero(values))
    values[row, column] += 2
    array[:] = values
    quality = home.products / made[1][0] / "quality.json"
    quality.write_text(quality.read_text().replace('"id"', '"Id"'))
    found = reproduce(home, made[1][0])
    assert not found.identical
    assert set(found.damaged) == {f"{level}/pan/c/0/0", "files/quality.json"}
    assert any(f"1 of {values.size} pixels differ, by up to 2 as stored" in line for line in found.differences)

    run = CliRunner().invoke(app, ["reproduce", made[1][0], "--home", str(home.path), "--json"])
    assert run.exit_code == 1
    said = json.loads(run.stdout)
    assert said["identical"] is False
    assert any(line.startswith(f"{level}/pan/c/0/0: ") for line in said["differences"])


def test_other_software_is_said_first_and_compared_all_the_same(
    made: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import lineages, software

    now = software.software_versions() | {"numpy": "99.0"}
    monkeypatch.setattr(lineages, "software_versions", lambda: now)
    found = reproduce(Home(made[0]), made[1][1])
    assert found.identical
    assert [(change.name, change.now) for change in found.software] == [("numpy", "99.0")]


def test_a_missing_elevation_tile_is_named_by_its_hash(
    made: tuple[Path, list[str]], home: Home, delivery: SmallDelivery, tmp_path: Path
) -> None:
    record = json.loads((home.products / made[1][0] / "product.json").read_text())["lineage"]["inputs"]
    wanted = {each["name"]: each["sha256"] for each in record if each["role"] == "dem"}
    assert set(wanted) == {WEST, EAST}
    shutil.rmtree(home.inputs / wanted[EAST])
    with pytest.raises(BadInput) as missing:
        reproduce(home, made[1][0])
    assert missing.value.kind == "input.missing"
    assert EAST in missing.value.message
    assert wanted[EAST] in missing.value.message
    assert wanted[WEST] not in missing.value.message
    assert "--dem" in str(missing.value.remedy)

    home.dem.mkdir(parents=True)
    write_tile(home.dem / EAST, np.full((120, 60), 900.0, np.float32), 77.0)
    with pytest.raises(BadInput, match="other content at"):
        reproduce(home, made[1][0])

    # The right content under another name, as an operator finds it on a backup.
    (tmp_path / "backup").mkdir()
    shutil.copy(delivery.dem / EAST, tmp_path / "backup" / "tile-of-last-year.tif")
    assert reproduce(home, made[1][0], Sources(dem=tmp_path / "backup")).identical


def test_a_missing_package_is_asked_for_and_may_come_as_an_archive(
    made: tuple[Path, list[str]], home: Home, delivery: SmallDelivery, tmp_path: Path
) -> None:
    record = json.loads((home.products / made[1][0] / "product.json").read_text())["lineage"]["inputs"][0]
    assert record["role"] == "package"
    shutil.rmtree(home.inputs / record["sha256"])
    with pytest.raises(BadInput, match=record["sha256"]) as missing:
        reproduce(home, made[1][0])
    assert "--package" in str(missing.value.remedy)
    archive = shutil.make_archive(str(tmp_path / "again"), "zip", delivery.package.parent, delivery.package.name)
    assert reproduce(home, made[1][0], Sources(package=Path(archive))).identical
    other = tmp_path / "other"
    shutil.copytree(delivery.package, other)
    next(other.rglob("*.TIF")).write_bytes(b"II*\0")
    with pytest.raises(BadInput, match="other content at"):
        reproduce(home, made[1][0], Sources(package=other))


def test_configuration_of_then_is_used_whatever_it_says_today(made: tuple[Path, list[str]], home: Home) -> None:
    from configs.registry import load_registry
    from pipelines.configuration import config_text

    today = load_registry()
    recipe = today.recipes["l1c"].model_copy(update={"resampling": "nearest", "renders": {}, "angles": False})
    sensor = today.sensors["kazeosat-1-naomi"].model_copy(update={"saturated": 1})
    for config, kind in ((recipe, "recipes"), (sensor, "sensors")):
        (home.configs / kind).mkdir(parents=True)
        (home.configs / kind / f"{config.id}.yaml").write_bytes(config_text(config))
    assert reproduce(home, made[1][0]).identical
    shutil.rmtree(home.inputs)
    with pytest.raises(BadInput, match="sensor 'kazeosat-1-naomi' with sha256") as missing:
        reproduce(home, made[1][0])
    assert "recipe 'l1c' with sha256" in missing.value.message


def test_a_spoilt_parent_is_no_parent(made: tuple[Path, list[str]], home: Home) -> None:
    store = (home.archive / f"{made[1][0]}.zarr").resolve()
    shard = next(store.glob("measurements/reflectance/*/red/c/0/0"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BadInput, match="parent ") as missing:
        reproduce(home, made[1][1])
    assert "red/c/0/0" in missing.value.message


@pytest.mark.parametrize(("reference", "kind"), [("no-such-item", "item.unknown"), ("{}@ffff0000", "version.unknown")])
def test_what_is_not_there_is_said_so(made: tuple[Path, list[str]], reference: str, kind: str) -> None:
    run = CliRunner().invoke(app, ["reproduce", reference.format(made[1][0]), "--home", str(made[0]), "--json"])
    assert run.exit_code == 1
    assert json.loads(run.stdout)["error"]["kind"] == kind
