"""Where the satellite is: SGP4 on real two-line elements, in an Earth-fixed frame, and its passes over a target."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from sgp4.api import Satrec, jday

from processing.testing.sun import sun_direction

Array = npt.NDArray[np.float64]

EARTH_ROTATION = 7.292115146706979e-5
"""rad/s, mean sidereal (Vallado, Fundamentals of Astrodynamics, 4th ed., section 3.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoLineElements:
    """A catalogued orbit."""

    name: str
    line1: str
    line2: str
    published: str
    """Date of the public catalogue it was taken from, ISO 8601."""


KAZEOSAT_1 = TwoLineElements(
    name="KAZEOSAT 1",
    line1="1 39731U 14024A   26114.24818600  .00000094  00000+0  41638-4 0  9995",
    line2="2 39731  98.3216 188.0314 0001389  99.5008 260.6339 14.42057663630782",
    published="2026-04-24",
)
KAZEOSAT_2 = TwoLineElements(
    name="KAZEOSAT 2",
    line1="1 40010U 14033A   26114.27322035  .00000575  00000+0  72581-4 0  9997",
    line2="2 40010  97.5453 316.7232 0009648 129.5495 230.6575 14.85405179640952",
    published="2026-04-24",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A moment at which a target lies abeam of the satellite."""

    day: datetime
    """Midnight UTC."""
    seconds: float
    """Of the day."""
    off_nadir_deg: float
    """Angle at the satellite between nadir and target; positive to the right of the track."""
    sun_elevation_deg: float


def greenwich_sidereal_angle(day: datetime, seconds: npt.ArrayLike) -> Array:
    """Greenwich mean sidereal time, rad (IAU 1982; Vallado eq. 3-47), with UT1 taken as UTC.

    The difference of up to 0.9 s of time turns the ground track by less than 0.4 km and is of no consequence here:
    it is the same for the image and for its truth.
    """
    start, fraction = jday(day.year, day.month, day.day, 0, 0, 0.0)
    centuries = (start - 2451545.0 + fraction + np.asarray(seconds, dtype=float) / 86400.0) / 36525.0
    seconds_of_time = (
        67310.54841 + (876600.0 * 3600.0 + 8640184.812866) * centuries + 0.093104 * centuries**2 - 6.2e-6 * centuries**3
    )
    angle: Array = np.deg2rad(seconds_of_time / 240.0) % (2 * np.pi)
    return angle


def earth_fixed_states(tle: TwoLineElements, day: datetime, seconds: npt.ArrayLike) -> tuple[Array, Array]:
    """Positions and velocities of the satellite in the Earth-fixed frame.

    SGP4's TEME frame is turned about its z axis by :func:`greenwich_sidereal_angle`; polar motion (about 10 m) is
    left out (Vallado section 3.7.2, TEME to PEF).

    Parameters
    ----------
    tle
        The orbit.
    day
        Midnight UTC.
    seconds
        Seconds of that day, shape (n,); may lie outside 0-86400.

    Returns
    -------
    positions, velocities
        Shape (n, 3), m and m/s.

    Raises
    ------
    ValueError
        If SGP4 cannot propagate to one of the moments.
    """
    seconds = np.atleast_1d(np.asarray(seconds, dtype=float))
    start, fraction = jday(day.year, day.month, day.day, 0, 0, 0.0)
    satellite = Satrec.twoline2rv(tle.line1, tle.line2)
    errors, position, velocity = satellite.sgp4_array(np.full(len(seconds), start), fraction + seconds / 86400.0)
    if errors.any():
        raise ValueError(f"SGP4 error {errors.max()} for {tle.name}")
    angle = greenwich_sidereal_angle(day, seconds)
    cos, sin = np.cos(angle), np.sin(angle)

    def turned(v: Array) -> Array:
        return np.stack([cos * v[:, 0] + sin * v[:, 1], -sin * v[:, 0] + cos * v[:, 1], v[:, 2]], axis=1) * 1000.0

    fixed = turned(position)
    moving = turned(velocity)
    moving[:, 0] += EARTH_ROTATION * fixed[:, 1]
    moving[:, 1] -= EARTH_ROTATION * fixed[:, 0]
    return fixed, moving


def epoch(tle: TwoLineElements) -> datetime:
    """Epoch of the elements, UTC."""
    year, days = 2000 + int(tle.line1[18:20]), float(tle.line1[20:32])
    return datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=days - 1)


def passes_over(
    tle: TwoLineElements,
    target: tuple[float, float, float],
    *,
    ascending: bool,
    off_nadir_deg: tuple[float, float],
    min_sun_elevation_deg: float,
    days: int = 730,
) -> Iterator[Pass]:
    """Daylight passes after the elements' epoch that see a target within a range of off-nadir angles, in time order.

    Parameters
    ----------
    tle
        The orbit.
    target
        lon, lat (deg), height above the ellipsoid (m).
    ascending
        Which half of the orbit to use.
    off_nadir_deg
        Least and greatest angle from nadir.
    min_sun_elevation_deg
        The sun must stand at least this high over the target.
    days
        How many days to search; far from its epoch SGP4 keeps a plausible orbit, though no longer the true one.
    """
    ground = np.array(
        Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True, allow_ballpark=False).transform(*target)
    )
    first = epoch(tle).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for number in range(days):
        day = first + timedelta(days=number)
        seconds = np.arange(-30.0, 86430.0, 30.0)
        position, velocity = earth_fixed_states(tle, day, seconds)
        along = np.einsum("ij,ij->i", ground - position, velocity)
        near = np.linalg.norm(ground - position, axis=1) < 1.5e6
        crossed = near[:-1] & (along[:-1] > 0) & (along[1:] <= 0) & ((velocity[:-1, 2] > 0) == ascending)
        for index in np.flatnonzero(crossed):
            candidate = _pass_at(tle, day, ground, target, seconds[index], seconds[index + 1])
            if (
                off_nadir_deg[0] <= abs(candidate.off_nadir_deg) <= off_nadir_deg[1]
                and candidate.sun_elevation_deg >= min_sun_elevation_deg
            ):
                yield candidate


def _pass_at(
    tle: TwoLineElements, day: datetime, ground: Array, target: tuple[float, float, float], before: float, after: float
) -> Pass:
    """Bisect for the moment the target is abeam, and describe it."""
    for _ in range(40):
        middle = (before + after) / 2
        position, velocity = earth_fixed_states(tle, day, middle)
        if float((ground - position[0]) @ velocity[0]) > 0:
            before = middle
        else:
            after = middle
    position, velocity = earth_fixed_states(tle, day, before)
    down = -position[0] / np.linalg.norm(position[0])
    right = np.cross(down, velocity[0])
    right /= np.linalg.norm(right)
    look = ground - position[0]
    lon, lat = np.deg2rad(target[:2])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return Pass(
        day=day,
        seconds=float(before),
        off_nadir_deg=float(np.rad2deg(np.arctan2(look @ right, look @ down))),
        sun_elevation_deg=float(np.rad2deg(np.arcsin(sun_direction(day, before) @ up))),
    )
