"""The ground of an order: what a customer draws, what of it an item covers, and how much that is."""

import json
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import shapely
from pyproj import CRS, Geod
from pyproj.exceptions import CRSError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from processing.model.errors import BadInput

MAX_VERTICES = 1_000
_GEOD = Geod(ellps="WGS84")
_DENSE_DEG = 0.02
"""A side drawn on a map of degrees is not the shortest line; cut into pieces this long it is, to a millimetre."""
_NEAR_DEG = 6.0
"""So far beyond the area that a map is made for it may be used: images next to it are put on it too."""
_STEP_KM2 = Decimal("0.0001")
_WHOLE = "Draw one area, without crossing lines, of longitudes -180 to 180 and latitudes -90 to 90."


def clip_geometry(document: Mapping[str, Any]) -> BaseGeometry:
    """The area that a GeoJSON document draws: a polygon, several, or a feature or collection of them.

    Raises
    ------
    BadInput
        ``order.clip`` if it is none, crosses itself, has too many vertices, or lies off the globe.
    """
    parts = list(_polygons(document))
    if not parts:
        raise _wrong("it draws no area")
    try:
        drawn = [shape(dict(part)) for part in parts]
    except (TypeError, ValueError, KeyError, IndexError, shapely.errors.ShapelyError) as error:
        raise _wrong("its coordinates cannot be read") from error
    if sum(len(shapely.get_coordinates(part)) for part in drawn) > MAX_VERTICES:
        raise _wrong(f"it has more than {MAX_VERTICES} vertices")
    if not all(part.is_valid and part.area > 0 for part in drawn):
        raise _wrong("it crosses itself, or encloses nothing")
    area = shapely.union_all(drawn)
    west, south, east, north = area.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise _wrong("it lies off the globe")
    return area


def _polygons(document: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        raise _wrong("it is no GeoJSON")
    kind = document.get("type")
    if kind in ("Polygon", "MultiPolygon"):
        yield document
    elif kind == "Feature":
        yield from _polygons(document.get("geometry"))
    elif kind in ("FeatureCollection", "GeometryCollection"):
        members = document.get("features" if kind == "FeatureCollection" else "geometries")
        if not isinstance(members, list) or len(members) > MAX_VERTICES:
            raise _wrong("it has no list of members, or too many")
        for member in members:
            if isinstance(member, Mapping) and member.get("type") == "GeometryCollection":
                raise _wrong("it nests collections")
            yield from _polygons(member)
    else:
        raise _wrong(f"it is a {str(kind)[:40]}, not a polygon")


def _wrong(why: str) -> BadInput:
    return BadInput(f"the area to cut out is no area: {why}", kind="order.clip", remedy=_WHOLE)


def read_clip(text: bytes) -> dict[str, Any]:
    """GeoJSON from a file's bytes.

    Raises
    ------
    BadInput
        ``order.clip``.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong("it is no JSON") from error
    clip_geometry(document)
    return dict(document)


def ordered_ground(footprint: BaseGeometry, clip: BaseGeometry | None) -> BaseGeometry:
    """The ground that is delivered of an item; empty where the clip lies beside it."""
    if clip is None:
        return footprint
    found = footprint.intersection(clip)
    polygons = [part for part in getattr(found, "geoms", [found]) if part.area > 0]
    return shapely.union_all(polygons) if polygons else shapely.Polygon()


def square_km(ground: BaseGeometry) -> Decimal:
    """Its area on the ellipsoid, km2, rounded half up to a hundred square metres."""
    if ground.is_empty:
        return Decimal(0)
    dense = shapely.orient_polygons(ground.segmentize(_DENSE_DEG))
    area, _ = _GEOD.geometry_area_perimeter(dense)
    return (Decimal(repr(abs(float(area)))) / 1_000_000).quantize(_STEP_KM2, ROUND_HALF_UP)


def require_crs(code: str, ground: BaseGeometry) -> CRS:
    """The map that is wanted.

    Raises
    ------
    BadInput
        ``order.crs`` if there is none such, it is not a flat map or degrees, or is not made for this ground.
    """
    try:
        crs = CRS.from_user_input(code)
    except CRSError as error:
        raise BadInput(f"there is no map '{code}'", kind="order.crs", remedy="Name it EPSG:n.") from error
    if not (crs.is_projected or crs.is_geographic) or len(crs.axis_info) != 2:
        raise BadInput(f"{code} is not a map of two dimensions", kind="order.crs", remedy="Take a projected one.")
    use = crs.area_of_use
    if use is not None:
        lands = [(use.west, use.east)] if use.west <= use.east else [(use.west, 180.0), (-180.0, use.east)]
        near = [shapely.box(west - _NEAR_DEG, use.south - _NEAR_DEG, east + _NEAR_DEG, use.north + _NEAR_DEG)
                for west, east in lands]  # fmt: skip
        if not any(ground.intersects(land) for land in near):
            raise BadInput(
                f"{code} ({crs.name}) is not made for the area of this order",
                kind="order.crs",
                remedy=f"It is for {use.name[:120]}",
            )
    return crs
