"""Which pixels of a grid a place on Earth means: windows, points and lines."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_reproject
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from processing.archive.layout import GRID_MAPPING, QA
from processing.archive.shard_read import Region
from processing.model.errors import BadInput

type Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top."""

_DENSIFY = 21
"""Points on each side of a rectangle that is carried to another CRS: its sides are curves there."""
_SLACK_PX = 1e-6
"""A bound that lies on a pixel's edge but for rounding does not take in the next pixel."""


def crs_of(given: Any) -> CRS:
    """A CRS by code, WKT or object.

    Raises
    ------
    BadInput
        ``crs.unknown`` if it is none.
    """
    try:
        return CRS.from_user_input(given)
    except CRSError as error:
        raise BadInput(f"'{given}' is no coordinate reference system", kind="crs.unknown") from error


def window_of(bounds: Bounds, crs: Any, transform: Sequence[float], shape: tuple[int, int], own: CRS) -> Region:
    """The window of whole pixels that covers a rectangle.

    Parameters
    ----------
    bounds
        Left, bottom, right, top in ``crs``.
    crs
        Of the bounds; None is the grid's own.
    transform, shape, own
        The grid: affine a to f, rows and columns, its CRS.

    Raises
    ------
    BadInput
        ``window.bounds`` if they are no rectangle; ``window.outside`` if the grid has no pixel in it.
    """
    if len(bounds) != 4 or not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        raise BadInput(f"{tuple(bounds)} is not left, bottom, right, top", kind="window.bounds")
    left, bottom, right, top = bounds
    given = own if crs is None else crs_of(crs)
    if given != own:
        mover = Transformer.from_crs(given, own, always_xy=True, allow_ballpark=False)
        try:
            left, bottom, right, top = mover.transform_bounds(left, bottom, right, top, densify_pts=_DENSIFY)
        except ProjError as error:
            raise BadInput(f"{tuple(bounds)} cannot be carried to {own.name}", kind="window.bounds") from error
    a, _, c, _, e, f = transform
    columns = _span((left - c) / a, (right - c) / a, shape[1])
    rows = _span((top - f) / e, (bottom - f) / e, shape[0])
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise BadInput(
            f"{tuple(round(value, 6) for value in bounds)} lies outside the product",
            kind="window.outside",
            remedy="Give left, bottom, right, top; name their CRS if it is not the product's own.",
        )
    return rows, columns


def _span(first: float, last: float, count: int) -> slice:
    if not (math.isfinite(first) and math.isfinite(last)):
        return slice(0, 0)
    return slice(max(math.floor(first + _SLACK_PX), 0), min(math.ceil(last - _SLACK_PX), count))


def onto(dataset: xr.Dataset, geobox: GeoBox, *, resampling: str = "bilinear") -> xr.Dataset:
    """A product or cube on another grid, lazily: flags by their nearest neighbour, values as asked.

    Parameters
    ----------
    dataset
        As :func:`~processing.archive.open.open_product` opens it, masked.
    geobox
        The grid wanted, in any CRS.
    resampling
        ``nearest``, ``bilinear``, ``cubic``, ``average`` and GDAL's others.
    """
    parts = {
        str(name): xr_reproject(
            variable,
            geobox,
            resampling="nearest" if name == QA else resampling,
            dst_nodata=1 if name == QA else np.nan,
        )
        for name, variable in dataset.data_vars.items()
    }
    return xr.Dataset(parts, attrs=dict(dataset.attrs))


def read_points(dataset: xr.Dataset, x: npt.ArrayLike, y: npt.ArrayLike, *, crs: Any = "EPSG:4326") -> xr.Dataset:
    """Values of the pixels that points fall into.

    Parameters
    ----------
    dataset
        As :func:`~processing.archive.open.open_product` or a cube's opening gives it.
    x, y
        Coordinates of the points in ``crs``; longitude and latitude by default.

    Returns
    -------
    values
        Lazy; dims ``(..., point)``, coordinates ``x, y`` of the pixels' centres. The order is that of the points.

    Raises
    ------
    BadInput
        ``window.outside`` if a point lies outside the grid: no number could be told from nodata.
    """
    own = CRS.from_wkt(dataset[GRID_MAPPING].attrs["crs_wkt"])
    mover = Transformer.from_crs(crs_of(crs), own, always_xy=True, allow_ballpark=False)
    east, north = mover.transform(np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float)))
    found = {
        axis: np.floor((wanted - dataset[axis].values[0]) / _step(dataset, axis) + 0.5)
        for axis, wanted in (("x", east), ("y", north))
    }
    outside = np.zeros(east.shape, bool)
    for axis, places in found.items():
        outside |= ~((places >= 0) & (places < dataset.sizes[axis]))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise BadInput(
            f"{int(outside.sum())} of {outside.size} points lie outside, the first at place {first}",
            kind="window.outside",
        )
    return dataset.isel({axis: xr.DataArray(places.astype(int), dims="point") for axis, places in found.items()})


def read_profile(
    dataset: xr.Dataset, start: tuple[float, float], end: tuple[float, float], *, crs: Any = "EPSG:4326"
) -> xr.Dataset:
    """Values along a straight line of the map, one about every pixel.

    Parameters
    ----------
    start, end
        Coordinates in ``crs``; longitude and latitude by default.

    Returns
    -------
    values
        As :func:`read_points`, with the coordinate ``distance`` from the start in units of the map.

    Raises
    ------
    BadInput
        ``window.outside`` if the line leaves the grid.
    """
    own = CRS.from_wkt(dataset[GRID_MAPPING].attrs["crs_wkt"])
    mover = Transformer.from_crs(crs_of(crs), own, always_xy=True, allow_ballpark=False)
    (x0, y0), (x1, y1) = mover.transform(*start), mover.transform(*end)
    length = math.hypot(x1 - x0, y1 - y0)
    if not math.isfinite(length):
        raise BadInput(f"{start} or {end} is nowhere on this map", kind="window.outside")
    distance = np.linspace(0.0, length, max(math.ceil(length / abs(_step(dataset, "x"))), 1) + 1)
    share = distance / length if length else distance
    found = read_points(dataset, x0 + share * (x1 - x0), y0 + share * (y1 - y0), crs=own)
    return found.assign_coords(distance=("point", distance))


def _step(dataset: xr.Dataset, axis: str) -> float:
    """Signed distance of neighbouring pixels."""
    a, _, _, _, e, _ = dataset.attrs["spatial:transform"]
    return float(a if axis == "x" else e)
