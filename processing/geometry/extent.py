"""How much ground an image sees, before anything is known but its model and the terrain."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.geometry.terrain import Terrain, full_turn, lonlat_transformer
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]

_LAND_M = (-450.0, 9000.0)
"""Heights between which all land lies."""
_BORDER_POINTS = 65
_UTM_NORTH, _UTM_SOUTH = 84.0, -80.0
_UPS_NORTH, _UPS_SOUTH = "EPSG:32661", "EPSG:32761"
_GAP_POINTS = 256
"""Ground points a side that are asked whether there is terrain."""
_LONGEST_SHADOW_M = 20_000.0
"""A shadow longer than this falls at dawn, when little is lit; terrain farther away is not looked for."""
_ELLIPSOID = Geod(ellps="WGS84")


def plausible_heights(model: SensorModel) -> tuple[float, float]:
    """Heights, m, between which a model's ground may lie: what its RPC was made for, or all of Earth's land."""
    if isinstance(model, Refined):
        return plausible_heights(model.model)
    if isinstance(model, Rpc):
        reach = max(model.height_scale, 100.0)
        return max(model.height_off - reach, _LAND_M[0]), min(model.height_off + reach, _LAND_M[1])
    return _LAND_M


def image_border(model: SensorModel, shape: tuple[int, int], heights: tuple[float, float]) -> tuple[Array, Array]:
    """Ground (lon, lat; flat) that the image's outline and diagonals see at the lowest and highest height.

    Longitudes are continuous around the image and may run past 180: an image across the antimeridian has 179.9 and
    180.1.

    Raises
    ------
    BadInput
        ``geometry.no_footprint`` when the model maps none of it.
    """
    side = np.linspace(0.0, 1.0, _BORDER_POINTS)
    zero, one = np.zeros_like(side), np.ones_like(side)
    line = np.concatenate([zero, one, side, side, side, side]) * shape[0]
    sample = np.concatenate([side, side, zero, one, side, 1.0 - side]) * shape[1]
    lon, lat = model.image_to_ground(line, sample, np.array(heights)[:, None])
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        raise BadInput("the sensor model maps no part of the image to the ground", kind="geometry.no_footprint")
    return continuous_longitudes(lon[known]), lat[known]


def continuous_longitudes(lon: npt.ArrayLike) -> Array:
    """The same meridians, each by the name nearest to the middle of all, which lies between -180 and 180.

    The middle is the direction of the longitudes' mean on the circle, so points on both sides of the antimeridian come
    out side by side.
    """
    degrees = np.asarray(lon, dtype=np.float64)
    angle = np.radians(degrees)
    middle = float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())))
    if np.abs(degrees - middle).max() < 180.0:
        return degrees  # as they are, to the last bit
    return degrees - 360.0 * np.round((degrees - middle) / 360.0)


def encloses_pole(model: SensorModel, shape: tuple[int, int], height: float) -> int:
    """1 or -1 where the image sees the north or the south pole, else 0: its outline then winds around it."""
    side = np.linspace(0.0, 1.0, _BORDER_POINTS)
    zero, one = np.zeros_like(side), np.ones_like(side)
    line = np.concatenate([zero, side, one, side[::-1]]) * shape[0]
    sample = np.concatenate([side, one, side[::-1], zero]) * shape[1]
    lon, lat = model.image_to_ground(line, sample, height)
    known = np.isfinite(lon) & np.isfinite(lat)
    if known.sum() < 4:
        return 0
    ring = np.unwrap(np.append(lon[known], lon[known][0]), period=360.0)
    return int(np.sign(lat[known].mean())) if abs(ring[-1] - ring[0]) > 180.0 else 0


def ground_bounds(model: SensorModel, shape: tuple[int, int]) -> Bounds:
    """West, south, east, north (degrees) of all ground the image can see: where terrain is needed.

    East lies past 180 where the image crosses the antimeridian; an image that sees a pole needs all longitudes.
    """
    heights = plausible_heights(model)
    lon, lat = image_border(model, shape, heights)
    pole = encloses_pole(model, shape, sum(heights) / 2)
    if pole:
        return -180.0, (float(lat.min()) if pole > 0 else -90.0), 180.0, (90.0 if pole > 0 else float(lat.max()))
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def joined_bounds(bounds: Sequence[Bounds]) -> Bounds:
    """The bounds around several, side by side across the antimeridian too.

    Parameters
    ----------
    bounds
        West, south, east, north, degrees; at least one, near each other.
    """
    centres = continuous_longitudes([(west + east) / 2 for west, _, east, _ in bounds])
    halves = [(east - west) / 2 for west, _, east, _ in bounds]
    west = min(float(centre) - half for centre, half in zip(centres, halves, strict=True))
    east = max(float(centre) + half for centre, half in zip(centres, halves, strict=True))
    return west, min(south for _, south, _, _ in bounds), min(east, west + 360.0), max(north for *_, north in bounds)


def sunward_bounds(bounds: Bounds, relief_m: float, sun_zenith_deg: float, sun_azimuth_deg: float) -> Bounds:
    """Bounds made wider by the length of the longest shadow toward the sun: what stands there may shade the image.

    Parameters
    ----------
    bounds
        West, south, east, north, degrees.
    relief_m
        Greatest height of anything there above anything else.
    sun_zenith_deg, sun_azimuth_deg
        At the image's centre, azimuth clockwise from north.
    """
    west, south, east, north = bounds
    length = min(relief_m * np.tan(np.radians(min(sun_zenith_deg, 89.0))), _LONGEST_SHADOW_M)
    metres = 111_320.0
    up = length * np.cos(np.radians(sun_azimuth_deg)) / metres
    right = length * np.sin(np.radians(sun_azimuth_deg))
    right /= metres * max(np.cos(np.radians(max(abs(south), abs(north)))), 0.01)
    return (
        west + min(right, 0.0),
        max(south + min(up, 0.0), -90.0),
        east + max(right, 0.0),
        min(north + max(up, 0), 90.0),
    )


def terrain_range(model: SensorModel, shape: tuple[int, int], terrain: Terrain) -> tuple[float, float]:
    """Lowest and highest terrain under the image, m above the ellipsoid.

    Raises
    ------
    BadInput
        ``dem.no_coverage`` when the terrain is void under all of it.
    """
    known = terrain.heights[np.isfinite(terrain.heights)]
    heights = (float(known.min()), float(known.max())) if known.size else None
    for _ in range(3):
        if heights is None:
            break
        # Each round sees the image from nearer the ground, so the rectangle of terrain it may see shrinks.
        heights = terrain.height_range(*image_border(model, shape, heights))
    if heights is None:
        raise BadInput(
            "the elevation model covers no part of the image",
            kind="dem.no_coverage",
            remedy="Add the elevation tiles of this area.",
        )
    return heights


def terrain_gap(
    model: SensorModel, shape: tuple[int, int], terrain: Terrain, heights: tuple[float, float]
) -> tuple[str, ...]:
    """A warning that says under how much of an image terrain is missing; none where it is all there."""
    share = missing_terrain(model, shape, terrain, heights)
    if not share:
        return ()
    stated = f"{100 * share:.1f}" if share >= 0.001 else "less than 0.1"
    return (f"terrain is missing under {stated} % of the image: those pixels hold no values (flag NO_TERRAIN)",)


def missing_terrain(
    model: SensorModel, shape: tuple[int, int], terrain: Terrain, heights: tuple[float, float]
) -> float:
    """Share (0 to 1) of the ground an image sees on which terrain is void, or beyond what was read.

    Counted on evenly spaced ground points, as the flag NO_TERRAIN is: a point without terrain belongs to the image if
    it would at the height in the middle.

    Parameters
    ----------
    model, shape
        Of the image: its model, its lines and samples.
    terrain
        What it is put on.
    heights
        Lowest and highest terrain under it, as in its plan.
    """
    lon, lat = image_border(model, shape, heights)
    side = np.linspace(0.0, 1.0, _GAP_POINTS)
    at_lon, at_lat = np.meshgrid(lon.min() + side * np.ptp(lon), lat.min() + side * np.ptp(lat))
    height = terrain.height(at_lon, at_lat)
    void = np.isnan(height)
    line, sample = model.ground_to_image(at_lon, at_lat, np.where(void, sum(heights) / 2, height))
    seen = (line >= 0) & (line < shape[0]) & (sample >= 0) & (sample < shape[1])
    return float(void[seen].mean()) if seen.any() else 0.0


def utm_crs(lon: Array, lat: Array) -> str:
    """``EPSG:n`` of the UTM zone in the middle of points; nearer to a pole than UTM goes, of the polar grid (UPS).

    Zones are 6 degrees wide everywhere: the grid reference system's exceptions around Norway are not zones of another
    projection. UTM ends at 84 N and 80 S.
    """
    middle_lat = float(np.min(lat) + np.max(lat)) / 2
    if middle_lat >= _UTM_NORTH:
        return _UPS_NORTH
    if middle_lat < _UTM_SOUTH:
        return _UPS_SOUTH
    meridians = continuous_longitudes(lon)
    middle = float(meridians.min() + meridians.max()) / 2
    zone = int((middle + 180.0) // 6) % 60 + 1
    return f"EPSG:{(32600 if middle_lat >= 0 else 32700) + zone}"


def map_bounds(lon: Array, lat: Array, crs: str) -> Bounds:
    """xmin, ymin, xmax, ymax of points in a CRS; in one of longitudes they go on past 180, as the points do.

    Raises
    ------
    BadInput
        ``plan.crs`` when the CRS does not reach the points.
    """
    turn = full_turn(crs)
    x, y = lonlat_transformer(crs).transform(lon, lat)
    x, y = np.asarray(x), np.asarray(y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise BadInput(
            f"{crs} does not reach {np.min(lat):.2f}..{np.max(lat):.2f} N, {np.min(lon):.2f}..{np.max(lon):.2f} E",
            kind="plan.crs",
            remedy="Give a coordinate system made for that place, or none.",
        )
    if turn:
        x = x - turn * np.round((x - np.asarray(lon) * turn / 360.0) / turn)
    return float(np.min(x)), float(np.min(y)), float(np.max(x)), float(np.max(y))


def ground_sampling_m(model: SensorModel, shape: tuple[int, int], height: float) -> float:
    """Ground distance of one pixel at the image's centre, m: the geometric mean of both directions."""
    line, sample = shape[0] / 2, shape[1] / 2
    lon, lat = model.image_to_ground(line + np.array([0.0, 1.0, 0.0]), sample + np.array([0.0, 0.0, 1.0]), height)
    _, _, distance = _ELLIPSOID.inv([lon[0], lon[0]], [lat[0], lat[0]], lon[1:], lat[1:])
    return float(np.sqrt(distance[0] * distance[1]))
