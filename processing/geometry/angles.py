"""Where satellite and sun stand over every pixel, and how the ground there is turned to the sun.

Directions are in the local frame of the WGS 84 ellipsoid: east, north, up. Zenith angles count from its normal,
azimuths clockwise from north, from the ground toward satellite or sun. What is exact here goes through Earth-fixed
coordinates by pyproj; what is fast interpolates between nodes what is smooth (directions, the grids' turn against
north), and takes heights and slopes from the terrain pixel by pixel.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from processing.geometry.mapping import lonlat_of_map
from processing.geometry.sight_lines import LOOK_UP_M, Directions, filled_from_nearest
from processing.geometry.terrain import Terrain, bilinear
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

BOUND_DEG = 0.005
"""How far a fast direction may lie from the exact one: half a step of the encoding. Tested, see test_angles.py."""
NODE_PX = 64
"""Pixels from node to node of what hangs on the map, counted from the whole grid's corner."""
_IMAGE_NODES = 33
"""Nodes a side of what hangs on the image, from its first corner to its last."""
_ELLIPSOID = Geod(ellps="WGS84")
_PROBE_M = 100.0
"""Distance over which the turn of grids against north is taken."""


def line_of_sight(
    model: SensorModel, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike
) -> tuple[Array, Array, Array]:
    """Unit vector (east, north, up) from ground points toward the satellite, by two points on the line of sight.

    Parameters
    ----------
    model
        Any sensor model.
    lon, lat, height
        Degrees WGS 84, metres above the ellipsoid; broadcast.

    Returns
    -------
    east, north, up
        NaN where the model does not reach.
    """
    lon, lat, height = np.broadcast_arrays(*(np.asarray(axis, dtype=np.float64) for axis in (lon, lat, height)))
    line, sample = model.ground_to_image(lon, lat, height)
    above = model.image_to_ground(line, sample, height + LOOK_UP_M)
    toward = earth_fixed(*above, height + LOOK_UP_M) - earth_fixed(lon, lat, height)
    east, north, up = local_axes(lon, lat)
    length = np.sqrt((toward**2).sum(axis=0))
    return tuple((toward * axis).sum(axis=0) / length for axis in (east, north, up))  # type: ignore[return-value]


def earth_fixed(lon: Array, lat: Array, height: Array) -> Array:
    """x, y, z (EPSG:4978), m, on a new first axis; NaN where an argument is."""
    points = np.stack(_to_earth_fixed().transform(lon, lat, height))
    return np.where(np.isfinite(points), points, np.nan)


def local_axes(lon: Array, lat: Array) -> tuple[Array, Array, Array]:
    """Unit vectors east, north and up (the ellipsoid's normal) in Earth-fixed coordinates, each ``(3, ...)``."""
    lam, phi = np.radians(lon), np.radians(lat)
    zero = np.zeros_like(lam)
    return (
        np.stack([-np.sin(lam), np.cos(lam), zero]),
        np.stack([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)]),
        np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)]),
    )


def zenith_azimuth(east: Array, north: Array, up: Array) -> tuple[Array, Array]:
    """Degrees of a direction of any length; azimuth 0 to 360."""
    zenith = np.degrees(np.arctan2(np.hypot(east, north), up))
    return np.asarray(zenith), np.asarray(np.degrees(np.arctan2(east, north)) % 360.0)


def unit_vector(zenith_deg: Array, azimuth_deg: Array) -> tuple[Array, Array, Array]:
    """East, north, up of a direction."""
    zenith, azimuth = np.radians(zenith_deg), np.radians(azimuth_deg)
    return np.sin(zenith) * np.sin(azimuth), np.sin(zenith) * np.cos(azimuth), np.cos(zenith)


def incidence_reference(terrain: Terrain, lon: Array, lat: Array, sun: tuple[Array, Array, Array]) -> Array:
    """Incidence angle of the sun on the terrain, degrees, by the cross product of two chords in Earth-fixed space.

    The chords join the terrain one of its cells to either side, along its rows and along its columns.
    """
    x, y = terrain.map_position(lon.ravel(), lat.ravel())
    col, row = (axis.reshape(lon.shape) for axis in _cell(terrain, x, y))
    chords = []
    for down, right in ((0.0, 1.0), (-1.0, 0.0)):
        ends = []
        for sign in (1.0, -1.0):
            at = terrain.lonlat_of_cells(row + sign * down, col + sign * right)
            ends.append(earth_fixed(*at, terrain.height(*at)))
        chords.append(ends[0] - ends[1])
    normal = np.cross(chords[0], chords[1], axis=0)
    normal /= np.sqrt((normal**2).sum(axis=0))
    east, north, up = local_axes(lon, lat)
    toward = sun[0] * east + sun[1] * north + sun[2] * up
    return np.asarray(np.degrees(np.arccos(np.clip((normal * toward).sum(axis=0), -1.0, 1.0))))


