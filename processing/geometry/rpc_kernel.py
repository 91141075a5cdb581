"""Rational polynomial arithmetic: compiled kernels, and the plain numpy formula they must equal.

The 20 terms stand in RPC00B order (STDI-0002): with L, P, H the normalised longitude, latitude and height,
``1 L P H LP LH PH LL PP HH PLH LLL LPP LHH LLP PPP PHH LLH PPH HHH``.
A model is packed into one float64 vector, see :func:`pack`.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]

OFFSETS = 0
"""line, sample, lon, lat, height offsets stand at 0..4."""
SCALES = 5
"""... and their scales at 5..9."""
COEFFICIENTS = 10
"""... then line numerator, line denominator, sample numerator, sample denominator, 20 each."""
PACKED_SIZE = 90

NORMALISED_REACH = 2.0
"""|L| and |P| beyond this are outside any vendor's fit: the cubics fold back there and would invent an image."""
_SMALLEST_DENOMINATOR = 1e-3
"""A denominator has 1 as its constant term; one that fell below this fraction of it is next to a pole."""
_ITERATIONS = 30
_CONVERGED = 1e-13


def pack(
    offsets: tuple[float, ...],
    scales: tuple[float, ...],
    line_num: tuple[float, ...],
    line_den: tuple[float, ...],
    sample_num: tuple[float, ...],
    sample_den: tuple[float, ...],
) -> Array:
    """One read-only float64 vector of 90: offsets, scales (line, sample, lon, lat, height), and 4 x 20 terms."""
    packed = np.array([*offsets, *scales, *line_num, *line_den, *sample_num, *sample_den], dtype=np.float64)
    packed.setflags(write=False)
    return packed


@njit(nogil=True, cache=True)
def terms(lon: float, lat: float, height: float) -> tuple[float, ...]:
    """The 20 terms at one normalised point."""
    lon2 = lon * lon
    lat2 = lat * lat
    height2 = height * height
    return (
        1.0,
        lon,
        lat,
        height,
        lon * lat,
        lon * height,
        lat * height,
        lon2,
        lat2,
        height2,
        lat * lon * height,
        lon2 * lon,
        lon * lat2,
        lon * height2,
        lon2 * lat,
        lat2 * lat,
        lat * height2,
        lon2 * height,
        lat2 * height,
        height2 * height,
    )


@njit(nogil=True, cache=True)
def _terms_by_lon(lon: float, lat: float, height: float) -> tuple[float, ...]:
    """Derivative of the 20 terms by the normalised longitude."""
    return (
        0.0,
        1.0,
        0.0,
        0.0,
        lat,
        height,
        0.0,
        2.0 * lon,
        0.0,
        0.0,
        lat * height,
        3.0 * lon * lon,
        lat * lat,
        height * height,
        2.0 * lon * lat,
        0.0,
        0.0,
        2.0 * lon * height,
        0.0,
        0.0,
    )


@njit(nogil=True, cache=True)
def _terms_by_lat(lon: float, lat: float, height: float) -> tuple[float, ...]:
    """Derivative of the 20 terms by the normalised latitude."""
    return (
        0.0,
        0.0,
        1.0,
        0.0,
        lon,
        0.0,
        height,
        0.0,
        2.0 * lat,
        0.0,
        lon * height,
        0.0,
        2.0 * lon * lat,
        0.0,
        lon * lon,
        3.0 * lat * lat,
        height * height,
        0.0,
        2.0 * lat * height,
        0.0,
    )


@njit(nogil=True, cache=True)
def _sums(packed: Array, values: tuple[float, ...]) -> tuple[float, float, float, float]:
    """The four polynomials: line numerator and denominator, sample numerator and denominator.

    Each is summed in term order; side by side, because one chain of additions alone waits for itself.
    """
    line_num = line_den = sample_num = sample_den = 0.0
    for term in range(20):
        value = values[term]
        line_num += packed[COEFFICIENTS + term] * value
        line_den += packed[COEFFICIENTS + 20 + term] * value
        sample_num += packed[COEFFICIENTS + 40 + term] * value
        sample_den += packed[COEFFICIENTS + 60 + term] * value
    return line_num, line_den, sample_num, sample_den


@njit(nogil=True, cache=True)
def project_point(packed: Array, lon: float, lat: float, height: float) -> tuple[float, float]:
    """``(line, sample)`` of one ground point, degrees and metres; NaN where the model does not reach."""
    away = lon - packed[2]
    if away > 180.0:
        away -= 360.0
    elif away < -180.0:
        away += 360.0
    x = away / packed[7]
    y = (lat - packed[3]) / packed[8]
    z = (height - packed[4]) / packed[9]
    if not (abs(x) <= NORMALISED_REACH and abs(y) <= NORMALISED_REACH and abs(z) < np.inf):
        return np.nan, np.nan
    line_num, line_den, sample_num, sample_den = _sums(packed, terms(x, y, z))
    if not (
        line_den * packed[COEFFICIENTS + 20] > _SMALLEST_DENOMINATOR * packed[COEFFICIENTS + 20] ** 2
        and sample_den * packed[COEFFICIENTS + 60] > _SMALLEST_DENOMINATOR * packed[COEFFICIENTS + 60] ** 2
    ):
        return np.nan, np.nan
    return line_num / line_den * packed[5] + packed[0], sample_num / sample_den * packed[6] + packed[1]


