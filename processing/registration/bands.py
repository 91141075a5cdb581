"""How well the bands of one product lie on each other: predicted by the sensor models, and measured in the pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from processing.geometry.extent import plausible_heights
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.registration.correlate import gradient_magnitude, phase_shift

Image = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

LEAST_WINDOWS = 5
"""Fewer that agree say nothing."""
LARGEST_ERROR_PX = 0.1
"""A median less certain than this (standard error) is no measurement."""
_FARTHEST_PX = 8.0
"""Bands of one acquisition are never farther apart: what is found there is a coincidence."""
_SAME_BRIGHTNESS = 0.1
"""Below this correlation bands differ in sign or kind of brightness (vegetation in red and near infrared)."""
_UPSAMPLE = 50
"""Steps a pixel of one window's displacement: 0.006 px, and 16 windows bring it below what scatters anyway."""
_NMAD = 1.4826
_OUTLIER = 3.0
_LEAST_SCATTER_PX = 0.05
"""Windows this near their median are no outliers, however well the others agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShift:
    """Displacement of one band against another over a product."""

    reference: str
    band: str
    windows: int
    """Places that were compared."""
    agreeing: int
    """Of these, the ones that found a displacement within the scatter of the others."""
    down_px: float
    right_px: float
    """Median: the band shows at ``(row + down, column + right)`` what the reference shows at ``(row, column)``."""
    nmad_px: float
    """Scatter of one window about the median: the larger of both axes, NMAD."""

    @property
    def error_px(self) -> float:
        """Standard error of the median, for a normal scatter."""
        return 1.2533 * self.nmad_px / sqrt(self.agreeing) if self.agreeing else float("inf")

    @property
    def offset_px(self) -> float:
        """Length of the displacement."""
        return float(np.hypot(self.down_px, self.right_px))

    @property
    def not_measurable(self) -> str | None:
        """Why this is no measurement; None where it is one."""
        if self.agreeing < LEAST_WINDOWS:
            return f"{self.agreeing} of {self.windows} windows agree, {LEAST_WINDOWS} are needed"
        if 2 * self.agreeing < self.windows:
            return f"only {self.agreeing} of {self.windows} windows agree"
        if not self.error_px <= LARGEST_ERROR_PX:
            return f"the windows scatter by {self.nmad_px:.2f} px"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOffset:
    """Where one group of bands sees the ground that another sees, by their sensor models.

    ``line = line_scale * reference line + line_px``, samples alike, in corner-zero coordinates.
    """

    line_scale: float
    sample_scale: float
    line_px: float
    sample_px: float
    spread_px: float
    """Largest departure from these straight lines over the image: why a factor is no substitute for the model."""


def predicted_offset(
    reference: SensorModel, model: SensorModel, shape: tuple[int, int], heights: tuple[float, float]
) -> GroupOffset | None:
    """Relation between the sampling grids of two detector arrays, by least squares over an image and its heights.

    Parameters
    ----------
    reference, model
        Models of the two arrays (multispectral and panchromatic).
    shape
        Lines and samples of the reference's image.
    heights
        Lowest and highest ground, m above the ellipsoid.

    Returns
    -------
    GroupOffset or None
        None where the second does not see what the first sees.
    """
    line, sample, height = np.meshgrid(
        np.linspace(0, shape[0], 9), np.linspace(0, shape[1], 9), np.array(heights), indexing="ij"
    )
    seen_line, seen_sample = model.ground_to_image(*reference.image_to_ground(line, sample, height), height)
    if not (np.isfinite(seen_line).all() and np.isfinite(seen_sample).all()):
        return None
    fits, left = [], []
    for seen, at in ((seen_line, line), (seen_sample, sample)):
        scale, offset = np.polyfit(at.ravel(), seen.ravel(), 1)
        fits.append((float(scale), float(offset)))
        left.append(seen - (scale * at + offset))
    return GroupOffset(
        line_scale=fits[0][0],
        sample_scale=fits[1][0],
        line_px=fits[0][1],
        sample_px=fits[1][1],
        spread_px=float(np.hypot(*left).max()),
    )


def model_relations(scenes: Sequence[Scene]) -> dict[str, Any]:
    """How the sampling grids of one acquisition's detector arrays lie to each other, by their models.

    Returns
    -------
    dict
        JSON-ready: ``models`` with ``reference``, the group with most bands, and the :class:`GroupOffset` of every
        other group; empty where there is only one group.
    """
    first, *others = sorted(scenes, key=lambda scene: -len(scene.bands))
    relations: dict[str, Any] = {}
    for scene in others:
        if first.model is not None and scene.model is not None:
            found = predicted_offset(first.model, scene.model, first.shape, plausible_heights(first.model))
            if found is not None:
                relations[scene.group] = {name: float(f"{value:.8g}") for name, value in asdict(found).items()}
    return {"models": {"reference": first.group, **relations}} if relations else {}


def good_spots(image: Image, side: int, *, across: int = 4) -> list[tuple[int, int]]:
    """Where to compare bands: the most textured window of each field of a chessboard over the valid area.

    Parameters
    ----------
    image
        ``(rows, columns)``, NaN where there is nothing to compare; may be a coarse picture of the real one.
    side
        Of a window, px.
    across
        Fields along either side.

    Returns
    -------
    list
        Row and column of each window's first pixel. Windows hold no NaN and do not overlap by more than half.
    """
    known = np.isfinite(image)
    if min(image.shape) < side or not known.any():
        return []
    filled = np.where(known, image, np.float32(0))
    edges = np.nan_to_num(gradient_magnitude(np.where(known, image, np.nan)))
    # A window's mean stands at its centre; moved so that it stands at its first pixel.
    where = (
        slice(side // 2, side // 2 + image.shape[0] - side + 1),
        slice(side // 2, side // 2 + image.shape[1] - side + 1),
    )
    whole = uniform_filter(known.astype(np.float64), side, mode="constant")[where] > 1.0 - 0.5 / side**2
    texture = uniform_filter(edges.astype(np.float64), side, mode="constant")[where]
    bright = uniform_filter(np.abs(filled).astype(np.float64), side, mode="constant")[where]
    score = np.where(whole & (texture > 1e-4 * bright), texture, -np.inf)
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    if not rows.size:
        return []
    spots: list[tuple[int, int]] = []
    for low, high in _fields(int(rows[0]), int(rows[-1]) + 1, side, across):
        for left, right in _fields(int(columns[0]), int(columns[-1]) + 1, side, across):
            field = score[low:high, left:right]
            row, column = np.unravel_index(int(field.argmax()), field.shape)
            if np.isfinite(field[row, column]):
                spots.append((low + int(row), left + int(column)))
    return spots


def _fields(first: int, last: int, side: int, across: int) -> list[tuple[int, int]]:
    """Ranges of first pixels: as many as fit when windows of neighbouring fields overlap by half at most."""
    count = max(1, min(across, (last - first) // (side // 2)))
    edges = np.linspace(first, last, count + 1).round().astype(int)
    return [(int(low), int(high)) for low, high in pairwise(edges)]


def window_shifts(
    windows: Mapping[str, Image], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Displacement of each pair of bands in one window, rows and columns, px; NaN where none was found.

    Spectra are not normalised: resampling has emptied the high frequencies, and what is left of them is noise
    (measured on Sentinel-2 bands moved by (0.37, -0.62) px: 0.00 px off, against 0.06 px with edges). Where
    brightness itself does not correlate, edges do.

    Parameters
    ----------
    windows
        One patch a band, all of the same pixels.
    pairs
        Reference and band.
    """
    found = {}
    for reference, band in pairs:
        first, second = windows[reference], windows[band]
        shift = phase_shift(first, second, upsample=_UPSAMPLE, normalization=None)
        if not shift.found or shift.correlation < _SAME_BRIGHTNESS:
            edges = gradient_magnitude(first), gradient_magnitude(second)
            shift = phase_shift(*edges, upsample=_UPSAMPLE, normalization="phase")
        near = shift.found and max(abs(shift.dy), abs(shift.dx)) <= _FARTHEST_PX
        found[(reference, band)] = (shift.dy, shift.dx) if near else (float("nan"), float("nan"))
    return found


def agreed_shift(reference: str, band: str, shifts: Sequence[tuple[float, float]]) -> PairShift:
    """What the windows of one pair agree on: the median after outliers, and their scatter.

    Parameters
    ----------
    shifts
        Rows and columns, px, of every window that was compared; NaN where it found nothing.
    """
    known = np.array([shift for shift in shifts if all(map(isfinite, shift))], dtype=np.float64).reshape(-1, 2)
    kept = known
    for _ in range(3):
        if not len(kept):
            break
        middle = np.median(kept, axis=0)
        scatter = max(_scatter(kept, middle), _LEAST_SCATTER_PX)
        kept = known[(np.abs(known - middle) <= _OUTLIER * scatter).all(axis=1)]
    middle = np.median(kept, axis=0) if len(kept) else np.full(2, np.nan)
    return PairShift(
        reference=reference,
        band=band,
        windows=len(shifts),
        agreeing=len(kept),
        down_px=float(middle[0]),
        right_px=float(middle[1]),
        nmad_px=_scatter(kept, middle) if len(kept) else float("nan"),
    )


def _scatter(shifts: Array, middle: Array) -> float:
    return float(_NMAD * np.median(np.abs(shifts - middle), axis=0).max())
