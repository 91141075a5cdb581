"""Geoid grids of an operator: read right, preferred, recorded; a broken one is refused, never passed over."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.geometry.datum import SUBSTITUTE_NOTE, VerticalDatum, undulation
from processing.model.errors import BadInput
from processing.readers.dem import open_terrain
from processing.readers.dem_geoid import open_geoid, proj_folders, read_geoid

EGM2008, EGM96 = VerticalDatum.EGM2008, VerticalDatum.EGM96


def bulge(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """A made-up geoid, periodic in longitude."""
    return 40.0 * np.sin(np.radians(2 * lon)) * np.cos(np.radians(lat)) + 0.3 * lat


def write_gtx(
    path: Path, west: float, south: float, step: float, shape: tuple[int, int], *, void: tuple[int, int] | None = None
) -> Path:
    """As NOAA's VDatum lays it down: big-endian, rows from the south."""
    lon, lat = np.meshgrid(west + step * np.arange(shape[1]), south + step * np.arange(shape[0]))
    values = bulge(lon, lat).astype(">f4")
    if void:
        values[void] = -88.8888
    header = np.array([south, west, step, step], ">f8").tobytes() + np.array(shape, ">i4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + values.tobytes())
    return path


def write_tif(path: Path, west: float, north: float, step: float, shape: tuple[int, int], **tags: str) -> Path:
    """As PROJ's GeoTIFF grids are: nodes at cell centres, rows from the north."""
    lon, lat = np.meshgrid(west + step * np.arange(shape[1]), north - step * np.arange(shape[0]))
    transform = Affine(step, 0, west - step / 2, 0, -step, north + step / 2)
    options = {"driver": "GTiff", "height": shape[0], "width": shape[1], "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", **options, crs="EPSG:4326", transform=transform) as dataset:
        dataset.write(bulge(lon, lat).astype(np.float32), 1)
        dataset.update_tags(**tags)
    return path


def write_dem(path: Path, lon: float = 75.0, lat: float = 43.2) -> Path:
    options = {"driver": "GTiff", "height": 40, "width": 40, "count": 1, "dtype": "float32", "crs": "EPSG:9518"}
    with rasterio.open(path, "w", **options, transform=Affine(0.005, 0, lon, 0, -0.005, lat)) as dataset:
        dataset.write(np.full((40, 40), 1000.0, dtype=np.float32), 1)
    return path


def probe(west: float, south: float, east: float, north: float) -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.linspace(west, east, 23), np.linspace(south, north, 23))


@pytest.mark.parametrize("kind", ["gtx", "gtx_from_zero", "tif", "tif_doubled"])
@settings(max_examples=25, deadline=None)
@given(lon=st.floats(-180.0, 180.0), lat=st.floats(-89.9, 89.4))
def test_grids_of_every_build_anywhere_on_earth(
    tmp_path_factory: pytest.TempPathFactory, kind: str, lon: float, lat: float
) -> None:
    """Bilinear in cells of a degree: off by the function's own curvature, h^2 f'' / 8, and by nothing else."""
    path = tmp_path_factory.getbasetemp() / f"{kind}_egm08.{kind[:3]}"
    if not path.exists():
        if kind.startswith("gtx"):
            write_gtx(path, 0.0 if "zero" in kind else -180.0, -90.0, 1.0, (181, 360))
        else:
            write_tif(path, -180.0, 90.0, 1.0, (181, 361 if "doubled" in kind else 360))
    area = (lon, lat, lon + 0.7, min(lat + 0.5, 90.0))
    geoid = read_geoid(path, EGM2008, area)
    at = probe(*area)
    np.testing.assert_allclose(geoid.undulation(*at), bulge(*at), atol=0.02)
    np.testing.assert_allclose(geoid.undulation(at[0] - 360.0, at[1]), geoid.undulation(*at), atol=1e-9)
    assert np.isnan(geoid.undulation(lon + 180.0, lat))
    assert geoid.source.role == "geoid"
    assert geoid.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_regional_grid_serves_only_what_it_covers(tmp_path: Path) -> None:
    write_gtx(tmp_path / "egm08_region.gtx", 70.0, 40.0, 0.25, (41, 41), void=(20, 20))
    inside = open_geoid(EGM2008, [tmp_path], (72.0, 41.0, 73.0, 42.0))
    assert inside is not None
    np.testing.assert_allclose(inside.undulation(72.25, 41.5), bulge(np.array(72.25), np.array(41.5)), atol=1e-4)
    assert open_geoid(EGM2008, [tmp_path], (79.5, 41.0, 80.5, 42.0)) is None
    assert open_geoid(EGM2008, [tmp_path], (72.0, 39.9, 73.0, 42.0)) is None
    holed = open_geoid(EGM2008, [tmp_path], (74.5, 44.5, 75.5, 45.5))
    assert holed is not None
    assert np.isnan(holed.undulation(75.0, 45.0))


