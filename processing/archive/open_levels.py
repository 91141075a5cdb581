"""Bands of a store as a viewer reads them: with rasterio's words, their levels being overviews.

Pixels come from the archive's own reader, in windows, as stored. A shard that is missing or damaged raises; what gives
pixels a meaning is held against the store's manifest, and that against the catalogue.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from processing.archive.encode import fill_of
from processing.archive.layout import GRID_MAPPING, MANIFEST, MEASUREMENTS, QA, BandPlace
from processing.archive.source import Metadata, StoredArray, read_metadata
from processing.archive.window import Bounds
from processing.model.errors import Defect

_WHOLE_PX = 512
"""A level no longer than that is read at once."""
_AROUND_PX = 128
"""Read beyond what is asked for: more than GDAL's warper takes, whose kernel depends on how much it was given."""
_DENSIFY = 21


@dataclass(frozen=True, slots=True)
class BandLevels:
    """One array of a group at all levels, finest first."""

    arrays: tuple[StoredArray, ...]
    transforms: tuple[Affine, ...]
    wkt: str


@dataclass(frozen=True, slots=True)
class GroupLevels:
    """A measurement group: its bands in their order, the flags last."""

    name: str
    bands: dict[str, BandLevels]


def groups_of(store: Path, manifest_sha256: str = "") -> tuple[GroupLevels, ...]:
    """All groups of a store, everything about them but their pixels.

    Parameters
    ----------
    manifest_sha256
        What the store's manifest must have, hex; empty: whatever it has.

    Raises
    ------
    Defect
        ``archive.missing`` if there is no store; ``archive.corrupt`` if it is not what was published.
    """
    try:
        stat = (store / MANIFEST).stat()
    except OSError as error:
        raise Defect(
            "a store has no manifest", kind="archive.missing", where=str(store), remedy="Run: qyran verify"
        ) from error
    return _groups(store, manifest_sha256, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=64)
