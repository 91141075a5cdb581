"""How much ground an image sees, before anything is known but its model and the terrain."""

import numpy as np
import numpy.typing as npt
from pyproj import Geod, Transformer

from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]

_LAND_M = (-450.0, 9000.0)
"""Heights between which all land lies."""
_BORDER_POINTS = 65
_ELLIPSOID = Geod(ellps="WGS84")


def plausible_heights(model: SensorModel) -> tuple[float, float]:
    """Heights, m, between which a model's ground may lie: what its RPC was made for, or all of Earth's land."""
    if isinstance(model, Refined):
        return plausible_heights(model.model)
    if isinstance(model, Rpc):
        reach = max(model.height_scale, 100.0)
        return max(model.height_off - reach, _LAND_M[0]), min(model.height_off + reach, _LAND_M[1])
    return _LAND_M


def image_border(model: SensorModel, shape: tuple[int, int], heights: tuple[float, float]) -> tuple[Array, Array]:
    """Ground (lon, lat; flat) that the image's outline and diagonals see at the lowest and highest height.

    Raises
    ------
    BadInput
        ``geometry.no_footprint`` when the model maps none of it.
    """
    side = np.linspace(0.0, 1.0, _BORDER_POINTS)
    zero, one = np.zeros_like(side), np.ones_like(side)
    line = np.concatenate([zero, one, side, side, side, side]) * shape[0]
    sample = np.concatenate([side, side, zero, one, side, 1.0 - side]) * shape[1]
    lon, lat = model.image_to_ground(line, sample, np.array(heights)[:, None])
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        raise BadInput("the sensor model maps no part of the image to the ground", kind="geometry.no_footprint")
    return lon[known], lat[known]


def ground_bounds(model: SensorModel, shape: tuple[int, int]) -> Bounds:
    """West, south, east, north (degrees) of all ground the image can see: where terrain is needed."""
    lon, lat = image_border(model, shape, plausible_heights(model))
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def terrain_range(model: SensorModel, shape: tuple[int, int], terrain: Terrain) -> tuple[float, float]:
    """Lowest and highest terrain under the image, m above the ellipsoid.

    Raises
    ------
    BadInput
        ``dem.no_coverage`` when the terrain is void under all of it.
    """
    known = terrain.heights[np.isfinite(terrain.heights)]
    heights = (float(known.min()), float(known.max())) if known.size else None
    for _ in range(3):
        if heights is None:
            break
        # Each round sees the image from nearer the ground, so the rectangle of terrain it may see shrinks.
        heights = terrain.height_range(*image_border(model, shape, heights))
    if heights is None:
        raise BadInput(
            "the elevation model covers no part of the image",
            kind="dem.no_coverage",
            remedy="Add the elevation tiles of this area.",
        )
    return heights


def utm_crs(lon: Array, lat: Array) -> str:
    """``EPSG:n`` of the UTM zone in the middle of points."""
    middle = float(lon.min() + lon.max()) / 2
    zone = int(np.clip((middle + 180.0) // 6 + 1, 1, 60))
    return f"EPSG:{(32600 if lat.min() + lat.max() >= 0 else 32700) + zone}"


def map_bounds(lon: Array, lat: Array, crs: str) -> Bounds:
    """xmin, ymin, xmax, ymax of points in a CRS."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True, allow_ballpark=False).transform(lon, lat)
    return float(np.min(x)), float(np.min(y)), float(np.max(x)), float(np.max(y))


def ground_sampling_m(model: SensorModel, shape: tuple[int, int], height: float) -> float:
    """Ground distance of one pixel at the image's centre, m: the geometric mean of both directions."""
    line, sample = shape[0] / 2, shape[1] / 2
    lon, lat = model.image_to_ground(line + np.array([0.0, 1.0, 0.0]), sample + np.array([0.0, 0.0, 1.0]), height)
    _, _, distance = _ELLIPSOID.inv([lon[0], lon[0]], [lat[0], lat[0]], lon[1:], lat[1:])
    return float(np.sqrt(distance[0] * distance[1]))
