"""The stage that puts a scene on a map: one lazy graph, one fused task for each shard and all its bands."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dask.base import tokenize
from dask.delayed import Delayed, delayed

from processing.geometry.block import OrthoBlocks, OrthoJob
from processing.geometry.occlusion import Visibility
from processing.geometry.plan import OrthoPlan
from processing.geometry.resample import Resampling
from processing.geometry.terrain import Terrain
from processing.model.calibration import Calibration
from processing.model.errors import BadInput, Defect
from processing.model.image import Counts, LazyTiles, OrthoImage
from processing.model.scene import Scene

if TYPE_CHECKING:
    import xarray as xr

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
    if scene.source is None:
        raise BadInput(
            f"scene '{scene.scene_id}' has no pixels: {scene.no_pixels or 'no reason stated'}", kind="scene.no_pixels"
        )
    if scene.model is None:
        raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
    if str(resampling) not in list(Resampling):
        raise BadInput(f"unknown resampling '{resampling}'; known: {', '.join(Resampling)}", kind="resampling")
    if scene.calibration is None and scene.source.dtype.kind != "f":
        raise Defect("orthorectify takes a calibrated scene", kind="geometry.uncalibrated")
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
    return OrthoImage(
        group=scene.group,
        geobox=plan.geobox,
        bands=scene.bands,
        arrays=FusedArrays(blocks=blocks, made=made, token=token, bands=scene.band_names, block_px=plan.shard_px),
        quantity=scene.quantity,
        warnings=tuple(dict.fromkeys((*scene.warnings, *terrain.warnings))),
        counts=Counts(dtype=str(scene.source.dtype), nodata=job.calibration.nodata),
    )


def _with_visibility(blocks: OrthoBlocks, visibility: Visibility) -> OrthoBlocks:
    return replace(blocks, visibility=visibility)


@dataclass(frozen=True, kw_only=True)
class FusedArrays:
    """An orthoimage's arrays, each block the result of one fused task; a writer takes the tiles instead.

    Implements :class:`processing.model.image.ImageArrays`.
    """

    blocks: OrthoBlocks
    made: Delayed
    """Becomes the blocks, once what terrain hides is known."""
    token: str
    bands: tuple[str, ...]
    block_px: int

    @property
    def tiles(self) -> LazyTiles:
        """Each block piece by piece."""
        return LazyTiles(made=self.made, block_px=self.block_px)

    @property
    def pixels(self) -> "xr.DataArray":
        """float32 ``(band, y, x)``."""
        return self._arrays[0]

    @property
    def qa(self) -> "xr.DataArray":
        """uint16 ``(y, x)``."""
        return self._arrays[1]

    @cached_property
    def _arrays(self) -> "tuple[xr.DataArray, xr.DataArray]":
        # Imported where it is used: a writer of tiles starts a second sooner without.
        from processing.geometry.block_arrays import block_arrays

        return block_arrays(self.blocks, self.made, self.token, self.bands)
