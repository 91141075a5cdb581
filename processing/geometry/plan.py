"""Plan, then pixels: which blocks of the map the image reaches, and which part of the image each needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from processing.geometry.extent import Bounds, image_border, map_bounds, terrain_range, utm_crs
from processing.geometry.lattice import BOUND_PX, Lattice, plan_lattice
from processing.geometry.mapping import lonlat_of_map
from processing.geometry.terrain import Terrain
from processing.model.conventions import SHARD_PX
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

CELL_PX = 64
"""Blocks are probed, and skipped, by cells of this many output pixels."""
SUPPORT_PX = 3
"""Half-width of the widest resampling kernel (Lanczos3), source pixels."""
_SAME_SCALE = 1.1
"""An output step of up to so many source pixels is not taken for coarser: look angles alone change as much."""
_MOST_BLOCKS = 100_000
_ANYWHERE_PX = 1e9
"""Farther than any image is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows (or lines) and columns (or samples) of an array, ends excluded."""

    row0: int
    row1: int
    col0: int
    col1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.row1 - self.row0, self.col1 - self.col0


def enclosing(windows: Sequence[Window]) -> Window:
    """The smallest window that holds all of some."""
    return Window(
        row0=min(window.row0 for window in windows),
        row1=max(window.row1 for window in windows),
        col0=min(window.col0 for window in windows),
        col1=max(window.col1 for window in windows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoBlock:
    """One shard of the output."""

    index: tuple[int, int]
    """Row and column among the blocks."""
    window: Window
    """Where it lies in the output."""
    strips: tuple[Window, ...] = ()
    """Parts of the block, in output pixels, that the image may reach; all else is nodata without asking."""
    sources: tuple[Window, ...] = ()
    """Of each strip, the lines and samples of the image that hold every tap of every pixel."""

    @property
    def source(self) -> Window | None:
        """Lines and samples that hold every tap of the block; None when the image does not reach it."""
        return enclosing(self.sources) if self.sources else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoPlan:
    """What will be read, and what will come out."""

    geobox: GeoBox
    shard_px: int
    blocks: tuple[OrthoBlock, ...]
    image_shape: tuple[int, int]
    """Lines, samples of the source."""
    heights: tuple[float, float]
    """Lowest and highest terrain under the image, m above the ellipsoid."""
    lattice: Lattice
    """What the smooth part of the mapping is interpolated from."""
    scale: tuple[float, float]
    """Source pixels a step of the output, by line and sample; 1 where that is about one, or less."""

    def explain(self) -> str:
        """What the plan does, in words."""
        rows, cols = self.geobox.shape
        reached = [block for block in self.blocks if block.source is not None]
        sources = [block.source.shape for block in reached if block.source is not None]
        read = sum(lines * samples for lines, samples in sources)
        image = self.image_shape[0] * self.image_shape[1]
        warped = sum(strip.shape[0] * strip.shape[1] for block in reached for strip in block.strips)
        affine = self.geobox.affine
        lines = [
            f"output: {rows} x {cols} pixels of {affine.a:g} in {self.geobox.crs}",
            f"top left: {affine.c:.3f} {affine.f:.3f}",
            f"terrain: {self.heights[0]:.0f} to {self.heights[1]:.0f} m above the ellipsoid",
            f"blocks: {len(self.blocks)} of {self.shard_px} px, {len(reached)} reached by the image",
            f"mapped: {warped / 1e6:.1f} of {rows * cols / 1e6:.1f} Mpx",
            f"mapping: within {self.lattice.bound_px:g} px of the exact one, from nodes {self.lattice.step} px apart",
            f"source: {self.image_shape[0]} x {self.image_shape[1]} pixels, read {read / max(image, 1):.2f} times over",
        ]
        if max(self.scale) > 1.0:
            lines.append(
                f"coarser than the image {self.scale[0]:.2f} by {self.scale[1]:.2f} times: smoothed by as much"
            )
        return "\n".join(lines)


def plan_ortho(
    scene: Scene,
    terrain: Terrain,
    *,
    resolution_m: float,
    crs: str | None = None,
    bounds: Bounds | None = None,
    snap: str = "lattice",
    shard_px: int = SHARD_PX,
    bound_px: float = BOUND_PX,
) -> OrthoPlan:
    """Plan the orthorectification of a scene. Reads no pixels.

    Parameters
    ----------
    scene
        With a sensor model; its pixels are not looked at.
    terrain
        Of the scene's ground; sets the heights between which the image is searched.
    resolution_m
        Output pixel size, in the CRS's units (metres).
    crs
        ``EPSG:n``; None: the UTM zone of the image's centre.
    bounds
        xmin, ymin, xmax, ymax in the CRS; None: all that the image can reach.
    snap
        ``lattice``: outward to whole shards of the archive's zone-wide lattice, origin (0, 0), so that all scenes
        share their shards' edges. ``pixel``: outward to whole pixels of it, or from the given bounds' top left.
    shard_px
        Pixels a side of one block.
    bound_px
        How far a mapped position may lie from the exact one, source pixels.

    Raises
    ------
    BadInput
        ``geometry.no_model``, ``dem.no_coverage``, ``plan.bounds``, ``plan.size``.
    """
    if scene.model is None:
        raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
    if not (np.isfinite(resolution_m) and resolution_m > 0):
        raise BadInput(f"a resolution must be positive, got {resolution_m}", kind="plan.bounds")
    heights = terrain_range(scene.model, scene.shape, terrain)
    ground = image_border(scene.model, scene.shape, heights)
    target = crs or utm_crs(*ground)
    geobox = _geobox(bounds or map_bounds(*ground, target), target, resolution_m, snap, shard_px, bounds is not None)
    scale = _scale(geobox, scene.model, scene.shape, sum(heights) / 2)
    support = SUPPORT_PX * max(scale)
    blocks = tuple(
        _block(geobox, (row, col), shard_px, scene.model, scene.shape, terrain, heights, support)
        for row in range(-(-geobox.shape[0] // shard_px))
        for col in range(-(-geobox.shape[1] // shard_px))
    )
    windows = [(part.row0, part.row1, part.col0, part.col1) for block in blocks for part in block.strips]
    return OrthoPlan(
        geobox=geobox,
        shard_px=shard_px,
        blocks=blocks,
        image_shape=scene.shape,
        heights=heights,
        lattice=plan_lattice(geobox, windows, scene.model, terrain, heights, bound_px),
        scale=scale,
    )


def _scale(geobox: GeoBox, model: SensorModel, image: tuple[int, int], height: float) -> tuple[float, float]:
    """Source pixels a step of the output at the image's centre; 1 for what is not clearly coarser than the image."""
    lon, lat = model.image_to_ground(image[0] / 2, image[1] / 2, height)
    x, y, _, _ = map_bounds(np.atleast_1d(lon), np.atleast_1d(lat), str(geobox.crs))
    col, row = ~geobox.affine @ (x, y)
    at = lonlat_of_map(geobox, row + np.array([0.0, 1.0, 0.0]), col + np.array([0.0, 0.0, 1.0]))
    line, sample = model.ground_to_image(*at, height)
    steps = [float(np.hypot(*(axis[1:] - axis[0]))) for axis in (line, sample)]
    scale = [step if step > _SAME_SCALE else 1.0 for step in steps]
    return scale[0], scale[1]


