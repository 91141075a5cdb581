"""Many elevation files become one terrain: other grids, other datums, seams, the antimeridian, the pole.

The ground is a plane in lon, lat (or in a polar map), which every right interpolation repeats.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from processing.geometry.datum import undulation
from processing.model.errors import BadInput
from processing.readers.dem import open_terrain
from processing.readers.dem_tile import exact_transformer

ARCSECOND = 1 / 3600
Ground = Callable[[np.ndarray, np.ndarray], np.ndarray]


def slope(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """1,000 m at 75 E, 43 N; 200 m a degree eastward, 300 northward."""
    return 1000.0 + 200.0 * (lon - 75.0) + 300.0 * (lat - 43.0)


def across_180(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Continuous where longitudes are not."""
    return 500.0 + 200.0 * (lon % 360.0 - 180.0) + 300.0 * (lat - 66.0)


def write(
    path: Path,
    crs: str,
    corner: tuple[float, float],
    pitch: tuple[float, float],
    shape: tuple[int, int],
    *,
    ground: Ground = slope,
    void: tuple[slice, slice] | None = None,
) -> Path:
    """One tile whose cell centres lie on the ground."""
    transform = Affine(pitch[0], 0, corner[0], 0, -pitch[1], corner[1])
    x, y = np.meshgrid(
        corner[0] + pitch[0] * (np.arange(shape[1]) + 0.5), corner[1] - pitch[1] * (np.arange(shape[0]) + 0.5)
    )
    horizontal = CRS.from_user_input(crs)
    lon, lat = Transformer.from_crs(
        horizontal.sub_crs_list[0] if horizontal.is_compound else horizontal,
        "EPSG:4326",
        always_xy=True,
        allow_ballpark=False,
    ).transform(x, y)
    values = ground(lon, lat).astype(np.float32)
    if void is not None:
        values[void] = -32767
    options = {"driver": "GTiff", "height": shape[0], "width": shape[1], "count": 1, "dtype": "float32"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **options, crs=crs, transform=transform, nodata=-32767) as dataset:
        dataset.write(values, 1)
    return path


def copernicus(folder: Path, lat: int, lon: int, pitch_lon: float, pitch_lat: float, ground: Ground) -> Path:
    """A tile in the place and the grid of a Copernicus one: nodes on whole degrees in the north-west corner."""
    name = f"Copernicus_DSM_COG_10_{'NS'[lat < 0]}{abs(lat):02d}_00_{'EW'[lon < 0]}{abs(lon):03d}_00_DEM.tif"
    corner = (lon - pitch_lon / 2, lat + 1 + pitch_lat / 2)
    return write(
        folder / name, "EPSG:4326", corner, (pitch_lon, pitch_lat), (round(1 / pitch_lat), round(1 / pitch_lon)),
        ground=ground,
    )  # fmt: skip


def probe(bounds: tuple[float, float, float, float], count: int = 41) -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.linspace(bounds[0], bounds[2], count), np.linspace(bounds[1], bounds[3], count))


def test_copernicus_tiles_meet_at_the_antimeridian(tmp_path: Path) -> None:
    """E179 and W180 at 66 N, where columns are three seconds apart and rows one."""
    for lon in (179, -180):
        copernicus(tmp_path, 66, lon, 30 * ARCSECOND, 10 * ARCSECOND, across_180)
    for bounds in ((179.9, 66.4, 180.1, 66.5), (-180.1, 66.4, -179.9, 66.5)):
        terrain = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid")
        assert len(terrain.sources) == 2
        assert np.isfinite(terrain.heights).all()
        assert terrain.heights.shape[1] * terrain.transform.a == pytest.approx(0.24, abs=2e-3)
        lon, lat = probe(bounds)
        np.testing.assert_allclose(terrain.height(lon, lat), across_180(lon, lat), atol=2e-3)
        np.testing.assert_allclose(terrain.height((lon + 180) % 360 - 180, lat), across_180(lon, lat), atol=2e-3)


def test_a_global_grid_is_read_on_both_sides_of_its_own_edge(tmp_path: Path) -> None:
    write(tmp_path / "world.tif", "EPSG:4326", (-180.0, 67.0), (0.1, 0.1), (20, 3600), ground=across_180)
    bounds = (179.5, 65.6, 180.5, 66.4)
    terrain = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid")
    assert len(terrain.sources) == 1
    lon, lat = probe(bounds)
    np.testing.assert_allclose(terrain.height(lon, lat), across_180(lon, lat), atol=2e-3)


