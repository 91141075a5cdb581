"""Scalar mathematics of the pushbroom camera, compiled: orbit, attitude, look angles and the ellipsoid."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processing.testing.compiled import compiled

Array = npt.NDArray[np.float64]

SEMI_MAJOR = 6378137.0
FLATTENING = 1.0 / 298.257223563
SEMI_MINOR = SEMI_MAJOR * (1.0 - FLATTENING)
ECCENTRICITY2 = FLATTENING * (2.0 - FLATTENING)
_SECOND_ECCENTRICITY2 = ECCENTRICITY2 / (1.0 - ECCENTRICITY2)
_NODES = 8
"""Points of the Lagrange interpolation of the orbit, as DIMAP v2 prescribes."""

Frame = tuple[float, float, float, float, float, float, float, float, float, float, float, float]
"""Position (m) and the rotation from the camera to the Earth, row by row."""


class CameraState(NamedTuple):
    """A camera as the kernels take it. Times are seconds of the day."""

    times: Array
    """(n,) of the orbit's points, evenly spaced."""
    positions: Array
    """(n, 3) Earth-fixed, m."""
    quaternion: Array
    """(4, d) polynomial coefficients of Q0 (scalar) to Q3, in ascending powers."""
    clock: Array
    """(4,) the attitude polynomial's offset and scale, time of the first line's centre, line period."""
    look: Array
    """(4,) YLOS_0, XLOS_0, XLOS_1, number of the first detector."""
    bias: Array
    """(3,) constant pointing error about x, y, z, rad."""
    jitter: Array
    """(m, 4) axis (0 = x, 1 = y), amplitude (rad), angular rate (rad/s), phase (rad)."""


@compiled
def to_geodetic(x: float, y: float, z: float) -> tuple[float, float, float]:
    """Longitude, latitude (rad) and height (m) above WGS 84 of an Earth-fixed point.

    Bowring (1976) with two iterations: below 1e-9 m and 1e-14 rad within 1,000 km of the surface.
    """
    p = np.hypot(x, y)
    tangent = z / p * SEMI_MAJOR / SEMI_MINOR
    for _ in range(2):
        cos = 1.0 / np.sqrt(1.0 + tangent * tangent)
        sin = tangent * cos
        slope = (z + _SECOND_ECCENTRICITY2 * SEMI_MINOR * sin * sin * sin) / (
            p - ECCENTRICITY2 * SEMI_MAJOR * cos * cos * cos
        )
        tangent = slope * (1.0 - FLATTENING)
    latitude = np.arctan(slope)
    sin = np.sin(latitude)
    height = p * np.cos(latitude) + z * sin - SEMI_MAJOR * np.sqrt(1.0 - ECCENTRICITY2 * sin * sin)
    return np.arctan2(y, x), latitude, height


@compiled
def to_earth_fixed(lon: float, lat: float, height: float) -> tuple[float, float, float]:
    """Earth-fixed point of longitude, latitude (rad) and height (m)."""
    sin, cos = np.sin(lat), np.cos(lat)
    normal = SEMI_MAJOR / np.sqrt(1.0 - ECCENTRICITY2 * sin * sin)
    return (
        (normal + height) * cos * np.cos(lon),
        (normal + height) * cos * np.sin(lon),
        (normal * (1.0 - ECCENTRICITY2) + height) * sin,
    )


