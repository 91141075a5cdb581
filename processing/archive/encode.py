"""Physical values to stored integers and back."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from processing.archive.encode_kernel import encode_into
from processing.model.errors import Defect
from processing.model.product import Encoding

Stored = npt.NDArray[np.integer]


def stored_range(encoding: Encoding) -> tuple[int, int]:
    """Lowest and highest integer that may stand for a value: the type's range without ``nodata``.

    Raises
    ------
    Defect
        ``encoding.nodata`` if ``nodata`` lies inside the type's range: a value could then pass for its absence.
    """
    info = np.iinfo(np.dtype(encoding.dtype))
    if encoding.nodata == info.min:
        return int(info.min) + 1, int(info.max)
    if encoding.nodata == info.max:
        return int(info.min), int(info.max) - 1
    raise Defect(
        f"nodata {encoding.nodata} of {encoding.title!r} is neither the lowest nor the highest {encoding.dtype}",
        kind="encoding.nodata",
    )


def encode(values: npt.NDArray[np.floating], encoding: Encoding) -> tuple[Stored, npt.NDArray[np.bool_]]:
    """Physical values as stored integers.

    Parameters
    ----------
    values
        Physical values, any shape; NaN where there is none.
    encoding
        value = stored * scale + offset.

    Returns
    -------
    stored
        Same shape, ``encoding.dtype``. Rounded half to even; ``nodata`` for NaN and for nothing else; values
        beyond the stored range, infinities among them, take the nearest end of it.
    clipped
        bool, same shape: true where a value lay beyond the range.
    """
    plane = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    stored = np.empty(plane.shape, dtype=encoding.dtype)
    flags = np.zeros(plane.shape, dtype=np.uint16)
    encode_into(plane, encoding.scale, encoding.offset, limits_of(encoding), stored, (0, 0), flags, (0, 1))
    return stored.reshape(values.shape), flags.reshape(values.shape) == 1


def fill_of(encoding: Encoding) -> float:
    """What is stored where there is no value."""
    return np.nan if np.dtype(encoding.dtype).kind == "f" else encoding.nodata


def limits_of(encoding: Encoding) -> tuple[int, int, int]:
    """Nodata, and the lowest and highest integer for a value."""
    return encoding.nodata, *stored_range(encoding)


def decode(stored: Stored, encoding: Encoding) -> npt.NDArray[np.float32]:
    """Stored integers as physical values.

    Returns
    -------
    values
        float32, same shape: ``stored * scale + offset`` computed in float64 and rounded once; NaN for nodata.
    """
    table, low = _decoding_table(encoding.dtype, encoding.scale, encoding.offset, encoding.nodata)
    return table[stored.astype(np.int32) - low] if low else table[stored]


@lru_cache(maxsize=64)
def _decoding_table(dtype: str, scale: float, offset: float, nodata: int) -> tuple[npt.NDArray[np.float32], int]:
    """The value of every stored integer: 16 bits have 65,536 of them, so looking up beats computing."""
    info = np.iinfo(np.dtype(dtype))
    table = (np.arange(info.min, int(info.max) + 1, dtype=np.float64) * scale + offset).astype(np.float32)
    table[nodata - int(info.min)] = np.nan
    table.flags.writeable = False
    return table, int(info.min)
