"""Where cameras' lines of sight meet the simulated surface: the geometry of the truth."""

import numpy as np
import numpy.typing as npt

from processing.model.sensor_model import SensorModel
from processing.testing.compiled import compiled, over_rows
from processing.testing.relief import POSTS_PER_DEGREE, Posts
from processing.testing.world import height_at

Array = npt.NDArray[np.float64]


@compiled
def _sample(start: int, stop: int, height: Array, row: Array, col: Array, result: Array) -> None:
    for i in range(start, stop):
        result[i] = height_at(height, row[i], col[i])


def surface_height(posts: Posts, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
    """Height above the ellipsoid, m, of the simulated surface; NaN outside the posts."""
    lon, lat = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    result = np.empty(lon.size)
    row = (posts.north / POSTS_PER_DEGREE - lat.ravel()) * POSTS_PER_DEGREE
    col = (lon.ravel() - posts.west / POSTS_PER_DEGREE) * POSTS_PER_DEGREE
    over_rows(_sample, result.size, posts.height, row, col, result)
    return result.reshape(lon.shape)


def seen_on_surface(
    model: SensorModel, posts: Posts, line: npt.ArrayLike, sample: npt.ArrayLike
) -> tuple[Array, Array, Array]:
    """Longitude, latitude and height where image points see the surface.

    Plain fixed-point iteration on the rigorous model, to 0.1 mm in height: slow and simple, the yardstick of the
    renderer's fast road.
    """
    line, sample = np.broadcast_arrays(np.asarray(line, dtype=np.float64), np.asarray(sample, dtype=np.float64))
    height = np.full(line.shape, float(np.median(posts.height)))
    lon, lat = model.image_to_ground(line, sample, height)
    for _ in range(60):
        found = surface_height(posts, lon, lat)
        moved = np.nanmax(np.abs(found - height))
        height = found
        lon, lat = model.image_to_ground(line, sample, height)
        if moved < 1e-4:
            break
    return lon, lat, height
