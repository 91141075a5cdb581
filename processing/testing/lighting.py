"""What the relief does with the light and the plants: sun on slopes, cast shadows, and which cover grows where."""

import numpy as np
import numpy.typing as npt

from processing.testing.compiled import compiled, over_rows
from processing.testing.noise import fractal_noise, smooth_noise
from processing.testing.relief import METRES_PER_DEGREE, ORIGIN, POSTS_PER_DEGREE, Posts

Array = npt.NDArray[np.float64]
Layers = npt.NDArray[np.float32]

DIRECT, SKY, COS_SUN, TOWN, LAKE, CULTIVATED, FOREST, ROCK, SNOW, AIR = range(10)
"""Layers at the posts. The first three are light (they differ between acquisitions), the next six scores that are
positive where a cover lies; all are interpolated bilinearly, so that light and cover are smooth on the ground. ``AIR``
is the share of the air that lies above: exp(-height / 8 km)."""

_POST_METRES = (METRES_PER_DEGREE[0] / POSTS_PER_DEGREE, METRES_PER_DEGREE[1] / POSTS_PER_DEGREE)
_SNOW_LINE = 2450.0
_SCALE_HEIGHT = 8000.0
_PENUMBRA = 0.012
"""Height over distance by which the sun clears a ridge whole: the sun's disc, widened for the posts' spacing."""


@compiled
def _slopes(height: Array, row: int, col: int) -> tuple[float, float]:
    """Rise per metre eastward and northward: central differences."""
    rows, cols = height.shape
    up, down = max(row - 1, 0), min(row + 1, rows - 1)
    left, right = max(col - 1, 0), min(col + 1, cols - 1)
    east = (height[row, right] - height[row, left]) / ((right - left) * _POST_METRES[0])
    north = (height[up, col] - height[down, col]) / ((down - up) * _POST_METRES[1])
    return east, north


@compiled
def _sun_clears(height: Array, row: int, col: int, highest: float, to_sun: tuple[float, float, float]) -> float:
    """Share of the sun's disc above the relief, seen from a post: 1 lit, 0 in cast shadow."""
    rows, cols = height.shape
    step_row, step_col = -to_sun[1] / _POST_METRES[1], to_sun[0] / _POST_METRES[0]
    # Steps of one post along the faster axis; the horizontal distance of one step follows.
    pace = 1.0 / max(abs(step_row), abs(step_col))
    start = height[row, col]
    clear = 1.0
    steps = 1
    while True:
        distance = pace * steps
        ray = start + distance * to_sun[2]
        if ray > highest:
            break
        y, x = row + step_row * distance, col + step_col * distance
        if not (0.0 <= y < rows - 1.0 and 0.0 <= x < cols - 1.0):
            break
        i, j = int(y), int(x)
        v, u = y - i, x - j
        ground = (height[i, j] * (1 - u) + height[i, j + 1] * u) * (1 - v) + (
            height[i + 1, j] * (1 - u) + height[i + 1, j + 1] * u
        ) * v
        clear = min(clear, (ray - ground) / (distance * _PENUMBRA) + 0.5)
        if clear <= 0.0:
            return 0.0
        steps += 1
    return clear


@compiled
def _light(
    start: int, stop: int, height: Array, corner: tuple[float, float], highest: float, sun: Array, layers: Layers
) -> None:
    north, west = corner
    for row in range(start, stop):
        lat = np.deg2rad((north - row) / 3600.0)
        for col in range(height.shape[1]):
            lon = np.deg2rad((west + col) / 3600.0)
            east = -np.sin(lon) * sun[0] + np.cos(lon) * sun[1]
            toward = -np.sin(lat) * (np.cos(lon) * sun[0] + np.sin(lon) * sun[1]) + np.cos(lat) * sun[2]
            up = np.cos(lat) * (np.cos(lon) * sun[0] + np.sin(lon) * sun[1]) + np.sin(lat) * sun[2]
            flat = np.hypot(east, toward)
            slope_east, slope_north = _slopes(height, row, col)
            tilt = 1.0 / np.sqrt(1.0 + slope_east * slope_east + slope_north * slope_north)
            facing = (up - slope_east * east - slope_north * toward) * tilt
            clear = _sun_clears(height, row, col, highest, (east / flat, toward / flat, up / flat))
            layers[row, col, DIRECT] = max(facing, 0.0) / up * clear
            layers[row, col, SKY] = 0.5 * (1.0 + tilt)
            layers[row, col, COS_SUN] = up


@compiled
def _cover(start: int, stop: int, height: Array, corner: tuple[float, float], seed: int, layers: Layers) -> None:
    north, west = corner
    for row in range(start, stop):
        y = ((north - row) / 3600.0 - ORIGIN[1]) * METRES_PER_DEGREE[1]
        for col in range(height.shape[1]):
            x = ((west + col) / 3600.0 - ORIGIN[0]) * METRES_PER_DEGREE[0]
            slope_east, slope_north = _slopes(height, row, col)
            slope = np.hypot(slope_east, slope_north)
            shady = min(max(-slope_north, -0.8), 0.8)
            patch = fractal_noise(x / 520.0, y / 520.0, 4, seed + 60)
            above = height[row, col]
            layers[row, col, CULTIVATED] = min((1150.0 - above) / 90.0, (0.16 - slope) / 0.06)
            belt = min(above - 1250.0, 2750.0 - above) / 450.0
            layers[row, col, FOREST] = min(belt, 0.5) + 1.3 * shady + 1.2 * patch - 0.8
            layers[row, col, ROCK] = max((slope - 0.85) / 0.25, (above - 3050.0) / 350.0) + 0.9 * patch
            layers[row, col, SNOW] = (
                (above - _SNOW_LINE) / 350.0
                + 0.9 * shady
                + 0.9 * smooth_noise(x / 260.0, y / 260.0, seed + 66)
                - max(slope - 1.0, 0.0) * 2.5
            )


def grow_cover(posts: Posts, seed: int) -> Layers:
    """Layers of the posts with the cover scores filled and the light left at zero, shape (rows, cols, 10)."""
    layers = np.zeros((*posts.height.shape, 10), dtype=np.float32)
    layers[..., AIR] = np.exp(-posts.height / _SCALE_HEIGHT)
    layers[..., TOWN] = posts.town
    layers[..., LAKE] = posts.lake
    corner = (float(posts.north), float(posts.west))
    over_rows(_cover, posts.height.shape[0], posts.height, corner, seed, layers)
    return layers


def light_up(posts: Posts, cover: Layers, sun: tuple[float, float, float]) -> Layers:
    """A copy of the layers with the light of an acquisition.

    ``DIRECT`` is cos(incidence) / cos(sun zenith), with cast shadows; ``SKY`` the share of the sky a slope sees,
    (1 + cos slope) / 2; ``COS_SUN`` the cosine of the sun's zenith angle.

    Parameters
    ----------
    posts
        The relief.
    cover
        From :func:`grow_cover`.
    sun
        Earth-fixed direction to the sun.
    """
    layers = cover.copy()
    corner, highest = (float(posts.north), float(posts.west)), float(posts.height.max())
    over_rows(_light, posts.height.shape[0], posts.height, corner, highest, np.array(sun), layers)
    return layers
