"""One task, one shard: encode, write, halve, measure. No two tasks ever touch the same object."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from processing.archive.encode import fill_of, limits_of
from processing.archive.encode_kernel import encode_into
from processing.archive.layout import QA
from processing.archive.manifest import ObjectRecord
from processing.archive.pyramid import half_shape, halve, halve_qa
from processing.archive.shard_file import ShardFile
from processing.archive.shard_read import LocalArray
from processing.archive.store import Group, Level
from processing.model.image import Tile
from processing.model.product import Encoding
from processing.model.qa import Qa

if TYPE_CHECKING:
    import zarr

_STRICT = {"write_empty_chunks": True, "read_missing_chunks": False}


def array_at(store: Path, path: str, *, mode: str = "r") -> "zarr.Array":  # type: ignore[type-arg]
    """Open one array by its path; a chunk that is not there is an error, never nodata."""
    # Imported where it is used: who only writes starts half a second sooner.
    import zarr

    return zarr.open_array(store, path=path, mode=mode, zarr_format=3, config=_STRICT)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a task leaves behind that wrote one shard of every array of a level."""

    records: tuple[ObjectRecord, ...]
    """Of the objects written."""
    halves: tuple[npt.NDArray[Any], ...]
    """The same pixels one level coarser, by array: the coarser level is made of these."""


def write_tiles(
    store: Path, level: Level, encodings: Mapping[str, Encoding], index: tuple[int, int], tiles: Iterable[Tile]
) -> ShardResult:
    """Encode tiles as they come, and write the shard they make up, of every band and of the flags."""
    return _write_rows(
        store, level, encodings, index, stored_rows(_shape(level, index), encodings, tiles, level.chunk[0])
    )


def _shape(level: Level, index: tuple[int, int]) -> tuple[int, int]:
    rows, columns = level.region(index)
    return rows.stop - rows.start, columns.stop - columns.start


