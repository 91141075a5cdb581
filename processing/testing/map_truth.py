"""The truth on a map: what every pixel of a perfect orthorectified product would hold, and where it came from."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import Transformer

from processing.model.sensor_model import SensorModel
from processing.testing.camera import Pushbroom
from processing.testing.compiled import compiled, compiled_inline, over_rows
from processing.testing.materials import Cover
from processing.testing.relief import POSTS_PER_DEGREE, Posts
from processing.testing.surface import seen_on_surface
from processing.testing.world import World, height_at, look_at_ground, weather_at

Array = npt.NDArray[np.float64]

CRS = "EPSG:32643"
"""UTM zone 43 N, the zone of the target."""
_NODE_PX = 32
"""Map pixels between exact projections: the map's curvature between them is below 0.1 mm."""
_OFFSET_M = 8.0
"""Spacing of the field of offsets: a fraction of the relief's posts."""
_CLOUD = int(Cover.CLOUD)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapGrid:
    """A north-up grid whose pixel edges are whole multiples of the resolution."""

    west: float
    north: float
    resolution_m: float
    shape: tuple[int, int]
    """Rows, columns."""

    @property
    def transform(self) -> Affine:
        """Column and row corners to map metres."""
        return Affine(self.resolution_m, 0.0, self.west, 0.0, -self.resolution_m, self.north)


class Lattice(NamedTuple):
    """Smooth functions of the map, exact at nodes; between them bilinear."""

    row: Array
    """(n, m) post coordinates of the nodes."""
    col: Array
    line: Array
    """(n, m, 3) image coordinates of the true camera at three heights."""
    sample: Array
    shift_row: Array
    """(n, m, 3) from a map point to where the biased camera's ray really passes at that height, post coordinates."""
    shift_col: Array
    slope_row: Array
    """(n, m) of that ray: post rows per metre up."""
    slope_col: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTruth:
    """Truth of one detector array on its grid."""

    grid: MapGrid
    reflectance: npt.NDArray[np.float32]
    """(bands, rows, columns) top of atmosphere, mean over each pixel; NaN where the image does not see."""
    cover: npt.NDArray[np.uint8]
    """(rows, columns) :class:`Cover`; ``NONE`` where the image does not see."""
    offset: npt.NDArray[np.float32]
    """(2, n, m) columns and rows, in pixels, from a product's pixel to the place whose light it holds, because the
    pointing bias is not known to the product's maker. Nodes at ``offset_transform``."""
    offset_transform: Affine


def plan_grid(camera: Pushbroom, posts: Posts, resolution_m: float) -> MapGrid:
    """The smallest lattice-aligned grid that holds all that a camera sees.

    Parameters
    ----------
    camera
        The true one.
    posts
        The relief.
    resolution_m
        Pixel size.
    """
    lines, samples = camera.shape
    steps = np.linspace(0.0, 1.0, 65)
    ring_line = np.concatenate([0 * steps, steps, 0 * steps + 1, steps]) * lines
    ring_sample = np.concatenate([steps, 0 * steps + 1, steps, 0 * steps]) * samples
    lon, lat, _ = seen_on_surface(camera, posts, ring_line, ring_sample)
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True, allow_ballpark=False).transform(lon, lat)
    west, east = np.floor(x.min() / resolution_m), np.ceil(x.max() / resolution_m)
    south, north = np.floor(y.min() / resolution_m), np.ceil(y.max() / resolution_m)
    return MapGrid(
        west=float(west * resolution_m),
        north=float(north * resolution_m),
        resolution_m=resolution_m,
        shape=(int(north - south), int(east - west)),
    )


