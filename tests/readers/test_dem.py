"""Elevation files: which datum is believed, how tiles meet, what is void, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from processing.geometry.datum import undulation
from processing.model.errors import BadInput
from processing.readers.dem import open_terrain

BOUNDS = (75.05, 42.95, 75.15, 43.05)
PITCH = 1 / 120


def plane(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Heights linear in place, so that any correct interpolation repeats them."""
    return 1000.0 + 2000.0 * (lon - 75.0) + 3000.0 * (lat - 43.0)


def write(
    path: Path,
    west: float,
    north: float,
    shape: tuple[int, int],
    *,
    pitch: tuple[float, float] = (PITCH, PITCH),
    crs: str = "EPSG:4326",
    nodata: float | None = None,
    void: tuple[slice, slice] | None = None,
) -> Path:
    transform = Affine(pitch[0], 0, west, 0, -pitch[1], north)
    lon, lat = np.meshgrid(
        west + pitch[0] * (np.arange(shape[1]) + 0.5), north - pitch[1] * (np.arange(shape[0]) + 0.5)
    )
    values = plane(lon, lat).astype(np.float32)
    if void is not None:
        values[void] = -32768 if nodata is None else nodata
    options = {"driver": "GTiff", "height": shape[0], "width": shape[1], "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", **options, crs=crs, transform=transform, nodata=nodata) as dataset:
        dataset.write(values, 1)
    return path


def probes() -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.linspace(75.055, 75.145, 31), np.linspace(42.955, 43.045, 31))


def test_tiles_of_two_pitches_meet_without_a_seam(tmp_path: Path) -> None:
    """As Copernicus tiles do at 50 degrees north: the same rows, wider columns."""
    write(tmp_path / "north.tif", 75.0, 44.0, (120, 80), pitch=(PITCH * 1.5, PITCH))
    write(tmp_path / "south.tif", 75.0, 43.0, (120, 120))
    terrain = open_terrain(tmp_path, bounds=BOUNDS, vertical_datum="ellipsoid")
    lon, lat = probes()
    np.testing.assert_allclose(terrain.height(lon, lat), plane(lon, lat), atol=0.01)
    assert [record.name for record in terrain.sources] == ["north.tif", "south.tif"]
    assert terrain.warnings == ()


def test_only_tiles_of_the_area_are_read(tmp_path: Path) -> None:
    write(tmp_path / "here.tif", 75.0, 43.5, (120, 120))
    write(tmp_path / "far.tif", 90.0, 43.5, (120, 120))
    terrain = open_terrain(tmp_path, bounds=BOUNDS, vertical_datum="ellipsoid", margin_deg=0.0)
    assert [record.name for record in terrain.sources] == ["here.tif"]
    assert terrain.heights.size < 300


@pytest.mark.parametrize(
    ("name", "crs", "geoid"),
    [
        ("any.tif", "EPSG:9518", True),  # WGS 84 + EGM2008 height
        ("any.tif", "EPSG:9707", True),  # WGS 84 + EGM96 height
        ("any.tif", "EPSG:4979", False),  # WGS 84, ellipsoidal
        ("Copernicus_DSM_COG_10_N42_00_E075_00_DEM.tif", "EPSG:4326", True),
    ],
)
def test_what_files_and_names_state_is_believed(tmp_path: Path, name: str, crs: str, geoid: bool) -> None:
    path = write(tmp_path / name, 75.0, 43.5, (120, 120), crs=crs)
    terrain = open_terrain(path, bounds=BOUNDS)
    lon, lat = probes()
    expected = plane(lon, lat) + (undulation(lon, lat) if geoid else 0.0)
    np.testing.assert_allclose(terrain.height(lon, lat), expected, atol=0.05)
    substituted = "9518" in crs or name.startswith("Copernicus")
    assert any("EGM2008" in warning for warning in terrain.warnings) == substituted


def test_the_operator_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "any.tif", 75.0, 43.5, (120, 120), crs="EPSG:9707")
    terrain = open_terrain(path, bounds=BOUNDS, vertical_datum="ellipsoid")
    lon, lat = probes()
    np.testing.assert_allclose(terrain.height(lon, lat), plane(lon, lat), atol=0.01)
    assert "operator" in terrain.datum_note