@compiled
def _position(state: CameraState, time: float) -> tuple[float, float, float]:
    """Orbit at a time: Lagrange interpolation over the eight nearest points."""
    times = state.times
    step = times[1] - times[0]
    first = int(np.floor((time - times[0]) / step)) - (_NODES // 2 - 1)
    first = min(max(first, 0), times.size - _NODES)
    x, y, z = 0.0, 0.0, 0.0
    for i in range(first, first + _NODES):
        weight = 1.0
        for j in range(first, first + _NODES):
            if j != i:
                weight *= (time - times[j]) / (times[i] - times[j])
        x += weight * state.positions[i, 0]
        y += weight * state.positions[i, 1]
        z += weight * state.positions[i, 2]
    return x, y, z


@compiled
def frame_at(state: CameraState, time: float) -> Frame:
    """Position of the camera and its rotation to the Earth, pointing errors included."""
    px, py, pz = _position(state, time)
    argument = (time - state.clock[0]) / state.clock[1]
    q = (0.0, 0.0, 0.0, 0.0)
    power = 1.0
    for degree in range(state.quaternion.shape[1]):
        c = state.quaternion[:, degree]
        q = (q[0] + c[0] * power, q[1] + c[1] * power, q[2] + c[2] * power, q[3] + c[3] * power)
        power *= argument
    norm = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    w, x, y, z = q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm
    a = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    b = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    c3 = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    ex, ey, ez = state.bias[0], state.bias[1], state.bias[2]
    for term in range(state.jitter.shape[0]):
        swing = state.jitter[term, 1] * np.sin(state.jitter[term, 2] * time + state.jitter[term, 3])
        if state.jitter[term, 0] == 0.0:
            ex += swing
        else:
            ey += swing
    # R (I + [e]x): the errors are below 1e-4 rad, their products below 1e-8 rad squared away from a rotation.
    return (
        px,
        py,
        pz,
        a[0] + a[1] * ez - a[2] * ey,
        a[1] - a[0] * ez + a[2] * ex,
        a[2] + a[0] * ey - a[1] * ex,
        b[0] + b[1] * ez - b[2] * ey,
        b[1] - b[0] * ez + b[2] * ex,
        b[2] + b[0] * ey - b[1] * ex,
        c3[0] + c3[1] * ez - c3[2] * ey,
        c3[1] - c3[0] * ez + c3[2] * ex,
        c3[2] + c3[0] * ey - c3[1] * ex,
    )


@compiled
def intersect(frame: Frame, ux: float, uy: float, height: float) -> tuple[float, float]:
    """Longitude and latitude (degrees) where the look direction (ux, uy, 1) meets a geodetic height; NaN for none."""
    px, py, pz = frame[0], frame[1], frame[2]
    dx = frame[3] * ux + frame[4] * uy + frame[5]
    dy = frame[6] * ux + frame[7] * uy + frame[8]
    dz = frame[9] * ux + frame[10] * uy + frame[11]
    # The ellipsoid grown by the height is within centimetres of the surface of that height: a start for Newton.
    a2 = (SEMI_MAJOR + height) ** 2
    b2 = (SEMI_MINOR + height) ** 2
    qa = (dx * dx + dy * dy) / a2 + dz * dz / b2
    qb = (px * dx + py * dy) / a2 + pz * dz / b2
    qc = (px * px + py * py) / a2 + pz * pz / b2 - 1.0
    root = qb * qb - qa * qc
    if not root > 0.0:
        return np.nan, np.nan
    distance = (-qb - np.sqrt(root)) / qa
    lon, lat, reached = to_geodetic(px + distance * dx, py + distance * dy, pz + distance * dz)
    for _ in range(2):
        cos = np.cos(lat)
        climb = dx * cos * np.cos(lon) + dy * cos * np.sin(lon) + dz * np.sin(lat)
        distance += (height - reached) / climb
        lon, lat, reached = to_geodetic(px + distance * dx, py + distance * dy, pz + distance * dz)
    return np.rad2deg(lon), np.rad2deg(lat)


@compiled
def look_at(state: CameraState, line: float, sample: float) -> tuple[float, float, float]:
    """Time and the components ux, uy of the look direction (ux, uy, 1) of an image point, corner-zero convention.

    The file's row and column are ``line + 0.5`` and ``sample + 0.5`` (1 = centre of the first pixel).
    """
    time = state.clock[2] + state.clock[3] * (line - 0.5)
    return time, state.look[0], -(state.look[1] + state.look[2] * (state.look[3] + sample - 0.5))


@compiled
def _locate_point(state: CameraState, line: float, sample: float, height: float) -> tuple[float, float]:
    time, ux, uy = look_at(state, line, sample)
    return intersect(frame_at(state, time), ux, uy, height)


@compiled
def locate(
    start: int, stop: int, state: CameraState, line: Array, sample: Array, height: Array, lon: Array, lat: Array
) -> None:
    """Ground points of flat image points at given heights."""
    for i in range(start, stop):
        lon[i], lat[i] = _locate_point(state, line[i], sample[i], height[i])


@compiled
def _along_error(state: CameraState, time: float, x: float, y: float, z: float) -> tuple[float, float]:
    """How far a ground point is ahead of the detectors at a time (rad), and its across-track tangent."""
    f = frame_at(state, time)
    dx, dy, dz = x - f[0], y - f[1], z - f[2]
    cx = f[3] * dx + f[6] * dy + f[9] * dz
    cy = f[4] * dx + f[7] * dy + f[10] * dz
    cz = f[5] * dx + f[8] * dy + f[11] * dz
    return cx / cz - state.look[0], cy / cz


@compiled
def _project_point(state: CameraState, lon: float, lat: float, height: float) -> tuple[float, float]:
    """Image point that sees one ground point (degrees, m): secant for the moment it crosses the detectors."""
    x, y, z = to_earth_fixed(np.deg2rad(lon), np.deg2rad(lat), height)
    before, after = state.clock[0], state.clock[0] + state.clock[1]
    miss, across = _along_error(state, before, x, y, z)
    now, across = _along_error(state, after, x, y, z)
    for _ in range(30):
        if abs(now) < 1e-13 or now == miss or not np.isfinite(now):
            break
        step = now * (after - before) / (now - miss)
        before, after, miss = after, after - step, now
        now, across = _along_error(state, after, x, y, z)
    if not (abs(now) < 1e-11 and state.times[0] < after < state.times[-1]):
        return np.nan, np.nan
    line = (after - state.clock[2]) / state.clock[3] + 0.5
    return line, (-across - state.look[1]) / state.look[2] - state.look[3] + 0.5


@compiled
def project(
    start: int, stop: int, state: CameraState, lon: Array, lat: Array, height: Array, line: Array, sample: Array
) -> None:
    """Image points that see flat ground points; NaN where the orbit known to the camera does not reach."""
    for i in range(start, stop):
        line[i], sample[i] = _project_point(state, lon[i], lat[i], height[i])