def _geobox(bounds: Bounds, crs: str, resolution: float, snap: str, shard_px: int, given: bool) -> GeoBox:
    """The output grid: bounds moved outward to the lattice."""
    left, bottom, right, top = bounds
    if not (np.isfinite(bounds).all() and left < right and bottom < top):
        raise BadInput(f"bounds must be xmin ymin xmax ymax, got {bounds}", kind="plan.bounds")
    pitch = resolution * (shard_px if snap == "lattice" else 1)
    if snap == "lattice" or not given:
        left, top = np.floor(left / pitch + 1e-9) * pitch, np.ceil(top / pitch - 1e-9) * pitch
    cells = (int(np.ceil((top - bottom) / pitch - 1e-6)), int(np.ceil((right - left) / pitch - 1e-6)))
    rows, cols = (count * (shard_px if snap == "lattice" else 1) for count in cells)
    if (rows / shard_px) * (cols / shard_px) > _MOST_BLOCKS:
        raise BadInput(
            f"{rows} x {cols} output pixels are more than Qyran plans for",
            kind="plan.size",
            remedy="Check the resolution and the bounds: both are in the units of the CRS.",
        )
    return GeoBox((rows, cols), Affine(resolution, 0.0, left, 0.0, -resolution, top), crs)


def _block(
    geobox: GeoBox,
    index: tuple[int, int],
    shard_px: int,
    model: SensorModel,
    image: tuple[int, int],
    terrain: Terrain,
    heights: tuple[float, float],
    support: float,
) -> OrthoBlock:
    """One block: which cells the image may reach at any height the terrain has there, and from which pixels."""
    row0, col0 = index[0] * shard_px, index[1] * shard_px
    window = Window(
        row0=row0, row1=min(row0 + shard_px, geobox.shape[0]), col0=col0, col1=min(col0 + shard_px, geobox.shape[1])
    )
    rows = np.append(np.arange(window.row0, window.row1, CELL_PX), window.row1)
    cols = np.append(np.arange(window.col0, window.col1, CELL_PX), window.col1)
    lon, lat = lonlat_of_map(geobox, *np.meshgrid(rows.astype(float), cols.astype(float), indexing="ij"))
    low, high = terrain.height_range(lon, lat) or heights
    levels = np.array([low, (low + high) / 2, high])[:, None, None]
    line, sample = model.ground_to_image(lon, lat, levels)
    margin_line, margin_sample = _margin(line, support), _margin(sample, support)
    line_low, line_high = _cell_range(line, margin_line)
    sample_low, sample_high = _cell_range(sample, margin_sample)
    reached = (line_high > 0) & (line_low < image[0]) & (sample_high > 0) & (sample_low < image[1])
    if not reached.any():
        return OrthoBlock(index=index, window=window)
    strips, sources = [], []
    for cell in np.flatnonzero(reached.any(axis=1)):
        part = np.flatnonzero(reached[cell])
        strips.append(
            Window(
                row0=int(rows[cell]), row1=int(rows[cell + 1]), col0=int(cols[part[0]]), col1=int(cols[part[-1] + 1])
            )
        )
        sources.append(
            Window(
                row0=max(int(np.floor(line_low[cell, part].min())), 0),
                row1=min(int(np.ceil(line_high[cell, part].max())), image[0]),
                col0=max(int(np.floor(sample_low[cell, part].min())), 0),
                col1=min(int(np.ceil(sample_high[cell, part].max())), image[1]),
            )
        )
    return OrthoBlock(index=index, window=window, strips=tuple(strips), sources=tuple(sources))


