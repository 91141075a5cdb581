"""How far two sensor models of one image are apart."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

_LINES, _SAMPLES, _HEIGHTS = 25, 25, 5


class ImageToGround(Protocol):
    """Anything that says which ground an image point sees at a height."""

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)``, degrees."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDifference:
    """Where one model sees ground points minus where another sees them, px."""

    line_px: float
    """Mean."""
    sample_px: float
    """Mean."""
    spread_px: float
    """Largest distance from that mean: what a shift of the image would leave."""
    max_px: float
    """Largest distance of all."""


def compare_models(
    model: SensorModel, other: ImageToGround, shape: tuple[int, int], heights: tuple[float, float]
) -> ModelDifference | None:
    """How far ``model`` is from ``other`` over an image and a range of heights.

    Parameters
    ----------
    model, other
        Two models of the same image; of the second only its way to the ground is asked.
    shape
        Lines and samples.
    heights
        Lowest and highest ground, m above the ellipsoid.

    Returns
    -------
    ModelDifference or None
        None where either does not see the ground that the other sees.
    """
    line, sample, height = np.meshgrid(
        np.linspace(0.5, shape[0] - 0.5, _LINES),
        np.linspace(0.5, shape[1] - 0.5, _SAMPLES),
        np.linspace(*heights, _HEIGHTS),
        indexing="ij",
    )
    lon, lat = other.image_to_ground(line, sample, height)
    seen_line, seen_sample = model.ground_to_image(lon, lat, height)
    off = np.stack([seen_line - line, seen_sample - sample], axis=-1).reshape(-1, 2)
    if not np.isfinite(off).all():
        return None
    mean = off.mean(axis=0)
    return ModelDifference(
        line_px=float(mean[0]),
        sample_px=float(mean[1]),
        spread_px=float(np.hypot(*(off - mean).T).max()),
        max_px=float(np.hypot(*off.T).max()),
    )
