"""Areas of a policy: read from GeoJSON and GeoPackage, and widened by metres on the ground."""

import json
import math
import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from catalogs.policy.terms import WIDE_M
from processing.model.errors import BadInput

_WIDER_M = (30.0, 100.0, 300.0, WIDE_M)
"""CE90 up to which an area is widened, besides its own buffer; products less accurate than all touch it for certain."""
_LON_LAT = CRS.from_epsg(4326)
_EARTH_M = 6_371_008.8
_STEP_DEG = 0.05
"""Edges are straight in longitude and latitude, and bend on other maps: so they are divided first."""
_PART_DEG = 10.0
"""Parts larger than that are divided, so that a map around their middle keeps distances."""
_POLAR_DEG = 85.0
"""Nearer to the poles, shapes in longitude and latitude cannot be widened in any simple way."""
_QUARTER = 16
"""Corners of a quarter circle."""
_MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Area:
    """Polygons in degrees of WGS 84, each level widened (or, where being inside gives rights, narrowed) for a CE90."""

    name: str
    levels: tuple[tuple[float, BaseGeometry], ...]
    """Largest CE90 for which a shape is wide enough, in metres, and the shape; rising."""
    harmless: bool = False
    secret: bool = True
    regions: "Mapping[str, Area]" = field(default_factory=lambda: MappingProxyType({}))
    """Its parts by the region that each belongs to; of such an area, everybody is asked about his own part."""

    def of(self, region: str | None) -> "Area | None":
        """The area for a customer of some region; None if it has no part for him."""
        return self.regions.get(region or "") if self.regions else self

    def shape(self, ce90_m: float) -> BaseGeometry | None:
        """The area for a product of some accuracy; None if it is less accurate than any area is widened for."""
        return next((shape for reach, shape in self.levels if ce90_m <= reach), None)


def make_regions(
    name: str, parts: Mapping[str, BaseGeometry], buffer_m: float, *, harmless: bool, secret: bool
) -> Area:
    """An area of which everybody is asked about the part of his own region."""
    regions = {
        region: make_area(f"{name}.{region}", part, buffer_m, harmless=harmless, secret=secret)
        for region, part in parts.items()
    }
    whole = make_area(name, shapely.union_all(list(parts.values())), buffer_m, harmless=harmless, secret=secret)
    return replace(whole, regions=MappingProxyType(regions))


def make_area(
    name: str, polygons: BaseGeometry, buffer_m: float, *, harmless: bool = False, secret: bool = True
) -> Area:
    """An area with what is wider for products of lower accuracy.

    Parameters
    ----------
    polygons
        Degrees of WGS 84.
    buffer_m
        Metres on the ground; the buffer is CE90 where that is more.
    """
    reaches = [buffer_m, *(reach for reach in _WIDER_M if reach > buffer_m)]
    levels = []
    for reach in reaches:
        shape = narrowed(polygons, reach) if harmless else widened(polygons, reach)
        shapely.prepare(shape)
        levels.append((reach, shape))
    return Area(name, tuple(levels), harmless, secret)


def read_regions(path: Path, named: str) -> dict[str, BaseGeometry]:
    """Polygons of a GeoJSON FeatureCollection by what a property of theirs says, e.g. ``KZ-75``; degrees of WGS 84.

    Raises
    ------
    BadInput
        ``policy.area`` if it is none, holds anything but valid polygons, or one does not say its region.
    """
    try:
        features = json.loads(path.read_bytes())["features"]
        parts = [
            (feature["properties"][named], shapely.from_geojson(json.dumps(feature["geometry"])))
            for feature in features
        ]
    except (ValueError, KeyError, TypeError, ShapelyError) as error:
        raise _bad(path, f"it is no FeatureCollection whose features all have a property '{named}'") from error
    found: dict[str, BaseGeometry] = {}
    for region, shape in parts:
        if not isinstance(region, str) or not region:
            raise _bad(path, f"the property '{named}' of a feature is no text")
        _check(path, shape)
        found[region] = shapely.union(found[region], shape) if region in found else shapely.force_2d(shape)
    if not found:
        raise _bad(path, "it has no features")
    return found


