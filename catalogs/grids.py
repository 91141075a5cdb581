"""Where a product's grid lies: its centre, and the square of the Military Grid Reference System around that."""

from functools import cache
from typing import Any

from processing.model.product import StoredGroup


def centre(group: StoredGroup) -> tuple[float, float]:
    """Longitude and latitude of the middle of a grid, degrees (WGS 84); unlike a mean of corners, at 180 degrees too.

    Parameters
    ----------
    group
        Whose grid.

    Returns
    -------
    lon, lat
        -180 to 180 and -90 to 90, to a ten-millionth of a degree (1 cm).
    """
    a, b, c, d, e, f = group.transform
    row, column = group.shape[0] / 2, group.shape[1] / 2
    lon, lat = _to_degrees(group.crs)(a * column + b * row + c, d * column + e * row + f)
    return round(lon, 7), round(lat, 7)


def bounds(group: StoredGroup) -> list[float]:
    """Least x and y, greatest x and y of a grid, in its own coordinates."""
    a, b, c, d, e, f = group.transform
    rows, columns = group.shape
    corners = [(a * i + b * j + c, d * i + e * j + f) for i in (0, columns) for j in (0, rows)]
    xs, ys = zip(*corners, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def grid_code(lon: float, lat: float) -> str:
    """The 100 km square of MGRS that a place lies in, as STAC's grid extension writes it: ``MGRS-43TFH``.

    Source: NGA.STND.0037; around the poles the squares of its UPS part (``MGRS-ZAH``).
    """
    from mgrs import MGRS  # type: ignore[import-untyped]

    return f"MGRS-{MGRS().toMGRS(lat, lon, MGRSPrecision=0)}"


@cache
def _to_degrees(crs: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "OGC:CRS84", always_xy=True, allow_ballpark=False).transform
