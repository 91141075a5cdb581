"""Plans an acquisition: which pass, which attitude, when each detector line starts, and how wrong the pointing is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from processing.testing.camera import Attitude, Ephemeris, PointingError, Pushbroom, Swing, Vector
from processing.testing.instruments import DetectorLine, Instrument
from processing.testing.orbit import Pass, TwoLineElements, earth_fixed_states
from processing.testing.sun import local_angles, sun_direction, sun_distance_au

Array = npt.NDArray[np.float64]

TARGET = (77.0, 43.1, 1000.0)
"""lon, lat, height (m) of the place every acquisition looks at: the mountain front east of Almaty."""

_EPHEMERIS_STEP_S = 10.0
_EPHEMERIS_POINTS = 12
_JITTER_PX = 0.03
"""Amplitude of the jitter in pixels of the finest array: below what an RPC could follow or a user would notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One imaging of the target: what the operator believes (``nominal``) and what happened (``true``)."""

    number: int
    day: datetime
    """Midnight UTC."""
    seconds: float
    """Of the day, at the middle of the multispectral image."""
    roll_deg: float
    pitch_deg: float
    orbit: int
    """Revolution since launch, as the elements count."""
    nominal: dict[str, Pushbroom]
    """By detector group."""
    pointing: PointingError
    sun: Vector
    """Earth-fixed direction."""
    sun_distance_au: float

    def biased(self, group: str) -> Pushbroom:
        """The camera with its constant pointing error only."""
        return self.nominal[group].with_pointing(PointingError(bias_rad=self.pointing.bias_rad))

    def true(self, group: str) -> Pushbroom:
        """The camera that made the image."""
        return self.nominal[group].with_pointing(self.pointing)

    def sun_angles(self, lon: float, lat: float) -> tuple[float, float]:
        """Sun zenith and azimuth at a place, degrees."""
        return local_angles(self.sun, lon, lat)

    def moment(self, seconds: float) -> datetime:
        """Date and time of seconds of the day."""
        return self.day + timedelta(seconds=seconds)


def plan_acquisition(instrument: Instrument, event: Pass, *, size: int, number: int, seed: int) -> Acquisition:
    """Point a satellite at the target during a pass.

    Parameters
    ----------
    instrument
        The camera and its satellite.
    event
        The pass.
    size
        Lines and samples of the multispectral image.
    number
        Of the acquisition, from 0: it and the seed decide everything that is left to chance.
    seed
        Seed of the simulation.
    """
    chance = np.random.default_rng([seed, number, 7001])
    pitch = float(np.deg2rad(chance.uniform(-2.5, 2.5)))
    lon, lat = TARGET[0] + chance.uniform(-0.004, 0.004), TARGET[1] + chance.uniform(-0.003, 0.003)
    ground = np.array(
        Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True, allow_ballpark=False).transform(
            lon, lat, TARGET[2]
        )
    )
    seconds, roll = _moment_and_roll(instrument.tle, event, ground, pitch)
    line_period, altitude = _line_period(instrument.tle, event.day, seconds, instrument.arrays[0].gsd_m)
    ephemeris = _ephemeris(instrument.tle, event.day, seconds)
    attitude = _attitude(instrument.tle, event.day, seconds, roll, pitch, reach_s=2.0 + 0.75 * size * line_period)
    nominal = {
        array.group: _aimed(array, event.day, ephemeris, attitude, ground, line_period, altitude, size)
        for array in instrument.arrays
    }
    finest = instrument.arrays[-1].gsd_m
    return Acquisition(
        number=number,
        day=event.day,
        seconds=seconds,
        roll_deg=float(np.rad2deg(roll)),
        pitch_deg=float(np.rad2deg(pitch)),
        orbit=_revolution(instrument.tle, event.day, seconds),
        nominal=nominal,
        pointing=_pointing_error(chance, instrument.pointing_m, altitude, finest, line_period, size),
        sun=_vector(sun_direction(event.day, seconds)),
        sun_distance_au=sun_distance_au(event.day, seconds),
    )


def _orbital_frame(position: Array, velocity: Array) -> Array:
    """Columns x (along the Earth-fixed motion: yaw steering), y (right), z (to the Earth's centre); (..., 3, 3)."""
    z = -position / np.linalg.norm(position, axis=-1, keepdims=True)
    y = np.cross(z, velocity)
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _moment_and_roll(tle: TwoLineElements, event: Pass, ground: Array, pitch: float) -> tuple[float, float]:
    """When a camera pitched by ``pitch`` sees the target, and the roll it needs, rad (secant on the angle along)."""

    def seen(seconds: float) -> tuple[float, float]:
        position, velocity = earth_fixed_states(tle, event.day, seconds)
        x, y, z = _orbital_frame(position[0], velocity[0]).T @ (ground - position[0])
        return float(x / np.hypot(y, z) - np.tan(pitch)), float(-np.arctan2(y, z))

    before, after = event.seconds, event.seconds + 1.0
    miss = seen(before)[0]
    for _ in range(20):
        now, roll = seen(after)
        if abs(now) < 1e-12 or now == miss:
            break
        before, after, miss = after, after - now * (after - before) / (now - miss), now
    return after, roll


def _line_period(tle: TwoLineElements, day: datetime, seconds: float, gsd_m: float) -> tuple[float, float]:
    """Time between lines that samples the ground below at ``gsd_m``, s, and the altitude, m."""
    position, velocity = earth_fixed_states(tle, day, seconds)
    radius = float(np.linalg.norm(position[0]))
    to_geodetic = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True, allow_ballpark=False)
    altitude = float(to_geodetic.transform(*position[0])[2])
    ground_speed = float(np.linalg.norm(velocity[0])) * (radius - altitude) / radius
    return round(gsd_m / ground_speed, 9), altitude


