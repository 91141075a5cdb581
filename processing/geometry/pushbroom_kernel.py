"""The pushbroom camera, compiled: one point at a time through orbit, attitude, look angles and the ellipsoid.

Times are seconds after the camera's epoch. The camera's x axis points along the motion, y across, z to the ground; the
detector of number ``d`` looks along ``(along(d), -across(d), 1)``, two polynomials (DIMAP v2: YLOS and XLOS). A camera
is packed into one float64 vector: the figures named below, then the tables of orbit and attitude and the two
polynomials, see :func:`pack`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from processing.geometry.ellipsoid import SEMI_MAJOR_M, SEMI_MINOR_M, to_earth_fixed, to_geodetic
from processing.geometry.orbit import Pieces

Array = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

ORBIT, ATTITUDE = 0, 3
"""Stretches, place and terms of the two tables."""
ALONG, ACROSS = 6, 8
"""Terms and place of the two polynomials."""
FIRST_LINE_S, LINE_PERIOD_S = 10, 11
SWEEP = 12
"""Tangent by which the ground passes a detector in one line."""
FIRST_DETECTOR, MIDDLE_DETECTOR = 13, 14
LOWEST_LINE, HIGHEST_LINE, LOWEST_SAMPLE, HIGHEST_SAMPLE = 15, 16, 17, 18
"""What is answered, corner-zero."""
START = 19
"""Earth-fixed middle of the scene and its size, then the ten terms of :func:`start_terms`: about which line it is."""
_HEADER = 33

_ITERATIONS = 30
_LINE_CONVERGED = 1e-8
"""Lines: the secant's step at which the line has converged; the error left is far below it."""
_HEIGHT_CONVERGED_M = 1e-7


def pack(
    orbit: Pieces,
    attitude: Pieces,
    along: tuple[float, ...],
    across: tuple[float, ...],
    figures: dict[int, float],
    start: npt.ArrayLike,
) -> Array:
    """One read-only float64 vector: the header, and what it points to.

    A table has one row a stretch: its first second, its middle, one over its half, then the terms from the highest
    power down, channel by channel.

    Parameters
    ----------
    orbit, attitude
        Piecewise polynomials of three and four channels.
    along, across
        Look angles by the detector's number, ascending powers.
    figures
        The single figures of the header, by their place.
    start
        The fourteen figures at ``START``.
    """
    tables = [
        np.concatenate(
            [
                np.column_stack([pieces.breaks[:-1], pieces.middle, 1 / pieces.half]),
                pieces.coefficients.transpose(0, 2, 1)[:, ::-1].reshape(len(pieces.middle), -1),
            ],
            axis=1,
        ).ravel()
        for pieces in (orbit, attitude)
    ]
    parts = [*tables, np.array(along, dtype=np.float64), np.array(across, dtype=np.float64)]
    places = _HEADER + np.cumsum([0, *(part.size for part in parts)])
    header = np.zeros(_HEADER)
    header[ORBIT : ORBIT + 3] = len(orbit.middle), places[0], orbit.coefficients.shape[2]
    header[ATTITUDE : ATTITUDE + 3] = len(attitude.middle), places[1], attitude.coefficients.shape[2]
    header[ALONG : ALONG + 2] = len(along), places[2]
    header[ACROSS : ACROSS + 2] = len(across), places[3]
    for place, value in figures.items():
        header[place] = value
    header[START:] = start
    packed = np.concatenate([header, *parts])
    packed.setflags(write=False)
    return packed


@njit(nogil=True, cache=True, error_model="numpy")
def start_terms(x: float, y: float, z: float) -> tuple[float, ...]:
    """Terms of the polynomial that guesses the line from where a point lies, in sizes of the scene from its middle."""
    return 1.0, x, y, z, x * x, y * y, z * z, x * y, y * z, z * x


@njit(nogil=True, cache=True, error_model="numpy")
def _row(packed: Array, table: int, time: float, channels: int) -> int:
    """Where the row of a table stands that a time falls on; the outer rows go on."""
    size = 3 + channels * int(packed[table + 2])
    first = int(packed[table + 1])
    low, high = 0, int(packed[table])
    while high - low > 1:
        middle = (low + high) >> 1
        if packed[first + middle * size] <= time:
            low = middle
        else:
            high = middle
    return first + low * size


