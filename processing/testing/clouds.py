"""Cumulus clouds of one acquisition: a layer that follows the land, as opacity on a fine raster."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processing.testing.compiled import compiled, over_rows
from processing.testing.noise import fractal_noise, smooth_noise

Raster = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_CELL_M = 10.0
_EDGE = 0.10
"""Rise of the density field over which a cloud's edge turns from clear to opaque."""


class Clouds(NamedTuple):
    """A layer of clouds."""

    opacity: Raster
    """0 clear to 1 opaque, row 0 northernmost."""
    corner: Array
    """(2,) local metres of the middle of cell (0, 0)."""


@compiled
def cloud_height(y: float) -> float:
    """Height of the layer above the ellipsoid, m: 1,300 m over the plain, rising with the mountains."""
    return 2150.0 + 0.40 * min(max(400.0 - y, 0.0), 8000.0)


@compiled
def opacity_at(opacity: Raster, west: float, north: float, x: float, y: float) -> float:
    """Opacity of the layer at a place, bilinear; clear outside the raster, whose first cell lies at ``west, north``."""
    col, row = (x - west) / _CELL_M, (north - y) / _CELL_M
    rows, cols = opacity.shape
    if not (0.0 <= row < rows - 1.0 and 0.0 <= col < cols - 1.0):
        return 0.0
    i, j = int(row), int(col)
    v, u = row - i, col - j
    top = opacity[i, j] * (1 - u) + opacity[i, j + 1] * u
    bottom = opacity[i + 1, j] * (1 - u) + opacity[i + 1, j + 1] * u
    return float(top * (1 - v) + bottom * v)


@compiled
def _density(start: int, stop: int, corner: Array, seed: int, density: Raster) -> None:
    for row in range(start, stop):
        for col in range(density.shape[1]):
            x, y = corner[0] + col * _CELL_M, corner[1] - row * _CELL_M
            bulk = smooth_noise(x / 1500.0, y / 1500.0, seed) + 0.8 * smooth_noise(x / 620.0, y / 620.0, seed + 1)
            density[row, col] = bulk + 0.75 * fractal_noise(x / 240.0, y / 240.0, 5, seed + 2)


def form_clouds(bounds: tuple[float, float, float, float], *, cover: float, seed: int, margin_m: float) -> Clouds:
    """Clouds over an area.

    Parameters
    ----------
    bounds
        West, south, east, north of the imaged ground, local metres.
    cover
        Share of those bounds that clouds hide, 0-1.
    seed
        Of this acquisition's weather.
    margin_m
        How far beyond the bounds clouds reach: what they cast shadows from.
    """
    west, south = bounds[0] - margin_m, bounds[1] - margin_m
    shape = (
        int((bounds[3] + margin_m - south) / _CELL_M) + 2,
        int((bounds[2] + margin_m - west) / _CELL_M) + 2,
    )
    # Cells lie on whole multiples of their size, so that a larger window holds the same clouds.
    corner = np.array([np.floor(west / _CELL_M), np.floor(south / _CELL_M) + shape[0] - 1]) * _CELL_M
    density = np.empty(shape, dtype=np.float32)
    over_rows(_density, shape[0], corner, seed, density)
    inner = int(margin_m / _CELL_M)
    threshold = float(np.quantile(density[inner:-inner:4, inner:-inner:4], 1.0 - cover))
    share = np.clip((density - threshold) / _EDGE + 0.5, 0.0, 1.0)
    return Clouds(opacity=(share * share * (3.0 - 2.0 * share)).astype(np.float32), corner=corner)
