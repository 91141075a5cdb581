"""Where a product has pixels: its outline on the ground."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from rasterio.features import shapes
from shapely import Polygon
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from processing.archive.shard_read import LocalArray
from processing.archive.store import Group, Level
from processing.model.composite_layers import BESIDE
from processing.model.errors import BadInput

_OUTLINE_PX = 512
"""A level at least this long on one side decides the outline."""
_DENSE_STEPS = 64
"""Parts that an outline's longest extent is cut into before it leaves the map: straight lines are curves in lon/lat."""
_STRAIGHT_DEG = 2e-6
"""Of those parts, the ones that bend less than this (20 cm) are taken out again."""
_DECIMALS = 7
"""Of degrees: about 1 cm."""


def outline(store: Path, groups: tuple[Group, ...]) -> Polygon:
    """One ring around every valid pixel of the product, in the map's coordinates.

    Found on a coarse level, where a pixel is valid if any pixel below it is, so nothing valid lies outside by more
    than the simplification of one coarse pixel. Holes are filled; separate parts are spanned by their hull.

    Raises
    ------
    BadInput
        ``product.empty`` if no pixel holds a value.
    """
    # Angles are laid out in coarser pixels, which reach a little farther than the image they describe.
    images = [group for group in groups if group.name not in BESIDE]
    parts = [_group_outline(store, group) for group in images]
    polygons = [part for part in parts if part is not None]
    if not polygons:
        raise BadInput(
            "no pixel of the product holds a value",
            kind="product.empty",
            remedy="The scene and the elevation model may not overlap, or the package holds only nodata.",
        )
    return _one_ring(polygons)


def _group_outline(store: Path, group: Group) -> Polygon | None:
    level = next((level for level in reversed(group.levels) if max(level.shape) >= _OUTLINE_PX), group.levels[0])
    valid = valid_pixels(store, group, level)
    affine = level.geobox.affine
    parts = [_polygon(shape(part)) for part, _ in shapes(valid.astype(np.uint8), mask=valid, transform=affine)]
    rings = [Polygon(part.exterior) for part in parts]
    return _polygon(_one_ring(rings).simplify(abs(affine.a))) if rings else None


def valid_pixels(store: Path, group: Group, level: Level) -> npt.NDArray[np.bool_]:
    """Bool ``(rows, columns)``: true where any band of the level has a value."""
    valid = np.zeros(level.shape, np.bool_)
    for name, encoding in group.encodings.items():
        valid |= LocalArray.at(store, f"{level.path}/{name}")[:, :] != encoding.nodata
    return valid


def _one_ring(polygons: list[Polygon]) -> Polygon:
    merged = shapely.union_all(polygons)
    return Polygon(merged.exterior) if isinstance(merged, Polygon) else _polygon(merged.convex_hull)


def _polygon(geometry: BaseGeometry) -> Polygon:
    if not isinstance(geometry, Polygon):
        raise BadInput("the valid pixels enclose no area", kind="product.empty")
    return geometry


def inside(ring: Polygon, geobox: GeoBox, region: tuple[slice, slice]) -> npt.NDArray[np.bool_]:
    """Bool, the region's pixels: true where a pixel's centre lies inside the ring.

    Even-odd rule, row by row: every edge flips all pixels to the right of where it crosses a row of centres. The
    same for a pixel in whatever region it is asked.
    """
    rows, columns = region
    eastings, northings = np.asarray(ring.exterior.coords).T
    corners = np.column_stack(~geobox.affine @ (eastings, northings))
    flips = np.zeros((rows.stop - rows.start, columns.stop - columns.start + 1), np.uint8)
    for (x1, y1), (x2, y2) in pairwise(corners):
        first, last = (math.ceil(end - 0.5) for end in (min(y1, y2), max(y1, y2)))
        crossed = np.arange(max(first, rows.start), min(last, rows.stop))
        crossing = x1 + (crossed + 0.5 - y1) * ((x2 - x1) / (y2 - y1)) if crossed.size else crossed
        right = np.ceil(crossing - 0.5).astype(np.int64) - columns.start
        flips[crossed - rows.start, np.clip(right, 0, flips.shape[1] - 1)] ^= 1
    return np.bitwise_xor.accumulate(flips, axis=1)[:, :-1].astype(np.bool_)


def on_the_ground(ring: Polygon, crs: CRS) -> tuple[dict[str, Any], tuple[float, float, float, float]]:
    """A ring of map coordinates as GeoJSON.

    Parameters
    ----------
    ring
        Outline in the map's coordinates.
    crs
        Of the map.

    Returns
    -------
    geometry
        Polygon in lon, lat degrees (WGS 84), counter-clockwise, lines densified; a MultiPolygon split at the
        antimeridian where it crosses (RFC 7946, 3.1.9).
    bbox
        West, south, east, north; west > east where it crosses.

    Raises
    ------
    BadInput
        ``footprint.pole`` if the outline encloses a pole or spans half the globe.
    """
    west, south, east, north = ring.bounds
    dense = ring.segmentize(max(east - west, north - south) / _DENSE_STEPS)
    lon, lat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True, allow_ballpark=False).transform(
        *dense.exterior.coords.xy
    )
    degrees = np.unwrap(np.asarray(lon), period=360.0)
    if not (np.all(np.isfinite(degrees)) and abs(degrees[-1] - degrees[0]) < 1e-6 and np.ptp(degrees) < 180):
        raise BadInput("the outline encloses a pole or cannot be put on the globe", kind="footprint.pole")
    degrees -= 360.0 * np.floor((degrees.min() + 180.0) / 360.0)
    curved = Polygon(np.column_stack([degrees, lat])).simplify(_STRAIGHT_DEG)
    polygon = _polygon(shapely.orient_polygons(shapely.transform(curved, lambda points: points.round(_DECIMALS))))
    if polygon.bounds[2] <= 180.0:
        return _geojson(polygon), polygon.bounds
    return _split(polygon)


def _split(polygon: Polygon) -> tuple[dict[str, Any], tuple[float, float, float, float]]:
    """Cut a polygon whose longitudes run past 180 at the antimeridian."""
    west, south, east, north = polygon.bounds
    near = polygon.intersection(shapely.box(west, -90, 180, 90))
    far = shapely.transform(polygon.intersection(shapely.box(180, -90, east, 90)), lambda xy: xy - (360.0, 0.0))
    parts = [part for side in (near, far) for part in getattr(side, "geoms", [side]) if isinstance(part, Polygon)]
    rounded = shapely.set_precision(shapely.MultiPolygon(parts), 10.0**-_DECIMALS)
    return _geojson(shapely.orient_polygons(rounded)), (west, south, round(east - 360.0, _DECIMALS), north)


def _geojson(geometry: BaseGeometry) -> dict[str, Any]:
    """Lists, not tuples: the record must be the same before and after JSON."""

    def listed(value: Any) -> Any:
        return [listed(entry) for entry in value] if isinstance(value, tuple | list) else value

    plain = mapping(geometry)
    return {"type": plain["type"], "coordinates": listed(plain["coordinates"])}