def _cell(terrain: Terrain, x: Array, y: Array) -> tuple[Array, Array]:
    a, b, c, d, e, f = tuple(~terrain.transform)[:6]
    return a * x + b * y + c, d * x + e * y + f


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AngleNodes:
    """What is smooth: lines of sight at nodes over the whole image, the rest at nodes over the whole map. Picklable."""

    heights: tuple[float, float]
    """The two heights, m, at which lines of sight are held; linear between and beyond."""
    view: Array
    """``(2, 2, lines, samples)``: by height, east and north covered a metre of climb toward the satellite."""
    sun: Array
    """``(3, rows, cols)``: unit vector toward the sun."""
    cells: Array
    """``(4, rows, cols)``: the terrain's columns and rows a metre eastward, then a metre northward."""
    azimuths: tuple[float, float]
    """Of satellite and sun in the middle: those of all pixels lie within 180 degrees of it."""


def angle_nodes(
    geobox: GeoBox,
    model: SensorModel,
    image: tuple[int, int],
    terrain: Terrain,
    heights: tuple[float, float],
    sun: Directions,
) -> AngleNodes:
    """Nodes over an image and an output grid.

    Parameters
    ----------
    geobox
        The grid of the angle layers.
    model, image, terrain
        What the image was made with: its model, its lines and samples, the terrain.
    heights
        Lowest and highest terrain, m.
    sun
        Zenith angle and azimuth, degrees, at lon, lat.

    Raises
    ------
    BadInput
        ``geometry.no_footprint`` when the model maps no node of the image.
    """
    rows, cols = (-(-int(size) // NODE_PX) + 1 for size in geobox.shape)
    row, col = np.meshgrid(np.arange(rows) * float(NODE_PX), np.arange(cols) * float(NODE_PX), indexing="ij")
    lon, lat = lonlat_of_map(geobox, row, col)
    levels = (heights[0], max(heights[1], heights[0] + 100.0))
    line, sample = np.meshgrid(*(np.linspace(0.0, size, _IMAGE_NODES) for size in image), indexing="ij")
    view = []
    for level in levels:
        east, north, up = line_of_sight(model, *model.image_to_ground(line, sample, level), level)
        view.append(_filled(np.stack([east / up, north / up])))
    toward_sun = np.stack(unit_vector(*sun(lon, lat)))
    middle = np.mean(view, axis=(0, 2, 3))
    azimuths = tuple(
        float(zenith_azimuth(np.asarray(east), np.asarray(north), np.asarray(1.0))[1])
        for east, north in (middle, toward_sun[:2].mean(axis=(1, 2)))
    )
    return AngleNodes(
        heights=levels,
        view=np.stack(view),
        sun=toward_sun,
        cells=_cells_a_metre(terrain, lon, lat),
        azimuths=(azimuths[0], azimuths[1]),
    )


def _filled(values: Array) -> Array:
    """Nodes that the model cannot map take the nearest known one's values."""
    known = np.isfinite(values).all(axis=0)
    if not known.any():
        raise BadInput("the sensor model maps no part of the image to the ground", kind="geometry.no_footprint")
    return filled_from_nearest(values, known)


def _cells_a_metre(terrain: Terrain, lon: Array, lat: Array) -> Array:
    """Columns and rows of the terrain a metre eastward and a metre northward."""
    steps: list[Array] = []
    for azimuth in (90.0, 0.0):
        ends = []
        for sign in (1.0, -1.0):
            to_lon, to_lat, _ = _ELLIPSOID.fwd(lon, lat, np.full_like(lon, azimuth), np.full_like(lon, sign * _PROBE_M))
            ends.append(_cell(terrain, *terrain.map_position(np.ravel(to_lon), np.ravel(to_lat))))
        steps.extend((ends[0][axis] - ends[1][axis]).reshape(lon.shape) / (2 * _PROBE_M) for axis in (0, 1))
    return np.stack(steps)


def angle_layers(
    nodes: AngleNodes,
    geobox: GeoBox,
    rows: tuple[int, int],
    model: SensorModel,
    terrain: Terrain,
    image: tuple[int, int],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """View zenith and azimuth, sun zenith, azimuth and incidence at the pixels of some rows.

    Parameters
    ----------
    nodes, geobox, model, terrain
        As :func:`angle_nodes` took or gave them.
    rows
        First and last (excluded) row.
    image
        Lines and samples of the image; pixels it does not see hold no angle.

    Returns
    -------
    layers
        float32 ``(5, rows, cols)``, degrees, within :data:`BOUND_DEG` of the exact directions.
    void
        bool ``(rows, cols)``: terrain is void where the image may see.
    """
    row, col = np.meshgrid(np.arange(*rows) + 0.5, np.arange(int(geobox.shape[1])) + 0.5, indexing="ij")
    lon, lat = lonlat_of_map(geobox, row, col)
    x, y = terrain.map_position(lon.ravel(), lat.ravel())
    height = np.empty(lon.shape)
    bilinear(terrain.heights, tuple((~terrain.transform)[:6]), x, y, height.ravel())
    void = np.isnan(height)
    line, sample = model.ground_to_image(lon, lat, np.where(void, sum(nodes.heights) / 2, height))
    seen = (line >= 0) & (line < image[0]) & (sample >= 0) & (sample < image[1])
    up = (height - nodes.heights[0]) / (nodes.heights[1] - nodes.heights[0])
    at_image = tuple(
        np.clip(np.nan_to_num(axis), 0.0, size) / size * (_IMAGE_NODES - 1)
        for axis, size in zip((line, sample), image, strict=True)
    )
    low, high = (_between(level, *at_image) for level in nodes.view)
    view = low * (1.0 - up) + high * up
    at_map = row / NODE_PX, col / NODE_PX
    sun = _between(nodes.sun, *at_map)
    layers = np.empty((5, *lon.shape), dtype=np.float32)
    view_zenith, view_azimuth = zenith_azimuth(view[0], view[1], np.ones_like(lon))
    sun_zenith, sun_azimuth = zenith_azimuth(sun[0], sun[1], sun[2])
    layers[0], layers[1] = view_zenith, _near(view_azimuth, nodes.azimuths[0])
    layers[2], layers[3] = sun_zenith, _near(sun_azimuth, nodes.azimuths[1])
    layers[4] = _incidence(terrain, _cell(terrain, x, y), _between(nodes.cells, *at_map), sun)
    layers[:, ~seen | void] = np.nan
    return layers, void & seen


def _near(azimuth: Array, middle: float) -> Array:
    return middle + (azimuth - middle + 180.0) % 360.0 - 180.0


def _between(values: Array, at_row: Array, at_col: Array) -> Array:
    """Bilinear between nodes, at positions counted in nodes."""
    i = np.minimum(at_row.astype(np.intp), values.shape[-2] - 2)
    j = np.minimum(at_col.astype(np.intp), values.shape[-1] - 2)
    v, u = at_row - i, at_col - j
    above = values[..., i, j] * (1.0 - u) + values[..., i, j + 1] * u
    below = values[..., i + 1, j] * (1.0 - u) + values[..., i + 1, j + 1] * u
    return np.asarray(above * (1.0 - v) + below * v)


def _incidence(terrain: Terrain, cell: tuple[Array, Array], cells: Array, sun: Array) -> Array:
    """Incidence angle, degrees, from the rise of the terrain over one cell to either side of each point."""
    rise = []
    for axis in (0, 1):
        ends = []
        for sign in (1.0, -1.0):
            x, y = cell[0] + (sign if axis == 0 else 0.0), cell[1] + (sign if axis == 1 else 0.0)
            height = np.empty(x.size)
            bilinear(terrain.heights, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), x, y, height)
            ends.append(height.reshape(cells.shape[1:]))
        rise.append((ends[0] - ends[1]) / 2.0)
    eastward = rise[0] * cells[0] + rise[1] * cells[1]
    northward = rise[0] * cells[2] + rise[1] * cells[3]
    cosine = (sun[2] - eastward * sun[0] - northward * sun[1]) / np.sqrt(1.0 + eastward**2 + northward**2)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@lru_cache(maxsize=1)
def _to_earth_fixed() -> Transformer:
    return Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True, allow_ballpark=False)
