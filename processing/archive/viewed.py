"""Images of the archive as a viewer reads them, COGs and levels of stores alike: pixels of areas and at points."""

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
from rasterio.features import geometry_mask
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from processing.archive.layout import BandPlace
from processing.archive.open_cog import HARDENED, opened_cog
from processing.archive.open_levels import LevelImage, as_dataset, has_value, opened_level
from processing.archive.window import Bounds
from processing.model.errors import BadInput

type Place = Path | BandPlace
"""A COG, or a band of a store."""
type Image = DatasetReader | LevelImage
type Coarser = Callable[[Image], float]
"""Told an image, says how many times larger its pixels may be."""
_LON_LAT = CRS.from_epsg(4326)
_DEGREE_M = 111_320.0


@contextmanager
def opened(place: Place, coarser: Coarser | None = None) -> Iterator[Image]:
    """Open an image of the archive, or the coarsest of its overviews or levels that has pixels no larger than allowed.

    Raises
    ------
    Defect
        ``cog.unreadable``, ``archive.missing``, ``archive.corrupt``.
    """
    if isinstance(place, BandPlace):
        yield opened_level(place, coarser)
        return
    with opened_cog(place, coarser) as dataset:
        yield dataset


@contextmanager
def opened_around(place: Place, coarser: Coarser, bounds: Bounds, crs: CRS) -> Iterator[DatasetReader]:
    """As :func:`opened`, for a picture of a rectangle of some map by GDAL: at least what that needs is there."""
    if isinstance(place, BandPlace):
        with rasterio.Env(**HARDENED):
            image = opened_level(place, coarser)
            with as_dataset(image, image.around(bounds, crs)) as dataset:
                yield dataset
        return
    with opened_cog(place, coarser) as dataset:
        yield dataset


def pixel_m(dataset: Image) -> float:
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


def pixels_inside(place: Place, outline: BaseGeometry | None, *, limit: int, thin: bool = False) -> Inside:
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
        As :func:`opened`.
    """
    with opened(place) as dataset:
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
        valid = inside & has_value(stored, dataset.nodata)
    return Inside(stored[valid], int(inside.sum()), coarser)


def pixels_at(image: Place, points: Sequence[tuple[float, float]]) -> tuple[float | None, ...]:
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
        As :func:`opened`.
    """
    with opened(image) as dataset:
        carried = _to_grid(dataset.crs.to_wkt()).transform([at[0] for at in points], [at[1] for at in points])
        # Infinite where the map has no such place.
        across, along = (np.where(np.isfinite(part), part, np.nan) for part in carried)
        columns, rows = ~dataset.transform @ (across, along)
        inside = (rows >= 0) & (rows < dataset.height) & (columns >= 0) & (columns < dataset.width)
        found: list[float | None] = [None] * len(points)
        numbers = _at(dataset, rows[inside].astype(np.intp), columns[inside].astype(np.intp))
        valid = has_value(numbers, dataset.nodata).tolist()
        for which, number, there in zip(np.flatnonzero(inside).tolist(), numbers.tolist(), valid, strict=True):
            found[which] = number if there else None
    return tuple(found)


def _at(dataset: Image, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.generic]:
    if isinstance(dataset, LevelImage):
        return dataset.at(rows, columns)
    places = zip(columns.tolist(), rows.tolist(), strict=True)
    found = [dataset.read(1, window=Window(*place, 1, 1))[0, 0] for place in places]
    return np.asarray(found, dataset.dtypes[0])


@lru_cache(maxsize=64)
def _to_grid(wkt: str) -> Transformer:
    """Degrees of WGS 84 to an image's coordinates. Kept: to make one takes longer than to read a pixel."""
    return Transformer.from_crs(_LON_LAT, CRS.from_wkt(wkt), always_xy=True, allow_ballpark=False)


def on_grid(outline: BaseGeometry, dataset: Image) -> BaseGeometry:
    """The outline in the image's coordinates: bent where straight lines of longitude and latitude are not."""
    west, south, east, north = outline.bounds
    fine = outline.segmentize(max(east - west, north - south, 1e-9) / 64)
    there = _to_grid(dataset.crs.to_wkt())

    def moved(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(there.transform(points[:, 0], points[:, 1]))

    return shapely.transform(fine, moved)


def _window(shape: BaseGeometry | None, dataset: Image) -> Window:
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
