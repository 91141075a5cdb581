"""A delivered package through the whole house: read, calibrated, orthorectified, archived, derived, catalogued."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import rasterio
import xarray as xr

from catalogs.validate import validate_item
from configs.settings import Home
from pipelines.catalogue import search_items
from pipelines.outcomes import PackageOutcome
from pipelines.requests import SceneRequest
from processing.model.quality import Outcome
from processing.testing import minimal

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(900)]

SIDE = 0.04


def _write_dem(folder: Path, crs: str) -> Path:
    """A flat one at the minimal packages' height."""
    folder.mkdir()
    cells = 80
    pitch = 2 * SIDE / cells
    with rasterio.open(
        folder / "flat.tif",
        "w",
        driver="GTiff",
        count=1,
        height=cells,
        width=cells,
        dtype="float32",
        crs=crs,
        transform=rasterio.Affine(pitch, 0, minimal.LON - SIDE, 0, -pitch, minimal.LAT + SIDE),
    ) as dem:
        dem.write(np.full((1, cells, cells), minimal.HEIGHT, np.float32))
    return folder


def _process(package: Path, home: Path, **more: object) -> PackageOutcome:
    from pipelines.process import process_scene

    request = SceneRequest.model_validate({"package": str(package), "home": str(home), **more})
    return PackageOutcome.model_validate(process_scene(request))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("delivery")
    minimal.write_dimap_v1(folder / "in")
    _write_dem(folder / "dem", "EPSG:4979")
    _write_dem(folder / "dem-unstated", "EPSG:4326")
    return folder


@pytest.fixture(scope="module")
def package(work: Path) -> Path:
    return next((work / "in").iterdir())


@pytest.fixture(scope="module")
def published(prefect: None, work: Path, package: Path) -> PackageOutcome:
    return _process(package, work / "home", dem=str(work / "dem"), derive=["all"])


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_is_published_with_what_derives_from_it(published: PackageOutcome) -> None:
    assert published.outcome is Outcome.PUBLISHED, published
    assert published.reasons == ()
    assert [item.collection for item in published.items] == ["kazeosat-2-l1c", "kazeosat-2-ndvi"]
    assert published.seconds > 0
    assert set(published.stages) == {"ingest", "process", "publish", "derive"}


def test_items_are_valid_stac_beside_their_files_and_in_the_catalogue(published: PackageOutcome, work: Path) -> None:
    for link in published.items:
        item = json.loads(Path(link.href).read_text())
        validate_item(item)
        assert item["id"] == link.id
    found = search_items(
        work / "home", collection=None, bbox=(76.9, 43.2, 77.1, 43.3), datetime=None, cql2=None, limit=10
    )
    assert {item["id"] for item in found["features"]} == {link.id for link in published.items}
    for item in found["features"]:
        for asset in item["assets"].values():
            assert Path(asset["href"]).exists(), asset["href"]
    elsewhere = search_items(work / "home", collection=None, bbox=(0, 0, 1, 1), datetime=None, cql2=None, limit=10)
    assert elsewhere["features"] == []


def test_cubes_hold_what_was_published(published: PackageOutcome, work: Path) -> None:
    from pipelines.cubes import list_cubes, scenes_found
    from processing.archive.cube import open_cube
    from processing.archive.scenes import open_scenes

    reports = list_cubes(Home(work / "home"))
    assert {(cube.collection, cube.status) for cube in reports} == {
        (link.collection, "whole") for link in published.items
    }
    link = published.items[0]
    (tile,) = [cube.tile for cube in reports if cube.collection == link.collection]
    cube = open_cube(work / "home", link.collection, tile)
    assert list(cube.item.values) == [link.id]
    year = open_scenes(scenes_found(Home(work / "home"), collection=link.collection, datetime="2000-01-01/.."))
    np.testing.assert_array_equal(cube.pixels.sel(y=year.y, x=year.x).values, year.pixels.values)
    assert np.isfinite(cube.pixels.values).any()


def test_ndvi_is_that_of_the_archived_reflectances(published: PackageOutcome, work: Path) -> None:
    """Both stores opened with xarray alone; NDVI computed anew in double precision from what the parent stores."""
    l1c, ndvi = (work / "home" / "archive" / link.collection / f"{link.id}.zarr" for link in published.items)
    parent = xr.open_zarr(l1c, group="measurements/reflectance/r5m", chunks=None, decode_cf=True)
    child = xr.open_zarr(ndvi, group="measurements/index/r5m", chunks=None, decode_cf=True)
    red, nir = parent["red"].to_numpy().astype(float), parent["nir"].to_numpy().astype(float)
    with np.errstate(all="ignore"):
        expected = np.clip((nir - red) / (nir + red), -1, 1)
    found = child["ndvi"].to_numpy().astype(float)
    valid = np.isfinite(expected)
    assert valid.sum() > 3000
    np.testing.assert_array_equal(np.isfinite(found), valid)
    # Half a step of the stored integers, and float32's last digit.
    np.testing.assert_allclose(found[valid], expected[valid], atol=0.51e-4)


