"""Items processed again: a change is a new version, no change is none, and nothing that was acknowledged is lost."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from catalogs import open_store
from catalogs.item import with_absolute_hrefs
from catalogs.validate import validate_item
from catalogs.versions import read_versions
from configs.registry import load_registry
from configs.settings import Home
from pipelines.catalogue import find_product, search_items
from pipelines.cli import app
from pipelines.configuration import config_text
from pipelines.outcomes import ReprocessOutcome
from pipelines.reproduce import reproduce
from pipelines.requests import ReprocessRequest
from pipelines.run import reprocess_items
from pipelines.versions import find_version, version_history
from processing.archive.manifest import check_product
from processing.archive.open import open_product
from processing.model.quality import Outcome
from tests.pipelines.small_delivery import (
    EAST,
    SmallDelivery,
    names,
    process,
    small_lattice,
    write_delivery,
    write_tile,
)

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(600)]

GROUP = "reflectance"


@pytest.fixture(scope="module", autouse=True)
def _lattice() -> Iterator[None]:
    with small_lattice():
        yield


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> SmallDelivery:
    return write_delivery(tmp_path_factory.mktemp("delivery"))


@pytest.fixture(scope="module")
def made(prefect: None, delivery: SmallDelivery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An installation with a scene's product and its NDVI, made with elevation tiles that lay elsewhere."""
    home = tmp_path_factory.mktemp("made")
    return home, names(process(delivery.package, home, dem=str(delivery.dem), derive=["all"]))


@pytest.fixture
def home(made: tuple[Path, list[str]], tmp_path: Path) -> Home:
    shutil.copytree(made[0], tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


@pytest.fixture
def l1c(made: tuple[Path, list[str]]) -> str:
    return made[1][0]


@pytest.fixture
def ndvi(made: tuple[Path, list[str]]) -> str:
    return made[1][1]


def _again(home: Home, *items: str, **more: Any) -> list[ReprocessOutcome]:
    return reprocess_items(ReprocessRequest(home=str(home.path), items=list(items), **more), report=None)


def _item(home: Home, name: str) -> dict[str, Any]:
    item = open_store(home.catalogue).find_item(name)
    assert item is not None
    validate_item(item)
    assert item == json.loads((home.products / name / "item.json").read_text())
    return item


def _resample(home: Home, how: str) -> None:
    recipe = load_registry().recipes["l1c"].model_copy(update={"resampling": how})
    (home.configs / "recipes").mkdir(parents=True, exist_ok=True)
    (home.configs / "recipes" / "l1c.yaml").write_bytes(config_text(recipe))


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("item.json", "versions.json", "iso19139.xml")
    }


def test_nothing_changed_makes_no_version(home: Home, l1c: str, ndvi: str) -> None:
    """Nor does it need the tiles where they were: the kept ones stand in."""
    before = {room: _snapshot(home.path / room) for room in ("archive", "products")}
    (outcome,) = _again(home, l1c)
    assert outcome.outcome is Outcome.PUBLISHED, outcome
    assert (outcome.changed, outcome.was) == (False, outcome.now)
    assert "already_published" in outcome.reasons
    assert {room: _snapshot(home.path / room) for room in before} == before
    links = {link["rel"] for link in _item(home, l1c)["links"]}
    assert not links & {"predecessor-version", "latest-version", "version-history"}
    assert "qyran:stale" not in _item(home, ndvi)["properties"]


def test_a_change_is_a_new_version_and_the_old_one_still_opens(home: Home, l1c: str, ndvi: str) -> None:
    was = find_version(home, l1c)
    old_bytes = {"store": _snapshot(was.places.store), "files": _snapshot(was.places.files)}
    old_pixels = open_product(was.places.store, group=GROUP).load()
    _resample(home, "nearest")
    (outcome,) = _again(home, recipe="l1c")
    assert outcome.changed
    assert outcome.now == find_product(home, l1c).revision != outcome.was

    latest = _item(home, l1c)
    assert latest["properties"]["version"] == outcome.now
    assert "deprecated" not in latest["properties"]
    new_pixels = open_product(home.archive / f"{l1c}.zarr", group=GROUP).load()
    assert not np.array_equal(new_pixels["red"], old_pixels["red"])

    old = find_version(home, f"{l1c}@{outcome.was}")
    assert {"store": _snapshot(old.places.store), "files": _snapshot(old.places.files)} == old_bytes
    assert check_product(old.places.store) == []
    for line in (old.places.files / "manifest.sha256").read_text().splitlines():
        sha256, name = line.split("  ")
        if "/" not in name:
            assert hashlib.sha256((old.places.files / name).read_bytes()).hexdigest() == sha256
    xr.testing.assert_identical(open_product(old.places.store, group=GROUP).load(), old_pixels)
    assert reproduce(home, f"{l1c}@{outcome.was[:8]}").identical
    assert reproduce(home, l1c).identical


