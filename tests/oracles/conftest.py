"""How oracles look at images: where a patch of one lies in the other."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.feature import match_template

from configs.registry import load_registry
from processing.model.levels import Quantity
from processing.model.scene import Scene
from processing.radiometry.stage import calibrate
from processing.readers.find import open_delivery

Image = npt.NDArray[np.float32]


@pytest.fixture
def scene_in_counts(realdata: Path) -> Callable[[str], Scene]:
    """Open an image of the real data, counts with NaN nodata."""

    def opened(name: str) -> Scene:
        delivery = open_delivery(realdata / name, sensors=load_registry().sensors)
        return calibrate(delivery.scenes[0], Quantity.DN)

    return opened


@pytest.fixture
def displacements() -> Callable[..., npt.NDArray[np.float64]]:
    """Displacements ``(patches, 2)`` in rows and columns from one image to another on the same grid, px.

    Normalised cross-correlation of gradient magnitudes (bands and years may differ), peak by parabola.
    """

    def measured(
        first: Image, second: Image, *, patch: int, search: int, blur: float = 1.0, least: float = 0.5
    ) -> npt.NDArray[np.float64]:
        a, b = gaussian_gradient_magnitude(first, blur), gaussian_gradient_magnitude(second, blur)
        found = []
        for row in range(search, a.shape[0] - patch - search, patch // 2):
            for col in range(search, a.shape[1] - patch - search, patch // 2):
                template = a[row : row + patch, col : col + patch]
                around = b[row - search : row + patch + search, col - search : col + patch + search]
                if np.isnan(template).any() or np.isnan(around).any():
                    continue
                score = match_template(around, template)
                peak = np.array(np.unravel_index(score.argmax(), score.shape))
                if score.max() < least or (peak < 1).any() or (peak >= np.array(score.shape) - 1).any():
                    continue
                found.append(peak - search + [_vertex(score, peak, axis) for axis in (0, 1)])
        return np.array(found)

    return measured


def _vertex(score: npt.NDArray[np.float64], peak: npt.NDArray[np.intp], axis: int) -> float:
    """Where the parabola through a peak and its neighbours has its top, px from the peak."""
    step = np.eye(2, dtype=int)[axis]
    before, at, after = (score[tuple(peak + offset * step)] for offset in (-1, 0, 1))
    return float((before - after) / (2 * (before - 2 * at + after)))