def read_polygons(path: Path, layer: str | None = None) -> BaseGeometry:
    """All polygons of a GeoJSON file or of a layer of a GeoPackage, as one, in degrees of WGS 84.

    Raises
    ------
    BadInput
        ``policy.area`` if it is neither, or holds anything but valid polygons.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise _bad(path, f"it has more than {_MAX_BYTES // 1_000_000} MB")
    shapes = list(_of_geopackage(path, layer) if path.suffix == ".gpkg" else _of_geojson(path))
    for shape in shapes:
        _check(path, shape)
    merged: BaseGeometry = shapely.union_all(shapes) if shapes else shapely.MultiPolygon()
    return merged


def _check(path: Path, shape: BaseGeometry) -> None:
    if shape.is_empty or not shape.is_valid or shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise _bad(path, "it holds something that is no valid polygon")
    west, south, east, north = shape.bounds
    if not (-180 <= west <= east <= 180 and -_POLAR_DEG <= south <= north <= _POLAR_DEG):
        raise _bad(path, f"coordinates lie outside -180..180, or nearer to a pole than {_POLAR_DEG:g} degrees")


def _of_geojson(path: Path) -> Iterator[BaseGeometry]:
    try:
        found = shapely.force_2d(shapely.from_geojson(path.read_text(encoding="utf-8")))
    except (ShapelyError, UnicodeDecodeError) as error:
        raise _bad(path, "it is not GeoJSON") from error
    # A FeatureCollection is read as a collection of its geometries.
    yield from _apart(found)


def _apart(shape: BaseGeometry) -> Iterator[BaseGeometry]:
    if shape.geom_type == "GeometryCollection":
        for part in getattr(shape, "geoms", ()):
            yield from _apart(part)
    elif not shape.is_empty:
        yield shape


def _of_geopackage(path: Path, layer: str | None) -> Iterator[BaseGeometry]:
    """GeoPackage is SQLite; its geometries are WKB behind a header (OGC 12-128r19, 2.1.3)."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            tables = connection.execute(
                "SELECT g.table_name, g.column_name, s.organization, s.organization_coordsys_id"
                " FROM gpkg_geometry_columns AS g JOIN gpkg_spatial_ref_sys AS s USING (srs_id)"
            ).fetchall()
            known = sorted(table for table, *_ in tables)
            if layer is None and len(tables) != 1:
                raise _bad(path, f"it has the layers {', '.join(known) or 'none'}: say which")
            chosen = [row for row in tables if layer in (None, row[0])]
            if not chosen:
                raise _bad(path, f"it has no layer '{layer}', only {', '.join(known)}")
            table, column, organisation, code = chosen[0]
            quoted = (str(part).replace('"', '""') for part in (column, table))
            blobs = connection.execute('SELECT "{}" FROM "{}"'.format(*quoted)).fetchall()  # noqa: S608 - names of the file's own table
        there = Transformer.from_crs(
            CRS.from_authority(organisation, code), _LON_LAT, always_xy=True, allow_ballpark=False
        )
        for (blob,) in blobs:
            if blob is not None:
                yield _moved(shapely.force_2d(shapely.from_wkb(_wkb(blob, path))), there)
    except (sqlite3.Error, ShapelyError, ProjError) as error:
        raise _bad(path, f"it is not a GeoPackage that can be read: {error}") from error


def _wkb(blob: bytes, path: Path) -> bytes:
    if len(blob) < 8 or blob[:2] != b"GP":
        raise _bad(path, "a geometry has no GeoPackage header")
    (flags,) = struct.unpack_from("B", blob, 3)
    envelope = (0, 32, 48, 48, 64)
    kind = (flags >> 1) & 7
    if kind >= len(envelope):
        raise _bad(path, "a geometry's envelope is of an unknown kind")
    return blob[8 + envelope[kind] :]


