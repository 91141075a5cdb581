"""Coarser levels: each pixel the mean of the valid ones among the four below it."""

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from processing.archive.encode import Stored
from processing.archive.layout import level_shapes


def level_geoboxes(geobox: GeoBox) -> tuple[GeoBox, ...]:
    """Grids of all levels, finest first. All share the upper left corner; pixels double exactly."""
    boxes = []
    for index, shape in enumerate(level_shapes((int(geobox.shape[0]), int(geobox.shape[1])))):
        boxes.append(GeoBox(shape, geobox.affine @ geobox.affine.scale(2**index), geobox.crs))
    return tuple(boxes)


def _quarters(array: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.generic], ...]:
    return tuple(array[row::2, column::2] for row in (0, 1) for column in (0, 1))


def _padded(array: npt.NDArray[np.generic], fill: int) -> npt.NDArray[np.generic]:
    """``array`` with one more row or column of ``fill`` where its length is odd."""
    rows, columns = array.shape[0] % 2, array.shape[1] % 2
    return np.pad(array, ((0, rows), (0, columns)), constant_values=fill) if rows or columns else array


def halve(stored: Stored, nodata: int) -> Stored:
    """One level coarser.

    Decoding is linear, so the mean of the stored integers is the stored form of the mean of the values; computed
    in integers and rounded once, half to even, it depends on nothing but the pixels.

    Parameters
    ----------
    stored
        Integers ``(rows, columns)``.
    nodata
        The absent value: it does not count, and results where all four are absent.

    Returns
    -------
    halved
        Same type, ``(ceil(rows / 2), ceil(columns / 2))``.
    """
    total: npt.NDArray[np.int64] | int = 0
    count: npt.NDArray[np.uint8] | int = 0
    for quarter in _quarters(_padded(stored, nodata)):
        valid = quarter != nodata
        total = total + np.where(valid, quarter, 0).astype(np.int64)
        count = count + valid.astype(np.uint8)
    mean = np.rint(total / np.maximum(count, 1))
    return np.where(count == 0, nodata, mean).astype(stored.dtype)


def halve_qa(qa: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """One level coarser: a flag is up where it is up in any of the four pixels."""
    combined: npt.NDArray[np.uint16] = np.bitwise_or.reduce(np.stack(_quarters(_padded(qa, 0))))
    return combined
