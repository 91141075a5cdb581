"""The relief: a plain, a mountain front and ridges up to 4,500 m, as elevations at the posts of a 1-arcsecond DEM.

The simulated Earth's surface is *defined* as the bilinear interpolation of these posts (plus the EGM96 undulation at
the posts), so a processor that reads the delivered DEM knows the surface exactly, and what geolocation error is left
is its own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from egm96 import undulation
from rasterio.crs import CRS

from processing.testing.compiled import compiled, over_rows
from processing.testing.noise import chance, fractal_noise, ridged_noise, smooth_noise

Array = npt.NDArray[np.float64]
Elevations = npt.NDArray[np.float32]

POSTS_PER_DEGREE = 3600
_TILE_POSTS = 900
"""Tiles of a quarter degree."""

ORIGIN = (77.0, 43.1)
"""lon, lat where the landscape's local metres are zero."""
_SIN2 = np.sin(np.deg2rad(ORIGIN[1])) ** 2
_E2 = 0.0066943799901413165
METRES_PER_DEGREE = (
    float(np.deg2rad(6378137.0 / np.sqrt(1 - _E2 * _SIN2)) * np.cos(np.deg2rad(ORIGIN[1]))),
    float(np.deg2rad(6378137.0 * (1 - _E2) / (1 - _E2 * _SIN2) ** 1.5)),
)
"""Of longitude and latitude at the origin (WGS 84). Local metres are linear in both: x east, y north."""

_SITE_SPACING = 7000.0
_TOWN_RADIUS = 640.0
_LAKE_RADIUS = 300.0
RIVER_SPACING = 4200.0
RIVER_OFFSET = 350.0
RIVER_REACH = 640.0
"""Rivers run north, one each ``RIVER_SPACING``, and stray at most ``RIVER_REACH`` from their straight line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posts:
    """DEM posts over a window of the 1-arcsecond lattice; row 0 is the northernmost."""

    north: int
    """Latitude of row 0 in arcseconds."""
    west: int
    """Longitude of column 0 in arcseconds."""
    elevation: Elevations
    """Above the EGM96 geoid, m, as delivered."""
    height: Array
    """Above the ellipsoid, m: elevation plus undulation at the post."""
    town: npt.NDArray[np.float32]
    """Positive inside settlements."""
    lake: npt.NDArray[np.float32]
    """Positive inside lakes."""


@compiled
def river_x(number: int, y: float) -> float:
    """Eastward position (local m) of a river's middle at a northward position."""
    bends: float = (
        420.0 * np.sin(y / 2300.0 + 1.7 * number)
        + 150.0 * np.sin(y / 640.0 + 2.9 * number)
        + 35.0 * np.sin(y / 170.0 + 0.7 * number)
    )
    return number * RIVER_SPACING + RIVER_OFFSET + bends


@compiled
def river_number(x: float, y: float) -> int:
    """Number of the nearest river."""
    guess = int(np.floor((x - RIVER_OFFSET) / RIVER_SPACING + 0.5))
    best, distance = guess, abs(x - river_x(guess, y))
    for number in (guess - 1, guess + 1):
        other = abs(x - river_x(number, y))
        if other < distance:
            best, distance = number, other
    return best


@compiled
def _site(i: int, j: int, seed: int, kind: int) -> tuple[float, float]:
    """Middle of a cell's town (kind 0) or lake (kind 1). The cell at the target has both in view."""
    if i == 0 and j == 0:
        return (-820.0, 1150.0) if kind == 0 else (1380.0, 1000.0)
    x = (i + 0.5 + 0.5 * (chance(i, j, seed + 11 + kind) - 0.5)) * _SITE_SPACING
    y = (j + 0.5 + 0.5 * (chance(i, j, seed + 13 + kind) - 0.5)) * _SITE_SPACING
    return x - 0.5 * _SITE_SPACING, y - 0.5 * _SITE_SPACING + 1000.0


@compiled
def _site_score(x: float, y: float, seed: int, kind: int, radius: float) -> tuple[float, float]:
    """How far inside a town or lake a place is (1 in the middle, 0 on the edge, negative outside), and its north."""
    ci = int(np.floor(x / _SITE_SPACING + 0.5))
    cj = int(np.floor((y - 1000.0) / _SITE_SPACING + 0.5))
    best, north = -1.0, 0.0
    for i in range(ci - 1, ci + 2):
        for j in range(cj - 1, cj + 2):
            sx, sy = _site(i, j, seed, kind)
            if sy < 600.0:
                continue
            far = np.hypot(x - sx, y - sy) / radius
            if 1.0 - far > best:
                best, north = 1.0 - far, sy
    if best > -0.6:
        best += 0.22 * smooth_noise(x / (0.55 * radius), y / (0.55 * radius), seed + 3 + kind)
    return best, north


@compiled
def _plain(x: float, y: float, seed: int) -> float:
    slope = 880.0 - 0.011 * y
    return max(slope, 500.0) + 7.0 * fractal_noise(x / 1500.0, y / 1500.0, 3, seed + 20)


