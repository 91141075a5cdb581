"""The engine behind ``qyran ortho``: any image with a sensor model, onto a map, without a catalogue."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from configs.registry import load_registry
from configs.settings import Home
from pipelines.refinement import Refinement, reference_rasters, refined_by_points, refined_by_references
from processing.archive.cog_blocks import BLOCK_PX
from processing.archive.export import TIFF_SUFFIXES, export_ortho
from processing.chain import hidden_by_terrain
from processing.geometry.accuracy import max_mapping_error_px
from processing.geometry.extent import Bounds, ground_bounds, ground_sampling_m, terrain_gap, terrain_range
from processing.geometry.plan import OrthoPlan, plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.strip import cut_scene
from processing.geometry.terrain import Terrain
from processing.model.conventions import SHARD_PX
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.levels import Quantity
from processing.model.scene import Scene
from processing.radiometry.stage import calibrate as calibrated
from processing.readers.control_points import read_control_points
from processing.readers.dem import open_terrain
from processing.readers.dem_geoid import proj_folders
from processing.readers.find import open_delivery
from processing.readers.protocol import UNKNOWN_TIME

Progress = Callable[[int, int, str], None]

_QUANTITIES = {"none": Quantity.DN, "radiance": Quantity.RADIANCE, "toa": Quantity.TOA_REFLECTANCE}
_METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoOptions:
    """How an image is to be orthorectified; the defaults are the command's."""

    vertical_datum: str = "auto"
    """``auto``, ``ellipsoid``, ``egm96`` or ``egm2008``."""
    crs: str | None = None
    """``EPSG:n``; None: the UTM zone of the image's centre."""
    resolution: float | None = None
    """Pixel size in units of the CRS; None: the image's own, two digits."""
    bounds: Bounds | None = None
    """xmin, ymin, xmax, ymax in the CRS; None: all that the image sees, outward to whole pixels."""
    resampling: str = "cubic"
    """``nearest``, ``bilinear``, ``cubic``, ``lanczos``."""
    gcps: Path | None = None
    """Ground control points, see :func:`processing.readers.control_points.read_control_points`."""
    references: tuple[str, ...] = ()
    """Images on maps to match against: files, folders, or ``COLLECTION/ID`` of archived products."""
    home: Path | None = None
    """Where archived products lie."""
    calibrate: str = "none"
    """``none`` (counts), ``radiance``, ``toa``."""
    model: str = "rpc"
    """``rpc``: the delivered model; ``rigorous``: the camera from orbit, attitude and look angles."""
    lines: tuple[int, int] | None = None
    """First line (from 1) and number of lines of a segment; None: the whole image."""