def _margin(position: Array, support: float) -> float:
    """How far beyond its cell's corners a tap can lie, px.

    The kernel's reach, one pixel for luck, and twice the usual bound h^2 f''/8 of what linear interpolation between
    the probes misses, along rows, columns and height, from the probes' own second differences.
    """
    bend = 0.0
    for axis in range(3):
        if position.shape[axis] > 2:
            second = np.abs(np.diff(position, n=2, axis=axis))
            bend += float(np.nanmax(second)) if np.isfinite(second).any() else 0.0
    return support + 1.0 + 0.25 * bend


def _cell_range(position: Array, margin: float) -> tuple[Array, Array]:
    """Lowest and highest image position of each cell, widened; a cell the model cannot map is never reached.

    Of a cell that the model maps in part, at the rim of its validity, the rest is taken to go on as steeply as any
    cell of the block does; where the block shows no slope, it may reach anything.
    """
    unknown = np.isnan(position)
    low = np.where(unknown, np.inf, position).min(0)
    high = np.where(unknown, -np.inf, position).max(0)
    steps = (np.abs(np.diff(position, axis=axis)) for axis in (1, 2))
    steepest = sum(float(np.nanmax(step)) if np.isfinite(step).any() else _ANYWHERE_PX for step in steps)
    rim = steepest * _any_corner(unknown.any(0))
    low = np.minimum(low[:-1], low[1:])
    high = np.maximum(high[:-1], high[1:])
    low, high = np.minimum(low[:, :-1], low[:, 1:]), np.maximum(high[:, :-1], high[:, 1:])
    return low - margin - rim, high + margin + rim


def _any_corner(nodes: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether any of the four corners of each cell is marked."""
    rows = nodes[:-1] | nodes[1:]
    marked: npt.NDArray[np.bool_] = rows[:, :-1] | rows[:, 1:]
    return marked
