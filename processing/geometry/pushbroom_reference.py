"""The pushbroom camera in plain numpy: the formulas as the standard prints them, the oracle of the kernels.

It knows nothing of the model's reach: outside it the kernels say NaN where these formulas go on.
"""

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from processing.geometry.attitude import rotation
from processing.geometry.pushbroom import Pushbroom

Array = npt.NDArray[np.float64]

_TO_GEODETIC = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True, allow_ballpark=False)
_TO_EARTH_FIXED = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True, allow_ballpark=False)


def locate_reference(
    camera: Pushbroom, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike
) -> tuple[Array, Array]:
    """``(lon, lat)``, degrees, seen by image points (corner-zero) at heights (m), flat arrays."""
    line, sample, height = np.broadcast_arrays(*np.atleast_1d(line, sample, height))
    seconds = camera.seconds_at(line)
    detector = camera.first_detector + sample - 0.5
    along, across = (np.polynomial.polynomial.polyval(detector, terms) for terms in (camera.along, camera.across))
    look = np.stack([along, -across, np.ones_like(across)], axis=-1)
    look = (rotation(camera.attitude.quaternion(seconds)) @ look[..., None])[..., 0]
    look /= np.linalg.norm(look, axis=-1, keepdims=True)
    position = camera.ephemeris.position(seconds)
    # Halving the height's error along the ray, from the point nearest to the Earth's middle upwards, cannot miss.
    near, far = np.zeros(line.shape), -np.einsum("...i,...i", look, position)
    for _ in range(60):
        distance = (near + far) / 2
        _, _, reached = _geodetic(position + distance[..., None] * look)
        near, far = np.where(reached > height, distance, near), np.where(reached > height, far, distance)
    lon, lat, _ = _geodetic(position + far[..., None] * look)
    return lon, lat


def project_reference(
    camera: Pushbroom, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike
) -> tuple[Array, Array]:
    """``(line, sample)``, corner-zero, that see ground points (degrees, m), flat arrays: halving over the reach.

    The detector looks across along a straight line (XLOS of two terms).
    """
    lon, lat, height = np.broadcast_arrays(*np.atleast_1d(lon, lat, height))
    ground = np.stack(_TO_EARTH_FIXED.transform(lon, lat, height), axis=-1)

    def seen(line: Array) -> tuple[Array, Array]:
        seconds = camera.seconds_at(line)
        turned = np.swapaxes(rotation(camera.attitude.quaternion(seconds)), -1, -2)
        x, y, z = np.moveaxis((turned @ (ground - camera.ephemeris.position(seconds))[..., None])[..., 0], -1, 0)
        detector = (-y / z - camera.across[0]) / camera.across[1]
        return x / z - np.polynomial.polynomial.polyval(detector, camera.along), detector

    first, last, _, _ = camera.reach
    before, after = np.full(ground.shape[:-1], first), np.full(ground.shape[:-1], last)
    ahead = seen(before)[0] > 0
    for _ in range(60):
        line = (before + after) / 2
        still = (seen(line)[0] > 0) == ahead
        before, after = np.where(still, line, before), np.where(still, after, line)
    return before, seen(before)[1] - camera.first_detector + 0.5


def _geodetic(points: Array) -> tuple[Array, Array, Array]:
    lon, lat, height = _TO_GEODETIC.transform(points[..., 0], points[..., 1], points[..., 2])
    return lon, lat, height
