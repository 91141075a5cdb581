"""Resampling: the weights, the compiled kernel, and the plain numpy formula it must equal.

A pixel holds a value if and only if the source pixel that its position falls in does. Taps outside the image or
without a value are left out, and the weights of the rest are scaled up.
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from numba import njit

from processing.geometry.tap_kernel import LEAST_WEIGHT, resample_tile
from processing.geometry.weight_kernel import tap_range

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Resampling(StrEnum):
    """How source pixels make an output pixel."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    """Keys (1981), a = -0.5: exact for quadratics."""
    LANCZOS = "lanczos"
    """Lanczos3."""

    @property
    def taps(self) -> int:
        """Source pixels a side that go into one output pixel."""
        return {"nearest": 1, "bilinear": 2, "cubic": 4, "lanczos": 6}[self.value]


def resample(
    source: Pixels,
    origin: tuple[int, int],
    image: tuple[int, int],
    line: Array,
    sample: Array,
    taps: int,
    result: Pixels,
    scale: tuple[float, float] = (1.0, 1.0),
) -> int:
    """Fill ``result`` (bands, points) from the part of an image that was read.

    Parameters
    ----------
    source
        ``(band, line, sample)``, NaN where no value.
    origin
        Line and sample of its first pixel in the image.
    image
        Lines and samples of the whole image.
    line, sample
        Positions in the whole image, flat; NaN for none.
    taps
        As :attr:`Resampling.taps`.
    result
        Written; NaN where no value.
    scale
        Source pixels a step of the output, by line and sample. Above 1 the kernel is widened by it, so that what is
        finer than the output does not alias.

    Returns
    -------
    int
        Points of which a tap lies in the image but not in ``source``: not zero means the plan is wrong.
    """
    interleaved = np.ascontiguousarray(np.moveaxis(source, 0, -1), dtype=np.float32)
    return int(resample_tile(interleaved, origin, image, line, sample, taps, scale, result))


@njit(nogil=True, cache=True)
def any_tap(
    mask: Mask,
    origin: tuple[int, int],
    image: tuple[int, int],
    line: Array,
    sample: Array,
    taps: int,
    scale: tuple[float, float],
    result: Mask,
) -> None:
    """Fill ``result`` (points): whether any tap in the image lies on a true pixel of a mask, read as ``source`` is."""
    for point in range(line.size):
        result[point] = False
        if not (0.0 <= line[point] < image[0] and 0.0 <= sample[point] < image[1]):
            continue
        if taps == 1:
            result[point] = mask[int(line[point]) - origin[0], int(sample[point]) - origin[1]]
            continue
        top, bottom = tap_range(line[point], taps, max(scale[0], 1.0))
        left, right = tap_range(sample[point], taps, max(scale[1], 1.0))
        for row in range(max(top - origin[0], 0), min(bottom + 1 - origin[0], mask.shape[0])):
            for col in range(max(left - origin[1], 0), min(right + 1 - origin[1], mask.shape[1])):
                result[point] |= mask[row, col]


def resample_reference(
    source: Pixels,
    line: Array,
    sample: Array,
    resampling: Resampling,
    scale: tuple[float, float] = (1.0, 1.0),
) -> Pixels:
    """The same from a whole image in plain numpy, float64: the oracle of :func:`resample`, slow and short."""
    bands, lines, samples = source.shape
    result = np.full((bands, line.size), np.nan)
    inside = (line >= 0) & (line < lines) & (sample >= 0) & (sample < samples)
    row, col = np.floor(line[inside]).astype(int), np.floor(sample[inside]).astype(int)
    nearest = source[:, row, col].astype(np.float64)
    total, weight, whole = np.zeros_like(nearest), np.zeros_like(nearest), np.zeros_like(nearest)
    reach = [int(np.ceil(3 * max(factor, 1.0))) + 1 for factor in scale]
    for down in range(-reach[0], reach[0] + 1):
        for right in range(-reach[1], reach[1] + 1):
            y, x = row + down, col + right
            share = _kernel((line[inside] - 0.5 - y) / max(scale[0], 1.0), resampling)
            share = share * _kernel((sample[inside] - 0.5 - x) / max(scale[1], 1.0), resampling)
            present = (y >= 0) & (y < lines) & (x >= 0) & (x < samples)
            value = source[:, np.clip(y, 0, lines - 1), np.clip(x, 0, samples - 1)].astype(np.float64)
            known = present & ~np.isnan(value)
            total += np.where(known, share * np.nan_to_num(value), 0.0)
            weight += np.where(known, share, 0.0)
            whole += share
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(weight >= LEAST_WEIGHT * whole, total / weight, nearest)
    value = nearest if resampling is Resampling.NEAREST else value
    result[:, inside] = np.where(np.isnan(nearest), np.nan, value)
    return result.astype(np.float32)


def _kernel(distance: Array, resampling: Resampling) -> Array:
    """The interpolation kernel as the literature prints it."""
    t = np.abs(distance)
    if resampling is Resampling.BILINEAR:
        return np.maximum(1.0 - t, 0.0)
    if resampling is Resampling.CUBIC:
        inner = 1.5 * t**3 - 2.5 * t**2 + 1.0
        outer = -0.5 * t**3 + 2.5 * t**2 - 4.0 * t + 2.0
        return np.where(t <= 1.0, inner, np.where(t < 2.0, outer, 0.0))
    if resampling is Resampling.LANCZOS:
        return np.where(t < 3.0, np.sinc(t) * np.sinc(t / 3.0), 0.0)
    return np.zeros_like(t)