def test_the_same_package_again_changes_nothing_and_says_so(
    published: PackageOutcome, work: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(*_: object, **__: object) -> NoReturn:
        raise AssertionError("computed again")

    before = _files(work / "home" / "archive")
    monkeypatch.setattr("pipelines.process.publish_product", computed)
    again = _process(package, work / "home", dem=str(work / "dem"), derive=["ndvi"])
    assert again.outcome is Outcome.PUBLISHED
    assert again.reasons == ("already_published",)
    assert again.items == published.items
    # Planning runs again, to learn which product this would be; it is there, and nothing is computed.
    assert set(again.stages) == {"ingest", "process", "publish", "derive"}
    assert _files(work / "home" / "archive") == before


def test_a_zip_of_it_is_the_same_package(published: PackageOutcome, work: Path, package: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "delivery"), "zip", package.parent, package.name)
    again = _process(Path(archive), work / "home", dem=str(work / "dem"))
    assert again.reasons == ("already_published",)
    assert again.items == published.items[:1]
    unpacked = work / "home" / "staging" / "unpacked"
    assert not unpacked.exists() or not list(unpacked.iterdir()), "nothing unpacked is left behind"


def test_the_same_id_with_other_bytes_is_refused(
    published: PackageOutcome, work: Path, package: Path, tmp_path: Path
) -> None:
    before = _files(work / "home" / "archive")
    other = tmp_path / package.name
    shutil.copytree(package, other)
    image = next(other.glob("*.tif"))
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    outcome = _process(other, work / "home", dem=str(work / "dem"))
    assert outcome.outcome is Outcome.REJECTED
    assert outcome.reasons == ("id.conflict",)
    assert _files(work / "home" / "archive") == before


@pytest.mark.parametrize(("dem", "reason"), [("", "dem.missing"), ("dem-unstated", "dem.datum_unknown")])
def test_what_the_dem_lacks_holds_the_package(work: Path, package: Path, tmp_path: Path, dem: str, reason: str) -> None:
    outcome = _process(package, tmp_path / "home", dem=str(work / dem) if dem else "")
    assert outcome.outcome is Outcome.HELD
    assert outcome.reasons == (reason,)
    assert outcome.remedy
    assert not (tmp_path / "home" / "archive").exists()
    assert not (tmp_path / "home" / "quarantine").exists()


def test_the_run_carries_its_tables_and_picture(published: PackageOutcome) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(sort=ArtifactSort.CREATED_DESC)
    key = published.items[0].id.lower().replace("_", "-")
    kept = {artifact.key: artifact for artifact in artifacts if artifact.key and key in artifact.key}
    assert set(kept) == {f"{what}-{key}" for what in ("quality", "quicklook", "item", "report", "progress")}
    table = kept[f"quality-{key}"]
    assert "| valid % |" in str(table.data).replace("| band | group ", "")
    assert table.flow_run_id is not None
    picture = str(kept[f"quicklook-{key}"].data)
    assert picture.startswith("data:image/webp;base64,")
    assert len(picture) < 100_000


def test_one_bad_package_stops_no_other(published: PackageOutcome, work: Path, package: Path, tmp_path: Path) -> None:
    from pipelines.run import process_packages

    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("readme.txt", "no image here")
    requests = [
        SceneRequest(package=str(each), home=str(work / "home"), dem=str(work / "dem"), recipe=recipe)
        for each, recipe in ((bad, "l1c"), (package, "no-such-recipe"), (package, "l1c"))
    ]
    outcomes = [outcome.outcome for outcome in process_packages(requests, report=None)]
    assert outcomes == [Outcome.QUARANTINED, Outcome.FAILED, Outcome.PUBLISHED]
    assert Home(work / "home").quarantine.is_dir()


def test_a_segment_is_an_item_of_its_own(published: PackageOutcome, work: Path, package: Path) -> None:
    whole = published.items[0]
    before = _files(work / "home" / "archive")
    part = _process(package, work / "home", dem=str(work / "dem"), first_line=11, lines=24)
    assert part.outcome is Outcome.PUBLISHED, part
    assert part.items[0].collection == whole.collection
    assert part.items[0].id != whole.id
    item = json.loads(Path(part.items[0].href).read_text(encoding="utf-8"))
    validate_item(item)
    assert before.items() <= _files(work / "home" / "archive").items()
    again = _process(package, work / "home", dem=str(work / "dem"), first_line=11, lines=24)
    assert again.items == part.items
    assert again.reasons == ("already_published",)


def test_lines_that_are_not_there_reject_the_request_and_keep_the_package(work: Path, package: Path) -> None:
    outcome = _process(package, work / "home", dem=str(work / "dem"), first_line=1, lines=100_000)
    assert outcome.outcome is Outcome.REJECTED
    assert outcome.reasons == ("strip.range",)
    assert outcome.quarantine is None
