"""Pixels of a package as one lazy array: nothing is decoded until it is asked for, and never more than was promised."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import numpy.typing as npt
import rasterio
import xarray as xr
from rasterio.errors import RasterioError
from rasterio.windows import Window

from processing.model.errors import BadInput
from processing.readers.raster_open import RasterFacts, hardened_env, hardened_open, raster_facts

CHUNK_PIXELS = 2048 * 2048
"""Pixels of one band in one chunk: 8 MB a band of 16-bit counts."""

__all__ = ["LazyRaster", "PixelTile", "chunk_shape", "hardened_env", "hardened_open", "open_pixels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelTile:
    """One file of an image delivered in a grid of tiles."""

    path: Path
    row: int = 1
    """Row of the tile in the grid, counted from 1 as in ``_R1C2``."""
    column: int = 1


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

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("qyran-raster", str(self.path), self.size, self.mtime_ns, self.shape, str(self.dtype))

    def __getitem__(self, index: tuple[slice | int, ...]) -> npt.NDArray[np.generic]:
        parts = [slice(part, part + 1) if isinstance(part, int | np.integer) else part for part in index]
        bands, lines, samples = (range(length)[part] for part, length in zip(parts, self.shape, strict=True))
        if len(bands) and len(lines) and len(samples):
            height, width = lines[-1] - lines[0] + 1, samples[-1] - samples[0] + 1
            data = self._read([band + 1 for band in bands], Window(samples[0], lines[0], width, height))
            data = data[:, :: lines.step, :: samples.step]
        else:
            data = np.empty((len(bands), len(lines), len(samples)), self.dtype)
        return data[tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in index)]

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


def open_pixels(
    tiles: Sequence[PixelTile],
    *,
    shape: tuple[int, int] | None = None,
    bands: int | None = None,
    bits: int | None = None,
) -> xr.DataArray:
    """Lazy pixels ``(band, line, sample)`` over the tiles of one image; nothing is decoded here.

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
    xarray.DataArray
        Counts in the files' own type, dims ``band, line, sample``, chunks of whole file blocks with all bands.

    Raises
    ------
    BadInput
        ``raster.shape``, ``bands`` or ``dtype`` when files and metadata disagree; ``raster.tiles`` when the grid has
        gaps; and as :func:`raster_facts`. Computing raises ``truncated`` for a file that ends early.
    """
    grid = _grid(tiles)
    facts = {tile.path: raster_facts(tile.path) for row in grid for tile in row}
    _check_alike(facts, bands, bits)
    rows = [[_lazy(tile.path, facts[tile.path]) for tile in row] for row in grid]
    _check_fit(grid, rows)
    array = da.block(rows) if len(tiles) > 1 else rows[0][0]
    if shape is not None and array.shape[1:] != tuple(shape):
        raise BadInput(
            f"The image files hold {array.shape[1]} x {array.shape[2]} pixels, "
            f"the metadata says {shape[0]} x {shape[1]}",
            kind="raster.shape",
            where=tiles[0].path.name,
        )
    return xr.DataArray(array, dims=("band", "line", "sample"))


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


def _check_fit(grid: list[list[PixelTile]], rows: list[list[da.Array]]) -> None:
    for tiles, row in zip(grid, rows, strict=True):
        for column, (tile, array) in enumerate(zip(tiles, row, strict=True)):
            if array.shape[1] != row[0].shape[1] or array.shape[2] != rows[0][column].shape[2]:
                raise BadInput(
                    f"Tile '{tile.path.name}' ({array.shape[1]} x {array.shape[2]}) does not fit its neighbours",
                    kind="raster.tiles",
                    where=tile.path.name,
                )


def _lazy(path: Path, facts: RasterFacts) -> da.Array:
    state = path.lstat()
    raster = LazyRaster(
        path=path,
        driver=facts.header.driver,
        shape=(facts.header.bands, facts.header.lines, facts.header.samples),
        dtype=np.dtype(facts.dtype),
        size=state.st_size,
        mtime_ns=state.st_mtime_ns,
    )
    digest = hashlib.sha256(repr(raster.__dask_tokenize__()).encode()).hexdigest()[:32]
    lazy: da.Array = da.from_array(
        raster,
        chunks=(raster.shape[0], *chunk_shape(facts.block, raster.shape[1:])),
        name=f"pixels-{digest}",
        lock=False,
        asarray=False,
        fancy=False,
        inline_array=True,
        meta=np.empty((0, 0, 0), raster.dtype),
    )
    return lazy


def chunk_shape(block: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Lines and samples of a chunk: whole stored blocks, about :data:`CHUNK_PIXELS` pixels, near square."""
    side = math.isqrt(CHUNK_PIXELS)
    samples = min(shape[1], max(1, side // block[1]) * block[1])
    lines = min(shape[0], max(1, (CHUNK_PIXELS // max(samples, 1)) // block[0]) * block[0])
    return lines, samples