def test_copernicus_columns_widen_northward_without_a_seam(tmp_path: Path) -> None:
    """49 N has columns of 1 unit, 50 N of 1.5: rows go on, columns are interpolated, also from tile to tile."""
    for lon in (74, 75):
        copernicus(tmp_path, 49, lon, 10 * ARCSECOND, 10 * ARCSECOND, slope)
        copernicus(tmp_path, 50, lon, 15 * ARCSECOND, 10 * ARCSECOND, slope)
    bounds = (74.9, 49.9, 75.1, 50.1)
    terrain = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid")
    assert len(terrain.sources) == 4
    assert np.isfinite(terrain.heights).all()
    lon, lat = probe(bounds)
    np.testing.assert_allclose(terrain.height(lon, lat), slope(lon, lat), atol=2e-3)


@pytest.mark.parametrize("finest", ["geographic", "zones"])
def test_zones_of_utm_and_degrees_in_one_mosaic(tmp_path: Path, finest: str) -> None:
    """Two UTM zones and a geographic tile between 77.7 and 78.3 E: each in cells and a CRS of its own."""
    metres = 30.0 if finest == "zones" else 90.0
    degrees = 1 / 1200 if finest == "zones" else 1 / 3600
    to_43 = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True, allow_ballpark=False)
    to_44 = Transformer.from_crs("EPSG:4326", "EPSG:32644", always_xy=True, allow_ballpark=False)
    west, east = to_43.transform(77.85, 43.16), to_44.transform(77.99, 43.16)
    side = int(17_000 / metres)
    write(tmp_path / "a43.tif", "EPSG:32643", west, (metres, metres), (side, side))
    write(tmp_path / "b44.tif", "EPSG:32644", east, (metres, metres), (side, side))
    write(
        tmp_path / "c.tif", "EPSG:4326", (77.7, 43.3), (degrees, degrees), (round(0.17 / degrees), round(0.6 / degrees))
    )
    bounds = (77.88, 43.05, 78.15, 43.2)
    terrain = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid")
    assert terrain.crs == ("EPSG:32643" if finest == "zones" else "EPSG:4326")
    lon, lat = probe(bounds)
    height = terrain.height(lon, lat)
    assert np.isfinite(height).all()
    np.testing.assert_allclose(height, slope(lon, lat), atol=5e-3)
    reverse = open_terrain(
        [tmp_path / name for name in ("c.tif", "b44.tif", "a43.tif")], bounds=bounds, vertical_datum="ellipsoid"
    )
    assert reverse.digest == terrain.digest


@settings(max_examples=25, deadline=None)
@given(ratio=st.floats(0.4, 2.6), offset=st.floats(0.0, 1.0), rows=st.floats(-0.5, 0.5), beside=st.booleans())
def test_seams_between_unlike_grids_are_closed_and_only_they(
    tmp_path_factory: pytest.TempPathFactory, ratio: float, offset: float, rows: float, beside: bool
) -> None:
    """Two tiles that touch, with other pitches and phases: no hole at the seam, no height beyond the tiles."""
    folder = tmp_path_factory.mktemp("seam")
    pitch = 1 / 600
    seam = 75.1 + offset * pitch
    other = pitch * ratio
    write(folder / "a.tif", "EPSG:4326", (seam - 60 * pitch, 43.1), (pitch, pitch), (60, 60))
    if beside:
        write(folder / "b.tif", "EPSG:4326", (seam, 43.1 + rows * other), (other, other), (round(60 / ratio), 24))
    else:
        bottom = 43.1 - 60 * pitch
        write(
            folder / "b.tif",
            "EPSG:4326",
            (seam - 60 * pitch + rows * other, bottom),
            (other, other),
            (24, round(60 / ratio)),
        )
    terrain = open_terrain(folder, bounds=(75.0, 42.85, 75.25, 43.1), vertical_datum="ellipsoid", margin_deg=0.0)
    inner = 4 * max(pitch, other)
    if beside:
        lon, lat = probe((seam - 0.02, 43.1 - 50 * pitch, seam + 20 * other, 43.1 - inner))
    else:
        lon, lat = probe((seam - 50 * pitch, 43.1 - 60 * pitch - 20 * other, seam - inner, 43.1 - 58 * pitch))
    height = terrain.height(lon, lat)
    assert np.isfinite(height).all()
    np.testing.assert_allclose(height, slope(lon, lat), atol=2e-3)
    known_lon, known_lat = terrain.lonlat_of_cells(*(np.argwhere(np.isfinite(terrain.heights)) + 0.5).T)
    np.testing.assert_allclose(
        terrain.heights[np.isfinite(terrain.heights)], slope(known_lon, known_lat), atol=0.02
    )  # nothing known that is not on the ground: no tile's edge was carried on


