"""The stage that puts a scene on a map: one lazy graph, one fused task for each shard and all its bands."""

import operator
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize
from dask.delayed import delayed
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from processing.geometry.mapping import map_pixels
from processing.geometry.plan import OrthoBlock, OrthoPlan, Window
from processing.geometry.resample import Resampling, any_tap, resample
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput, Defect
from processing.model.image import OrthoImage
from processing.model.qa import Qa
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel

_VERSION = 1
"""Goes into task names: raise it when the same inputs give other pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every block's task must know."""

    geobox: GeoBox
    model: SensorModel
    image: tuple[int, int]
    bands: int
    resampling: Resampling
    stand_in_m: float


Piece = tuple[int, int, Any]
"""A source chunk's first line, first sample, and its (delayed) array."""


def orthorectify(
    scene: Scene, terrain: Terrain, plan: OrthoPlan, *, resampling: Resampling | str = Resampling.CUBIC
) -> OrthoImage:
    """Put a calibrated scene on a map. Lazy: reads and computes nothing.

    Parameters
    ----------
    scene
        With a model, and pixels as :func:`processing.radiometry.stage.calibrate` leaves them: float32, NaN nodata.
    terrain
        Heights above the ellipsoid.
    plan
        From :func:`processing.geometry.plan.plan_ortho` for this scene and terrain.
    resampling
        ``nearest``, ``bilinear``, ``cubic`` or ``lanczos``.

    Returns
    -------
    OrthoImage
        In chunks of the plan's blocks. Pixels do not depend on how the source or the output is chunked.

    Raises
    ------
    BadInput
        ``scene.no_pixels``, ``geometry.no_model``, ``resampling``.
    Defect
        ``geometry.uncalibrated`` for pixels that are not float32; ``geometry.plan`` for another scene's plan.
    """
    if scene.pixels is None:
        raise BadInput(
            f"scene '{scene.scene_id}' has no pixels: {scene.no_pixels or 'no reason stated'}", kind="scene.no_pixels"
        )
    if scene.model is None:
        raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
    if str(resampling) not in list(Resampling):
        raise BadInput(f"unknown resampling '{resampling}'; known: {', '.join(Resampling)}", kind="resampling")
    if scene.pixels.dtype != np.float32:
        raise Defect(
            f"orthorectify takes float32 pixels with NaN nodata, not {scene.pixels.dtype}", kind="geometry.uncalibrated"
        )
    if plan.image_shape != scene.shape:
        raise Defect("the plan was made for another scene", kind="geometry.plan")
    job = _Job(
        geobox=plan.geobox,
        model=scene.model,
        image=scene.shape,
        bands=len(scene.bands),
        resampling=Resampling(resampling),
        stand_in_m=sum(plan.heights) / 2,
    )
    pixels, qa = _graph(scene, terrain, plan, job)
    coords = xr_coords(plan.geobox)
    return OrthoImage(
        group=scene.group,
        geobox=plan.geobox,
        bands=scene.bands,
        pixels=xr.DataArray(pixels, dims=("band", "y", "x"), coords={"band": list(scene.band_names), **coords}),
        qa=xr.DataArray(qa, dims=("y", "x"), coords=coords),
        quantity=scene.quantity,
        warnings=tuple(dict.fromkeys((*scene.warnings, *terrain.warnings))),
    )


def _graph(scene: Scene, terrain: Terrain, plan: OrthoPlan, job: _Job) -> tuple[da.Array, da.Array]:
    """Lazy pixels and qa; both are halves of the same tasks' results."""
    assert scene.pixels is not None
    source = _chunked(scene.pixels, ("band", "line", "sample")).rechunk({0: -1})
    mask = None if scene.saturation is None else _chunked(scene.saturation, ("line", "sample"))
    token = tokenize(
        _VERSION, source.name, None if mask is None else mask.name, terrain, plan, job.model, job.resampling
    )
    source_chunks = source.to_delayed(optimize_graph=False)[0]
    mask_chunks = source_chunks if mask is None else mask.to_delayed(optimize_graph=False)
    shared_job = delayed(job, name=f"ortho-job-{token}", traverse=False)
    shared_terrain = delayed(terrain, name=f"terrain-{terrain.digest}", traverse=False)
    rows: list[list[tuple[da.Array, da.Array]]] = []
    for block in plan.blocks:
        row, col = block.index
        result = delayed(_orthorectified_block)(
            shared_job,
            shared_terrain,
            block,
            _pieces(source_chunks, source.chunks[1:], block.source),
            [] if mask is None else _pieces(mask_chunks, mask.chunks, block.source),
            dask_key_name=f"orthorectify-{token}-{row}-{col}",
        )
        halves = [
            delayed(operator.getitem)(result, half, dask_key_name=f"half-{name}-{token}-{row}-{col}")
            for half, name in enumerate(("pixels", "qa"))
        ]
        shape = block.window.shape
        pair = (
            da.from_delayed(halves[0], (job.bands, *shape), dtype=np.float32, name=f"ortho-pixels-{token}-{row}-{col}"),
            da.from_delayed(halves[1], shape, dtype=np.uint16, name=f"ortho-qa-{token}-{row}-{col}"),
        )
        if col == 0:
            rows.append([])
        rows[-1].append(pair)
    pixels = da.concatenate([da.concatenate([pair[0] for pair in row], axis=2) for row in rows], axis=1)
    qa = da.concatenate([da.concatenate([pair[1] for pair in row], axis=1) for row in rows], axis=0)
    return pixels, qa