def test_the_catalogue_leads_from_each_version_to_the_others(home: Home, l1c: str, ndvi: str) -> None:
    first = find_product(home, l1c).revision
    for how in ("nearest", "bilinear"):
        _resample(home, how)
        _again(home, l1c)
    latest = _item(home, l1c)
    versions = read_versions(latest, home.products / l1c)
    assert len(versions) == 3
    assert [item["properties"].get("deprecated", False) for item, _ in versions] == [False, True, True]
    assert [item["properties"]["version"] for item, _ in versions] == [
        version["version"] for version in version_history(home, l1c)["versions"]
    ]
    assert versions[0][0] == latest
    assert versions[2][0]["properties"]["version"] == first
    for number, (item, folder) in enumerate(versions):
        validate_item(item)
        absolute = with_absolute_hrefs(item, home.path, folder=folder)
        links = {link["rel"]: link["href"] for link in absolute["links"]}
        for relation, expected in (
            ("predecessor-version", versions[number + 1] if number < 2 else None),
            ("successor-version", versions[number - 1] if number else None),
            ("latest-version", versions[0]),
        ):
            found = json.loads(Path(links[relation]).read_text()) if relation in links else None
            assert found == (expected[0] if expected else None), relation
        for key, asset in absolute["assets"].items():
            place = Path(asset["href"])
            assert place.exists(), asset["href"]
            if "file:checksum" in asset:
                assert asset["file:checksum"].removeprefix("1220") == hashlib.sha256(place.read_bytes()).hexdigest(), (
                    key
                )
        # From anywhere in the chain the whole of it is found.
        assert read_versions(item, folder) == versions

    run = CliRunner().invoke(app, ["versions", l1c, "--home", str(home.path), "--json"])
    assert run.exit_code == 0
    said = json.loads(run.stdout)
    assert 'parameter resampling: "nearest" -> "bilinear"' in said["versions"][0]["changes"]
    assert said["versions"][2]["changes"] == []


def test_children_are_derived_again_or_marked_stale(home: Home, l1c: str, ndvi: str) -> None:
    before = _item(home, ndvi)["properties"]
    assert before["qyran:parents"] == [l1c]
    assert before["qyran:parent_versions"] == [find_product(home, l1c).revision]
    report = (home.products / ndvi / "quality.json").read_bytes()
    _resample(home, "nearest")
    (outcome,) = _again(home, l1c, derive=False)
    marked = _item(home, ndvi)
    assert marked["properties"]["qyran:stale"] is True
    assert outcome.now in marked["properties"]["qyran:stale_because"][0]
    assert marked["properties"]["version"] == before["version"]
    assert (home.products / ndvi / "quality.json").read_bytes() == report, "the product itself is what it was"
    parent = next(link["href"] for link in marked["links"] if link["rel"] == "derived_from")
    linked = json.loads((home.products / ndvi / parent).resolve().read_text())
    assert linked["properties"]["version"] == outcome.was, "it leads to what it was derived from"
    found = search_items(home.path, collection=None, bbox=None, datetime=None, cql2='"qyran:stale" = TRUE', limit=10)
    assert [f"{item['collection']}/{item['id']}" for item in found["features"]] == [ndvi]
    assert reproduce(home, ndvi).identical, "from the version it derives from"

    (again,) = _again(home, stale=True)
    assert (again.package, again.changed) == (ndvi, True)
    now = _item(home, ndvi)["properties"]
    assert "qyran:stale" not in now
    assert now["qyran:parent_versions"] == [outcome.now]

    _resample(home, "bilinear")
    (both,) = _again(home, l1c)
    assert [f"{item.collection}/{item.id}" for item in both.items] == [l1c, ndvi]
    assert "qyran:stale" not in _item(home, ndvi)["properties"]


def test_a_version_that_comes_back_is_the_same_bytes(home: Home, l1c: str, ndvi: str) -> None:
    first = find_version(home, l1c)
    before = _snapshot(first.places.store), _snapshot(first.places.files)
    _resample(home, "nearest")
    _again(home, l1c)
    shutil.rmtree(home.configs)
    (outcome,) = _again(home, l1c)
    assert (outcome.changed, outcome.now) == (True, first.product.revision)
    back = find_version(home, l1c)
    assert back.latest
    assert (_snapshot(back.places.store), _snapshot(back.places.files)) == before
    history = version_history(home, l1c)["versions"]
    assert [version["version"] for version in history] == [outcome.now, outcome.was]
    assert "deprecated" not in _item(home, l1c)["properties"]


def test_another_elevation_model_is_a_change(home: Home, l1c: str, ndvi: str, delivery: SmallDelivery) -> None:
    """And the earlier version is made again with the tiles of then, though one of the same name has replaced them."""
    shutil.copytree(delivery.dem, home.dem)
    assert not _again(home, l1c)[0].changed
    write_tile(home.dem / EAST, np.full((120, 60), 950.0, np.float32), 77.0)
    (outcome,) = _again(home, l1c)
    assert outcome.changed
    changed = version_history(home, l1c)["versions"][0]["changes"]
    assert any(text.startswith(f"input dem {EAST}: ") for text in changed)
    assert reproduce(home, f"{l1c}@{outcome.was}").identical


def test_one_without_its_package_is_held_and_stops_no_other(
    home: Home, l1c: str, ndvi: str, delivery: SmallDelivery
) -> None:
    part = names(process(delivery.package, home.path, dem=str(delivery.dem), first_line=9, lines=32))[0]
    for name in home.inputs.iterdir():
        if (name / delivery.package.name).exists():
            shutil.rmtree(name)
    outcomes = {outcome.package: outcome for outcome in _again(home, collection="kazeosat-1-l1c")}
    assert set(outcomes) == {l1c, part}
    assert {outcome.outcome for outcome in outcomes.values()} == {Outcome.HELD}
    assert {outcome.reasons for outcome in outcomes.values()} == {("input.missing",)}
    (given,) = _again(home, part, package=str(delivery.package))
    assert (given.outcome, given.changed) == (Outcome.PUBLISHED, False)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ([], "reprocess.nothing"),
        (["--collection", "no-such"], "collection.unknown"),
        (["--recipe", "no-such"], "recipe.unknown"),
        (["no-such-item"], "item.unknown"),
    ],
)
def test_requests_for_nothing_are_refused(made: tuple[Path, list[str]], arguments: list[str], kind: str) -> None:
    run = CliRunner().invoke(app, ["reprocess", *arguments, "--home", str(made[0]), "--json"])
    assert run.exit_code == 1
    assert json.loads(run.stdout)["error"]["kind"] == kind
