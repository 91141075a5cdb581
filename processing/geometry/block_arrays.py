"""Blocks of an orthoimage as labelled lazy arrays."""

import operator

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed, delayed
from odc.geo.xr import xr_coords

from processing.geometry.block import OrthoBlocks


def block_arrays(
    blocks: OrthoBlocks, made: Delayed, token: str, bands: tuple[str, ...]
) -> tuple[xr.DataArray, xr.DataArray]:
    """Pixels ``(band, y, x)`` and qa ``(y, x)``, lazy.

    Parameters
    ----------
    blocks
        What the image consists of.
    made
        The same as a task.
    token
        Of all that the pixels depend on; goes into the names of tasks.
    bands
        Their names.
    """
    coords = xr_coords(blocks.job.geobox, dims=("y", "x"))
    pixels, qa = _graph(blocks, made, token)
    return (
        xr.DataArray(pixels, dims=("band", "y", "x"), coords={"band": list(bands), **coords}),
        xr.DataArray(qa, dims=("y", "x"), coords=coords),
    )


def _graph(blocks: OrthoBlocks, made: Delayed, token: str) -> tuple[da.Array, da.Array]:
    """Lazy pixels and qa; both are halves of the same tasks' results."""
    rows: list[list[tuple[da.Array, da.Array]]] = []
    for block in blocks.blocks:
        row, col = block.index
        result = delayed(OrthoBlocks.block)(made, block.index, dask_key_name=f"orthorectify-{token}-{row}-{col}")
        shape = block.window.shape
        halves = [
            da.from_delayed(
                delayed(operator.getitem)(result, half, dask_key_name=f"ortho-half-{name}-{token}-{row}-{col}"),
                (blocks.job.bands, *shape) if half == 0 else shape,
                dtype=dtype,
                name=f"ortho-{name}-{token}-{row}-{col}",
            )
            for half, (name, dtype) in enumerate((("pixels", np.float32), ("qa", np.uint16)))
        ]
        if col == 0:
            rows.append([])
        rows[-1].append((halves[0], halves[1]))
    pixels = da.concatenate([da.concatenate([pair[0] for pair in row], axis=2) for row in rows], axis=1)
    qa = da.concatenate([da.concatenate([pair[1] for pair in row], axis=1) for row in rows], axis=0)
    return pixels, qa