def _chunked(array: xr.DataArray, dims: tuple[str, ...]) -> da.Array:
    """The dask array of an xarray one, in the order of dims."""
    ordered = array.transpose(*dims)
    return ordered.data if isinstance(ordered.data, da.Array) else da.from_array(ordered.to_numpy(), chunks=2048)


def _pieces(chunks: npt.NDArray[np.object_], sizes: tuple[tuple[int, ...], ...], window: Window | None) -> list[Piece]:
    """The source chunks that a window touches."""
    if window is None:
        return []
    lines, samples = (np.concatenate([[0], np.cumsum(axis)]) for axis in sizes)
    return [
        (int(lines[row]), int(samples[col]), chunks[row, col])
        for row in range(len(sizes[0]))
        if lines[row] < window.row1 and lines[row + 1] > window.row0
        for col in range(len(sizes[1]))
        if samples[col] < window.col1 and samples[col + 1] > window.col0
    ]


def _assembled(pieces: list[Piece], window: Window, empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Paste source chunks (last two axes line, sample) into an array of the window's shape."""
    for line0, sample0, chunk in pieces:
        row0, row1 = max(line0, window.row0), min(line0 + chunk.shape[-2], window.row1)
        col0, col1 = max(sample0, window.col0), min(sample0 + chunk.shape[-1], window.col1)
        empty[..., row0 - window.row0 : row1 - window.row0, col0 - window.col0 : col1 - window.col0] = chunk[
            ..., row0 - line0 : row1 - line0, col0 - sample0 : col1 - sample0
        ]
    return empty


def _orthorectified_block(
    job: _Job, terrain: Terrain, block: OrthoBlock, pieces: list[Piece], mask_pieces: list[Piece]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
    """Pixels (band, y, x) and qa (y, x) of one block: map, then resample, strip by strip."""
    pixels = np.full((job.bands, *block.window.shape), np.nan, dtype=np.float32)
    qa = np.full(block.window.shape, Qa.NODATA, dtype=np.uint16)
    if block.source is None:
        return pixels, qa
    source = _assembled(pieces, block.source, np.empty((job.bands, *block.source.shape), dtype=np.float32))
    mask = _assembled(mask_pieces, block.source, np.zeros(block.source.shape, dtype=np.bool_))
    saturated = bool(mask.any())
    origin = (block.source.row0, block.source.col0)
    missed = 0
    for strip in block.strips:
        mapping = map_pixels(
            job.geobox,
            (strip.row0, strip.row1),
            (strip.col0, strip.col1),
            job.model,
            terrain,
            job.image,
            job.stand_in_m,
        )
        line, sample = mapping.line.ravel(), mapping.sample.ravel()
        values = np.empty((job.bands, line.size), dtype=np.float32)
        missed += resample(source, origin, job.image, line, sample, job.resampling.taps, values)
        bits = np.where(np.isnan(values).any(axis=0), np.uint16(Qa.NODATA), np.uint16(0))
        bits[mapping.void.ravel()] |= np.uint16(Qa.NO_TERRAIN)
        if saturated:
            touched = np.empty(line.size, dtype=np.bool_)
            any_tap(mask, origin, job.image, line, sample, job.resampling.taps, touched)
            bits[touched & ~np.isnan(values).all(axis=0)] |= np.uint16(Qa.SATURATED)
        inside = np.s_[
            strip.row0 - block.window.row0 : strip.row1 - block.window.row0,
            strip.col0 - block.window.col0 : strip.col1 - block.window.col0,
        ]
        pixels[(slice(None), *inside)] = values.reshape(job.bands, *strip.shape)
        qa[inside] = bits.reshape(strip.shape)
    if missed:
        raise Defect(
            f"the plan of block {block.index} missed source pixels of {missed} output pixels", kind="geometry.plan"
        )
    return pixels, qa