def test_srtm_tiles_stand_on_their_names(tmp_path: Path) -> None:
    counts = np.full((1201, 1201), 1500, dtype=">i2")
    counts[600:610, 100:110] = -32768
    path = tmp_path / "N42E075.hgt"
    path.write_bytes(counts.tobytes())
    terrain = open_terrain(path, bounds=(75.05, 42.45, 75.15, 42.55))
    node_lon, node_lat = 75 + 120 / 1200, 43 - 620 / 1200
    assert float(terrain.height(node_lon, node_lat)) == pytest.approx(
        1500 + float(undulation(node_lon, node_lat)), abs=0.01
    )
    assert np.isnan(terrain.height(75 + 105 / 1200, 43 - 605 / 1200))


def test_voids_declared_or_impossible_are_voids(tmp_path: Path) -> None:
    hole = (slice(60, 64), slice(8, 14))
    declared = write(tmp_path / "declared.tif", 75.0, 43.5, (120, 120), nodata=-9999.0, void=hole)
    impossible = write(tmp_path / "impossible.tif", 75.0, 43.5, (120, 120), void=hole)
    quiet = open_terrain(declared, bounds=BOUNDS, vertical_datum="ellipsoid")
    loud = open_terrain(impossible, bounds=BOUNDS, vertical_datum="ellipsoid")
    at = 75 + 10.5 * PITCH, 43.5 - 61.5 * PITCH
    assert np.isnan(quiet.height(*at))
    assert np.isnan(loud.height(*at))
    assert quiet.warnings == ()
    assert "24 cells" in loud.warnings[0]


@pytest.mark.parametrize(
    ("build", "options", "kind"),
    [
        (lambda d: write(d / "a.tif", 75.0, 43.5, (120, 120)), {}, "dem.datum_unknown"),
        (lambda d: write(d / "a.tif", 75.0, 43.5, (120, 120)), {"vertical_datum": "sea"}, "dem.datum_option"),
        (lambda d: write(d / "a.tif", 10.0, 43.5, (120, 120)), {"vertical_datum": "egm96"}, "dem.no_coverage"),
        (lambda d: d / "absent.tif", {}, "dem.missing"),
        (lambda d: d, {}, "dem.missing"),
        (lambda d: write(d / "a.tif", 75.0, 43.5, (120, 120), crs="EPSG:9705"), {}, "dem.datum_unknown"),
        (
            lambda d: write(d / "a.tif", 75.0, 43.5, (120, 120), void=(slice(None), slice(None))),
            {"vertical_datum": "ellipsoid"},
            "dem.no_coverage",
        ),
    ],
)
def test_refusals_by_kind(tmp_path: Path, build: object, options: dict[str, str], kind: str) -> None:
    with pytest.raises(BadInput) as refused:
        open_terrain(build(tmp_path), bounds=BOUNDS, **options)  # type: ignore[operator, arg-type]
    assert refused.value.kind == kind


@pytest.mark.realdata
def test_real_tiles_of_every_kind(realdata: Path) -> None:
    ventoux = open_terrain(realdata / "shareloc-phr-ventoux" / "N44E005.hgt", bounds=(5.25, 44.15, 5.3, 44.2))
    # The summit of Mont Ventoux stands at 1,909 m above the sea; 3" SRTM cuts some of it off.
    assert 1850 < float(ventoux.height(5.2788, 44.1739)) - float(undulation(5.2788, 44.1739)) < 1915
    rome = open_terrain(realdata / "dem" / "Rome-30m-DEM.tif", bounds=(12.47, 41.98, 12.5, 42.02))
    assert "EGM96" in rome.datum_note
    copernicus = realdata / "dem" / "Copernicus_DSM_10_N45_00_E005_00_DEM.tif"
    assert "egm2008" in open_terrain(copernicus, bounds=(5.4, 45.2, 5.5, 45.3)).datum_note
    swiss = open_terrain(
        realdata / "dem" / "swiss_dem_2m5_epsg2056.tif", bounds=(7.09, 45.92, 7.10, 45.925), vertical_datum="ellipsoid"
    )
    assert swiss.crs == "EPSG:2056"
    assert np.isfinite(swiss.height(7.095, 45.922))