def widened(shape: BaseGeometry, metres: float) -> BaseGeometry:
    """At least so many metres wider on the ground, everywhere; at most a fiftieth more.

    Each part is put on an azimuthal map around its own middle. Across the direction to the middle such a map
    stretches, so the buffer is stretched likewise; and a circle of corners is put around the true one.
    """
    if metres <= 0 or shape.is_empty:
        return shape
    return shapely.make_valid(shapely.union_all([_wider_part(part, metres) for part in _small_parts(shape)]))


def narrowed(shape: BaseGeometry, metres: float) -> BaseGeometry:
    """At least so many metres narrower: what is left of it by its widened surroundings."""
    if metres <= 0 or shape.is_empty:
        return shape
    edge = shape.boundary
    return shapely.difference(shape, widened(edge, metres))


def _small_parts(shape: BaseGeometry) -> Iterator[BaseGeometry]:
    for part in getattr(shape, "geoms", [shape]):
        west, south, east, north = part.bounds
        if max(east - west, north - south) <= _PART_DEG:
            yield part
            continue
        across, up = (max(math.ceil(span / _PART_DEG), 1) for span in (east - west, north - south))
        for column in range(across):
            for row in range(up):
                left, bottom = west + (east - west) * column / across, south + (north - south) * row / up
                cell = shapely.box(left, bottom, left + (east - west) / across, bottom + (north - south) / up)
                yield from (piece for piece in _apart(shapely.intersection(part, cell)) if not piece.is_empty)


def _wider_part(part: BaseGeometry, metres: float) -> BaseGeometry:
    west, south, east, north = part.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    local = CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")
    there = Transformer.from_crs(_LON_LAT, local, always_xy=True, allow_ballpark=False)
    back = Transformer.from_crs(local, _LON_LAT, always_xy=True, allow_ballpark=False)
    on_map = _moved(shapely.segmentize(part, _STEP_DEG), there)
    corners = shapely.get_coordinates(on_map)
    reach = (float(np.hypot(corners[:, 0], corners[:, 1]).max()) + metres) / _EARTH_M
    stretch = reach / math.sin(reach) if reach > 0 else 1.0
    grown = shapely.buffer(on_map, metres * stretch * 1.002 / math.cos(math.pi / 4 / _QUARTER), quad_segs=_QUARTER)
    return _unwrapped(_moved(shapely.segmentize(grown, 5_000.0), back), lon)


def _unwrapped(shape: BaseGeometry, lon: float) -> BaseGeometry:
    """Cut at the antimeridian what a buffer carried across it."""
    points = shapely.get_coordinates(shape)
    if np.abs(points[:, 0] - lon).max() < 180:
        return shape
    whole = shapely.transform(shape, lambda at: np.column_stack([(at[:, 0] - lon + 180) % 360 - 180 + lon, at[:, 1]]))
    parts = [
        shapely.transform(shapely.intersection(whole, shapely.box(-180 + turn, -90, 180 + turn, 90)), _turned(turn))
        for turn in (-360, 0, 360)
    ]
    return shapely.union_all(parts)


def _turned(turn: float) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    return lambda at: at - np.array([turn, 0.0])


def _moved(shape: BaseGeometry, there: Transformer) -> BaseGeometry:
    def moved(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(there.transform(points[:, 0], points[:, 1]))

    found: BaseGeometry = shapely.transform(shape, moved)
    return found


def _bad(path: Path, why: str) -> BadInput:
    return BadInput(
        f"'{path.name}' cannot serve as an area: {why}", kind="policy.area", where=path.name,
        remedy="Give polygons in degrees of WGS 84 as GeoJSON, or a GeoPackage.",
    )  # fmt: skip
