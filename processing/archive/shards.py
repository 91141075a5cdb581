"""One task, one shard: encode, write, halve, measure. No two tasks ever touch the same object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from processing.archive.encode import fill_of, limits_of
from processing.archive.encode_kernel import encode_into
from processing.archive.layout import QA
from processing.archive.manifest import ObjectRecord
from processing.archive.pyramid import halve, halve_qa
from processing.archive.shard_file import write_shard
from processing.archive.store import Group, Level
from processing.model.image import Tile
from processing.model.product import Encoding
from processing.model.qa import Qa

_STRICT = {"write_empty_chunks": True, "read_missing_chunks": False}


def array_at(store: Path, path: str, *, mode: str = "r") -> zarr.Array:  # type: ignore[type-arg]
    """Open one array by its path; a chunk that is not there is an error, never nodata."""
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
    arrays = stored_arrays(level.region(index), encodings, tiles)
    return _put(store, level, encodings, index, arrays)


def stored_arrays(
    region: tuple[slice, slice], encodings: Mapping[str, Encoding], tiles: Iterable[Tile]
) -> tuple[npt.NDArray[Any], ...]:
    """What is stored of a region, encoded tile by tile: an array for each band, and the flags.

    Parameters
    ----------
    region
        Rows and columns of a level.
    encodings
        By band, in the order of the tiles' bands.
    tiles
        Physical values and flags; what they do not cover is nodata. OUT_OF_RANGE is raised where any band was
        clipped, NODATA where any has no value.
    """
    rows, columns = region
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    stored = [np.full(shape, fill_of(encoding), dtype=encoding.dtype) for encoding in encodings.values()]
    flags = np.full(shape, Qa.NODATA, dtype=np.uint16)
    for tile in tiles:
        bits = tile.qa.astype(np.uint16)
        for number, encoding in enumerate(encodings.values()):
            if tile.values is None:
                continue
            if np.dtype(encoding.dtype).kind == "f":
                stored[number][tile.rows, tile.cols] = tile.values[number]
                bits[np.isnan(tile.values[number])] |= np.uint16(Qa.NODATA)
            else:
                encode_into(
                    tile.values[number],
                    encoding.scale,
                    encoding.offset,
                    limits_of(encoding),
                    stored[number][tile.rows, tile.cols],
                    bits,
                    int(Qa.NODATA),
                    int(Qa.OUT_OF_RANGE),
                )
        flags[tile.rows, tile.cols] = bits
    return (*stored, flags)


def halve_shards(
    store: Path,
    group: Group,
    finer: Level,
    level: Level,
    index: tuple[int, int],
    below: Mapping[tuple[int, int], ShardResult],
) -> ShardResult:
    """Write one shard of every array of a coarser level, from what the shards below it left behind."""
    rows, columns = level.region(index)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    arrays = [np.empty(shape, dtype=half.dtype) for half in next(iter(below.values())).halves]
    for at, result in below.items():
        region = finer.region(at)
        for array, half in zip(arrays, result.halves, strict=True):
            top, left = region[0].start // 2 - rows.start, region[1].start // 2 - columns.start
            array[top : top + half.shape[0], left : left + half.shape[1]] = half
    return _put(store, level, group.encodings, index, tuple(arrays))


def _put(
    store: Path,
    level: Level,
    encodings: Mapping[str, Encoding],
    index: tuple[int, int],
    arrays: tuple[npt.NDArray[Any], ...],
) -> ShardResult:
    """Write a shard of every band, and of the flags, which come last."""
    fills = {name: fill_of(encoding) for name, encoding in encodings.items()} | {QA: int(Qa.NODATA)}
    records, halves = [], []
    for (name, fill), array in zip(fills.items(), arrays, strict=True):
        key = f"{level.path}/{name}/c/{index[0]}/{index[1]}"
        records.append(write_shard(store, key, array, level.shard, level.chunk, fill))
        halves.append(halve_qa(array) if name == QA else halve(array, fill))
    return ShardResult(tuple(records), tuple(halves))


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
        stored = np.asarray(array_at(store, f"{level.path}/{name}")[region])
        valid = stored != encoding.nodata
        values = stored[valid].astype(np.int64)
        tally = Tally(count=values.size, inside=int(np.count_nonzero(valid & inside)))
        if values.size:
            tally.total, tally.squares = int(values.sum()), int(np.dot(values, values))
            tally.lowest, tally.highest = int(values.min()), int(values.max())
        result.bands[name] = tally
    flags = np.asarray(array_at(store, f"{level.path}/{QA}")[region])[inside]
    for flag in Qa:
        result.flags[str(flag.name).lower()] = int(np.count_nonzero(flags & np.uint16(flag)))
    return result
