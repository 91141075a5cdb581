"""The stage that puts a scene on a map: one lazy graph, one fused task for each shard and all its bands."""

import operator

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.delayed import Delayed, delayed
from odc.geo.xr import xr_coords

from processing.geometry.block import OrthoJob, orthorectified_block
from processing.geometry.occlusion import Visibility
from processing.geometry.plan import OrthoPlan
from processing.geometry.resample import Resampling
from processing.geometry.terrain import Terrain
from processing.model.calibration import Calibration
from processing.model.errors import BadInput, Defect
from processing.model.image import OrthoImage
from processing.model.scene import PixelSource, Scene

_VERSION = 2
"""Goes into task names: raise it when the same inputs give other pixels."""


def orthorectify(
    scene: Scene,
    terrain: Terrain,
    plan: OrthoPlan,
    *,
    resampling: Resampling | str = Resampling.CUBIC,
    visibility: Visibility | None = None,
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
        What the terrain hides from satellite and sun, for the flags; None: nothing is known of that.

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
    )
    pixels, qa = _graph(scene.source, terrain, plan, job, visibility)
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


def _graph(
    source: PixelSource, terrain: Terrain, plan: OrthoPlan, job: OrthoJob, visibility: Visibility | None
) -> tuple[da.Array, da.Array]:
    """Lazy pixels and qa; both are halves of the same tasks' results."""
    token = tokenize(_VERSION, source, terrain, plan, job, visibility)
    shared = [
        delayed(what, name=f"ortho-{name}-{token}", traverse=False, pure=True)
        for name, what in (("job", job), ("terrain", terrain), ("visibility", visibility), ("source", source))
    ]
    rows: list[list[tuple[da.Array, da.Array]]] = []
    for block in plan.blocks:
        row, col = block.index
        result = delayed(orthorectified_block)(*shared, block, dask_key_name=f"orthorectify-{token}-{row}-{col}")
        shape = block.window.shape
        pair = (
            da.from_delayed(
                _half(result, 0, f"ortho-half-pixels-{token}-{row}-{col}"),
                (job.bands, *shape),
                dtype=np.float32,
                name=f"ortho-pixels-{token}-{row}-{col}",
            ),
            da.from_delayed(
                _half(result, 1, f"ortho-half-qa-{token}-{row}-{col}"),
                shape,
                dtype=np.uint16,
                name=f"ortho-qa-{token}-{row}-{col}",
            ),
        )
        if col == 0:
            rows.append([])
        rows[-1].append(pair)
    pixels = da.concatenate([da.concatenate([pair[0] for pair in row], axis=2) for row in rows], axis=1)
    qa = da.concatenate([da.concatenate([pair[1] for pair in row], axis=1) for row in rows], axis=0)
    return pixels, qa


def _half(result: Delayed, which: int, name: str) -> Delayed:
    half: Delayed = delayed(operator.getitem)(result, which, dask_key_name=name)
    return half