def _lattice(
    grid: MapGrid, posts: Posts, true: Pushbroom, biased: SensorModel, nominal: SensorModel, heights: Array
) -> Lattice:
    shape = tuple(-(-size // _NODE_PX) + 1 for size in grid.shape)
    columns, rows = np.meshgrid(_NODE_PX * np.arange(shape[1]), _NODE_PX * np.arange(shape[0]))
    x, y = grid.west + columns * grid.resolution_m, grid.north - rows * grid.resolution_m
    lon, lat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True, allow_ballpark=False).transform(x, y)
    ground = (lon[..., None], lat[..., None], heights)
    line, sample = true.ground_to_image(*ground)
    # A product puts into the pixel at a map point what the nominal camera sees there; the biased one looked elsewhere.
    meant_line, meant_sample = nominal.ground_to_image(*ground)
    lon_seen, lat_seen = biased.image_to_ground(meant_line, meant_sample, heights)
    slope_lon, slope_lat = (
        (axis[..., 1] - axis[..., 0]) / (heights[2] - heights[0])
        for axis in biased.image_to_ground(meant_line[..., [1, 1]], meant_sample[..., [1, 1]], heights[[0, 2]])
    )
    return Lattice(
        row=posts.north - lat * POSTS_PER_DEGREE,
        col=lon * POSTS_PER_DEGREE - posts.west,
        line=line,
        sample=sample,
        shift_row=(lat[..., None] - lat_seen) * POSTS_PER_DEGREE,
        shift_col=(lon_seen - lon[..., None]) * POSTS_PER_DEGREE,
        slope_row=-slope_lat * POSTS_PER_DEGREE,
        slope_col=slope_lon * POSTS_PER_DEGREE,
    )


@compiled_inline
def _at(nodes: Array, y: float, x: float) -> float:
    """Bilinear value of a 2-D lattice at a map pixel position."""
    fy, fx = y / _NODE_PX, x / _NODE_PX
    i, j = min(int(fy), nodes.shape[0] - 2), min(int(fx), nodes.shape[1] - 2)
    v, u = fy - i, fx - j
    top = nodes[i, j] * (1 - u) + nodes[i, j + 1] * u
    bottom = nodes[i + 1, j] * (1 - u) + nodes[i + 1, j + 1] * u
    return float(top * (1 - v) + bottom * v)


@compiled_inline
def _at_height(nodes: Array, y: float, x: float, z: float) -> float:
    """Value of a lattice with three heights: parabolic in z = -1, 0, 1."""
    fy, fx = y / _NODE_PX, x / _NODE_PX
    i, j = min(int(fy), nodes.shape[0] - 2), min(int(fx), nodes.shape[1] - 2)
    v, u = fy - i, fx - j
    low, middle, high = 0.0, 0.0, 0.0
    for di in range(2):
        for dj in range(2):
            weight = (v if di else 1 - v) * (u if dj else 1 - u)
            low += weight * nodes[i + di, j + dj, 0]
            middle += weight * nodes[i + di, j + dj, 1]
            high += weight * nodes[i + di, j + dj, 2]
    return middle + 0.5 * z * (high - low + z * (high - 2.0 * middle + low))


@compiled
def _fill(
    start: int,
    stop: int,
    world: World,
    lattice: Lattice,
    span: tuple[float, float],
    image: tuple[int, int],
    points: Array,
    result: tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]],
) -> None:
    """Reflectance and cover of map rows; ``image`` is the shape of the true image."""
    height, layers, clouds, spectra, air, setting, seed = world
    rows, cols, lines, samples = lattice[0], lattice[1], lattice[2], lattice[3]
    reflectance, cover = result
    bands = reflectance.shape[0]
    seen, total, mixed = np.empty(bands), np.empty(bands), np.empty(layers.shape[2], dtype=np.float32)
    for i in range(start, stop):
        for j in range(cover.shape[1]):
            middle_row, middle_col = _at(rows, i + 0.5, j + 0.5), _at(cols, i + 0.5, j + 0.5)
            middle = height_at(height, middle_row, middle_col)
            z = (middle - span[0]) / span[1]
            line, sample = _at_height(lines, i + 0.5, j + 0.5, z), _at_height(samples, i + 0.5, j + 0.5, z)
            if not (0.0 <= line <= image[0] and 0.0 <= sample <= image[1]):
                reflectance[:, i, j] = np.nan
                cover[i, j] = 0
                continue
            total[:] = 0.0
            found = 0
            weather = weather_at(clouds, setting, (middle_row, middle_col, middle))
            for point in range(points.shape[0]):
                y, x = i + points[point, 0], j + points[point, 1]
                place = (_at(rows, y, x), _at(cols, y, x))
                kind, _ = look_at_ground(layers, spectra, air, setting, seed, place, weather, (seen, mixed))
                # Shadow in a part of a pixel makes the pixel that; else the point nearest the middle names it.
                if kind >= _CLOUD or point == points.shape[0] // 2:
                    found = max(found, kind)
                for band in range(bands):
                    total[band] += seen[band]
            for band in range(bands):
                reflectance[band, i, j] = total[band] / points.shape[0]
            cover[i, j] = found


