"""Where a satellite is over the turning Earth: SGP4 on its elements, in the Earth-fixed frame, on arrays of times.

Times are seconds from an origin, so that arrays of them stay exact to a microsecond. UT1 is taken as UTC and polar
motion is left out: both stay below 0.9 s of the Earth's turning, or 0.06 s of a pass.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from sgp4.api import jday

from pipelines.tle import REMEDY, Elements
from processing.model.errors import BadInput

Array = npt.NDArray[np.float64]
Where = tuple[float, float, float]
"""Longitude, latitude (degrees WGS 84), height above the ellipsoid (m)."""

EARTH_ROTATION = 7.292115146706979e-5
"""rad/s, mean sidereal (Vallado, Fundamentals of Astrodynamics, 4th ed., section 3.5)."""
STEP_S = 20.0
"""A low satellite moves by 1.3 degrees of its orbit meanwhile: no pass is sought between two steps of one sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orbit:
    """A satellite's way through a stretch of time."""

    elements: Elements
    origin: datetime
    """Where seconds count from."""

    def at(self, seconds: npt.ArrayLike) -> tuple[Array, Array]:
        """Earth-fixed positions and velocities, shape (n, 3), m and m/s (TEME turned by Vallado eq. 3-47: PEF).

        Raises
        ------
        BadInput
            ``tle.decayed`` if SGP4 says that the satellite is down by then.
        """
        seconds = np.atleast_1d(np.asarray(seconds, dtype=float))
        whole, fraction = _julian(self.origin)
        part = fraction + seconds / 86400.0
        errors, position, velocity = self.elements.satellite.sgp4_array(np.full(len(seconds), whole), part)
        if errors.any():
            raise BadInput(
                f"SGP4 cannot carry {self.elements.name} that far (error {errors.max()}): by its elements it is down",
                kind="tle.decayed",
                remedy=REMEDY,
            )
        angle = _sidereal_angle(whole, part)
        cos, sin = np.cos(angle), np.sin(angle)

        def turned(v: Array) -> Array:
            return np.stack([cos * v[:, 0] + sin * v[:, 1], -sin * v[:, 0] + cos * v[:, 1], v[:, 2]], axis=1) * 1000.0

        fixed, moving = turned(position), turned(velocity)
        moving[:, 0] += EARTH_ROTATION * fixed[:, 1]
        moving[:, 1] -= EARTH_ROTATION * fixed[:, 0]
        return fixed, moving

    def time(self, seconds: float) -> datetime:
        """A moment of this stretch, UTC, to the millisecond."""
        when = self.origin + timedelta(seconds=float(seconds))
        return when.replace(microsecond=when.microsecond // 1000 * 1000)

    def revolution(self, seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Number of the orbit at given moments: the epoch's, and one more at every ascending node since.

        The argument of latitude is followed from the epoch on, a quarter of an orbit at a step: counting by the mean
        motion would miss what drag adds over months.
        """
        seconds = np.atleast_1d(np.asarray(seconds, dtype=float))
        epoch_s = (self.elements.epoch - self.origin).total_seconds()
        low, high = min(epoch_s, seconds.min()), max(epoch_s, seconds.max())
        steps = np.linspace(low, high, max(2, int((high - low) / 900.0) + 2))
        moments, place = np.unique(np.concatenate([[epoch_s], seconds, steps]), return_inverse=True)
        turns = np.unwrap(self._argument_of_latitude(moments))
        turns -= 2 * np.pi * np.floor(turns[place[0]] / (2 * np.pi))
        counted = np.floor(turns[place[1 : 1 + len(seconds)]] / (2 * np.pi)).astype(np.int64)
        return np.asarray(self.elements.revolution + counted)

    def _argument_of_latitude(self, seconds: Array) -> Array:
        whole, fraction = _julian(self.origin)
        _, position, velocity = self.elements.satellite.sgp4_array(
            np.full(len(seconds), whole), fraction + seconds / 86400.0
        )
        momentum = np.cross(position, velocity)
        node = np.stack([-momentum[:, 1], momentum[:, 0], np.zeros(len(seconds))], axis=1)
        node /= np.linalg.norm(node, axis=1, keepdims=True)
        ahead = np.cross(momentum / np.linalg.norm(momentum, axis=1, keepdims=True), node)
        return np.asarray(np.arctan2((position * ahead).sum(axis=1), (position * node).sum(axis=1)))


def _julian(when: datetime) -> tuple[float, float]:
    when = when.astimezone(UTC)
    day, fraction = jday(when.year, when.month, when.day, when.hour, when.minute, when.second + when.microsecond / 1e6)
    return float(day), float(fraction)


def _sidereal_angle(whole: float, part: Array) -> Array:
    """Greenwich mean sidereal time, rad (IAU 1982; Vallado eq. 3-47): the one that TEME is defined with."""
    centuries = (whole - 2451545.0 + part) / 36525.0
    seconds = (
        67310.54841 + (876600.0 * 3600.0 + 8640184.812866) * centuries + 0.093104 * centuries**2 - 6.2e-6 * centuries**3
    )
    return np.asarray(np.deg2rad(seconds / 240.0) % (2 * np.pi))


_TO_FIXED = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True, allow_ballpark=False)


def earth_fixed(lon: npt.ArrayLike, lat: npt.ArrayLike, height_m: npt.ArrayLike) -> Array:
    """Places on WGS 84 in the Earth-fixed frame, shape (n, 3), m."""
    lon, lat, height_m = np.broadcast_arrays(np.atleast_1d(lon), np.atleast_1d(lat), np.atleast_1d(height_m))
    return np.stack(_TO_FIXED.transform(np.asarray(lon), np.asarray(lat), np.asarray(height_m)), axis=1)


def geographic(position: Array) -> tuple[Array, Array, Array]:
    """Longitude, latitude and height above the ellipsoid of Earth-fixed places, shape (n, 3)."""
    x, y, z = position.T
    lon, lat, height = _TO_FIXED.transform(x, y, z, direction="INVERSE")
    return np.asarray(lon), np.asarray(lat), np.asarray(height)


def look_angles(position: Array, where: Where) -> tuple[Array, Array]:
    """Elevation and azimuth, degrees, at which Earth-fixed positions are seen from a place; no refraction."""
    east, north, up = local_axes(*where[:2])
    line = position - earth_fixed(*where)
    elevation = np.arctan2(line @ up, np.hypot(line @ east, line @ north))
    return np.rad2deg(elevation), np.rad2deg(np.arctan2(line @ east, line @ north)) % 360.0


def local_axes(lon: float, lat: float) -> tuple[Array, Array, Array]:
    """East, north and up at a place, Earth-fixed unit vectors."""
    a, b = np.deg2rad(lon), np.deg2rad(lat)
    return (
        np.array([-np.sin(a), np.cos(a), 0.0]),
        np.array([-np.sin(b) * np.cos(a), -np.sin(b) * np.sin(a), np.cos(b)]),
        np.array([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)]),
    )