@compiled
def _land(x: float, y: float, seed: int) -> float:
    """Elevation without lakes, m."""
    ground = _plain(x, y, seed) + 0.8 * smooth_noise(x / 160.0, y / 160.0, seed + 24)
    front = 260.0 * smooth_noise(x / 2100.0, 3.7, seed + 25) + 110.0 * smooth_noise(x / 700.0, 9.1, seed + 26)
    into = (front - y) / 1000.0
    number = river_number(x, y)
    aside = abs(x - river_x(number, y))
    if into <= 0.0:
        return float(ground - 3.0 * np.exp(-((aside / 45.0) ** 2)))
    rise = 3500.0 * (1.0 - np.exp(-((into / 6.2) ** 1.3)))
    bend_x = 300.0 * smooth_noise(x / 1100.0, y / 1100.0, seed + 27)
    bend_y = 300.0 * smooth_noise(x / 1100.0, y / 1100.0, seed + 28)
    ridges = ridged_noise((x + bend_x) / 2300.0, (y + bend_y) / 3000.0, 6, seed + 30) - 0.35
    crags = fractal_noise(x / 210.0, y / 210.0, 3, seed + 40)
    mountain = ground + rise + min(into, 2.5) * (430.0 * ridges + 14.0 * crags)
    floor = ground + 0.86 * rise - 60.0 * min(into, 2.0)
    width = 90.0 + 70.0 * min(into, 5.0)
    closeness = np.exp(-((aside / width) ** 2))
    land = mountain + (floor - mountain) * 0.8 * closeness
    return float(min(land, 4400.0 + 0.15 * (land - 4400.0)))


@compiled
def _post(x: float, y: float, seed: int) -> tuple[float, float, float]:
    """Elevation, and how far inside a town and a lake, at a place."""
    water, north = _site_score(x, y, seed, 1, _LAKE_RADIUS)
    land = _land(x, y, seed)
    if water > -0.5:
        level = 872.0 - 0.011 * north
        # Shores slope: full land half a radius out, full water level at the shore.
        share = min(max(-2.0 * water, 0.0), 1.0)
        land = level + (land - level) * share * share * (3.0 - 2.0 * share)
    return land, _site_score(x, y, seed, 0, _TOWN_RADIUS)[0], water


@compiled
def _fill(
    start: int, stop: int, corner: tuple[int, int], seed: int, elevation: Elevations, town: Elevations, lake: Elevations
) -> None:
    north, west = corner
    for row in range(start, stop):
        for col in range(elevation.shape[1]):
            x = ((west + col) / 3600.0 - ORIGIN[0]) * METRES_PER_DEGREE[0]
            y = ((north - row) / 3600.0 - ORIGIN[1]) * METRES_PER_DEGREE[1]
            elevation[row, col], town[row, col], lake[row, col] = _post(x, y, seed)


def raise_posts(bounds: tuple[float, float, float, float], seed: int) -> Posts:
    """Posts of the simulated relief over an area.

    Parameters
    ----------
    bounds
        West, south, east, north, degrees; rounded outward to whole posts.
    seed
        Of the landscape.
    """
    west, north = int(np.floor(bounds[0] * 3600)), int(np.ceil(bounds[3] * 3600))
    shape = (north - int(np.floor(bounds[1] * 3600)) + 1, int(np.ceil(bounds[2] * 3600)) - west + 1)
    elevation, town, lake = (np.empty(shape, dtype=np.float32) for _ in range(3))
    over_rows(_fill, shape[0], (north, west), seed, elevation, town, lake)
    # The mosaic's posts keep the precision of the files: centimetres, as real DEMs have at best.
    np.round(elevation, 2, out=elevation)
    lat = (north - np.arange(shape[0])) / 3600.0
    lon = (west + np.arange(shape[1])) / 3600.0
    height = elevation.astype(np.float64) + undulation(lat[:, None] + 0 * lon, lon + 0 * lat[:, None])
    return Posts(north=north, west=west, elevation=elevation, height=height, town=town, lake=lake)


def write_tiles(posts: Posts, folder: Path) -> tuple[Path, ...]:
    """Deliver the elevations as GeoTIFF tiles of a quarter degree, cut at the window's edge.

    Each tile states its vertical datum in a compound CRS (EPSG:4326+5773, EGM96). Posts stand at pixel centres, as in
    the Copernicus DEM; tiles do not overlap.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, cols = posts.elevation.shape
    south, east = posts.north - rows + 1, posts.west + cols - 1
    written = []
    for tile_south in range(south // _TILE_POSTS * _TILE_POSTS, posts.north + 1, _TILE_POSTS):
        for tile_west in range(posts.west // _TILE_POSTS * _TILE_POSTS, east + 1, _TILE_POSTS):
            top = max(posts.north - (tile_south + _TILE_POSTS - 1), 0)
            bottom = min(posts.north - tile_south, rows - 1)
            left, right = max(tile_west - posts.west, 0), min(tile_west + _TILE_POSTS - 1 - posts.west, cols - 1)
            path = folder / f"elevation_n{tile_south / 3600:07.4f}_e{tile_west / 3600:08.4f}.tif"
            _write_tile(
                path,
                posts.elevation[top : bottom + 1, left : right + 1],
                Affine(1 / 3600, 0, (posts.west + left - 0.5) / 3600, 0, -1 / 3600, (posts.north - top + 0.5) / 3600),
            )
            written.append(path)
    return tuple(written)


def _write_tile(path: Path, elevation: Elevations, transform: Affine) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="float32",
        count=1,
        height=elevation.shape[0],
        width=elevation.shape[1],
        crs=CRS.from_string("EPSG:4326+5773"),
        transform=transform,
        nodata=-32767.0,
        compress="deflate",
        zlevel=1,
        predictor=3,
        tiled=True,
        blockxsize=256,
        blockysize=256,
    ) as tile:
        tile.write(elevation, 1)
        tile.update_tags(1, units="m", description="elevation above the EGM96 geoid")
