"""A revision stands for all that a product is made of: plans of one delivery under changed circumstances. No pixels."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.packages import ingest_package
from pipelines.planning import PlannedProduct, plan_scene
from pipelines.requests import SceneRequest
from processing.archive.layout import revision_of
from processing.model.lineage import Lineage, changes
from tests.pipelines.small_delivery import EAST, WEST, SmallDelivery, write_delivery, write_tile

SENSOR = "kazeosat-1-naomi"


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> SmallDelivery:
    return write_delivery(tmp_path_factory.mktemp("delivery"))


def _planned(
    package: Path, dem: Path, home: Path, registry: Registry | None = None, **request: Any
) -> tuple[str, Lineage]:
    registry = registry or load_registry()
    asked = SceneRequest(package=str(package), dem=str(dem), home=str(home), **request)
    ingested = ingest_package(package, Home(home), registry.sensors)
    planned = plan_scene(asked, ingested, Home(home), registry)
    assert isinstance(planned, PlannedProduct), planned
    return revision_of(planned.draft), planned.draft.lineage


@pytest.fixture(scope="module")
def plain(delivery: SmallDelivery, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Lineage]:
    return _planned(delivery.package, delivery.dem, tmp_path_factory.mktemp("home"))


def test_nothing_changed_is_the_same_revision_wherever_it_is_and_whatever_it_is_called(
    plain: tuple[str, Lineage], delivery: SmallDelivery, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "some-name"), "tar", delivery.package.parent, delivery.package.name)
    shutil.copytree(delivery.dem, tmp_path / "other" / "place")
    write_tile(tmp_path / "other" / "far-away.tif", np.zeros((9, 9), np.float32), -120.0)
    again = tmp_path / "unpacked"
    again.mkdir()
    shutil.unpack_archive(archive, again, filter="data")
    for package in (Path(archive), next(again.iterdir())):
        found = _planned(package, tmp_path / "other", tmp_path / "home")
        assert changes(plain[1], found[1]) == ()
        assert found[0] == plain[0]


def test_a_lineage_names_no_path_host_or_time(plain: tuple[str, Lineage], tmp_path: Path) -> None:
    text = plain[1].model_dump_json()
    assert str(tmp_path.parent) not in text
    assert str(Path.home()) not in text
    assert {record.role for record in plain[1].inputs} == {"package", "dem", "sensor", "mission", "recipe"}
    assert [record.name for record in plain[1].inputs_of("dem")] == [EAST, WEST]
    assert {"processing", "requirements.lock", "egm96-5.npz", "numpy", "gdal"} <= set(plain[1].software)


def _recipe(**update: Any) -> Callable[[Registry], Registry]:
    return lambda registry: replace(
        registry, recipes={**registry.recipes, "l1c": registry.recipes["l1c"].model_copy(update=update)}
    )


def _sensor(**update: Any) -> Callable[[Registry], Registry]:
    return lambda registry: replace(
        registry, sensors={**registry.sensors, SENSOR: registry.sensors[SENSOR].model_copy(update=update)}
    )


def _irradiance(registry: Registry) -> Registry:
    bands = dict(registry.sensors[SENSOR].bands)
    bands["red"] = bands["red"].model_copy(update={"esun": 1500.0})
    return _sensor(bands=bands)(registry)


def _gain(registry: Registry) -> Registry:
    deliveries = tuple(each.model_copy(update={"gain": 2.0}) for each in registry.sensors[SENSOR].deliveries)
    return _sensor(deliveries=deliveries)(registry)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_recipe(resampling="bilinear"), {"input recipe l1c", "parameter resampling"}),
        (_recipe(version="9.9.9"), {"input recipe l1c", "recipe version"}),
        (_recipe(renders={}), {"input recipe l1c"}),
        (_irradiance, {f"input sensor {SENSOR}"}),
        (_gain, {f"input sensor {SENSOR}", "parameter calibration.red.gain"}),
        (_sensor(registration_limit_px=0.1), {f"input sensor {SENSOR}"}),
        (_recipe(title={"en": "Another title"}, description="Other words."), set()),
        (_sensor(title="Another title"), set()),
    ],
)
def test_configuration(
    plain: tuple[str, Lineage],
    delivery: SmallDelivery,
    tmp_path: Path,
    change: Callable[[Registry], Registry],
    named: set[str],
) -> None:
    """What decides a byte is a change; what only people read is none."""
    revision, lineage = _planned(delivery.package, delivery.dem, tmp_path, change(load_registry()))
    assert (revision == plain[0]) == (not named)
    assert named <= {f"{found.kind} {found.name}" for found in changes(plain[1], lineage)}


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"vertical_datum": "ellipsoid"}, "parameter requested.vertical_datum"),
        ({"first_line": 9, "lines": 32}, "parameter requested.segment"),
    ],
)
def test_requests(
    plain: tuple[str, Lineage], delivery: SmallDelivery, tmp_path: Path, request_: dict[str, Any], named: str
) -> None:
    revision, lineage = _planned(delivery.package, delivery.dem, tmp_path, **request_)
    assert revision != plain[0]
    assert named in {f"{found.kind} {found.name}" for found in changes(plain[1], lineage)}


@pytest.mark.parametrize("tile", [EAST, WEST])
def test_one_height_of_one_tile(plain: tuple[str, Lineage], delivery: SmallDelivery, tmp_path: Path, tile: str) -> None:
    shutil.copytree(delivery.dem, tmp_path / "dem")
    content = bytearray((tmp_path / "dem" / tile).read_bytes())
    content[-3] ^= 1
    (tmp_path / "dem" / tile).write_bytes(content)
    revision, lineage = _planned(delivery.package, tmp_path / "dem", tmp_path / "home")
    assert revision != plain[0]
    assert [f"{found.kind} {found.name}" for found in changes(plain[1], lineage)] == [f"input dem {tile}"]


def test_one_count_of_one_image(plain: tuple[str, Lineage], delivery: SmallDelivery, tmp_path: Path) -> None:
    shutil.copytree(delivery.package, tmp_path / "package")
    image = min((tmp_path / "package").rglob("*.TIF"))
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    revision, lineage = _planned(tmp_path / "package", delivery.dem, tmp_path / "home")
    assert revision != plain[0]
    assert [found.kind for found in changes(plain[1], lineage)] == ["input"]


def test_software(
    plain: tuple[str, Lineage], delivery: SmallDelivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import lineages, software

    for name in ("processing", "requirements.lock", "egm96-5.npz", "gdal"):
        changed = software.software_versions() | {name: "another"}
        monkeypatch.setattr(lineages, "software_versions", lambda changed=changed: changed)
        revision, lineage = _planned(delivery.package, delivery.dem, tmp_path)
        assert revision != plain[0]
        assert [found.name for found in changes(plain[1], lineage)] == [name]