def _revolution(tle: TwoLineElements, day: datetime, seconds: float) -> int:
    """Number of the revolution: that of the elements plus whole turns since."""
    year, days = 2000 + int(tle.line1[18:20]), float(tle.line1[20:32])
    epoch = datetime(year, 1, 1, tzinfo=day.tzinfo) + timedelta(days=days - 1)
    turns = float(tle.line2[52:63]) * (day + timedelta(seconds=seconds) - epoch).total_seconds() / 86400.0
    return int(tle.line2[63:68]) + int(turns)


def _ephemeris(tle: TwoLineElements, day: datetime, seconds: float) -> Ephemeris:
    """Orbit points about a moment, rounded as they are delivered: the rounded points are the camera's orbit."""
    first = round(seconds) - _EPHEMERIS_STEP_S * (_EPHEMERIS_POINTS // 2)
    times = first + _EPHEMERIS_STEP_S * np.arange(_EPHEMERIS_POINTS)
    position, velocity = earth_fixed_states(tle, day, times)
    return Ephemeris(
        seconds=tuple(times.tolist()),
        positions=tuple(_vector(row) for row in np.round(position, 6)),
        velocities=tuple(_vector(row) for row in np.round(velocity, 6)),
    )


def _vector(values: Array) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def _attitude(
    tle: TwoLineElements, day: datetime, seconds: float, roll: float, pitch: float, *, reach_s: float
) -> Attitude:
    """Quaternion polynomials of a yaw-steered, rolled and pitched camera over ``seconds`` +- ``reach_s``."""
    offset = float(round(seconds * 64) / 64)
    argument = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    position, velocity = earth_fixed_states(tle, day, offset + reach_s * argument)
    rolled = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    pitched = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    quaternions = np.array([_quaternion(frame @ rolled @ pitched) for frame in _orbital_frame(position, velocity)])
    quaternions *= np.sign(quaternions @ quaternions[0])[:, None]
    coefficients = np.polynomial.polynomial.polyfit(argument, quaternions, 3).T
    return Attitude(
        offset=offset,
        scale=float(reach_s),
        coefficients=tuple(tuple(row) for row in np.round(coefficients, 16).tolist()),
    )


def _quaternion(rotation: Array) -> Array:
    """Unit quaternion, scalar first, of a rotation matrix (Shepperd 1978: the largest component first)."""
    m = rotation
    squares = np.array(
        [
            1 + m[0, 0] + m[1, 1] + m[2, 2],
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
        ]
    )
    products = np.array(
        [
            [squares[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], squares[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], squares[2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[3]],
        ]
    )
    row: Array = products[int(np.argmax(squares))]
    return row / np.linalg.norm(row)


def _aimed(
    array: DetectorLine,
    day: datetime,
    ephemeris: Ephemeris,
    attitude: Attitude,
    ground: Array,
    line_period: float,
    altitude: float,
    size: int,
) -> Pushbroom:
    """A detector line whose middle passes over the target: its start time follows from its place in the focal plane."""
    samples = size * array.scale
    xlos_1 = array.gsd_m / altitude
    middle = array.first_column + (samples - 1) / 2 + array.offset_px[1]
    camera = Pushbroom(
        day=day,
        ephemeris=ephemeris,
        attitude=attitude,
        start=attitude.offset,
        line_period=line_period / array.scale,
        ylos_0=array.along_rad,
        xlos_0=round(-xlos_1 * middle, 10),
        xlos_1=xlos_1,
        first_column=array.first_column,
        shape=(samples, samples),
    )
    place = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True, allow_ballpark=False).transform(
        ground[0], ground[1], ground[2]
    )
    line = float(camera.ground_to_image(place[0], place[1], place[2])[0])
    start = camera.seconds_at(line) - camera.line_period * (samples / 2 - 0.5 + array.offset_px[0])
    return Pushbroom(
        **{name: getattr(camera, name) for name in camera.__slots__ if name != "start"},
        start=round(float(start), 7),
    )


def _pointing_error(
    chance: np.random.Generator,
    range_m: tuple[float, float],
    altitude: float,
    finest_gsd_m: float,
    line_period: float,
    size: int,
) -> PointingError:
    """A constant error of some pixels and a jitter far below one, as star trackers and reaction wheels leave them."""
    length, direction = chance.uniform(*range_m) / altitude, chance.uniform(0, 2 * np.pi)
    bias = (float(length * np.cos(direction)), float(length * np.sin(direction)), float(chance.uniform(-5e-6, 5e-6)))
    amplitude = _JITTER_PX * finest_gsd_m / altitude
    swings = tuple(
        Swing(
            axis=axis,
            amplitude_rad=float(amplitude * share),
            period_s=float(chance.uniform(low, high) * min(size, 1500) * line_period),
            phase_rad=float(chance.uniform(0, 2 * np.pi)),
        )
        for axis in (0, 1)
        for share, low, high in ((0.65, 0.6, 1.1), (0.35, 0.28, 0.45))
    )
    return PointingError(bias_rad=bias, jitter=swings)