@njit(nogil=True, cache=True)
def project(packed: Array, lon: Array, lat: Array, height: Array, line: Array, sample: Array) -> None:
    """Project flat arrays of ground points into the given flat arrays."""
    for index in range(lon.size):
        line[index], sample[index] = project_point(packed, lon[index], lat[index], height[index])


@njit(nogil=True, cache=True)
def locate_point(packed: Array, line: float, sample: float, height: float) -> tuple[float, float]:
    """``(lon, lat)`` seen at one image point and height: Newton with the analytic Jacobian, NaN if it fails."""
    target_line = (line - packed[0]) / packed[5]
    target_sample = (sample - packed[1]) / packed[6]
    z = (height - packed[4]) / packed[9]
    if not (abs(target_line) < np.inf and abs(target_sample) < np.inf and abs(z) < np.inf):
        return np.nan, np.nan
    x = 0.0
    y = 0.0
    for _ in range(_ITERATIONS):
        line_num, line_den, sample_num, sample_den = _sums(packed, terms(x, y, z))
        if line_den == 0.0 or sample_den == 0.0:
            return np.nan, np.nan
        at_line = line_num / line_den
        at_sample = sample_num / sample_den
        line_num_x, line_den_x, sample_num_x, sample_den_x = _sums(packed, _terms_by_lon(x, y, z))
        line_num_y, line_den_y, sample_num_y, sample_den_y = _sums(packed, _terms_by_lat(x, y, z))
        line_x = (line_num_x - at_line * line_den_x) / line_den
        line_y = (line_num_y - at_line * line_den_y) / line_den
        sample_x = (sample_num_x - at_sample * sample_den_x) / sample_den
        sample_y = (sample_num_y - at_sample * sample_den_y) / sample_den
        determinant = line_x * sample_y - line_y * sample_x
        if determinant == 0.0:
            return np.nan, np.nan
        miss_line = target_line - at_line
        miss_sample = target_sample - at_sample
        step_x = (miss_line * sample_y - miss_sample * line_y) / determinant
        step_y = (miss_sample * line_x - miss_line * sample_x) / determinant
        x += step_x
        y += step_y
        if not (abs(x) <= NORMALISED_REACH and abs(y) <= NORMALISED_REACH):
            return np.nan, np.nan
        if abs(step_x) < _CONVERGED and abs(step_y) < _CONVERGED:
            lon = x * packed[7] + packed[2]
            if lon >= 180.0:
                lon -= 360.0
            elif lon < -180.0:
                lon += 360.0
            return lon, y * packed[8] + packed[3]
    return np.nan, np.nan


@njit(nogil=True, cache=True)
def locate(packed: Array, line: Array, sample: Array, height: Array, lon: Array, lat: Array) -> None:
    """Locate flat arrays of image points into the given flat arrays."""
    for index in range(line.size):
        lon[index], lat[index] = locate_point(packed, line[index], sample[index], height[index])


def design_matrix(lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> Array:
    """The 20 terms of normalised points, shape ``(..., 20)``: the formula as the standard prints it."""
    L, P, H = np.broadcast_arrays(*(np.asarray(axis, dtype=np.float64) for axis in (lon, lat, height)))
    columns = [
        np.ones_like(L), L, P, H, L * P, L * H, P * H, L**2, P**2, H**2,
        P * L * H, L**3, L * P**2, L * H**2, L**2 * P, P**3, P * H**2, L**2 * H, P**2 * H, H**3,
    ]  # fmt: skip
    return np.stack(columns, axis=-1)


def project_reference(
    packed: Array, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike
) -> tuple[Array, Array]:
    """``(line, sample)`` by the standard's formula in plain numpy: the oracle of :func:`project`.

    It knows nothing of the model's reach: outside it the kernels say NaN where this formula invents a number.
    """
    lon_off, lat_off, height_off = packed[2:5]
    away = (np.asarray(lon, dtype=np.float64) - lon_off + 180.0) % 360.0 - 180.0
    values = design_matrix(
        away / packed[7],
        (np.asarray(lat, dtype=np.float64) - lat_off) / packed[8],
        (np.asarray(height, dtype=np.float64) - height_off) / packed[9],
    )
    line_num, line_den, sample_num, sample_den = (values @ packed[COEFFICIENTS:].reshape(4, 20).T).transpose(
        -1, *range(values.ndim - 1)
    )
    return line_num / line_den * packed[5] + packed[0], sample_num / sample_den * packed[6] + packed[1]