def ortho(
    image: Path, dem: Path, out: Path, options: OrthoOptions | None = None, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Orthorectify an image and write it.

    Parameters
    ----------
    image
        A raster with an RPC (in tags or beside it), or a delivered package of one scene.
    dem
        Elevation file or folder.
    out
        ``FILE.tif`` (a COG) or ``DIR.zarr`` (a Zarr v3 product).
    options
        None: the defaults.
    progress
        Called with steps done, steps in all, and what is being done.

    Returns
    -------
    dict
        ``out, crs, transform, shape, seconds, megapixels_per_second, max_mapping_error_px, refinement`` and
        ``warnings``; of a refined image also ``refinement_report`` and ``residuals_picture``, files beside the output
        (``FILE.refinement.json``, ``FILE.residuals.png``).

    Raises
    ------
    BadInput
        For an image without model or pixels, an unknown vertical datum, no terrain, or wrong figures.
    """
    began = time.perf_counter()
    how = options or OrthoOptions()
    if how.calibrate not in _QUANTITIES:
        known = ", ".join(_QUANTITIES)
        raise BadInput(f"unknown calibration '{how.calibrate}'; known: {known}", kind="ortho.calibrate")
    with tempfile.TemporaryDirectory(prefix="qyran-ortho-") as workspace:
        scene = one_scene(image, Path(workspace))
        if how.calibrate == "toa" and scene.acquired == UNKNOWN_TIME:
            raise BadInput(
                f"'{image.name}' does not state when it was taken, so the sun is unknown",
                kind="ortho.no_time",
                remedy="Ask for radiance or counts, or give the delivered package.",
            )
        scene = _with_model(scene, how.model, image.name)
        assert scene.model is not None
        area = ground_bounds(scene.model, scene.shape)
        geoids = (Home.resolve().geoid, *proj_folders())
        terrain = open_terrain(dem, bounds=area, vertical_datum=how.vertical_datum, geoids=geoids)
        refinement = _refined(scene, how, image.name, terrain)
        whole, model = scene, scene.model if refinement is None else refinement.model
        scene = scene.but(model=model)
        if how.lines is not None:
            # After the refinement: control points count the lines of the whole image.
            scene = cut_scene(scene, *how.lines)
            model = scene.model or model
        plan = _plan(scene, terrain, how, BLOCK_PX if out.suffix.lower() in TIFF_SUFFIXES else SHARD_PX)
        scene = scene.but(warnings=scene.warnings + terrain_gap(model, scene.shape, terrain, plan.heights))
        # Flags are kept by a .zarr only.
        timed = scene.acquired != UNKNOWN_TIME
        hidden = hidden_by_terrain(scene, terrain, sun=timed) if out.suffix == ".zarr" else None
        values = calibrated(scene, _QUANTITIES[how.calibrate], mean_height_m=sum(plan.heights) / 2)
        result = orthorectify(values, terrain, plan, resampling=how.resampling, visibility=hidden)
        export_ortho([result], out, progress=progress)
        error = max_mapping_error_px(plan, model, terrain)
        reports = {} if refinement is None else _reported(refinement, whole, out)
    return reports | _summary(out, result, time.perf_counter() - began, error, refinement)


def one_scene(image: Path, workspace: Path) -> Scene:
    """The one scene with pixels and a model that an image or package holds.

    Raises
    ------
    BadInput
        ``ortho.no_model``, ``ortho.several``, ``scene.no_pixels``.
    """
    delivery = open_delivery(image, sensors=load_registry().sensors, workspace=workspace)
    placed = [scene for scene in delivery.scenes if scene.model is not None]
    if not placed:
        on_map = any(scene.map_grid is not None for scene in delivery.scenes)
        raise BadInput(
            f"'{image.name}' has no sensor model" + (": it is on a map already" if on_map else ""),
            kind="ortho.no_model",
            remedy="Give an image in sensor geometry, with its RPC in the file or beside it.",
        )
    if len(placed) > 1:
        raise BadInput(
            f"'{image.name}' holds several images: {', '.join(scene.scene_id for scene in placed)}",
            kind="ortho.several",
            remedy="Give the image file of one of them.",
        )
    if placed[0].source is None:
        raise BadInput(f"'{image.name}' has no pixels: {placed[0].no_pixels}", kind="scene.no_pixels")
    return placed[0]


def _with_model(scene: Scene, kind: str, image_name: str) -> Scene:
    """The scene with the model that is asked for.

    Raises
    ------
    BadInput
        ``ortho.model``, ``ortho.no_rigorous``.
    """
    if kind == "rpc":
        return scene
    if kind != "rigorous":
        raise BadInput(f"unknown model '{kind}'; known: rpc, rigorous", kind="ortho.model")
    if scene.rigorous is None:
        raise BadInput(
            f"'{image_name}' states no rigorous model",
            kind="ortho.no_rigorous",
            remedy="It takes orbit, attitude and look angles in the product's metadata; use its RPC.",
        )
    return scene.but(model=scene.rigorous)


def _refined(scene: Scene, how: OrthoOptions, image_name: str, terrain: Terrain) -> Refinement | None:
    """The correction of the scene's model that is asked for.

    Raises
    ------
    BadInput
        ``ortho.refine_twice``, and where control points or references cannot serve: who asks for a correction wants
        no image without.
    """
    if how.gcps is not None and how.references:
        raise BadInput(
            "control points and reference images were both given",
            kind="ortho.refine_twice",
            remedy="Give one of them: a few surveyed points would drown among hundreds of matched ones.",
        )
    if how.gcps is not None:
        return refined_by_points(scene, read_control_points(how.gcps, image_name), terrain)
    if how.references:
        return refined_by_references(scene, reference_rasters(how.references, Home.resolve(how.home)), terrain)
    return None


def _reported(refinement: Refinement, scene: Scene, out: Path) -> dict[str, Any]:
    """Write the refinement's report and picture beside the output; say where."""
    report, picture = (out.with_name(out.stem + ending) for ending in (".refinement.json", ".residuals.png"))
    report.write_text(json.dumps(refinement.quality(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    picture.write_bytes(refinement.picture(scene))
    return {"refinement_report": str(report), "residuals_picture": str(picture)}


def _plan(scene: Scene, terrain: Terrain, how: OrthoOptions, shard_px: int) -> OrthoPlan:
    """The plan, with the image's own pixel size unless another is asked for, in blocks as the output wants them."""
    assert scene.model is not None
    try:
        geographic = how.crs is not None and CRS.from_user_input(how.crs).is_geographic
    except CRSError as error:
        raise BadInput(f"'{how.crs}' is not a coordinate system", kind="ortho.crs", remedy="Give EPSG:n.") from error
    resolution = how.resolution
    if resolution is None:
        height = sum(terrain_range(scene.model, scene.shape, terrain)) / 2
        metres = ground_sampling_m(scene.model, scene.shape, height)
        resolution = float(f"{metres / _METRES_A_DEGREE if geographic else metres:.2g}")
    return plan_ortho(
        scene, terrain, resolution_m=resolution, crs=how.crs, bounds=how.bounds, snap="pixel", shard_px=shard_px
    )


def _summary(
    out: Path, image: OrthoImage, seconds: float, error: float | None, refinement: Refinement | None
) -> dict[str, Any]:
    """What was done, as CONTRACT's JSON."""
    rows, cols = image.geobox.shape
    return {
        "out": str(out),
        "crs": str(image.geobox.crs),
        "transform": [float(value) for value in tuple(image.geobox.affine)[:6]],
        "shape": [rows, cols],
        "seconds": round(seconds, 3),
        "megapixels_per_second": round(rows * cols / 1e6 / seconds, 3),
        "max_mapping_error_px": error,
        "refinement": None if refinement is None else refinement.figures(),
        "warnings": list(image.warnings),
    }
