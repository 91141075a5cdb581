"""Compiled: the weights of resampling kernels, by the number of taps: 2 bilinear, 4 cubic (Keys), 6 Lanczos3."""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]


@njit(nogil=True, cache=True)
def kernel_weight(distance: float, taps: int) -> float:
    """Weight of a tap at a distance from the position, by the number of taps: 2 bilinear, 4 Keys, 6 Lanczos3."""
    t = abs(distance)
    if taps == 2:
        return max(1.0 - t, 0.0)
    if taps == 4:
        if t <= 1.0:
            return (1.5 * t - 2.5) * t * t + 1.0
        return ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0 if t < 2.0 else 0.0
    if t < 1e-9:
        return 1.0
    return 3.0 * np.sin(np.pi * t) * np.sin(np.pi * t / 3.0) / (np.pi * np.pi * t * t) if t < 3.0 else 0.0


@njit(nogil=True, cache=True)
def tap_range(position: float, taps: int, scale: float) -> tuple[int, int]:
    """First and last pixel along one axis, ends included, that a kernel widened by ``scale`` takes, image or not."""
    reach = 0.5 * taps * scale
    return int(np.floor(position - 0.5 - reach)) + 1, int(np.floor(position - 0.5 + reach))


@njit(nogil=True, cache=True)
def taps_at(position: float, taps: int, scale: float, size: int, weights: Array) -> tuple[int, int]:
    """First pixel and number of taps of a kernel widened by ``scale``, within the image; fills the weights."""
    first, last = tap_range(position, taps, scale)
    first, last = max(first, 0), min(last, size - 1)
    for tap in range(last - first + 1):
        weights[tap] = kernel_weight((position - 0.5 - (first + tap)) / scale, taps)
    return first, last - first + 1


@njit(nogil=True, cache=True)
def full_weight(position: float, taps: int, scale: float) -> float:
    """Sum of a widened kernel's weights, were the image endless."""
    first, last = tap_range(position, taps, scale)
    total: float = 0.0
    for pixel in range(first, last + 1):
        total += kernel_weight((position - 0.5 - pixel) / scale, taps)
    return total


@njit(nogil=True, cache=True)
def fill_weights(positions: Array, origin: int, taps: int, first: Whole, weights: Pixels) -> None:
    """First tap's pixel in the source, and the weights, of each position along one axis."""
    size = positions.size
    whole = -(taps // 2 - 1) - origin
    # One loop a kernel, over slices: the compiler takes several positions at a time.
    w0, w1, w2, w3 = weights[0, :size], weights[1, :size], weights[2, :size], weights[3, :size]
    if taps == 2:
        for point in range(size):
            below = np.floor(positions[point] - 0.5)
            first[point] = np.int64(below) + whole
            f = np.float32(positions[point] - 0.5 - below)
            w0[point] = np.float32(1.0) - f
            w1[point] = f
    elif taps == 4:
        for point in range(size):
            below = np.floor(positions[point] - 0.5)
            first[point] = np.int64(below) + whole
            f = np.float32(positions[point] - 0.5 - below)
            w0[point] = ((np.float32(-0.5) * f + np.float32(1.0)) * f - np.float32(0.5)) * f
            w1[point] = (np.float32(1.5) * f - np.float32(2.5)) * f * f + np.float32(1.0)
            w2[point] = ((np.float32(-1.5) * f + np.float32(2.0)) * f + np.float32(0.5)) * f
            w3[point] = (np.float32(0.5) * f - np.float32(0.5)) * f * f
    else:
        for point in range(size):
            below = np.floor(positions[point] - 0.5)
            first[point] = np.int64(below) + whole
            _lanczos(positions[point] - 0.5 - below, weights, point)


@njit(nogil=True, cache=True)
def _cosine(x: float) -> float:
    """Cosine of up to half pi, to 1e-10: what single-precision weights need, at a tenth of the library's time."""
    y = x * x
    series: float = 1.0 + y * (-1 / 2 + y * (1 / 24 + y * (-1 / 720 + y * (1 / 40320 + y * (-1 / 3628800 + y * (
        1 / 479001600 - y / 87178291200))))))  # fmt: skip
    return series


@njit(nogil=True, cache=True)
def _sine(x: float) -> float:
    """Sine of up to half pi, to 1e-10."""
    y = x * x
    series: float = 1.0 + y * (-1 / 6 + y * (1 / 120 + y * (-1 / 5040 + y * (1 / 362880 + y * (-1 / 39916800 + y * (
        1 / 6227020800 - y / 1307674368000))))))  # fmt: skip
    return x * series


@njit(nogil=True, cache=True)
def _lanczos(fraction: float, weights: Pixels, point: int) -> None:
    """Lanczos3 weights with three sines instead of twelve: sin(pi (f + k)) is +-sin(pi f).

    They are scaled to a sum of one, as a constant image must stay what it is.
    """
    if fraction < 1e-9:
        for tap in range(6):
            weights[tap, point] = np.float32(tap == 2)
        return
    sine = _cosine(np.pi * (fraction - 0.5))
    third = _sine(np.pi * fraction / 3.0)
    cothird = _cosine(np.pi * fraction / 3.0)
    half_root = 0.8660254037844386  # sin(pi / 3); cos(pi / 3) is a half
    # sin(pi (f + 2 - tap)) sin(pi (f + 2 - tap) / 3) by the addition theorem, over the distance squared.
    ahead = half_root * cothird
    w0 = sine * (ahead - 0.5 * third) / ((fraction + 2.0) * (fraction + 2.0))
    w1 = -sine * (ahead + 0.5 * third) / ((fraction + 1.0) * (fraction + 1.0))
    w2 = sine * third / (fraction * fraction)
    w3 = -sine * (0.5 * third - ahead) / ((fraction - 1.0) * (fraction - 1.0))
    w4 = sine * (-0.5 * third - ahead) / ((fraction - 2.0) * (fraction - 2.0))
    w5 = sine * third / ((fraction - 3.0) * (fraction - 3.0))
    share = 1.0 / (w0 + w1 + w2 + w3 + w4 + w5)
    weights[0, point] = np.float32(w0 * share)
    weights[1, point] = np.float32(w1 * share)
    weights[2, point] = np.float32(w2 * share)
    weights[3, point] = np.float32(w3 * share)
    weights[4, point] = np.float32(w4 * share)
    weights[5, point] = np.float32(w5 * share)
