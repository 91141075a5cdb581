"""Figures that turn counts into physical values, as the fused stage takes them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``value = (dn * gain + offset) / illumination``, a gain and an offset for each band.

    Linear in the counts, with an illumination that is smooth over the scene: values made from resampled counts are
    those resampled from values. Tuples only: the same Dask token in every process.
    """

    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    illumination: tuple[tuple[float, ...], ...] = ((1.0,),)
    """Nodes from the scene's first corner to its last, lines first, bilinear between. One node: the same everywhere."""
    nodata: int | None = None
    """Count that stands for no value."""
    saturated: int | None = None
    """Counts from here on are saturated."""

    def light(self, shape: tuple[int, int], lines: tuple[int, int], samples: tuple[int, int]) -> Array:
        """Illumination at the pixel centres of a rectangle (ends excluded) of a scene, bilinear between nodes.

        Parameters
        ----------
        shape
            Lines and samples of the scene.
        lines, samples
            First and last (excluded) of the rectangle.
        """
        nodes = np.array(self.illumination)
        down, row = _place(lines, shape[0], nodes.shape[0])
        right, col = _place(samples, shape[1], nodes.shape[1])
        last_row, last_col = np.array(nodes.shape) - 1
        along = nodes[row] * (1.0 - down)[:, None] + nodes[np.minimum(row + 1, last_row)] * down[:, None]
        return np.asarray(along[:, col] * (1.0 - right) + along[:, np.minimum(col + 1, last_col)] * right)


def _place(pixels: tuple[int, int], size: int, nodes: int) -> tuple[Array, npt.NDArray[np.intp]]:
    """Fraction beyond, and index of, the node before each pixel centre."""
    position = (np.arange(*pixels) + 0.5) / size * (nodes - 1)
    index = np.minimum(position.astype(np.intp), max(nodes - 2, 0))
    return position - index, index
