"""Quicklooks and image masks of a delivery."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Counts = npt.NDArray[np.uint16]


def write_picture(path: Path, counts: Counts, longest: int) -> None:
    """JPEG of one or three bands, stretched between the 1st and 97th percentile per band.

    Parameters
    ----------
    path
        Where to.
    counts
        (bands, lines, samples), one band or red, green, blue.
    longest
        Longest side of the picture, px; the image is averaged down to it.
    """
    factor = max(-(-max(counts.shape[1:]) // longest), 1)
    rows, cols = counts.shape[1] // factor, counts.shape[2] // factor
    blocks = counts[:, : rows * factor, : cols * factor].reshape(counts.shape[0], rows, factor, cols, factor)
    small = blocks.mean(axis=(2, 4), dtype=np.float32)
    low, high = (np.percentile(small, level, axis=(1, 2))[:, None, None] for level in (1, 97))
    shown = (np.clip((small - low) / np.maximum(high - low, 1), 0, 1) ** 0.7 * 255).astype(np.uint8)
    picture = Image.fromarray(shown[0]) if len(shown) == 1 else Image.fromarray(np.moveaxis(shown, 0, -1))
    picture.save(path, format="JPEG", quality=88)
