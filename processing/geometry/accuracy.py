"""How far the mapping that made an image lies from the truth, measured on the image's own pixels.

The truth comes by another road: the standard's formula and bilinear terrain in plain numpy, a fresh pyproj
transformer; none of the compiled kernels has a part in it.
"""

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer

from processing.geometry.lattice import lattice_nodes
from processing.geometry.layered import map_window
from processing.geometry.plan import OrthoPlan
from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.geometry.rpc_kernel import project_reference
from processing.geometry.terrain import Terrain
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

_PATCH_PX = 16


def max_mapping_error_px(
    plan: OrthoPlan, model: SensorModel, terrain: Terrain, *, patches: int = 64, seed: int = 0
) -> float | None:
    """Largest distance, px of the source, between the mapping used and the exact one.

    Parameters
    ----------
    plan, model, terrain
        What the image was made with.
    patches
        So many patches of 16 x 16 output pixels are drawn at random from what the image reaches.
    seed
        Of the draw: the same figure on every run.

    Returns
    -------
    float or None
        Over the drawn pixels that fall into the image; None when none does.
    """
    strips = [strip for block in plan.blocks for strip in block.strips]
    if not strips:
        return None
    areas = np.array([strip.shape[0] * strip.shape[1] for strip in strips], dtype=np.float64)
    random = np.random.default_rng(seed)
    used: list[Array] = []
    centres: list[Array] = []
    for drawn in random.choice(len(strips), size=patches, p=areas / areas.sum()):
        strip = strips[drawn]
        row = int(random.integers(strip.row0, max(strip.row1 - _PATCH_PX, strip.row0) + 1))
        col = int(random.integers(strip.col0, max(strip.col1 - _PATCH_PX, strip.col0) + 1))
        rows, cols = (row, min(row + _PATCH_PX, strip.row1)), (col, min(col + _PATCH_PX, strip.col1))
        nodes = lattice_nodes(plan.lattice, plan.geobox, (*rows, *cols), model, terrain)
        mapping = map_window(nodes, plan.lattice, plan.geobox, rows, cols, model, terrain, plan.image_shape)
        used.append(np.stack([mapping.line.ravel(), mapping.sample.ravel()]))
        centres.append(np.mgrid[slice(*rows), slice(*cols)].reshape(2, -1) + 0.5)
    row_centres, col_centres = np.hstack(centres)
    line, sample = exact_positions(plan, row_centres, col_centres, model, terrain)
    inside = (line >= 0) & (line < plan.image_shape[0]) & (sample >= 0) & (sample < plan.image_shape[1])
    if not inside.any():
        return None
    return float(np.hypot(*(np.hstack(used) - np.stack([line, sample])))[inside].max())


def exact_positions(
    plan: OrthoPlan, row: Array, col: Array, model: SensorModel, terrain: Terrain
) -> tuple[Array, Array]:
    """``(line, sample)`` of flat output grid positions by the other road; NaN where terrain is void."""
    grid, cells = plan.geobox.affine, ~terrain.transform
    x, y = grid.c + grid.a * col + grid.b * row, grid.f + grid.d * col + grid.e * row
    lon, lat = Transformer.from_crs(str(plan.geobox.crs), "EPSG:4326", always_xy=True, allow_ballpark=False).transform(
        x, y
    )
    at_x, at_y = Transformer.from_crs("EPSG:4326", terrain.crs, always_xy=True, allow_ballpark=False).transform(
        lon, lat
    )
    if CRS.from_user_input(terrain.crs).is_geographic:
        # Meridians have many names; the terrain's grid knows its own, on both sides of the antimeridian.
        at_x = at_x - 360.0 * np.round((at_x - (terrain.transform @ (terrain.heights.shape[1] / 2, 0))[0]) / 360.0)
    cell_col, cell_row = cells.c + cells.a * at_x + cells.b * at_y, cells.f + cells.d * at_x + cells.e * at_y
    height = _bilinear(terrain.heights, cell_row - 0.5, cell_col - 0.5)
    return _project(model, lon, lat, height)


def _bilinear(heights: npt.NDArray[np.float32], row: Array, col: Array) -> Array:
    """Heights between the centres of cells, those at the edge holding beyond it; NaN next to one that is void."""
    row, col = (np.clip(at, 0, size - 1) for at, size in zip((row, col), heights.shape, strict=True))
    top, left = (
        np.minimum(np.floor(at).astype(int), max(size - 2, 0))
        for at, size in zip((row, col), heights.shape, strict=True)
    )
    bottom, right = np.minimum(top + 1, heights.shape[0] - 1), np.minimum(left + 1, heights.shape[1] - 1)
    down, across = row - top, col - left
    upper = heights[top, left] * (1.0 - across) + heights[top, right] * across
    lower = heights[bottom, left] * (1.0 - across) + heights[bottom, right] * across
    return np.asarray(upper * (1.0 - down) + lower * down, dtype=np.float64)


def _project(model: SensorModel, lon: Array, lat: Array, height: Array) -> tuple[Array, Array]:
    """Ground to image without compiled kernels, as far as the model is known to consist of an RPC."""
    if isinstance(model, Refined):
        line, sample = _project(model.model, lon, lat, height)
        correction = [c[0] + c[1] * line + c[2] * sample for c in (model.line, model.sample)]
        return line + correction[0], sample + correction[1]
    if isinstance(model, Rpc):
        return project_reference(model.packed, lon, lat, height)
    return model.ground_to_image(lon, lat, height)
