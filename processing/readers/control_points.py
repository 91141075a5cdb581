"""Ground control points on disk: GeoJSON, as surveyors and orthority write it."""

import json
import math
from pathlib import Path
from typing import Any

from processing.geometry.refine import GroundControlPoint
from processing.model.errors import BadInput
from processing.model.sensor_model import PixelConvention

_LARGEST_BYTES = 10_000_000


def read_control_points(path: Path, image_name: str | None = None) -> tuple[GroundControlPoint, ...]:
    """Ground control points of one image.

    Each feature is a Point of longitude, latitude (degrees WGS 84) and height above the ellipsoid (m). Where it was
    measured in the image stands in the property ``ji``: column, row, with (0, 0) at the centre of the first pixel.

    Parameters
    ----------
    path
        A GeoJSON FeatureCollection.
    image_name
        File name of the image: features whose property ``filename`` names another image are left out.

    Raises
    ------
    BadInput
        ``gcp.format`` for anything else, ``gcp.none`` when no point is left.
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise BadInput(f"'{path.name}' is too large for a file of control points", kind="gcp.format", where=path.name)
    try:
        features = json.loads(path.read_bytes())["features"]
        points = [(_point(feature), feature["properties"].get("filename")) for feature in features]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"'{path.name}' is not a GeoJSON file of control points ({type(error).__name__}: {error})",
            kind="gcp.format",
            where=path.name,
            remedy="Each feature: a Point of lon, lat, ellipsoidal height, and a property 'ji': [column, row].",
        ) from error
    kept = tuple(point for point, name in points if image_name is None or name in (None, image_name))
    if not kept:
        raise BadInput(f"'{path.name}' holds no control point of '{image_name}'", kind="gcp.none", where=path.name)
    return kept


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