def _write_rows(
    store: Path,
    level: Level,
    encodings: Mapping[str, Encoding],
    index: tuple[int, int],
    stored: Iterable[tuple[int, tuple[npt.NDArray[Any], ...]]],
) -> ShardResult:
    """Write a shard of every array from rows of chunks as they come: no more is held than one, and the halves."""
    shape = _shape(level, index)
    fills = _fills(encodings)
    halves = [np.empty(half_shape(shape), dtype=dtype) for dtype, _ in fills.values()]
    files = [
        ShardFile(store, f"{level.path}/{name}/c/{index[0]}/{index[1]}", level.shard, level.chunk, fill)
        for name, (_, fill) in fills.items()
    ]
    try:
        for first, arrays in stored:
            for file, half, array, (name, (_, fill)) in zip(files, halves, arrays, fills.items(), strict=True):
                file.put(array)
                part = halve_qa(array) if name == QA else halve(array, fill)
                half[first // 2 : first // 2 + part.shape[0]] = part
        return ShardResult(tuple(file.close() for file in files), tuple(halves))
    finally:
        for file in files:
            file.abandon()


def _fills(encodings: Mapping[str, Encoding]) -> dict[str, tuple[str, float]]:
    """Type and filling of every array of a level, the flags last."""
    bands = {name: (encoding.dtype, fill_of(encoding)) for name, encoding in encodings.items()}
    return bands | {QA: ("uint16", int(Qa.NODATA))}


def stored_rows(
    shape: tuple[int, int], encodings: Mapping[str, Encoding], tiles: Iterable[Tile], height: int
) -> Iterator[tuple[int, tuple[npt.NDArray[Any], ...]]]:
    """What is stored of a region, ``height`` rows at a time: the first row, and an array for each band and the flags.

    The arrays are the same ones each time, filled anew: fresh memory is slow to touch.

    Parameters
    ----------
    shape
        Rows and columns of the region.
    encodings
        By band, in the order of the tiles' bands.
    tiles
        Physical values and flags, from top to bottom; what they do not cover is nodata. OUT_OF_RANGE is raised where
        any band was clipped, NODATA where any has no value.
    """
    fills = _fills(encodings)
    waiting = iter(tiles)
    tile = next(waiting, None)
    buffers = [np.empty((min(height, shape[0]), shape[1]), dtype=dtype) for dtype, _ in fills.values()]
    over: list[Tile] = []
    for first in range(0, shape[0], height):
        last = min(first + height, shape[0])
        arrays = tuple(buffer[: last - first] for buffer in buffers)
        for array, (_, fill) in zip(arrays, fills.values(), strict=True):
            array.fill(fill)
        held, over = over, []
        for part in held:
            _encode_tile(part, (first, last), encodings, arrays)
            if part.rows.stop > last:
                over.append(part)
        # Tiles lie side by side: all that begin here are taken, and what of them belongs to later rows is kept.
        while tile is not None and tile.rows.start < last:
            _encode_tile(tile, (first, last), encodings, arrays)
            if tile.rows.stop > last:
                over.append(_from_row(tile, last))
            tile = next(waiting, None)
        yield first, arrays


def _from_row(tile: Tile, row: int) -> Tile:
    """The lower part of a tile, as a copy: what gave the tile fills the same memory with the next."""
    part = slice(row - tile.rows.start, None)
    values = None if tile.values is None else tile.values[:, part].copy()
    return Tile(slice(row, tile.rows.stop), tile.cols, values, tile.qa[part].copy())


def _encode_tile(
    tile: Tile, rows: tuple[int, int], encodings: Mapping[str, Encoding], arrays: tuple[npt.NDArray[Any], ...]
) -> None:
    """Encode what of a tile lies in some rows into arrays of these rows."""
    start, stop = max(tile.rows.start, rows[0]), min(tile.rows.stop, rows[1])
    part = slice(start - tile.rows.start, stop - tile.rows.start)
    into = (slice(start - rows[0], stop - rows[0]), tile.cols)
    bits = tile.qa[part].astype(np.uint16)
    for number, encoding in enumerate(encodings.values()):
        if tile.values is None:
            continue
        values = tile.values[number, part]
        if np.dtype(encoding.dtype).kind == "f":
            arrays[number][into] = values
            bits[np.isnan(values)] |= np.uint16(Qa.NODATA)
        else:
            encode_into(
                values,
                encoding.scale,
                encoding.offset,
                limits_of(encoding),
                arrays[number],
                (into[0].start, tile.cols.start),
                bits,
                (int(Qa.NODATA), int(Qa.OUT_OF_RANGE)),
            )
    arrays[-1][into] = bits


def halve_shards(
    store: Path,
    group: Group,
    finer: Level,
    level: Level,
    index: tuple[int, int],
    below: Mapping[tuple[int, int], ShardResult],
) -> ShardResult:
    """Write one shard of every array of a coarser level, from what the shards below it left behind."""
    return _write_rows(store, level, group.encodings, index, _joined_rows(finer, level, index, below))


def _joined_rows(
    finer: Level, level: Level, index: tuple[int, int], below: Mapping[tuple[int, int], ShardResult]
) -> Iterator[tuple[int, tuple[npt.NDArray[Any], ...]]]:
    """Rows of chunks put together from the halves of the shards below: the first row, and every array."""
    rows, columns = level.region(index)
    shape = _shape(level, index)
    some = next(iter(below.values()))
    for first in range(0, shape[0], level.chunk[0]):
        last = min(first + level.chunk[0], shape[0])
        arrays = tuple(np.empty((last - first, shape[1]), dtype=half.dtype) for half in some.halves)
        for at, result in below.items():
            region = finer.region(at)
            top, left = region[0].start // 2 - rows.start, region[1].start // 2 - columns.start
            for array, half in zip(arrays, result.halves, strict=True):
                start, stop = max(top, first), min(top + half.shape[0], last)
                if start < stop:
                    array[start - first : stop - first, left : left + half.shape[1]] = half[start - top : stop - top]
        yield first, arrays


@dataclass(slots=True)
class Tally:
    """Counts and sums over stored integers. Exact, so that adding shards up in any order gives the same."""

    count: int = 0
    inside: int = 0
    """Those of ``count`` that lie inside the footprint."""
    total: int = 0
    squares: int = 0
    lowest: int | None = None
    highest: int | None = None

    def add(self, other: "Tally") -> None:
        """Take in the tally of another shard."""
        self.count += other.count
        self.inside += other.inside
        self.total += other.total
        self.squares += other.squares
        self.lowest = _of_both(min, self.lowest, other.lowest)
        self.highest = _of_both(max, self.highest, other.highest)


def _of_both(choose: object, one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return int(choose(one, other))  # type: ignore[operator]


@dataclass(slots=True)
class GroupTally:
    """What was counted in one group."""

    footprint: int = 0
    """Pixels inside the footprint."""
    bands: dict[str, Tally] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    """Pixels inside the footprint with a flag up, by flag."""

    def add(self, other: "GroupTally") -> None:
        """Take in the tally of another shard."""
        self.footprint += other.footprint
        for name, tally in other.bands.items():
            self.bands.setdefault(name, Tally()).add(tally)
        for name, count in other.flags.items():
            self.flags[name] = self.flags.get(name, 0) + count


def tally_shard(store: Path, group: Group, index: tuple[int, int], inside: npt.NDArray[np.bool_]) -> GroupTally:
    """Read one shard of every array of the finest level back from the store, and count.

    Reading checks the checksum of every chunk, so a product that was tallied is a product that can be read.

    Parameters
    ----------
    inside
        bool, the shard's pixels: true inside the footprint.
    """
    level = group.levels[0]
    region = level.region(index)
    result = GroupTally(footprint=int(np.count_nonzero(inside)))
    for name, encoding in group.encodings.items():
        stored = LocalArray.at(store, f"{level.path}/{name}")[region]
        valid = stored != encoding.nodata
        values = stored[valid].astype(np.int64)
        tally = Tally(count=values.size, inside=int(np.count_nonzero(valid & inside)))
        if values.size:
            tally.total, tally.squares = int(values.sum()), int(np.dot(values, values))
            tally.lowest, tally.highest = int(values.min()), int(values.max())
        result.bands[name] = tally
    flags = LocalArray.at(store, f"{level.path}/{QA}")[region][inside]
    for flag in Qa:
        result.flags[str(flag.name).lower()] = int(np.count_nonzero(flags & np.uint16(flag)))
    return result