def test_names_and_tags_say_which_geoid_and_finer_is_better(tmp_path: Path) -> None:
    area = (72.0, 41.0, 73.0, 42.0)
    write_gtx(tmp_path / "a" / "egm2008_coarse.gtx", -180, -90, 1.0, (181, 360))
    assert open_geoid(EGM2008, [tmp_path / "absent", tmp_path / "a"], area).source.name == "egm2008_coarse.gtx"  # type: ignore[union-attr]
    write_tif(tmp_path / "a" / "us_nga_egm08_25.tif", -180, 90, 0.5, (361, 720))
    assert open_geoid(EGM2008, [tmp_path / "a"], area).source.name == "us_nga_egm08_25.tif"  # type: ignore[union-attr]
    assert open_geoid(EGM96, [tmp_path / "a"], area) is None
    assert open_geoid(VerticalDatum.ELLIPSOID, [tmp_path / "a"], area) is None
    (tmp_path / "b").mkdir()
    write_tif(tmp_path / "b" / "national.tif", 70, 45, 0.1, (60, 60), target_crs_epsg_code="3855")
    write_tif(tmp_path / "b" / "other.tif", 70, 45, 0.1, (60, 60))
    assert open_geoid(EGM2008, [tmp_path / "b"], area).source.name == "national.tif"  # type: ignore[union-attr]
    first = open_geoid(EGM2008, [tmp_path / "b" / "national.tif", tmp_path / "a"], area)
    assert first is not None
    assert first.source.name == "national.tif"
    write_gtx(tmp_path / "c" / "egm96_coarse.gtx", -180, -90, 1.0, (181, 360))
    assert open_geoid(EGM96, [tmp_path / "c"], area) is None  # the embedded 5' grid is finer
    assert all(folder.is_absolute() for folder in proj_folders())


def test_elevations_above_egm2008_are_raised_by_the_operators_grid(tmp_path: Path) -> None:
    dem = write_dem(tmp_path / "dem.tif")
    grid = write_gtx(tmp_path / "geoid" / "egm08_25.gtx", -180, -90, 0.25, (721, 1440))
    bounds = (75.02, 43.02, 75.15, 43.15)
    lon, lat = probe(*bounds)
    with_grid = open_terrain(dem, bounds=bounds, geoids=[grid.parent])
    np.testing.assert_allclose(with_grid.height(lon, lat), 1000.0 + bulge(lon, lat), atol=0.01)
    assert with_grid.warnings == ()
    assert [(record.role, record.name) for record in with_grid.sources] == [
        ("dem", "dem.tif"),
        ("geoid", "egm08_25.gtx"),
    ]
    assert "egm08_25.gtx" in with_grid.datum_note
    without = open_terrain(dem, bounds=bounds, geoids=[tmp_path / "absent"])
    np.testing.assert_allclose(without.height(lon, lat), 1000.0 + undulation(lon, lat), atol=0.01)
    assert without.warnings == (SUBSTITUTE_NOTE,)
    assert [record.role for record in without.sources] == ["dem"]
    assert open_terrain(dem, bounds=bounds, geoids=[grid]).digest == with_grid.digest
    stated = open_terrain(dem, bounds=bounds, vertical_datum="egm96", geoids=[grid.parent])
    np.testing.assert_allclose(stated.height(lon, lat), 1000.0 + undulation(lon, lat), atol=0.01)


@pytest.mark.realdata
def test_the_real_grid_of_proj_against_the_embedded_one(realdata: Path, tmp_path: Path) -> None:
    """EGM96 at 15' (PROJ) and at 5' (embedded) are one geoid: SCIENCE.md 9 says rms 0.05, at most 0.54 m apart."""
    real = realdata / "geoid" / "egm96_15.gtx"
    random = np.random.default_rng(3)
    lon, lat = random.uniform(46, 88, 4000), random.uniform(40, 56, 4000)
    miss = read_geoid(real, EGM96, (46, 40, 88, 56)).undulation(lon, lat) - undulation(lon, lat)
    assert np.sqrt(np.mean(miss**2)) < 0.08
    assert np.abs(miss).max() < 0.6
    far = read_geoid(real, EGM96, (179.5, -45.0, 180.5, -44.0))
    edge = probe(179.5, -45.0, 180.5, -44.0)
    assert np.abs(far.undulation(*edge) - undulation(*edge)).max() < 0.6
    # Called EGM2008 it takes that part: what an operator puts there is what counts.
    shutil.copy(real, tmp_path / "egm08_as_if.gtx")
    terrain = open_terrain(write_dem(tmp_path / "dem.tif"), bounds=(75.02, 43.02, 75.15, 43.15), geoids=[tmp_path])
    at = probe(75.02, 43.02, 75.15, 43.15)
    expected = read_geoid(real, EGM96, (75, 43, 75.2, 43.2)).undulation(*at)
    np.testing.assert_allclose(terrain.height(*at), 1000.0 + expected, atol=0.01)
    assert terrain.sources[1].sha256 == hashlib.sha256(real.read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", ["cut", "header", "nowhere", "absurd", "endless"])
def test_a_broken_grid_is_refused(tmp_path: Path, damage: str) -> None:
    path = write_gtx(tmp_path / "egm08.gtx", -180, -90, 1.0, (181, 360))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-8]
    elif damage == "header":
        content = content[:30]
    elif damage == "nowhere":
        content[:8] = np.array([1e9], ">f8").tobytes()
    elif damage == "absurd":
        content[40:] = np.full(181 * 360, 5000.0, ">f4").tobytes()
    else:
        content[32:40] = np.array([2**31 - 1, 2**31 - 1], ">i4").tobytes()
    path.write_bytes(bytes(content))
    with pytest.raises(BadInput) as refused:
        open_geoid(EGM2008, [tmp_path], (72.0, 41.0, 73.0, 42.0))
    assert refused.value.kind == "geoid.corrupt"
    regional = write_gtx(tmp_path / "ok" / "x.gtx", 70, 40, 0.5, (10, 10))
    with pytest.raises(BadInput) as refused:
        read_geoid(regional, EGM2008, (0.0, 0.0, 1.0, 1.0))
    assert refused.value.kind == "geoid.coverage"
