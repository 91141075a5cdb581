"""The area of a composite: as it is asked for in degrees, cut to where there is anything, and as rings on the map."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from shapely import Point, Polygon
from shapely.geometry.base import BaseGeometry

from processing.model.errors import BadInput

_DENSE_PARTS = 256
"""Into so many pieces the longest side of an area is cut before it leaves the degrees: straight lines are curves."""
_MARGIN_DEG = 1.0
"""Around items, of latitude, and as far to the east and west: no edge of a cut comes near a pixel."""
_NEAR_POLE_DEG = 89.0
_BACK = 1e-6
"""A point of the globe (radius 1) is back where it was if it is no farther off than this: 6 m."""


def near(area: BaseGeometry, outlines: Iterable[BaseGeometry]) -> BaseGeometry:
    """What of an area lies around items: a map of a zone cannot show the whole globe, and nothing is missed there.

    Parameters
    ----------
    area
        Valid polygons, degrees of WGS 84, longitude first.
    outlines
        Of the items, likewise; one that crosses the antimeridian is split there.

    Returns
    -------
    area
        As it was given, to the last digit, where all of it lies around the items.
    """
    parts = [part for outline in outlines for part in _polygons(outline)]
    around = shapely.union_all([box for part in parts for box in _boxes(part)])
    return area if around.covers(area) else shapely.normalize(area.intersection(around))


def _boxes(part: Polygon) -> list[Polygon]:
    """A generous box around an outline, as its parts on both sides of the antimeridian."""
    west, south, east, north = part.bounds
    farthest = max(abs(south), abs(north)) + _MARGIN_DEG
    aside = 180.0 if farthest > _NEAR_POLE_DEG else _MARGIN_DEG / float(np.cos(np.radians(farthest)))
    spans = [(max(west - aside + turn, -180.0), min(east + aside + turn, 180.0)) for turn in (-360.0, 0.0, 360.0)]
    low, high = max(south - _MARGIN_DEG, -90.0), min(north + _MARGIN_DEG, 90.0)
    return [shapely.box(left, low, right, high) for left, right in spans if left < right]


def share(part: BaseGeometry, whole: BaseGeometry) -> float:
    """The part of an area's ground that another, cut from it, has: 0 to 1."""
    return 1.0 if part == whole else float(_even(part).area / _even(whole).area)


def _even(area: BaseGeometry) -> BaseGeometry:
    """On Lambert's cylinder, where equal areas are equal: of a ratio the Earth's flattening changes little."""
    return shapely.transform(
        area.segmentize(_MARGIN_DEG), lambda at: np.column_stack((at[:, 0], np.degrees(np.sin(np.radians(at[:, 1])))))
    )


def rings_on(area: BaseGeometry, crs: str) -> tuple[Polygon, ...]:
    """Rings of an area on a map: what lies inside an odd number of them is in the area.

    Parameters
    ----------
    area
        Valid polygons, degrees of WGS 84, longitude first.
    crs
        Of the map.

    Raises
    ------
    BadInput
        ``composite.area`` if the map does not reach so far: a point has no place on it, or the place of another, or
        the area goes around the globe and encloses nothing there.
    """
    longest = max(max(part[2] - part[0], part[3] - part[1]) for part in (each.bounds for each in _polygons(area)))
    dense = area.segmentize(longest / _DENSE_PARTS)
    mover = Transformer.from_crs("OGC:CRS84", CRS.from_user_input(crs), always_xy=True, allow_ballpark=False)
    placed = shapely.transform(dense, lambda at: _moved(mover, at))
    parts = _polygons(placed)
    points = [shapely.transform(part.representative_point(), lambda at: _moved(mover, at)) for part in _polygons(dense)]
    if not all(map(_holds, parts, points)):
        raise BadInput(
            f"the area ({','.join(f'{edge:g}' for edge in area.bounds)}) is too large for the map of the items, {crs}",
            kind="composite.area",
            where=crs,
            remedy="Choose a smaller area.",
        )
    return tuple(Polygon(ring) for part in parts for ring in (part.exterior, *part.interiors))


def _moved(mover: Transformer, at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points on the map; infinite those that have no place there, or the place of others."""
    there = np.column_stack(mover.transform(at[:, 0], at[:, 1]))
    back = np.column_stack(mover.transform(there[:, 0], there[:, 1], direction="INVERSE"))
    with np.errstate(invalid="ignore"):
        stays = np.linalg.norm(_globe(back) - _globe(at), axis=1) < _BACK
    return np.where(stays[:, np.newaxis] & np.isfinite(there), there, np.inf)


def _holds(part: Polygon, point: Point) -> bool:
    """Whether a polygon is whole on the map, and around what it was around: one around the globe ends where it began.

    One around a pole touches itself, and yet is right.
    """
    if not (np.isfinite(shapely.get_coordinates(part)).all() and np.isfinite(shapely.get_coordinates(point)).all()):
        return False
    return bool(shapely.make_valid(Polygon(part.exterior), method="structure").contains(point))


def _globe(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lon, lat = np.radians(at).T
    return np.column_stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)))


def _polygons(area: BaseGeometry) -> list[Polygon]:
    return [part for part in getattr(area, "geoms", [area]) if isinstance(part, Polygon)]