@njit(nogil=True, cache=True, error_model="numpy")
def frame_at(packed: Array, time: float) -> tuple[Vector, Vector, Vector, Vector]:
    """Position of the camera (m), and the rows of its rotation to the Earth."""
    at = _row(packed, ORBIT, time, 3)
    u = (time - packed[at + 1]) * packed[at + 2]
    at += 3
    px = py = pz = 0.0
    for _ in range(int(packed[ORBIT + 2])):
        px = px * u + packed[at]
        py = py * u + packed[at + 1]
        pz = pz * u + packed[at + 2]
        at += 3
    at = _row(packed, ATTITUDE, time, 4)
    u = (time - packed[at + 1]) * packed[at + 2]
    at += 3
    w = x = y = z = 0.0
    for _ in range(int(packed[ATTITUDE + 2])):
        w = w * u + packed[at]
        x = x * u + packed[at + 1]
        y = y * u + packed[at + 2]
        z = z * u + packed[at + 3]
        at += 4
    s = 2.0 / (w * w + x * x + y * y + z * z)
    return (
        (px, py, pz),
        (1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)),
        (s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x)),
        (s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y)),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _tangent(packed: Array, polynomial: int, detector: float) -> tuple[float, float]:
    """A look angle's tangent at a detector, and its derivative (Horner)."""
    first = int(packed[polynomial + 1])
    value = slope = 0.0
    for term in range(first + int(packed[polynomial]) - 1, first - 1, -1):
        slope = slope * detector + value
        value = value * detector + packed[term]
    return value, slope


@njit(nogil=True, cache=True, error_model="numpy")
def _intersect(
    frame: tuple[Vector, Vector, Vector, Vector], ux: float, uy: float, height: float
) -> tuple[float, float]:
    """Longitude and latitude (degrees) where the look (ux, uy, 1) first meets a height above the ellipsoid."""
    (px, py, pz), a, b, c = frame
    dx = a[0] * ux + a[1] * uy + a[2]
    dy = b[0] * ux + b[1] * uy + b[2]
    dz = c[0] * ux + c[1] * uy + c[2]
    # The ellipsoid grown by the height lies within centimetres of the surface of that height: a start for Newton.
    a2 = (SEMI_MAJOR_M + height) ** 2
    b2 = (SEMI_MINOR_M + height) ** 2
    qa = (dx * dx + dy * dy) / a2 + dz * dz / b2
    qb = (px * dx + py * dy) / a2 + pz * dz / b2
    qc = (px * px + py * py) / a2 + pz * pz / b2 - 1.0
    root = qb * qb - qa * qc
    if not (root > 0.0 and qb < 0.0 and qc > 0.0):
        return np.nan, np.nan
    distance = (-qb - np.sqrt(root)) / qa
    for _ in range(_ITERATIONS):
        lon, lat, reached = to_geodetic(px + distance * dx, py + distance * dy, pz + distance * dz)
        if abs(reached - height) < _HEIGHT_CONVERGED_M:
            return np.rad2deg(lon), np.rad2deg(lat)
        cos = np.cos(lat)
        climb = dx * cos * np.cos(lon) + dy * cos * np.sin(lon) + dz * np.sin(lat)
        if not climb < 0.0:
            return np.nan, np.nan
        distance += (height - reached) / climb
    return np.nan, np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _answered(packed: Array, line: float, sample: float) -> bool:
    """Whether an image point lies where the model speaks; false for NaN."""
    answered: bool = (
        packed[LOWEST_LINE] <= line <= packed[HIGHEST_LINE]
        and packed[LOWEST_SAMPLE] <= sample <= packed[HIGHEST_SAMPLE]
    )
    return answered


