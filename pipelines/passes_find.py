"""Passes of a satellite over a station: when it rises above the station's skyline, how high it gets, when it sets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from configs.schema.stations import StationConfig
from pipelines.passes_orbit import STEP_S, Array, Orbit, geographic, look_angles
from processing.radiometry.sun import sun_direction

_BEYOND_S = 1_800.0
"""Before and after the window: a pass under way at its ends is found whole."""
_NEAR_DEG = 4.0
"""How far above the highest step a satellite may culminate between two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass: geometric, without refraction, which would lengthen it by some 5 s at 5 degrees of elevation."""

    orbit: int
    """Number of the orbit at culmination."""
    aos: datetime
    """First above the skyline."""
    tca: datetime
    """Highest."""
    los: datetime
    """Last above the skyline."""
    hidden_s: float
    """Of that time, behind the skyline."""
    max_elevation_deg: float
    aos_azimuth_deg: float
    tca_azimuth_deg: float
    los_azimuth_deg: float
    ascending: bool
    """Northwards at culmination."""
    nadir: tuple[float, float]
    """Longitude and latitude below the satellite at culmination."""
    sun_elevation_deg: float
    """At the station, at culmination."""
    nadir_sun_elevation_deg: float
    """Below the satellite, at culmination."""

    @property
    def duration_s(self) -> float:
        """From first to last, s."""
        return (self.los - self.aos).total_seconds()


def sun_elevation(when: datetime, lon: float, lat: float) -> float:
    """How high the sun stands, degrees, without refraction."""
    return float(90.0 - sun_direction(when, lon, lat)[0])


def find_passes(orbit: Orbit, station: StationConfig, days: float) -> tuple[Pass, ...]:
    """Every pass with a part in the ``days`` from the orbit's origin on, by its time; one under way is told whole."""
    end = days * 86400.0
    steps = np.arange(-_BEYOND_S, end + _BEYOND_S + STEP_S, STEP_S)
    where = (station.lon, station.lat, station.height_m)
    elevation, _ = look_angles(orbit.at(steps)[0], where)
    lowest = min([station.min_elevation_deg, *(point.elevation_deg for point in station.mask)])
    skyline = skyline_of(station)
    peaks = 1 + np.flatnonzero(
        (elevation[1:-1] >= elevation[:-2]) & (elevation[1:-1] > elevation[2:]) & (elevation[1:-1] > lowest - _NEAR_DEG)
    )
    found = []
    for peak in peaks:
        each = _pass_around(orbit, where, skyline, steps[peak])
        if each is not None and each[0] < end and each[2] > 0.0:
            found.append(each)
    numbers = orbit.revolution([each[1] for each in found]) if found else np.array([], dtype=np.int64)
    return tuple(_described(orbit, where, each, int(number)) for each, number in zip(found, numbers, strict=True))


def skyline_of(station: StationConfig) -> Callable[[Array], Array]:
    """Elevation, degrees, below which nothing is received, by azimuth."""
    if not station.mask:
        return lambda azimuth: np.full(np.shape(azimuth), station.min_elevation_deg)
    azimuths = [point.azimuth_deg for point in station.mask]
    heights = [max(point.elevation_deg, station.min_elevation_deg) for point in station.mask]
    return lambda azimuth: np.asarray(np.interp(azimuth, azimuths, heights, period=360.0))


type _Times = tuple[float, float, float, float]
"""AOS, TCA and LOS in seconds, and how many of the seconds between are hidden."""


def _pass_around(
    orbit: Orbit, where: tuple[float, float, float], skyline: Callable[[Array], Array], peak: float
) -> _Times | None:
    """The pass that culminates near a step, or None if it stays below the skyline."""

    def above(seconds: npt.ArrayLike) -> Array:
        elevation, azimuth = look_angles(orbit.at(seconds)[0], where)
        return elevation - skyline(azimuth)

    tca = _highest(lambda seconds: look_angles(orbit.at(seconds)[0], where)[0], peak)
    moments = np.unique(np.concatenate([np.arange(tca - _BEYOND_S, tca + _BEYOND_S, 2.0), [tca]]))
    clear = above(moments)
    # Another culmination of the same satellite is at least half an orbit away.
    visible = np.flatnonzero(clear > 0.0)
    if not len(visible):
        return None
    first, last = int(visible[0]), int(visible[-1])
    crossings = list(np.flatnonzero((clear[:-1] > 0.0) != (clear[1:] > 0.0)))
    times = {int(index): _crossing(above, moments[index], moments[index + 1]) for index in crossings}
    aos = times.get(first - 1, moments[first])
    los = times.get(last, moments[last])
    inside = [times[int(index)] for index in crossings if first <= index < last]
    hidden = sum(back - gone for gone, back in zip(inside[::2], inside[1::2], strict=True))
    return float(aos), tca, float(los), float(hidden)


def _highest(height: Callable[[npt.ArrayLike], Array], near: float) -> float:
    """Moment of the maximum within a step of another, by ever finer samples."""
    half = STEP_S
    for _ in range(5):
        moments = np.linspace(near - half, near + half, 21)
        near = float(moments[int(np.argmax(height(moments)))])
        half /= 8.0
    return near


def _crossing(above: Callable[[npt.ArrayLike], Array], before: float, after: float) -> float:
    """Moment of a change of sign, to the millisecond: every round looks at eleven moments at once."""
    for _ in range(4):
        moments = np.linspace(before, after, 11)
        signs = above(moments) > 0.0
        index = int(np.flatnonzero(signs[:-1] != signs[1:])[0])
        before, after = float(moments[index]), float(moments[index + 1])
    return (before + after) / 2.0


def _described(orbit: Orbit, where: tuple[float, float, float], times: _Times, number: int) -> Pass:
    aos, tca, los, hidden = times
    position, _ = orbit.at([aos, tca, los])
    elevation, azimuth = look_angles(position, where)
    lon, lat, _ = geographic(orbit.at([tca, tca + 1.0])[0])
    when = orbit.time(tca)
    return Pass(
        orbit=number,
        aos=orbit.time(aos),
        tca=when,
        los=orbit.time(los),
        hidden_s=round(hidden, 3),
        max_elevation_deg=round(float(elevation[1]), 3),
        aos_azimuth_deg=round(float(azimuth[0]), 2),
        tca_azimuth_deg=round(float(azimuth[1]), 2),
        los_azimuth_deg=round(float(azimuth[2]), 2),
        ascending=bool(lat[1] > lat[0]),
        nadir=(round(float(lon[0]), 4), round(float(lat[0]), 4)),
        sun_elevation_deg=round(sun_elevation(when, *where[:2]), 2),
        nadir_sun_elevation_deg=round(sun_elevation(when, float(lon[0]), float(lat[0])), 2),
    )


def light(sun_elevation_deg: float) -> str:
    """``day``, ``twilight`` (the sun less than 6 degrees below the horizon) or ``night``."""
    if sun_elevation_deg > 0.0:
        return "day"
    return "twilight" if sun_elevation_deg > -6.0 else "night"


def windows_before(passes: list[Pass], longest: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """For each pass, by time: since when what it brings may have been imaged, and until when.

    A satellite keeps what it images out of sight and sends it down at its next pass; so that is from the end of the
    pass before, over whatever station, to the end of this one.
    """
    before: datetime | None = None
    for each in passes:
        earliest = each.los - longest
        yield (earliest if before is None else max(before, earliest)), each.los
        before = each.los if before is None else max(before, each.los)