def _groups(store: Path, manifest_sha256: str, _changed: tuple[int, int]) -> tuple[GroupLevels, ...]:
    # Kept: a store never changes, and to look into it takes longer than to read a tile.
    if manifest_sha256 and hashlib.sha256((store / MANIFEST).read_bytes()).hexdigest() != manifest_sha256:
        raise Defect(
            "a store's manifest is not the one that the catalogue names", kind="archive.corrupt", where=str(store),
            remedy="Run: qyran verify --deep",
        )  # fmt: skip
    try:
        nodes = read_metadata(store, "", listed=True)["consolidated_metadata"]["metadata"]
        names = sorted(
            path.partition("/")[2] for path in nodes if path.count("/") == 1 and path.startswith(MEASUREMENTS)
        )
        return tuple(_group(store, nodes, name) for name in names)
    except FileNotFoundError as error:
        raise Defect("a store has no metadata", kind="archive.missing", where=str(store)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise Defect(f"metadata of a store lacks {error}", kind="archive.corrupt", where=str(store)) from error


def _group(store: Path, nodes: dict[str, Metadata], name: str) -> GroupLevels:
    path = f"{MEASUREMENTS}/{name}"
    own = nodes[path]["attributes"]
    layout = own["multiscales"]["layout"]
    transforms = tuple(Affine(*map(float, level["spatial:transform"])) for level in layout)
    places = [f"{path}/{level['asset']}" for level in layout]
    wkt = str(nodes[f"{places[0]}/{GRID_MAPPING}"]["attributes"]["crs_wkt"])
    arrays = {
        band: tuple(StoredArray.of(store, f"{place}/{band}", nodes[f"{place}/{band}"]) for place in places)
        for band in (*own["bands"], QA)
    }
    return GroupLevels(name, {band: BandLevels(found, transforms, wkt) for band, found in arrays.items()})


class LevelImage:
    """A band at one of its levels: what of rasterio's datasets viewers ask for.

    Its grid is the archive's: pixels of coarser levels are exactly twice as wide, where GDAL stretches those of an
    overview until they end with the image.
    """

    count = 1
    colorinterp = (ColorInterp.gray,)
    profile: ClassVar[dict[str, Any]] = {}

    def __init__(self, band: BandLevels, level: int = 0) -> None:
        self._band, self._level = band, level
        self._array = band.arrays[level]
        self.transform = band.transforms[level]
        self.shape: tuple[int, int] = self._array.shape
        self.height, self.width = self.shape
        self.dtypes = (str(self._array.layout.dtype),)

    @property
    def res(self) -> tuple[float, float]:
        """Width and height of a pixel, in units of the map."""
        return abs(self.transform.a), abs(self.transform.e)

    @cached_property
    def crs(self) -> CRS:
        """Of the map."""
        return _crs(self._band.wkt)

    @property
    def bounds(self) -> Bounds:
        """Left, bottom, right, top."""
        left, bottom, right, top = array_bounds(self.height, self.width, self.transform)
        return left, bottom, right, top

    @property
    def nodata(self) -> float | None:
        """The number that stands for no value; flags have none."""
        own = self._array.attributes
        return None if "flag_masks" in own else fill_of(self._array.kept_as)

    @property
    def mask_flag_enums(self) -> tuple[list[MaskFlags], ...]:
        """How it says where it has values."""
        return ([MaskFlags.all_valid if self.nodata is None else MaskFlags.nodata],)

    def coarser(self, times: float) -> "LevelImage":
        """The coarsest level whose pixels are no more than so many times wider; else this one."""
        deeper = max(math.floor(math.log2(max(times, 1.0)) + 1e-9), 0)
        return LevelImage(self._band, min(self._level + deeper, len(self._band.arrays) - 1))

    def window_transform(self, window: Window) -> Affine:
        """Grid of a window."""
        return self.transform @ Affine.translation(window.col_off, window.row_off)

    def read(
        self, indexes: int | None = None, *, window: Window | None = None, out_shape: tuple[int, int] | None = None
    ) -> npt.NDArray[Any]:
        """Stored numbers of a window, or fewer of them: then the nearest of the coarsest level that has as many.

        Returns
        -------
        stored
            ``(row, column)``, or ``(1, row, column)`` where no band is named.
        """
        rows, columns = self._region(window)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        pixels = (
            self._array.read((rows, columns)) if out_shape in (None, size) else self._thinned(rows, columns, out_shape)
        )
        return pixels if indexes is not None else pixels[None]

    def dataset_mask(self, *, window: Window | None = None) -> npt.NDArray[np.uint8]:
        """255 where there are values, else 0."""
        there = has_value(self.read(1, window=window), self.nodata)
        return np.where(there, np.uint8(255), np.uint8(0))

    def at(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Stored numbers of single pixels; each chunk they lie in is read once."""
        found = np.empty(rows.shape, self._array.layout.dtype)
        height, width = self._array.layout.chunk
        chunks = np.stack([rows // height, columns // width])
        for row, column in np.unique(chunks, axis=1).T.tolist():
            here = (chunks[0] == row) & (chunks[1] == column)
            top, left = row * height, column * width
            region = (slice(top, min(top + height, self.height)), slice(left, min(left + width, self.width)))
            found[here] = self._array.read(region)[rows[here] - top, columns[here] - left]
        return found

    def around(self, bounds: Bounds, crs: CRS) -> Window:
        """The window that a picture of a rectangle of any map is made from."""
        whole = Window(0, 0, self.width, self.height)
        if max(self.shape) <= _WHOLE_PX:
            return whole
        if crs != self.crs:
            # Carried there and back, because far from the image a map may end.
            own = transform_bounds(self.crs, crs, *self.bounds, densify_pts=_DENSIFY)
            low, high = np.maximum(own[:2], bounds[:2]), np.minimum(own[2:], bounds[2:])
            if not (low < high).all():
                return Window(0, 0, 1, 1)
            bounds = transform_bounds(crs, self.crs, *low, *high, densify_pts=_DENSIFY)
        if not np.isfinite(bounds).all():
            return whole
        corners = [~self.transform @ corner for corner in ((bounds[0], bounds[1]), (bounds[2], bounds[3]))]
        left, right = _span((corners[0][0], corners[1][0]), self.width)
        top, bottom = _span((corners[0][1], corners[1][1]), self.height)
        return Window(left, top, right - left, bottom - top)

    def _region(self, window: Window | None) -> tuple[slice, slice]:
        if window is None:
            return slice(0, self.height), slice(0, self.width)
        top, left = int(window.row_off), int(window.col_off)
        return slice(top, top + int(window.height)), slice(left, left + int(window.width))

    def _thinned(self, rows: slice, columns: slice, shape: tuple[int, int]) -> npt.NDArray[Any]:
        steps = [(part.stop - part.start) / count for part, count in zip((rows, columns), shape, strict=True)]
        coarse = self.coarser(min(steps))
        times = coarse.res[0] / self.res[0]
        places = [
            np.minimum(((part.start + (np.arange(count) + 0.5) * step) / times).astype(np.intp), length - 1)
            for part, count, step, length in zip((rows, columns), shape, steps, coarse.shape, strict=True)
        ]
        low = [int(found[0]) for found in places]
        window = Window(low[1], low[0], int(places[1][-1]) + 1 - low[1], int(places[0][-1]) + 1 - low[0])
        return coarse.read(1, window=window)[np.ix_(places[0] - low[0], places[1] - low[1])]


def has_value(stored: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.bool_]:
    """Where stored numbers stand for values."""
    if nodata is None:
        return np.ones(stored.shape, bool)
    return ~np.isnan(stored) if math.isnan(nodata) else stored != nodata


def opened_level(place: BandPlace, coarser: Callable[[LevelImage], float] | None = None) -> LevelImage:
    """A band at its finest level.

    Parameters
    ----------
    coarser
        Told that level, says how many times larger pixels may be: the coarsest with pixels no larger is taken.

    Raises
    ------
    Defect
        ``archive.missing``, ``archive.corrupt``, now or when pixels are read.
    """
    groups = {group.name: group.bands for group in groups_of(place.store, place.manifest_sha256)}
    try:
        image = LevelImage(groups[place.group][place.name])
    except KeyError as error:
        raise Defect(f"a store has no {error}", kind="archive.missing", where=str(place.store)) from error
    return image if coarser is None else image.coarser(coarser(image))


@contextmanager
def as_dataset(image: LevelImage, window: Window) -> Iterator[DatasetReader]:
    """A window of an image for what knows GDAL's datasets only. It lies in memory."""
    profile = {
        "driver": "GTiff", "count": 1, "dtype": image.dtypes[0], "height": int(window.height),
        "width": int(window.width), "crs": image.crs, "transform": image.window_transform(window),
        "nodata": image.nodata,
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(image.read(window=window))
        with memory.open() as dataset:
            yield dataset


@lru_cache(maxsize=64)
def _crs(wkt: str) -> CRS:
    return CRS.from_wkt(wkt)


def _span(ends: Sequence[float], length: int) -> tuple[int, int]:
    """First pixel and the one behind the last, at least one, with some on either side."""
    first = min(max(math.floor(min(ends)) - _AROUND_PX, 0), length - 1)
    return first, max(min(math.ceil(max(ends)) + _AROUND_PX, length), first + 1)