def test_a_void_at_a_seam_stays_void_and_a_void_in_one_tile_is_filled_by_another(tmp_path: Path) -> None:
    pitch = 1 / 600
    hole = (slice(20, 40), slice(50, 60))
    write(tmp_path / "a.tif", "EPSG:4326", (75.0, 43.1), (pitch, pitch), (60, 60), void=hole)
    write(tmp_path / "b.tif", "EPSG:4326", (75.1, 43.1), (pitch * 1.7, pitch * 1.7), (35, 30))
    bounds = (75.0, 43.0, 75.15, 43.1)
    terrain = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid", margin_deg=0.0)
    at = 75.0 + 55 * pitch, 43.1 - 30 * pitch
    assert np.isnan(terrain.height(*at))
    assert np.isnan(terrain.heights).sum() >= 200
    write(tmp_path / "c.tif", "EPSG:4326", (74.95, 43.15), (pitch * 3, pitch * 3), (50, 60))
    filled = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid", margin_deg=0.0)
    assert float(filled.height(*at)) == pytest.approx(float(slope(*at)), abs=2e-3)


def test_every_tile_is_raised_by_its_own_datum(tmp_path: Path) -> None:
    """The same ground above EGM96 in one tile and above the ellipsoid in its neighbour: one surface."""

    def above_geoid(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return slope(lon, lat) - undulation(lon, lat)

    pitch = 1 / 600
    write(tmp_path / "a.tif", "EPSG:9707", (75.0, 43.1), (pitch, pitch), (60, 60), ground=above_geoid)
    write(tmp_path / "b.tif", "EPSG:4979", (75.1, 43.1), (pitch, pitch), (60, 60))
    terrain = open_terrain(tmp_path, bounds=(75.0, 43.01, 75.19, 43.09), margin_deg=0.0)
    lon, lat = probe((75.01, 43.02, 75.18, 43.08))
    np.testing.assert_allclose(terrain.height(lon, lat), slope(lon, lat), atol=2e-3)
    assert "egm96" in terrain.datum_note
    assert "ellipsoid" in terrain.datum_note


def test_a_pole_gets_a_polar_grid(tmp_path: Path) -> None:
    """Tiles of degrees around the pole become cells of metres, the pole itself included."""

    def dome(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        to_polar = Transformer.from_crs("EPSG:4326", "EPSG:32761", always_xy=True, allow_ballpark=False)
        x, y = to_polar.transform(lon, lat)
        return 2800.0 + 1e-3 * (np.asarray(x) - 2e6) - 2e-3 * (np.asarray(y) - 2e6)

    for west in (-180, -60, 60):
        write(tmp_path / f"t{west}.tif", "EPSG:4326", (west, -89.0), (0.5, 0.01), (100, 240), ground=dome)
    terrain = open_terrain(tmp_path, bounds=(-180.0, -90.0, 180.0, -89.5), vertical_datum="ellipsoid")
    assert terrain.crs == "EPSG:32761"
    lon, lat = np.meshgrid(np.linspace(-179.9, 179.9, 60), np.linspace(-89.97, -89.6, 20))
    np.testing.assert_allclose(terrain.height(lon, lat), dome(lon, lat), atol=0.2)


def test_a_fine_tile_does_not_make_a_wide_area_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.readers.dem_mosaic._MOST_CELLS", 100_000)
    write(tmp_path / "fine.tif", "EPSG:4326", (75.0, 43.1), (1e-4, 1e-4), (200, 200))
    write(tmp_path / "wide.tif", "EPSG:4326", (74.9, 43.2), (1e-3, 1e-3), (300, 300))
    bounds = (74.95, 42.95, 75.15, 43.15)
    terrain = open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid")
    assert terrain.transform.a == pytest.approx(1e-3)
    assert any("fine.tif" in warning for warning in terrain.warnings)
    lon, lat = probe(bounds)
    np.testing.assert_allclose(terrain.height(lon, lat), slope(lon, lat), atol=2e-3)
    monkeypatch.setattr("processing.readers.dem_mosaic._MOST_CELLS", 1000)
    with pytest.raises(BadInput) as refused:
        open_terrain(tmp_path, bounds=bounds, vertical_datum="ellipsoid")
    assert refused.value.kind == "dem.size"


def test_what_lies_beside_copernicus_elevations_is_not_taken_for_them(tmp_path: Path) -> None:
    copernicus(tmp_path, 43, 75, 30 * ARCSECOND, 30 * ARCSECOND, slope)
    stem = tmp_path / "AUXFILES" / "Copernicus_DSM_COG_10_N43_00_E075_00"
    for kind in ("WBM", "HEM", "FLM", "EDM"):
        write(
            stem.with_name(f"{stem.name}_{kind}.tif"), "EPSG:4326", (75.0, 44.0), (0.01, 0.01), (100, 100),
            ground=lambda lon, lat: np.ones_like(lon),
        )  # fmt: skip
    terrain = open_terrain(tmp_path, bounds=(75.2, 43.2, 75.4, 43.4))
    assert len(terrain.sources) == 1


@pytest.mark.parametrize(
    ("name", "datum"),
    [
        ("ALPSMLC30_N043E075_DSM.tif", "egm96"),
        ("ASTGTMV003_N43E075_dem.tif", "egm96"),
        ("N43E075_FABDEM_V1-2.tif", "egm2008"),
        ("TDM1_DEM__30_N43E075_DEM.tif", "ellipsoid"),
    ],
)
def test_products_with_a_handbook_are_known_by_name(tmp_path: Path, name: str, datum: str) -> None:
    write(tmp_path / name, "EPSG:4326", (75.0, 43.2), (0.01, 0.01), (20, 20))
    assert datum in open_terrain(tmp_path, bounds=(75.05, 43.05, 75.1, 43.1)).datum_note


def test_zipped_tiles_and_what_only_pretends(tmp_path: Path) -> None:
    counts = np.full((1201, 1201), 1500, dtype=">i2")
    counts[600, 100] = -32768
    path = tmp_path / "S18W180.SRTMGL3.hgt.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("S18W180.hgt", counts.tobytes())
    terrain = open_terrain(tmp_path, bounds=(180.05, -17.55, 180.15, -17.45))
    assert float(terrain.height(-179.9, -17.53)) == pytest.approx(1500 + float(undulation(-179.9, -17.53)), abs=2e-3)
    assert np.isnan(terrain.height(-180 + 100 / 1200, -17 - 600 / 1200))
    assert "egm96" in terrain.datum_note
    for name, content in (("short", b"\0" * 100), ("two", None), ("not", b"PK")):
        bad = tmp_path / name / "N43E075.hgt.zip"
        bad.parent.mkdir()
        with zipfile.ZipFile(bad, "w") as archive:
            archive.writestr("N43E075.hgt", content or counts.tobytes())
            if content is None:
                archive.writestr("N43E076.hgt", counts.tobytes())
        if name == "not":
            bad.write_bytes(b"PK no archive")
        with pytest.raises(BadInput) as refused:
            open_terrain(bad, bounds=(75.2, 43.2, 75.4, 43.4))
        assert refused.value.kind == "dem.grid"


def test_no_guess_between_coordinate_systems() -> None:
    """A local engineering system has no way to WGS 84, and none is made up."""
    local = CRS.from_wkt(
        'PROJCRS["nowhere",BASEGEOGCRS["unknown",DATUM["Unknown datum of a planet nobody surveyed",'
        'ELLIPSOID["a",6378137,298.25]]],CONVERSION["UTM zone 43N",METHOD["Transverse Mercator"],'
        'PARAMETER["Longitude of natural origin",75],PARAMETER["Scale factor at natural origin",0.9996],'
        'PARAMETER["False easting",500000]],CS[Cartesian,2],AXIS["(E)",east],AXIS["(N)",north],LENGTHUNIT["metre",1]]'
    )
    with pytest.raises(BadInput) as refused:
        exact_transformer("EPSG:4326", local.to_wkt())
    assert refused.value.kind == "dem.crs"


@pytest.mark.realdata
def test_a_real_hole_is_filled_from_a_file_in_another_system(realdata: Path) -> None:
    folder = realdata / "shareloc-phr-ventoux"
    bounds = (5.1, 44.1, 5.4, 44.3)
    whole = open_terrain(folder / "N44E005.hgt", bounds=bounds)
    holed = open_terrain(folder / "N44E005_big_hole.tif", bounds=bounds, vertical_datum="egm96")
    mixed = open_terrain(
        [folder / "N44E005_big_hole.tif", folder / "N44E005_UTM.tif"], bounds=bounds, vertical_datum="egm96"
    )
    lon, lat = probe(bounds, 200)
    truth, got = whole.height(lon, lat), mixed.height(lon, lat)
    hole = np.isnan(holed.height(lon, lat))
    assert hole.any()
    assert np.isfinite(got).all()
    assert np.median(np.abs(got - truth)[hole]) < 8.0  # the UTM file was resampled once already
    assert len(mixed.sources) == 2


@pytest.mark.realdata
def test_a_real_zipped_tile(realdata: Path) -> None:
    terrain = open_terrain(realdata / "dem" / "N10W110.hgt.zip", bounds=(-109.3, 10.25, -109.15, 10.35))
    low, high = terrain.extremes
    geoid = float(undulation(-109.2, 10.3))
    assert -10 < low - geoid < high - geoid < 60  # Clipperton: an atoll of 29 m in the open sea
