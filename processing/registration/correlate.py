"""By how much one image patch is displaced against another: phase correlation, to hundredths of a pixel."""

from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter1d

from processing.model.errors import Defect

Image = npt.NDArray[np.float32]
Normalization = Literal["phase"] | None

_LEAST_SIDE_PX = 8
_ROUNDS = 10
_ZOOM = np.arange(-3, 4) / 4
"""Where the correlation is looked at around a peak, in steps of the last look; half a step is enough, the rest is for
peaks that lean."""
_SETTLED_PX = 0.6
"""More than this left and the patches are cut anew; half a pixel and some, so that no round undoes the last."""
_PEAK_RADIUS_PX = 3
"""A correlation peak of natural texture is about this wide; what rises farther off is a rival."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Displacement of a patch, and how far it is to be trusted."""

    dy: float
    dx: float
    """Rows and columns, px: the moving image shows at ``(y + dy, x + dx)`` what the reference shows at ``(y, x)``.
    NaN when none was found."""
    correlation: float
    """Pearson's coefficient of both patches after displacement by whole pixels, windowed; -1 to 1."""
    ratio: float
    """Height of the correlation peak over the highest one elsewhere; 1 = ambiguous."""

    @property
    def found(self) -> bool:
        """Whether there is a displacement at all."""
        return isfinite(self.dy) and isfinite(self.dx)

    @property
    def quality(self) -> float:
        """0 (ambiguous, or nothing found) to 1 (no rival peak at all)."""
        return max(0.0, 1.0 - 1.0 / self.ratio) if self.found else 0.0


NO_SHIFT = Shift(nan, nan, 0.0, 1.0)


def phase_shift(
    reference: npt.NDArray[np.floating],
    moving: npt.NDArray[np.floating],
    *,
    upsample: int = 100,
    normalization: Normalization = "phase",
) -> Shift:
    """Displacement between two patches of one size, by correlation of their spectra.

    Found to whole pixels first; then both patches are cut to the ground they share, and the windows they fade under
    are laid on the same ground too, until the result stands: a window on other ground in each draws it towards zero
    (measured: by 0.09 px of 0.5 where low frequencies dominate). The fraction comes from the matrix
    DFT of Guizar-Sicairos et al. (2008), zoomed in on by fours: 49 values of the correlation a step, where a single
    fine grid (as scikit-image lays it) takes thousands.

    Parameters
    ----------
    reference, moving
        ``(h, w)``, any physical unit, h and w at least 8. A patch with NaN, or without texture, has no displacement.
    upsample
        Resolution of the result, 1 / px. 10 floors the error at 0.03 px.
    normalization
        ``"phase"``: every spatial frequency counts the same, right where brightness differs (another band, another
        day). ``None``: frequencies count by their power, better with noise, and for patches that were resampled: the
        frequencies that resampling took have nothing to say (measured: 0.016 px against 0.003).

    Returns
    -------
    Shift
        ``found`` is False where the patches show nothing in common or the ground they share is under half a side.

    Raises
    ------
    Defect
        ``correlate.shape`` for arrays that are not two patches of one size.

    References
    ----------
    Guizar-Sicairos, Thurman, Fienup (2008), Efficient subpixel image registration algorithms, Opt. Lett. 33, 156.
    """
    if reference.ndim != 2 or reference.shape != moving.shape or min(reference.shape) < _LEAST_SIDE_PX:
        raise Defect(f"cannot correlate patches {reference.shape} and {moving.shape}", kind="correlate.shape")
    if not (np.isfinite(reference).all() and np.isfinite(moving).all()):
        return NO_SHIFT
    if np.ptp(reference) == 0 or np.ptp(moving) == 0:
        return NO_SHIFT
    whole, ratio = _whole_pixels(reference, moving, normalization)
    fraction = np.zeros(2)
    for _ in range(_ROUNDS):
        cut = _shared(reference, moving, whole)
        if cut is None:
            return NO_SHIFT
        fixed, moved = _windowed(cut[0]), _windowed(cut[1], fraction)
        if not (fixed.any() and moved.any()):
            return NO_SHIFT
        left = _displaced(fixed, moved, upsample, normalization)
        settled = np.abs(left - fraction).max() <= 1.0 / upsample
        step = np.where(np.abs(left) > _SETTLED_PX, np.round(left), 0.0)
        whole, fraction = whole + step.astype(int), left - step
        if settled and not step.any():
            correlation = float((fixed * moved).sum() / np.sqrt((fixed**2).sum() * (moved**2).sum()))
            return Shift(float(whole[0] + left[0]), float(whole[1] + left[1]), correlation, ratio)
    return NO_SHIFT


def gradient_magnitude(image: npt.NDArray[np.floating], sigma: float = 1.0) -> Image:
    """Edges of an image: what bands and seasons that differ in brightness still have in common.

    Parameters
    ----------
    image
        ``(h, w)``, any unit; NaN where no value, and then NaN as far as the filter reaches.
    sigma
        Of the Gaussian whose derivative is taken, px.

    Returns
    -------
    ndarray
        float32 ``(h, w)``, unit of the image a pixel.
    """
    values = image.astype(np.float32)
    down = gaussian_filter1d(gaussian_filter1d(values, sigma, axis=1), sigma, axis=0, order=1)
    right = gaussian_filter1d(gaussian_filter1d(values, sigma, axis=0), sigma, axis=1, order=1)
    return np.hypot(down, right).astype(np.float32)