@compiled
def _fill_offset(
    start: int,
    stop: int,
    height: Array,
    lattice: Lattice,
    span: tuple[float, float],
    step: float,
    offset: npt.NDArray[np.float32],
) -> None:
    rows, cols = lattice[0], lattice[1]
    shift_row, shift_col, slope_row, slope_col = lattice[4], lattice[5], lattice[6], lattice[7]
    for i in range(start, stop):
        y = (i + 0.5) * step
        for j in range(offset.shape[2]):
            x = (j + 0.5) * step
            row, col = _at(rows, y, x), _at(cols, y, x)
            level = height_at(height, row, col)
            z = (level - span[0]) / span[1]
            row_seen, col_seen = row + _at_height(shift_row, y, x, z), col + _at_height(shift_col, y, x, z)
            up_row, up_col = _at(slope_row, y, x), _at(slope_col, y, x)
            climb = 0.0
            for _ in range(40):
                found = height_at(height, row_seen + up_row * climb, col_seen + up_col * climb) - level
                if not abs(found - climb) > 1e-4:
                    break
                climb = found
            moved_row, moved_col = row_seen + up_row * climb - row, col_seen + up_col * climb - col
            # From posts to map pixels: the inverse of the map's own Jacobian at this place.
            rx, ry = _at(rows, y, x + 1.0) - row, _at(rows, y + 1.0, x) - row
            cx, cy = _at(cols, y, x + 1.0) - col, _at(cols, y + 1.0, x) - col
            determinant = cx * ry - cy * rx
            offset[0, i, j] = (moved_col * ry - moved_row * cy) / determinant
            offset[1, i, j] = (moved_row * cx - moved_col * rx) / determinant


def _spread(points: int) -> Array:
    """Places of points in a pixel, shape (n, 2), 0-1: a rank-1 lattice, no two in one row or column of the pixel."""
    number = np.arange(points)
    stride = {1: 1, 2: 1, 3: 2, 5: 2, 8: 3}[points]
    return (np.stack([number, number * stride % points], axis=1) + 0.5) / points


def map_truth(
    world: World,
    posts: Posts,
    cameras: tuple[Pushbroom, Pushbroom, Pushbroom],
    *,
    resolution_m: float,
    points: int,
) -> MapTruth:
    """Truth of one detector array on the output grid.

    Parameters
    ----------
    world
        What the array saw.
    posts
        The relief.
    cameras
        The true camera, the one with the constant pointing bias only, and the nominal one.
    resolution_m
        Pixel size of the grid, EPSG:32643.
    points
        Ground points per pixel whose mean is the pixel.
    """
    true, biased, nominal = cameras
    grid = plan_grid(true, posts, resolution_m)
    heights = np.linspace(float(posts.height.min()) - 10.0, float(posts.height.max()) + 10.0, 3)
    lattice = _lattice(grid, posts, true, biased, nominal, heights)
    span = (float(heights[1]), float(heights[2] - heights[1]))
    reflectance = np.empty((world.spectra.shape[1], *grid.shape), dtype=np.float32)
    cover = np.empty(grid.shape, dtype=np.uint8)
    over_rows(_fill, grid.shape[0], world, lattice, span, true.shape, _spread(points), (reflectance, cover))
    step = max(round(_OFFSET_M / resolution_m), 1)
    offset = np.empty((2, -(-grid.shape[0] // step), -(-grid.shape[1] // step)), dtype=np.float32)
    over_rows(_fill_offset, offset.shape[1], posts.height, lattice, span, float(step), offset)
    return MapTruth(
        grid=grid,
        reflectance=reflectance,
        cover=cover,
        offset=offset,
        offset_transform=grid.transform @ Affine.scale(step),
    )
