"""The stage that puts a scene on a map: one lazy graph, one fused task for each shard and all its bands."""

import operator
from dataclasses import replace

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.delayed import Delayed, delayed
from odc.geo.xr import xr_coords

from processing.geometry.block import OrthoBlocks, OrthoJob
from processing.geometry.occlusion import Visibility
from processing.geometry.plan import OrthoPlan
from processing.geometry.resample import Resampling
from processing.geometry.terrain import Terrain
from processing.model.calibration import Calibration
from processing.model.errors import BadInput, Defect
from processing.model.image import Counts, LazyTiles, OrthoImage
from processing.model.scene import Scene

_VERSION = 2
"""Goes into task names: raise it when the same inputs give other pixels."""


def orthorectify(
    scene: Scene,
    terrain: Terrain,
    plan: OrthoPlan,
    *,
    resampling: Resampling | str = Resampling.CUBIC,
    visibility: Visibility | Delayed | None = None,
    flags: int = 0,
) -> OrthoImage:
    """Put a calibrated scene on a map. Lazy: reads and computes nothing.

    Parameters
    ----------
    scene
        With a model, and calibrated by :func:`processing.radiometry.stage.calibrate`. Its source is read window by
        window, and its calibration applied in the same pass.
    terrain
        Heights above the ellipsoid.
    plan
        From :func:`processing.geometry.plan.plan_ortho` for this scene and terrain.
    resampling
        ``nearest``, ``bilinear``, ``cubic`` or ``lanczos``; widened where the output is coarser than the image.
    visibility
        What the terrain hides from satellite and sun, for the flags, now or once computed; None: nothing is known of
        that.
    flags
        Bits of :class:`processing.model.qa.Qa` to raise on every pixel that has a value: what was not tested for.

    Returns
    -------
    OrthoImage
        In chunks of the plan's blocks. Pixels do not depend on how the source or the output is chunked.

    Raises
    ------
    BadInput
        ``scene.no_pixels``, ``geometry.no_model``, ``resampling``.
    Defect
        ``geometry.uncalibrated`` for counts that nobody calibrated; ``geometry.plan`` for another scene's plan.
    """
    if scene.pixels is None:
        raise BadInput(
            f"scene '{scene.scene_id}' has no pixels: {scene.no_pixels or 'no reason stated'}", kind="scene.no_pixels"
        )
    if scene.model is None:
        raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
    if str(resampling) not in list(Resampling):
        raise BadInput(f"unknown resampling '{resampling}'; known: {', '.join(Resampling)}", kind="resampling")
    if scene.source is None or (scene.calibration is None and scene.source.dtype.kind != "f"):
        raise Defect("orthorectify takes a calibrated scene with a source of pixels", kind="geometry.uncalibrated")
    if plan.image_shape != scene.shape or scene.source.shape != (len(scene.bands), *scene.shape):
        raise Defect("the plan or the pixels are another scene's", kind="geometry.plan")
    bands = len(scene.bands)
    job = OrthoJob(
        geobox=plan.geobox,
        lattice=plan.lattice,
        model=scene.model,
        image=scene.shape,
        bands=bands,
        taps=Resampling(resampling).taps,
        scale=plan.scale,
        calibration=scene.calibration or Calibration(gains=(1.0,) * bands, offsets=(0.0,) * bands),
        flags=flags,
    )
    token = tokenize(_VERSION, scene.source, terrain, plan, job, visibility)
    blocks = OrthoBlocks(
        job=job,
        terrain=terrain,
        pixels=scene.source,
        blocks=plan.blocks,
        columns=-(-plan.geobox.shape[1] // plan.shard_px),
    )
    made = delayed(blocks, name=f"ortho-plan-{token}", traverse=False, pure=True)
    if visibility is not None:
        made = delayed(_with_visibility)(made, visibility, dask_key_name=f"ortho-blocks-{token}")
    pixels, qa = _graph(blocks, made, token)
    coords = xr_coords(plan.geobox, dims=("y", "x"))
    return OrthoImage(
        group=scene.group,
        geobox=plan.geobox,
        bands=scene.bands,
        pixels=xr.DataArray(pixels, dims=("band", "y", "x"), coords={"band": list(scene.band_names), **coords}),
        qa=xr.DataArray(qa, dims=("y", "x"), coords=coords),
        quantity=scene.quantity,
        warnings=tuple(dict.fromkeys((*scene.warnings, *terrain.warnings))),
        counts=Counts(dtype=str(scene.source.dtype), nodata=job.calibration.nodata),
        pieces=LazyTiles(made=made, names=(pixels.name, qa.name), block_px=plan.shard_px),
    )


def _with_visibility(blocks: OrthoBlocks, visibility: Visibility) -> OrthoBlocks:
    return replace(blocks, visibility=visibility)


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
