"""The engine behind ``qyran adjust``: overlapping scenes brought together, their corrected models written as RPCs."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from configs.settings import Home
from pipelines.ortho import one_scene
from pipelines.refinement import Refinement, reference_rasters, refined_by_references
from processing.geometry.extent import ground_bounds, joined_bounds, terrain_range
from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc, RpcFit
from processing.geometry.rpc_export import fit_rpc_to_model
from processing.geometry.rpc_text import rpc_txt
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.readers.dem import open_terrain
from processing.readers.dem_geoid import proj_folders
from processing.registration.adjust import BlockReport, adjust_block

REPORT_NAME = "adjustment.json"
_LEAST_SPAN_M = 100.0
"""Heights over which an RPC is fitted where the terrain under a scene is flatter: less does not hold its slopes."""


def adjust(
    images: Sequence[Path],
    dem: Path,
    out: Path,
    *,
    vertical_datum: str = "auto",
    references: tuple[str, ...] = (),
    kind: str = "shift",
    home: Path | None = None,
) -> dict[str, Any]:
    """Correct the models of overlapping scenes so that their orthoimages agree, and write them as RPC files.

    Nothing is written unless all of it can be.

    Parameters
    ----------
    images
        Two or more rasters with an RPC, or delivered packages of one scene each.
    dem
        Elevation file or folder.
    out
        Folder, made if need be: ``<image stem>_RPC.TXT`` for each image, and ``adjustment.json``.
    vertical_datum
        ``auto``, ``ellipsoid``, ``egm96`` or ``egm2008``.
    references
        Images on maps. Scenes they cover are corrected against them first. Where that is some, these stay and the
        others come to them; where it is all, the block stays where the references put it on average.
    kind
        ``shift``, ``drift`` or ``affine``.
    home
        Where archived products lie that serve as references.

    Returns
    -------
    dict
        ``out, kind, anchored, pairs`` (``scenes, points, rejected, before_m, after_m, mad_m``) and ``scenes``
        (by name: ``image, rpc, shift_px, correction, fit, reference``; what the reference had corrected comes before
        ``shift_px`` and ``correction``); the document of ``adjustment.json``.

    Raises
    ------
    BadInput
        ``block.too_few``, ``block.same``, ``block.name``, ``block.apart`` (no overlap, or no texture there), and as
        of ``qyran ortho`` for an image or DEM that cannot serve.
    """
    _check(images)
    with tempfile.TemporaryDirectory(prefix="qyran-adjust-") as workspace:
        scenes = {}
        for image in images:
            folder = Path(workspace) / image.stem
            folder.mkdir()
            scenes[image.stem] = one_scene(image, folder)
        area = joined_bounds([ground_bounds(scene.model, scene.shape) for scene in scenes.values() if scene.model])
        geoids = (Home.resolve().geoid, *proj_folders())
        terrain = open_terrain(dem, bounds=area, vertical_datum=vertical_datum, geoids=geoids)
        anchors = _anchors(scenes, references, Home.resolve(home), terrain)
        placed = {
            name: scene.but(model=anchors[name].model) if name in anchors else scene for name, scene in scenes.items()
        }
        # Where references place every scene, their average places the block, and tie points what is within.
        fixed = tuple(anchors) if len(anchors) < len(scenes) else ()
        models, report = adjust_block(placed, terrain, kind=kind, anchored=fixed)
        rpcs = {name: _as_rpc(models[name], scenes[name], terrain) for name in scenes}
    files = {name: out / f"{name}_RPC.TXT" for name in scenes}
    told = _told(out, report) | {
        "scenes": {
            image.stem: {
                "image": image.name,
                "rpc": files[image.stem].name,
                "shift_px": list(report.shifts_px[image.stem]),
                "correction": {"line": list(models[image.stem].line), "sample": list(models[image.stem].sample)},
                "fit": asdict(rpcs[image.stem][1]),
                "reference": anchors[image.stem].figures() if image.stem in anchors else None,
            }
            for image in images
        }
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        _write(path, rpc_txt(rpcs[name][0]))
    _write(out / REPORT_NAME, json.dumps(told, indent=2, allow_nan=False) + "\n")
    return told


def _check(images: Sequence[Path]) -> None:
    """What needs no pixel to be known.

    Raises
    ------
    BadInput
        ``block.too_few``, ``block.same``, ``block.name``.
    """
    if len(images) < 2:
        raise BadInput(
            "a block takes two images or more",
            kind="block.too_few",
            remedy="For one image against a map, use `qyran ortho --reference`.",
        )
    seen: dict[Path, Path] = {}
    names: dict[str, Path] = {}
    for image in images:
        if image.resolve() in seen:
            raise BadInput(f"'{image.name}' was given twice", kind="block.same", remedy="Give each image once.")
        if image.stem in names:
            raise BadInput(
                f"two images are called '{image.stem}', and their models would be written to one file",
                kind="block.name",
                remedy="Rename one of them.",
            )
        seen[image.resolve()] = names[image.stem] = image


def _anchors(
    scenes: Mapping[str, Scene], references: tuple[str, ...], home: Home, terrain: Terrain
) -> dict[str, Refinement]:
    """Corrections of the scenes that references cover.

    Raises
    ------
    BadInput
        ``reference.no_overlap`` where they cover none, and as the matching of those that they cover.
    """
    if not references:
        return {}
    rasters = reference_rasters(references, home)
    found, uncovered = {}, None
    for name, scene in scenes.items():
        try:
            found[name] = refined_by_references(scene, rasters, terrain)
        except BadInput as error:
            if error.kind != "reference.no_overlap":
                raise
            uncovered = error
    if uncovered is not None and not found:
        raise uncovered
    return found


def _as_rpc(model: Refined, scene: Scene, terrain: Terrain) -> tuple[Rpc, RpcFit]:
    """A corrected model as an RPC, over the heights its delivered RPC is meant for, else those of its ground."""
    if isinstance(scene.model, Rpc):
        heights = scene.model.height_off - scene.model.height_scale, scene.model.height_off + scene.model.height_scale
    else:
        low, high = terrain_range(model, scene.shape, terrain)
        spare = max(_LEAST_SPAN_M - (high - low), 0.0) / 2
        heights = low - spare, high + spare
    return fit_rpc_to_model(model, scene.shape, heights)


def _told(out: Path, report: BlockReport) -> dict[str, Any]:
    """The block's own part of the report."""
    return {
        "out": str(out),
        "kind": report.kind,
        "anchored": list(report.anchored),
        "pairs": [
            {
                "scenes": list(pair.scenes),
                "points": pair.points,
                "rejected": pair.rejected,
                # A pair may be tied only once the first round brought it near: then there is no figure before.
                "before_m": pair.before_m if isfinite(pair.before_m) else None,
                "after_m": pair.after_m,
                "mad_m": pair.mad_m,
            }
            for pair in report.pairs
        ],
    }


def _write(path: Path, text: str) -> None:
    """A file that is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