def edges(image: npt.NDArray[np.floating], sigma: float = 1.0, *, most_void: float = 0.1) -> Image | None:
    """Gradient magnitude of a patch that may have a few holes, as those of an elevation model.

    Holes are closed with the nearest value before the filter, and hold the mean gradient after it: their outlines,
    which lie at the same place in both patches and would correlate, vanish.

    Parameters
    ----------
    image
        ``(h, w)``, any unit; NaN where no value.
    sigma
        As of :func:`gradient_magnitude`.
    most_void
        Part of the patch that may have no value.

    Returns
    -------
    ndarray or None
        float32 ``(h, w)`` without NaN; None where more is missing.
    """
    void = np.isnan(image)
    if not void.any():
        return gradient_magnitude(image, sigma)
    if void.mean() > most_void:
        return None
    nearest = distance_transform_edt(void, return_distances=False, return_indices=True)
    gradient = gradient_magnitude(image[tuple(nearest)], sigma)
    touched = binary_dilation(void, iterations=max(1, round(2 * sigma)))
    gradient[touched] = gradient[~touched].mean() if not touched.all() else 0.0
    return gradient


def _displaced(
    fixed: npt.NDArray[np.float64], moved: npt.NDArray[np.float64], upsample: int, normalization: Normalization
) -> npt.NDArray[np.float64]:
    """What ``moved`` is displaced by against ``fixed``, px, to steps of ``1 / upsample`` or finer.

    The peak of largest magnitude: patches whose brightness is opposite have a negative one.
    """
    product = _cross_spectrum(fixed, moved, normalization)
    surface = np.abs(fft.irfft2(product, s=fixed.shape))
    peak = np.array(np.unravel_index(int(surface.argmax()), surface.shape))
    sizes = np.array(fixed.shape)
    at = np.where(peak > sizes // 2, peak - sizes, peak).astype(np.float64)
    # Half the spectrum of a real surface: but for its first column, every value stands for two.
    product[:, 1:] *= 2.0
    down = 2j * np.pi * fft.fftfreq(fixed.shape[0])
    right = 2j * np.pi * fft.rfftfreq(fixed.shape[1])
    step = 1.0
    while step > 1.0 / upsample:
        rows, cols = (position + step * _ZOOM for position in at)
        near = np.abs((np.exp(np.outer(rows, down)) @ product @ np.exp(np.outer(right, cols))).real)
        row, col = np.unravel_index(int(near.argmax()), near.shape)
        at = np.array([rows[row], cols[col]])
        step /= 4
    return at


def _cross_spectrum(
    reference: npt.NDArray[np.float64], moving: npt.NDArray[np.float64], normalization: Normalization
) -> npt.NDArray[np.complex128]:
    """Half the spectrum of the correlation of two windowed patches, which peaks at their displacement."""
    product: npt.NDArray[np.complex128] = np.conj(fft.rfft2(reference)) * fft.rfft2(moving)
    if normalization == "phase":
        size = np.abs(product)
        product /= np.maximum(size, 100 * np.finfo(np.float64).eps * size.max())
    return product


def _windowed(patch: npt.NDArray[np.floating], offset: npt.ArrayLike = (0.0, 0.0)) -> npt.NDArray[np.float64]:
    """A patch without its mean, fading to zero at the edges (Hann), so that they do not correlate.

    ``offset``: rows and columns by which the window is displaced, to lie on the same ground as the other patch's.
    """
    down, right = (_hann(size, float(off)) for size, off in zip(patch.shape, np.asarray(offset), strict=True))
    window = np.outer(down, right)
    values = patch.astype(np.float64)
    return np.asarray((values - np.average(values, weights=window)) * window)


def _hann(size: int, offset: float) -> npt.NDArray[np.float64]:
    at = np.clip((np.arange(1, size + 1) - offset) / (size + 1), 0.0, 1.0)
    return np.asarray(np.sin(np.pi * at) ** 2)


def _whole_pixels(
    reference: npt.NDArray[np.floating], moving: npt.NDArray[np.floating], normalization: Normalization
) -> tuple[npt.NDArray[np.int_], float]:
    """Displacement in whole pixels, and how far its peak rises above the rest."""
    product = _cross_spectrum(_windowed(reference), _windowed(moving), normalization)
    surface = fft.irfft2(product, s=reference.shape)
    peak = np.array(np.unravel_index(int(surface.argmax()), surface.shape))
    highest = float(surface[tuple(peak)])
    sizes = np.array(surface.shape)
    around = np.arange(-_PEAK_RADIUS_PX, _PEAK_RADIUS_PX + 1)
    surface[np.ix_((peak[0] + around) % sizes[0], (peak[1] + around) % sizes[1])] = -inf
    rival = float(surface.max())
    wrapped = np.where(peak > sizes // 2, peak - sizes, peak)
    return wrapped, highest / rival if rival > 0 else inf


def _shared(
    reference: npt.NDArray[np.floating], moving: npt.NDArray[np.floating], whole: npt.NDArray[np.int_]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]] | None:
    """Both patches, cut to the ground they share after a displacement; None where that is too little."""
    down, right = int(whole[0]), int(whole[1])
    rows, cols = reference.shape
    if 2 * abs(down) > rows or 2 * abs(right) > cols or min(rows - abs(down), cols - abs(right)) < _LEAST_SIDE_PX:
        return None
    fixed = reference[max(-down, 0) : rows - max(down, 0), max(-right, 0) : cols - max(right, 0)]
    moved = moving[max(down, 0) : rows - max(-down, 0), max(right, 0) : cols - max(-right, 0)]
    return fixed, moved
