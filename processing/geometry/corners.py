"""Whether a sensor model sees the ground that the metadata states for the corners of its image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from processing.geometry.extent import plausible_heights
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

MAX_CORNER_MISS_M = 1000.0
"""Model and stated corners may differ by this much, whatever height the corners were computed at."""

ANOTHER_IMAGE = (
    "The RPC belongs to another image, or its figures are damaged: ask the provider for the RPC of this image."
)
_ELLIPSOID = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """A ground point that the metadata states for a corner of the image; its height is never stated."""

    lon: float
    lat: float
    line: float | None = None
    """Corner-zero convention; None when the metadata states only the ground."""
    sample: float | None = None

    def __post_init__(self) -> None:
        if not (-180.0 <= self.lon <= 360.0 and -90.0 <= self.lat <= 90.0):
            raise BadInput(
                f"the stated corner at longitude {self.lon}, latitude {self.lat} is not on Earth",
                kind="footprint.range",
            )


def check_axes(centre: tuple[float, float], corners: Sequence[Corner], where: str) -> None:
    """Refuse a model whose centre is where the corners are only with longitude and latitude exchanged.

    Where the two are nearly alike, as in Georgia, this cannot tell: the model then sees ground elsewhere, and
    :func:`check_corners` refuses it.

    Parameters
    ----------
    centre
        Longitude and latitude of the model's middle, as it states them.

    Raises
    ------
    BadInput
        ``rpc.swapped_axes``.
    """
    if not corners:
        return
    stated = np.array([[corner.lon, corner.lat] for corner in corners])
    stated[:, 0] = stated[0, 0] + wrapped(stated[:, 0] - stated[0, 0])
    middle, reach = stated.mean(axis=0), np.ptp(stated, axis=0).max() + 0.05

    def away(lon: float, lat: float) -> float:
        return max(abs(float(wrapped(lon - middle[0]))), abs(lat - float(middle[1])))

    if away(*centre) > reach >= away(centre[1], centre[0]):
        raise BadInput(
            f"the model's centre, longitude {centre[0]:.3f} and latitude {centre[1]:.3f}, lies within the "
            f"stated corners only with the two exchanged (they lie around {middle[0]:.3f}, {middle[1]:.3f})",
            kind="rpc.swapped_axes",
            where=where,
            remedy="The RPC (or the corners) names the axes wrongly: ask the provider.",
        )


def check_corners(model: SensorModel, shape: tuple[int, int], corners: Sequence[Corner], where: str) -> list[str]:
    """Refuse a model that sees ground far from the stated corners, at whatever height these were computed.

    Corners that state no line and sample may go round the image either way and begin anywhere.

    Returns
    -------
    list
        A warning where the corners fit only with other lines and samples than they state.

    Raises
    ------
    BadInput
        ``rpc.inconsistent``.
    """
    if len(corners) != 4:
        return []
    outer = np.array([[0, 0], [0, shape[1]], [shape[0], shape[1]], [shape[0], 0]], dtype=float)
    orders = [np.roll(turn, start, axis=0) for turn in (outer, outer[::-1]) for start in range(4)]
    placed = all(corner.line is not None and corner.sample is not None for corner in corners)
    if placed:
        orders.insert(0, np.array([[corner.line, corner.sample] for corner in corners], dtype=float))
    misses = [_misses(model, places, corners) for places in orders]
    fitting = [order for order, miss in enumerate(misses) if miss.max() <= MAX_CORNER_MISS_M]
    if fitting:
        mirrored = placed and fitting[0] != 0
        return ["the stated corners fit the sensor model only in another order: is the image mirrored?"] * mirrored
    # One corner may be far and the others right: the order that fits best over all says which.
    miss = misses[0] if placed else min(misses, key=lambda found: float(found.sum()))
    worst = int(np.argmax(miss))
    raise BadInput(
        f"the model sees ground {miss[worst] / 1000:.1f} km away from the stated corner {worst + 1} "
        f"(longitude {corners[worst].lon:.4f}, latitude {corners[worst].lat:.4f})",
        kind="rpc.inconsistent",
        where=where,
        remedy=ANOTHER_IMAGE,
    )


def _misses(model: SensorModel, places: Array, corners: Sequence[Corner]) -> Array:
    """Distance, m, of each corner from the ground that its image point sees at any height; inf where it sees none.

    The ground that one image point sees at all heights is a nearly straight line on the map; it is drawn from sea
    level, or the lowest height of the model, to the highest.
    """
    low, high = plausible_heights(model)
    high = max(high, low + 1.0)
    lon, lat = model.image_to_ground(places[:, 0], places[:, 1], np.array([[low], [high]]))
    stated = np.array([[corner.lon, corner.lat] for corner in corners])
    east, north = wrapped(lon - stated[:, 0]), lat - stated[:, 1]
    _, _, per_lon = _ELLIPSOID.inv(stated[:, 0], stated[:, 1], stated[:, 0] + 0.01, stated[:, 1])
    towards_equator = stated[:, 1] - np.copysign(0.01, stated[:, 1])
    _, _, per_lat = _ELLIPSOID.inv(stated[:, 0], stated[:, 1], stated[:, 0], towards_equator)
    path = np.stack([east * per_lon, north * per_lat]) * 100.0
    along = path[:, 1] - path[:, 0]
    start = path[:, 0] + along * (min(low, 0.0) - low) / (high - low)
    along = path[:, 1] - start
    length = np.maximum((along**2).sum(axis=0), 1e-6)
    nearest = start + along * np.clip(-(start * along).sum(axis=0) / length, 0.0, 1.0)
    miss = np.hypot(nearest[0], nearest[1])
    return np.where(np.isfinite(miss), miss, np.inf)


def wrapped(degrees: npt.ArrayLike) -> Array:
    """Differences of longitude, -180 to 180."""
    return (np.asarray(degrees, dtype=np.float64) + 180.0) % 360.0 - 180.0
