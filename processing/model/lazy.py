"""Pixels of a scene as labelled lazy arrays: what people and tests look at; the fused stage reads the source itself."""

import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from processing.model.calibration import Calibration
from processing.model.levels import Quantity
from processing.model.scene import PixelSource

CHUNK_PIXELS = 2048 * 2048
"""Pixels of one band in one chunk: 8 MB a band of 16-bit counts."""
_UNITS = {Quantity.DN: "1", Quantity.RADIANCE: "W m-2 sr-1 um-1", Quantity.TOA_REFLECTANCE: "1"}


def counts_array(source: PixelSource, bands: Sequence[str] | None = None) -> xr.DataArray:
    """A source as a lazy array, dims ``(band, line, sample)``, in chunks of whole stored blocks with all bands."""
    return xr.DataArray(_lazy(source), dims=("band", "line", "sample"), coords=_named(bands))


def values_array(
    source: PixelSource, bands: Sequence[str], calibration: Calibration, quantity: Quantity
) -> xr.DataArray:
    """The same in physical values: float32, NaN where nodata."""
    counts = _lazy(source)
    values = da.map_blocks(
        _values,
        counts,
        calibration=calibration,
        shape=source.shape[1:],
        name=f"calibrate-{tokenize(counts.name, calibration)}",
        dtype=np.float32,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )
    return xr.DataArray(
        values,
        dims=("band", "line", "sample"),
        coords=_named(bands),
        attrs={"units": _UNITS[quantity], "quantity": str(quantity)},
    )


def _named(bands: Sequence[str] | None) -> dict[str, list[str]]:
    return {} if bands is None else {"band": list(bands)}


def _lazy(source: PixelSource) -> da.Array:
    block = getattr(source, "block", (1, 1))
    shape = (source.shape[0], source.shape[1], source.shape[2])
    lazy: da.Array = da.from_array(
        source,
        chunks=(shape[0], *chunk_shape(block, shape[1:])),
        name=f"pixels-{tokenize(source)}",
        lock=False,
        asarray=False,
        fancy=False,
        inline_array=True,
        meta=np.empty((0, 0, 0), source.dtype),
    )
    return lazy


def chunk_shape(block: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Lines and samples of a chunk: whole stored blocks, about :data:`CHUNK_PIXELS` pixels, near square."""
    side = math.isqrt(CHUNK_PIXELS)
    samples = min(shape[1], max(1, side // block[1]) * block[1])
    lines = min(shape[0], max(1, (CHUNK_PIXELS // max(samples, 1)) // block[0]) * block[0])
    return lines, samples


def _values(
    counts: npt.NDArray[Any],
    *,
    calibration: Calibration,
    shape: tuple[int, int],
    block_info: dict[Any, Any] | None = None,
) -> npt.NDArray[np.float32]:
    """Values of one block of counts (all bands), float64 inside."""
    assert block_info is not None
    _, lines, samples = block_info[0]["array-location"]
    result = np.empty(counts.shape, dtype=np.float32)
    light = calibration.light(shape, tuple(lines), tuple(samples))
    for band, dn in enumerate(counts):
        value = (dn * np.float64(calibration.gains[band]) + calibration.offsets[band]) / light
        if calibration.nodata is not None:
            value[dn == calibration.nodata] = np.nan
        result[band] = value
    return result
