"""One task, one shard: encode, write, halve, measure. No two tasks ever touch the same object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zarr

from processing.archive.encode import encode
from processing.archive.layout import QA
from processing.archive.manifest import ObjectRecord, record_of
from processing.archive.pyramid import halve, halve_qa
from processing.archive.store import Group, Level
from processing.model.product import Encoding
from processing.model.qa import Qa

_STRICT = {"write_empty_chunks": True, "read_missing_chunks": False}


def array_at(store: Path, path: str, *, mode: str = "r") -> zarr.Array:  # type: ignore[type-arg]
    """Open one array by its path; a chunk that is not there is an error, never nodata."""
    return zarr.open_array(store, path=path, mode=mode, zarr_format=3, config=_STRICT)  # type: ignore[arg-type]


def write_shards(
    store: Path,
    level: Level,
    encodings: Mapping[str, Encoding],
    index: tuple[int, int],
    pixels: npt.NDArray[np.float32],
    qa: npt.NDArray[np.uint16],
) -> tuple[ObjectRecord, ...]:
    """Encode one block and write its shard of every band, and of the flags.

    Parameters
    ----------
    pixels
        Physical values ``(band, y, x)``, bands as in ``encodings``, exactly the pixels of the shard.
    qa
        Flags ``(y, x)``. OUT_OF_RANGE is raised where any band was clipped, NODATA where any has no value.

    Returns
    -------
    records
        Of the objects written, as read back from the store.
    """
    flags = qa.astype(np.uint16)
    records = []
    for values, (name, encoding) in zip(pixels, encodings.items(), strict=True):
        stored, clipped = encode(values, encoding)
        flags[clipped] |= np.uint16(Qa.OUT_OF_RANGE)
        flags[stored == encoding.nodata] |= np.uint16(Qa.NODATA)
        records.append(_put(store, level, name, index, stored))
    return (*records, _put(store, level, QA, index, flags))


def halve_shards(
    store: Path,
    group: Group,
    finer: Level,
    level: Level,
    index: tuple[int, int],
    after: object = None,
) -> tuple[ObjectRecord, ...]:
    """Make one shard of every array of a coarser level from the level below it.

    ``after`` is what the tasks return that wrote the level below: naming it here puts this task behind them.
    """
    del after
    rows, columns = level.region(index)
    below = (
        slice(2 * rows.start, min(2 * rows.stop, finer.shape[0])),
        slice(2 * columns.start, min(2 * columns.stop, finer.shape[1])),
    )
    records = []
    for name, encoding in group.encodings.items():
        stored = np.asarray(array_at(store, f"{finer.path}/{name}")[below])
        records.append(_put(store, level, name, index, halve(stored, encoding.nodata)))
    flags = np.asarray(array_at(store, f"{finer.path}/{QA}")[below])
    return (*records, _put(store, level, QA, index, halve_qa(flags)))


def _put(store: Path, level: Level, name: str, index: tuple[int, int], stored: npt.NDArray[np.generic]) -> ObjectRecord:
    path = f"{level.path}/{name}"
    array_at(store, path, mode="r+")[level.region(index)] = stored
    return record_of(store, f"{path}/c/{index[0]}/{index[1]}")


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
