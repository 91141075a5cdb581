"""Ground control points on disk: GeoJSON, as surveyors and orthority write it, and CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processing.geometry.datum import VerticalDatum, undulation
from processing.geometry.refine import GroundControlPoint
from processing.model.errors import BadInput
from processing.model.sensor_model import PixelConvention

_LARGEST_BYTES = 10_000_000
_NAMES = {
    "lon": ("lon", "longitude"),
    "lat": ("lat", "latitude"),
    "height": ("height",),
    "elevation": ("elevation",),
    "datum": ("datum", "vertical_datum"),
    "line": ("line", "row", "y"),
    "sample": ("sample", "col", "column", "x"),
    "convention": ("convention",),
    "name": ("name", "id"),
    "filename": ("filename",),
}
"""What columns may be called."""
_COLUMNS = (
    "Columns: lon, lat; height (above the ellipsoid) or elevation with datum (egm96, ellipsoid); row and col (0 = the "
    "first pixel's centre), or line and sample, or y and x, with convention (corner_zero, centre_zero, centre_one)."
)


def read_control_points(path: Path, image_name: str | None = None) -> tuple[GroundControlPoint, ...]:
    """Ground control points of one image.

    GeoJSON: each feature is a Point of longitude, latitude (degrees WGS 84) and height above the ellipsoid (m). Where
    it was measured in the image stands in the property ``ji``: column, row, with (0, 0) at the first pixel's centre.

    CSV (comma, semicolon or tab; with semicolons also decimal commas): a line of column names, in any order and case.
    ``lon, lat``; ``height`` above the ellipsoid, or ``elevation`` with ``datum`` (``egm96``, ``ellipsoid``); ``row,
    col`` counted as ``ji`` is. ``line, sample`` and ``y, x`` are counted in many ways, so they need a column
    ``convention``: ``corner_zero`` ((0, 0) is the outer corner of the first pixel), ``centre_zero`` (its centre) or
    ``centre_one`` ((1, 1) is its centre). Optional: ``name``, ``filename``. Lines that begin with ``#`` are skipped.

    Parameters
    ----------
    path
        What does not end in ``.csv``, ``.tsv`` or ``.txt`` is taken for a GeoJSON FeatureCollection.
    image_name
        File name of the image: points whose ``filename`` names another image are left out.

    Raises
    ------
    BadInput
        ``gcp.format`` for anything else, in CSV with the line's number; ``gcp.convention`` for image coordinates that
        do not say where they count from; ``gcp.datum`` for heights that do not; ``gcp.none`` when no point is left.
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise BadInput(f"'{path.name}' is too large for a file of control points", kind="gcp.format", where=path.name)
    points = _read_csv(path) if path.suffix.lower() in {".csv", ".tsv", ".txt"} else _read_geojson(path)
    kept = tuple(point for point, name in points if image_name is None or name in (None, "", image_name))
    if not kept:
        raise BadInput(f"'{path.name}' holds no control point of '{image_name}'", kind="gcp.none", where=path.name)
    return kept


def _read_geojson(path: Path) -> list[tuple[GroundControlPoint, str | None]]:
    try:
        features = json.loads(path.read_bytes())["features"]
        return [(_point(feature), feature["properties"].get("filename")) for feature in features]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInput(
            f"'{path.name}' is not a GeoJSON file of control points ({type(error).__name__}: {error})",
            kind="gcp.format",
            where=path.name,
            remedy="Each feature: a Point of lon, lat, ellipsoidal height, and a property 'ji': [column, row].",
        ) from error


def _point(feature: dict[str, Any]) -> GroundControlPoint:
    if feature["geometry"]["type"] != "Point":
        raise ValueError("a control point's geometry must be a Point")
    lon, lat, height = (float(value) for value in feature["geometry"]["coordinates"])
    column, row = (float(value) for value in feature["properties"]["ji"])
    if not all(math.isfinite(value) for value in (lon, lat, height, column, row)):
        raise ValueError("a control point holds a number that is not finite")
    return GroundControlPoint(
        lon=lon,
        lat=lat,
        height=height,
        line=row + PixelConvention.CENTRE_ZERO.value,
        sample=column + PixelConvention.CENTRE_ZERO.value,
        name=str(feature["properties"].get("id", "")),
    )


