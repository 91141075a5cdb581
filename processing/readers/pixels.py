"""Pixels of a package by window: nothing is decoded until it is asked for, and never more than was promised."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from dask.base import tokenize
from rasterio.errors import RasterioError
from rasterio.windows import Window

from processing.model.errors import BadInput, Defect
from processing.model.scene import PixelSource
from processing.readers.raster_open import RasterFacts, hardened_env, hardened_open, raster_facts

Index = tuple[slice | int, ...]

__all__ = [
    "LazyRaster", "PixelTile", "TiledSource", "hardened_env", "hardened_open", "open_source",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelTile:
    """One file of an image delivered in a grid of tiles."""

    path: Path
    row: int = 1
    """Row of the tile in the grid, counted from 1 as in ``_R1C2``."""
    column: int = 1


def _windows(index: Index, shape: tuple[int, int, int]) -> tuple[list[range], Index]:
    """The unbroken ranges that hold what an index asks for, and the index that picks it from them."""
    ranges: list[range] = []
    rest: list[slice | int] = []
    for part, length in zip(index, shape, strict=True):
        if isinstance(part, slice):
            wanted = range(length)[part]
            ranges.append(range(wanted[0], wanted[-1] + 1) if len(wanted) and wanted.step > 0 else range(0))
            rest.append(slice(None, None, wanted.step))
            if wanted.step < 0:
                raise Defect("pixels are read forwards", kind="pixels.step")
        else:
            ranges.append(range(length)[int(part) : int(part) + 1])
            rest.append(0)
    return ranges, tuple(rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyRaster:
    """One file as an array ``(band, line, sample)`` that reads a window when indexed. Holds a path, never a handle.

    A file that changes after it was understood is an error: its pixels are no longer the ones the metadata, the
    inventory and the graph's name speak of.
    """

    path: Path
    driver: str
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    size: int
    mtime_ns: int
    block: tuple[int, int] = (1, 1)
    """Lines and samples of a stored block."""

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("qyran-raster", str(self.path), self.size, self.mtime_ns, self.shape, str(self.dtype))

    def __getitem__(self, index: Index) -> npt.NDArray[np.generic]:
        (bands, lines, samples), rest = _windows(index, self.shape)
        if not (len(bands) and len(lines) and len(samples)):
            return np.empty((len(bands), len(lines), len(samples)), self.dtype)[rest]
        window = Window(samples.start, lines.start, len(samples), len(lines))
        return self._read([band + 1 for band in bands], window)[rest]

    def _read(self, bands: list[int], window: Window) -> npt.NDArray[np.generic]:
        state = self.path.lstat()
        if (state.st_size, state.st_mtime_ns) != (self.size, self.mtime_ns):
            raise BadInput(
                f"'{self.path.name}' changed after it was read",
                kind="file.changed",
                where=self.path.name,
                remedy="Wait until the transfer has ended, then start again.",
            )
        with hardened_env():
            try:
                with rasterio.open(self.path, driver=self.driver) as dataset:
                    return np.asarray(dataset.read(bands, window=window))
            except RasterioError as error:
                raise BadInput(
                    f"'{self.path.name}' cannot be decoded at line {window.row_off}, sample {window.col_off}: "
                    f"{error.__cause__ or error}",
                    kind="truncated",
                    where=self.path.name,
                    remedy="The file is incomplete or damaged: transfer it again.",
                ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledSource:
    """Files side by side as one array ``(band, line, sample)``: a grid of tiles, or sets of bands on top of another."""

    parts: tuple[tuple[tuple[int, int, int], PixelSource], ...]
    """First band, line and sample of each part, and the part."""
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    block: tuple[int, int]
    """Lines and samples of a stored block."""

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("qyran-tiles", *((at, tokenize(part)) for at, part in self.parts))

    def __getitem__(self, index: Index) -> npt.NDArray[np.generic]:
        wanted, rest = _windows(index, self.shape)
        result = np.empty(tuple(len(axis) for axis in wanted), self.dtype)
        for at, part in self.parts:
            reach = [
                (max(axis.start, first), min(axis.stop, first + length))
                for axis, first, length in zip(wanted, at, part.shape, strict=True)
            ]
            if all(start < stop for start, stop in reach):
                inside = tuple(slice(a - first, b - first) for (a, b), first in zip(reach, at, strict=True))
                into = tuple(slice(a - axis.start, b - axis.start) for (a, b), axis in zip(reach, wanted, strict=True))
                result[into] = part[inside]  # type: ignore[index]
        return result[rest]


def open_source(
    tiles: Sequence[PixelTile],
    *,
    shape: tuple[int, int] | None = None,
    bands: int | None = None,
    bits: int | None = None,
) -> LazyRaster | TiledSource:
    """Pixels by window over the tiles of one image; nothing is decoded here.

    Parameters
    ----------
    tiles
        Files with their places in the grid; every place from (1, 1) on must be filled exactly once.
    shape
        Lines and samples of the whole image as its metadata declares them.
    bands, bits
        Number of bands and bits per sample as the metadata declares them.

    Returns
    -------
    PixelSource
        Counts in the files' own type, ``(band, line, sample)``.

    Raises
    ------
    BadInput
        ``raster.shape``, ``bands`` or ``dtype`` when files and metadata disagree; ``raster.tiles`` when the grid has
        gaps; and as :func:`raster_facts`. Reading raises ``truncated`` for a file that ends early, ``file.changed``
        for one that is no longer what it was.
    """
    grid = _grid(tiles)
    facts = {tile.path: raster_facts(tile.path) for row in grid for tile in row}
    _check_alike(facts, bands, bits)
    rows = [[_raster(tile.path, facts[tile.path]) for tile in row] for row in grid]
    _check_fit(grid, rows)
    first = rows[0][0]
    whole = sum(row[0].shape[1] for row in rows), sum(raster.shape[2] for raster in rows[0])
    if shape is not None and whole != tuple(shape):
        raise BadInput(
            f"The image files hold {whole[0]} x {whole[1]} pixels, the metadata says {shape[0]} x {shape[1]}",
            kind="raster.shape",
            where=tiles[0].path.name,
        )
    if len(tiles) == 1:
        return first
    lines = np.cumsum([0, *(row[0].shape[1] for row in rows)]).tolist()
    samples = np.cumsum([0, *(raster.shape[2] for raster in rows[0])]).tolist()
    parts = tuple(
        ((0, lines[row], samples[column]), raster)
        for row, of_row in enumerate(rows)
        for column, raster in enumerate(of_row)
    )
    return TiledSource(parts=parts, shape=(first.shape[0], *whole), dtype=first.dtype, block=first.block)


def stacked_source(sources: Sequence[LazyRaster | TiledSource]) -> LazyRaster | TiledSource:
    """Sources of other bands of the same image as one, bands in the order of the sources."""
    if len(sources) == 1:
        return sources[0]
    bands = np.cumsum([0, *(source.shape[0] for source in sources)]).tolist()
    first = sources[0]
    return TiledSource(
        parts=tuple(((band, 0, 0), source) for band, source in zip(bands, sources, strict=False)),
        shape=(bands[-1], *first.shape[1:]),
        dtype=first.dtype,
        block=first.block,
    )


def _grid(tiles: Sequence[PixelTile]) -> list[list[PixelTile]]:
    by_place = {(tile.row, tile.column): tile for tile in tiles}
    height = max((tile.row for tile in tiles), default=0)
    width = max((tile.column for tile in tiles), default=0)
    if len(by_place) != len(tiles) or height * width != len(tiles) or min(map(min, by_place), default=0) < 1:
        raise BadInput(
            f"The tiles {sorted(by_place)} do not fill a grid of {height} x {width}",
            kind="raster.tiles",
            where=tiles[0].path.name if tiles else None,
            remedy="A tile is missing or named twice: ask for the package anew.",
        )
    return [[by_place[row, column] for column in range(1, width + 1)] for row in range(1, height + 1)]


def _check_alike(facts: dict[Path, RasterFacts], bands: int | None, bits: int | None) -> None:
    first = next(iter(facts.values()))
    for path, found in facts.items():
        wanted = bands if bands is not None else first.header.bands
        if found.header.bands != wanted:
            raise BadInput(
                f"'{path.name}' has {found.header.bands} bands, {wanted} are declared", kind="bands", where=path.name
            )
        # A 12-bit image may be stored packed or in 16-bit words; a 16-bit one never in fewer bits.
        if found.dtype != first.dtype or (bits is not None and found.header.bits < bits):
            raise BadInput(
                f"'{path.name}' stores {found.header.bits} bits ({found.dtype}), {bits or first.dtype} are declared",
                kind="dtype",
                where=path.name,
            )


def _check_fit(grid: list[list[PixelTile]], rows: list[list[LazyRaster]]) -> None:
    for tiles, row in zip(grid, rows, strict=True):
        for column, (tile, raster) in enumerate(zip(tiles, row, strict=True)):
            if raster.shape[1] != row[0].shape[1] or raster.shape[2] != rows[0][column].shape[2]:
                raise BadInput(
                    f"Tile '{tile.path.name}' ({raster.shape[1]} x {raster.shape[2]}) does not fit its neighbours",
                    kind="raster.tiles",
                    where=tile.path.name,
                )


def _raster(path: Path, facts: RasterFacts) -> LazyRaster:
    state = path.lstat()
    return LazyRaster(
        path=path,
        driver=facts.header.driver,
        shape=(facts.header.bands, facts.header.lines, facts.header.samples),
        dtype=np.dtype(facts.dtype),
        size=state.st_size,
        mtime_ns=state.st_mtime_ns,
        block=facts.block,
    )
