"""Coarser levels: each pixel the mean of the valid ones among the four below it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from processing.archive.encode_kernel import gather_flags_into, halve_into, halve_reals_into
from processing.archive.layout import level_shapes


def level_geoboxes(geobox: GeoBox) -> tuple[GeoBox, ...]:
    """Grids of all levels, finest first. All share the upper left corner; pixels double exactly."""
    boxes = []
    for index, shape in enumerate(level_shapes((int(geobox.shape[0]), int(geobox.shape[1])))):
        boxes.append(GeoBox(shape, geobox.affine @ geobox.affine.scale(2**index), geobox.crs))
    return tuple(boxes)


def halve(stored: npt.NDArray[Any], nodata: float) -> npt.NDArray[Any]:
    """One level coarser.

    Decoding is linear, so the mean of the stored integers is the stored form of the mean of the values; computed
    in integers and rounded once, half to even, it depends on nothing but the pixels.

    Parameters
    ----------
    stored
        Integers ``(rows, columns)``, or real numbers with NaN for nodata.
    nodata
        The absent value: it does not count, and results where all four are absent.

    Returns
    -------
    halved
        Same type, ``(ceil(rows / 2), ceil(columns / 2))``.
    """
    halved = np.empty(half_shape(stored.shape), dtype=stored.dtype)
    if stored.dtype.kind == "f":
        halve_reals_into(stored, halved)
    else:
        halve_into(stored, int(nodata), halved)
    return halved


def halve_qa(qa: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """One level coarser: a flag is up where it is up in any of the four pixels."""
    halved = np.empty(half_shape(qa.shape), dtype=np.uint16)
    gather_flags_into(qa, halved)
    return halved


def half_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns one level coarser."""
    return (shape[0] + 1) // 2, (shape[1] + 1) // 2
