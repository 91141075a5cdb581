"""The engine behind ``qyran export-rpc``: any of an image's sensor models as an RPC file for other programs."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.registry import load_registry
from processing.geometry.refine import RefinementReport, refine_from_gcps
from processing.geometry.rpc import Rpc, RpcFit
from processing.geometry.rpc_export import fit_rpc_to_model
from processing.geometry.rpc_text import rpb_text, rpc_txt
from processing.geometry.strip import cut_scene
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.readers.control_points import read_control_points
from processing.readers.find import open_delivery

_WRITERS: dict[str, Callable[[Rpc], str]] = {".txt": rpc_txt, ".rpb": rpb_text}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Which model is exported; the defaults are the command's."""

    model: str = "rpc"
    """``rpc``: the delivered one; ``rigorous``: an RPC fitted to the camera."""
    group: str | None = None
    """``ms``, ``pan``, ... where the package holds several images."""
    gcps: Path | None = None
    """Ground control points that correct the model first."""
    lines: tuple[int, int] | None = None
    """First line (from 1) and number of lines of a segment."""
    heights: tuple[float, float] | None = None
    """Lowest and highest ground, m above the ellipsoid; None: those of the delivered RPC."""


def export_rpc(image: Path, out: Path, options: ExportOptions | None = None) -> dict[str, Any]:
    """Write an image's sensor model as an RPC file.

    Parameters
    ----------
    image
        A raster with a model, an RPC file, or a delivered package; its pixels are not read.
    out
        ``NAME_RPC.TXT`` or ``NAME.rpb``: beside ``NAME.tif`` GDAL finds it by itself.
    options
        None: the defaults.

    Returns
    -------
    dict
        ``out, model, shape, heights_m, fit`` (``rmse_px``, ``max_px`` at points that were not fitted; None where the
        delivered RPC is written as it is) and ``refinement``.

    Raises
    ------
    BadInput
        ``export.format``, ``export.group``, ``export.no_model``, ``export.heights``, and as the fit, the refinement
        and the cut.
    """
    how = options or ExportOptions()
    write = _WRITERS.get(out.suffix.lower())
    if write is None:
        raise BadInput(
            f"'{out.name}' is no kind of RPC file that is written", kind="export.format", remedy="Name it .TXT or .rpb."
        )
    with tempfile.TemporaryDirectory(prefix="qyran-export-") as workspace:
        scene = _scene(image, Path(workspace), how)
    rpc, fit, refinement = _rpc(scene, image.name, how)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    partial.write_text(write(rpc), encoding="ascii")
    partial.replace(out)
    return {
        "out": str(out),
        "model": how.model,
        "shape": [how.lines[1] if how.lines else scene.shape[0], scene.shape[1]],
        "heights_m": [rpc.height_off - rpc.height_scale, rpc.height_off + rpc.height_scale],
        "fit": None if fit is None else asdict(fit),
        "refinement": None
        if refinement is None
        else {
            "model": refinement.kind,
            "tie_points": refinement.points,
            "shift_px": list(refinement.shift_px),
            "rmse_px": refinement.rmse_px,
        },
    }


def _scene(image: Path, workspace: Path, how: ExportOptions) -> Scene:
    """The one image that is meant."""
    scenes = open_delivery(image, sensors=load_registry().sensors, workspace=workspace, pixels=False).scenes
    chosen = [scene for scene in scenes if how.group in (None, scene.group)]
    if len(chosen) != 1:
        groups = ", ".join(scene.group for scene in scenes)
        raise BadInput(
            f"'{image.name}' holds these images: {groups}", kind="export.group", remedy="Name one of them as the group."
        )
    return chosen[0]


def _rpc(scene: Scene, name: str, how: ExportOptions) -> tuple[Rpc, RpcFit | None, RefinementReport | None]:
    """The model as an RPC: as it is where it is one, fitted where it is corrected or a camera."""
    model = {"rpc": scene.model, "rigorous": scene.rigorous}.get(how.model)
    if model is None:
        raise BadInput(f"'{name}' has no model '{how.model}'", kind="export.no_model", where=scene.scene_id)
    heights, refinement = how.heights, None
    if heights is None and isinstance(stated := scene.model, Rpc):
        heights = stated.height_off - stated.height_scale, stated.height_off + stated.height_scale
    if how.gcps is not None:
        model, refinement = refine_from_gcps(model, read_control_points(how.gcps, name), shape=scene.shape)
    scene = scene.but(model=model)
    if how.lines is not None:
        scene = cut_scene(scene, *how.lines)
    assert scene.model is not None
    if isinstance(scene.model, Rpc) and how.heights is None:
        return scene.model, None, refinement
    if heights is None:
        raise BadInput(
            f"'{name}' does not say for which heights its camera is meant",
            kind="export.heights",
            remedy="Give the lowest and the highest ground, m above the ellipsoid.",
        )
    rpc, fit = fit_rpc_to_model(scene.model, scene.shape, heights)
    return rpc, fit, refinement