@njit(nogil=True, cache=True, error_model="numpy")
def locate_point(packed: Array, line: float, sample: float, height: float) -> tuple[float, float]:
    """``(lon, lat)``, degrees, seen by an image point (corner-zero) at a height (m); NaN outside the model's reach."""
    if not (_answered(packed, line, sample) and abs(height) < np.inf):
        return np.nan, np.nan
    detector = packed[FIRST_DETECTOR] + (sample - 0.5)
    frame = frame_at(packed, packed[FIRST_LINE_S] + packed[LINE_PERIOD_S] * (line - 0.5))
    return _intersect(frame, _tangent(packed, ALONG, detector)[0], -_tangent(packed, ACROSS, detector)[0], height)


@njit(nogil=True, cache=True, error_model="numpy")
def _detector(packed: Array, tangent: float) -> float:
    """Number of the detector that looks across by a tangent: Newton, exact at once where XLOS is a straight line."""
    detector: float = packed[MIDDLE_DETECTOR]
    fan = _tangent(packed, ACROSS, detector)[1]
    for _ in range(_ITERATIONS):
        value, slope = _tangent(packed, ACROSS, detector)
        if slope * fan <= 0.0:
            return np.nan
        step = (tangent - value) / slope
        detector += step
        if packed[ACROSS] == 2.0 or abs(step) < _LINE_CONVERGED:
            return detector
    return np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _first_guess(packed: Array, x: float, y: float, z: float) -> float:
    """About the line by which an Earth-fixed point is seen."""
    size = packed[START + 3]
    terms = start_terms((x - packed[START]) / size, (y - packed[START + 1]) / size, (z - packed[START + 2]) / size)
    line = 0.0
    for term in range(10):
        line += packed[START + 4 + term] * terms[term]
    return line


@njit(nogil=True, cache=True, error_model="numpy")
def project_point(packed: Array, lon: float, lat: float, height: float) -> tuple[float, float]:
    """``(line, sample)``, corner-zero, that sees a ground point (degrees, m): secant for the line it is seen by."""
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    x, y, z = to_earth_fixed(lon, lat, height)
    # One length beyond the reach is room for the way there, not an answer.
    room = packed[HIGHEST_LINE] - packed[LOWEST_LINE]
    lowest, highest = packed[LOWEST_LINE] - room, packed[HIGHEST_LINE] + room
    line = min(max(_first_guess(packed, x, y, z), lowest), highest)
    line_before = miss_before = 0.0
    for iteration in range(_ITERATIONS):
        p, a, b, c = frame_at(packed, packed[FIRST_LINE_S] + packed[LINE_PERIOD_S] * (line - 0.5))
        dx, dy, dz = x - p[0], y - p[1], z - p[2]
        forward = a[2] * dx + b[2] * dy + c[2] * dz
        if not forward > 0.0:
            return np.nan, np.nan
        detector = _detector(packed, -(a[1] * dx + b[1] * dy + c[1] * dz) / forward)
        miss = (a[0] * dx + b[0] * dy + c[0] * dz) / forward - _tangent(packed, ALONG, detector)[0]
        step = miss / packed[SWEEP]
        if iteration > 0 and miss != miss_before:
            step = -miss * (line - line_before) / (miss - miss_before)
        if not abs(step) < np.inf:
            return np.nan, np.nan
        line_before, miss_before = line, miss
        line = min(max(line + step, lowest), highest)
        if abs(step) < _LINE_CONVERGED:
            sample = detector - packed[FIRST_DETECTOR] + 0.5
            cos = np.cos(lat)
            faces = dx * cos * np.cos(lon) + dy * cos * np.sin(lon) + dz * np.sin(lat) < 0.0
            if faces and _answered(packed, line, sample):
                return line, sample
            return np.nan, np.nan
        if line == line_before:
            return np.nan, np.nan
    return np.nan, np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def locate(packed: Array, line: Array, sample: Array, height: Array, lon: Array, lat: Array) -> None:
    """Locate flat arrays of image points into the given flat arrays."""
    for index in range(line.size):
        lon[index], lat[index] = locate_point(packed, line[index], sample[index], height[index])


@njit(nogil=True, cache=True, error_model="numpy")
def project(packed: Array, lon: Array, lat: Array, height: Array, line: Array, sample: Array) -> None:
    """Project flat arrays of ground points into the given flat arrays."""
    for index in range(lon.size):
        line[index], sample[index] = project_point(packed, lon[index], lat[index], height[index])
