"""The archive's own COGs as a viewer reads them: pictures of them, pixels inside an outline, pixels at points.

They are ours, but whoever can write into HOME could swap one. So they are opened as what a viewer of a package may
open: one regular file, as GeoTIFF and nothing else, without side files, lists of folders, or the network.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError
from rasterio.features import geometry_mask
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from processing.model.errors import BadInput, Defect

_HARDENED = {
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_CACHEMAX": 64_000_000,
}
_LON_LAT = CRS.from_epsg(4326)
_DEGREE_M = 111_320.0


@contextmanager
def opened_cog(path: Path, coarser: Callable[[DatasetReader], float] | None = None) -> Iterator[DatasetReader]:
    """Open a COG of the archive; GDAL is hardened in this thread for as long as the block runs.

    Parameters
    ----------
    path
        Absolute path of a regular file.
    coarser
        Told the image, says how many times larger its pixels may be: its coarsest overview with pixels no larger is
        opened. None: the image itself.

    Raises
    ------
    Defect
        ``cog.unreadable`` if it is no such file, or damaged.
    """
    if not path.is_absolute() or path.is_symlink() or not path.is_file():
        raise Defect(f"'{path.name}' is not a file of the archive", kind="cog.unreadable", where=path.name)
    with rasterio.Env(**_HARDENED):
        try:
            with rasterio.open(path, driver="GTiff") as dataset:
                factors = [] if coarser is None else dataset.overviews(1)
                largest = 1.0 if coarser is None else coarser(dataset)
                fit = [place for place, factor in enumerate(factors) if factor <= largest]
                if not fit:
                    yield dataset
                    return
            with rasterio.open(path, driver="GTiff", OVERVIEW_LEVEL=fit[-1]) as overview:
                yield overview
        except RasterioError as error:
            raise Defect(f"'{path.name}' cannot be read: {error}", kind="cog.unreadable", where=path.name) from error


def pixel_m(dataset: DatasetReader) -> float:
    """About how many metres a pixel of an image is wide on the ground."""
    width = float(abs(dataset.res[0]))
    return width * _DEGREE_M if dataset.crs.is_geographic else width


@dataclass(frozen=True, slots=True)
class Inside:
    """Stored numbers of the pixels of an area."""

    stored: npt.NDArray[np.generic]
    """One-dimensional, without those that have no value."""
    pixels: int
    """Pixels whose centre lies in the area, with a value or without."""
    coarser: int
    """1: all pixels; n: pixels n times as wide, from an overview. Their extremes and spread are smaller."""


def pixels_inside(path: Path, outline: BaseGeometry | None, *, limit: int, thin: bool = False) -> Inside:
    """Stored numbers of the first band at all pixels whose centre lies in an outline.

    Parameters
    ----------
    outline
        Degrees of WGS 84, longitude first; None: the whole image.
    limit
        Most pixels to read.
    thin
        Take coarser pixels, from an overview, where there are more than that; else refuse.

    Raises
    ------
    BadInput
        ``tiles.too_large`` for more pixels than ``limit``.
    Defect
        As :func:`opened_cog`.
    """
    with opened_cog(path) as dataset:
        shape = None if outline is None else on_grid(outline, dataset)
        window = _window(shape, dataset)
        rows, columns = int(window.height), int(window.width)
        if rows <= 0 or columns <= 0:
            return Inside(np.empty(0, dataset.dtypes[0]), 0, 1)
        coarser = int(np.ceil(np.sqrt(rows * columns / limit)))
        if coarser > 1 and not thin:
            raise BadInput(
                f"that is {rows * columns:,} pixels; {limit:,} are answered at once",
                kind="tiles.too_large",
                remedy="Ask for a smaller bbox, add approximate=true, or order the product and count at home.",
            )
        size = (max(rows // coarser, 1), max(columns // coarser, 1))
        stored = dataset.read(1, window=window, out_shape=size)
        own = dataset.window_transform(window)
        grid = own @ own.scale(columns / size[1], rows / size[0])
        inside = (
            np.ones(size, bool)
            if shape is None
            else geometry_mask([shape], out_shape=size, transform=grid, all_touched=False, invert=True)
        )
        valid = inside if dataset.nodata is None else inside & (stored != dataset.nodata)
    return Inside(stored[valid], int(inside.sum()), coarser)


def pixels_at(path: Path, points: Sequence[tuple[float, float]]) -> tuple[float | None, ...]:
    """Stored numbers of the first band in the pixels that points fall into.

    Parameters
    ----------
    points
        Longitude and latitude, degrees of WGS 84.

    Returns
    -------
    stored
        None outside the image and where there is no value.

    Raises
    ------
    Defect
        As :func:`opened_cog`.
    """
    with opened_cog(path) as dataset:
        there = _to_grid(dataset.crs.to_wkt())
        across, along = there.transform([point[0] for point in points], [point[1] for point in points])
        found: list[float | None] = []
        for place in zip(across, along, strict=True):
            column, row = ~dataset.transform @ place if np.isfinite(place).all() else (-1.0, -1.0)
            if not (0 <= row < dataset.height and 0 <= column < dataset.width):
                found.append(None)
                continue
            (stored,) = dataset.read(1, window=Window(int(column), int(row), 1, 1)).ravel().tolist()
            found.append(None if stored == dataset.nodata else stored)
    return tuple(found)


@lru_cache(maxsize=64)
def _to_grid(wkt: str) -> Transformer:
    """Degrees of WGS 84 to an image's coordinates. Kept: to make one takes longer than to read a pixel."""
    return Transformer.from_crs(_LON_LAT, CRS.from_wkt(wkt), always_xy=True, allow_ballpark=False)


def on_grid(outline: BaseGeometry, dataset: DatasetReader) -> BaseGeometry:
    """The outline in the image's coordinates: bent where straight lines of longitude and latitude are not."""
    west, south, east, north = outline.bounds
    fine = outline.segmentize(max(east - west, north - south, 1e-9) / 64)
    there = _to_grid(dataset.crs.to_wkt())

    def moved(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(there.transform(points[:, 0], points[:, 1]))

    return shapely.transform(fine, moved)


def _window(shape: BaseGeometry | None, dataset: DatasetReader) -> Window:
    """Whole pixels of the image around a shape."""
    if shape is None:
        return Window(0, 0, dataset.width, dataset.height)
    if not np.isfinite(shape.bounds).all():
        return Window(0, 0, 0, 0)
    west, south, east, north = shape.bounds
    corners = [~dataset.transform @ corner for corner in ((west, south), (west, north), (east, south), (east, north))]
    left, right = (int(bound(corner[0] for corner in corners)) for bound in (min, max))
    top, bottom = (int(bound(corner[1] for corner in corners)) for bound in (min, max))
    left, top = max(left - 1, 0), max(top - 1, 0)
    right, bottom = min(right + 2, dataset.width), min(bottom + 2, dataset.height)
    return Window(left, top, max(right - left, 0), max(bottom - top, 0))