def _read_csv(path: Path) -> list[tuple[GroundControlPoint, str | None]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"'{path.name}' is not UTF-8 text", kind="gcp.format", where=path.name) from error
    lines = text.splitlines()
    header = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if header is None:
        raise BadInput(f"'{path.name}' is empty", kind="gcp.format", where=path.name, remedy=_COLUMNS)
    delimiter = next((mark for mark in (";", "\t") if mark in lines[header]), ",")
    columns = _columns(next(csv.reader([lines[header]], delimiter=delimiter)), f"{path.name}:{header + 1}")
    points = []
    for number, line in enumerate(lines[header + 1 :], header + 2):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path.name}:{number}"
        try:
            cells = next(csv.reader(io.StringIO(line), delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise BadInput(f"line {number} is not CSV: {error}", kind="gcp.format", where=where) from error
        if len(cells) <= max(columns.values()):
            raise BadInput(
                f"line {number} has {len(cells)} cells, the header names {max(columns.values()) + 1}",
                kind="gcp.format",
                where=where,
            )
        row = {name: cells[at].strip() for name, at in columns.items()}
        points.append((_csv_point(row, decimal_comma=delimiter == ";", where=where), row.get("filename")))
    return points


def _columns(header: list[str], where: str) -> dict[str, int]:
    """Which column holds what. Row and col alone say how they count; other names need a convention."""
    names = [name.strip().lower() for name in header]
    found: dict[str, int] = {}
    for meaning, words in _NAMES.items():
        at = [index for index, name in enumerate(names) if name in words]
        if len(at) > 1:
            raise BadInput(f"several columns say '{meaning}'", kind="gcp.format", where=where, remedy=_COLUMNS)
        if at:
            found[meaning] = at[0]
    missing = [name for name in ("lon", "lat", "line", "sample") if name not in found]
    if missing or ("height" in found) == ("elevation" in found):
        wanted = missing or ["either height or elevation"]
        raise BadInput(f"the header does not name {', '.join(wanted)}", kind="gcp.format", where=where, remedy=_COLUMNS)
    if "elevation" in found and "datum" not in found:
        raise BadInput(
            "elevations need a column 'datum' that says what they are measured from",
            kind="gcp.datum",
            where=where,
            remedy="Add a column 'datum' with egm96, or give heights above the ellipsoid in a column 'height'.",
        )
    pair = names[found["line"]], names[found["sample"]]
    if "convention" not in found and not (pair[0] == "row" and pair[1] in ("col", "column")):
        raise BadInput(
            f"columns '{pair[0]}' and '{pair[1]}' do not say where they count from",
            kind="gcp.convention",
            where=where,
            remedy="Add a column 'convention' with corner_zero, centre_zero or centre_one; or use row and col, where 0 "
            "is the centre of the first pixel.",
        )
    return found


def _csv_point(row: Mapping[str, str], *, decimal_comma: bool, where: str) -> GroundControlPoint:
    vertical = "height" if "height" in row else "elevation"
    number = {
        name: _number(row[name], decimal_comma=decimal_comma, name=name, where=where)
        for name in ("lon", "lat", vertical, "line", "sample")
    }
    if not (-180.0 <= number["lon"] <= 360.0 and -90.0 <= number["lat"] <= 90.0):
        raise BadInput(
            f"lon {number['lon']:g}, lat {number['lat']:g} is no place on Earth", kind="gcp.format", where=where
        )
    convention = row.get("convention", PixelConvention.CENTRE_ZERO.name).upper().replace("CENTER", "CENTRE")
    if convention not in PixelConvention.__members__:
        known = ", ".join(name.lower() for name in PixelConvention.__members__)
        raise BadInput(f"unknown convention '{convention.lower()}'; known: {known}", kind="gcp.convention", where=where)
    offset = PixelConvention[convention].value
    return GroundControlPoint(
        lon=number["lon"],
        lat=number["lat"],
        height=number[vertical] + (_geoid(row["datum"], number, where) if vertical == "elevation" else 0.0),
        line=number["line"] + offset,
        sample=number["sample"] + offset,
        name=row.get("name", ""),
    )


def _geoid(datum: str, number: Mapping[str, float], where: str) -> float:
    """What is to be added to an elevation, m."""
    if datum.lower() == VerticalDatum.ELLIPSOID:
        return 0.0
    if datum.lower() == VerticalDatum.EGM96:
        return float(undulation(number["lon"], number["lat"]))
    raise BadInput(
        f"elevations above '{datum}' cannot be brought to the ellipsoid; known: ellipsoid, egm96",
        kind="gcp.datum",
        where=where,
        remedy="Convert them to heights above the WGS 84 ellipsoid: control points deserve the exact geoid.",
    )


def _number(text: str, *, decimal_comma: bool, name: str, where: str) -> float:
    try:
        value = float(text.replace(",", ".") if decimal_comma else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"'{text[:40]}' in column '{name}' is not a number", kind="gcp.format", where=where)
    return value
