"""Pixels of one window from the shards of a local store: the reading side of :mod:`processing.archive.shard_file`.

What :mod:`zarr` reads of the same array, value for value, without its event loop: the index of a shard, then the bytes
of the chunks that the window touches, checksums compared before anything is decoded. A chunk that is not there is an
error, never nodata. :mod:`zarr` is the oracle, and reads whatever is not laid out as our writer lays it out.
"""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs.blosc import Blosc

from processing.model.errors import Defect

type Region = tuple[slice, slice]
type ChunkTable = npt.NDArray[np.uint64]
"""``(rows, columns, 2)``: offset and length of each chunk of a shard."""

ABSENT = 2**64 - 1
"""Offset of a chunk that lies outside the array altogether."""
_CRC_BYTES = 4
_CODEC = Blosc()
"""Says nothing to the decoder: a blosc frame carries its own parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLayout:
    """What must be known of an array to read it."""

    shape: tuple[int, int]
    shard: tuple[int, int]
    chunk: tuple[int, int]
    dtype: np.dtype[Any]
    fill: float

    @classmethod
    def of(cls, metadata: dict[str, Any]) -> Self | None:
        """The layout of an array by its ``zarr.json``, or None if it is not one that our writer lays down."""
        try:
            (sharding,) = metadata["codecs"]
            how = sharding["configuration"]
            shape, shard, chunk = (
                (int(rows), int(columns))
                for rows, columns in (
                    metadata["shape"],
                    metadata["chunk_grid"]["configuration"]["chunk_shape"],
                    how["chunk_shape"],
                )
            )
            chains = {("bytes", "blosc", "crc32c"): how["codecs"], ("bytes", "crc32c"): how["index_codecs"]}
            ours = (
                sharding["name"] == "sharding_indexed"
                and how.get("index_location", "end") == "end"
                and all(tuple(codec["name"] for codec in chain) == names for names, chain in chains.items())
                and all(
                    chain[0].get("configuration", {}).get("endian", "little") == "little" for chain in chains.values()
                )
            )
            layout = cls(
                shape=shape,
                shard=shard,
                chunk=chunk,
                dtype=np.dtype(metadata["data_type"]),
                fill=float(metadata["fill_value"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
        return layout if ours else None

    @property
    def chunks_in_shard(self) -> tuple[int, int]:
        """Rows and columns of chunks in a whole shard."""
        return self.shard[0] // self.chunk[0], self.shard[1] // self.chunk[1]

    @property
    def index_bytes(self) -> int:
        """Length of a shard's index, its checksum included."""
        return math.prod(self.chunks_in_shard) * 16 + _CRC_BYTES


def parse_index(raw: bytes, layout: ArrayLayout, where: str) -> ChunkTable:
    """The table of chunks from the last bytes of a shard.

    Raises
    ------
    Defect
        ``archive.corrupt`` if they are too few, or their checksum is wrong.
    """
    if len(raw) != layout.index_bytes:
        raise Defect("a shard is cut short", kind="archive.corrupt", where=where)
    table = _checked(raw, "a shard's index", where)
    return np.frombuffer(table, "<u8").reshape(*layout.chunks_in_shard, 2)


def read_index(path: Path, layout: ArrayLayout) -> ChunkTable:
    """The table of chunks of a shard's file.

    Raises
    ------
    Defect
        ``archive.missing`` if the file is not there; ``archive.corrupt`` as :func:`parse_index`.
    """
    with _opened(path) as file:
        return _index(file.fileno(), layout, path)


def decode_chunk(raw: bytes, layout: ArrayLayout, where: str) -> npt.NDArray[Any]:
    """The pixels of one chunk, ``layout.chunk`` of them.

    Raises
    ------
    Defect
        ``archive.corrupt`` if the bytes are not those that were written.
    """
    packed = _checked(raw, "a chunk", where)
    decoded = np.empty(layout.chunk, dtype=layout.dtype.newbyteorder("<"))
    try:
        _CODEC.decode(packed, out=decoded)
    except (RuntimeError, ValueError) as error:
        raise Defect(f"a chunk cannot be decoded: {error}", kind="archive.corrupt", where=where) from error
    return decoded


def read_window(store: Path, path: str, layout: ArrayLayout, region: Region) -> npt.NDArray[Any]:
    """Pixels of a window of an array.

    Parameters
    ----------
    store, path
        Folder of the store, and the array's path in it.
    layout
        Of that array.
    region
        Rows and columns inside the array, steps of one.

    Returns
    -------
    pixels
        As stored. Chunks are read and decoded by as many threads as there are processors.

    Raises
    ------
    Defect
        ``archive.missing`` if a shard or chunk is not there; ``archive.corrupt`` if its bytes are not those that
        were written.
    """
    rows, columns = (range(*part.indices(length)) for part, length in zip(region, layout.shape, strict=True))
    if rows.step != 1 or columns.step != 1:
        raise ValueError(f"a window has steps of one: {region}")
    result = np.empty((len(rows), len(columns)), dtype=layout.dtype)
    if not result.size:
        return result
    jobs = [
        (store / path / "c" / str(row) / str(column), row, column)
        for row in range(rows.start // layout.shard[0], (rows.stop - 1) // layout.shard[0] + 1)
        for column in range(columns.start // layout.shard[1], (columns.stop - 1) // layout.shard[1] + 1)
    ]
    window = (slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    for place, row, column in jobs:
        _read_shard(place, (row, column), layout, window, result)
    return result


@dataclass(frozen=True, slots=True)
class LocalArray:
    """One array of a local store, to be sliced by rows and columns."""

    store: Path
    path: str
    layout: ArrayLayout

    @classmethod
    def at(cls, store: Path, path: str) -> Self:
        """The array at a path.

        Raises
        ------
        Defect
            ``archive.missing`` if there is none, ``archive.layout`` if it is not laid out as our writer does.
        """
        place = store / path / "zarr.json"
        try:
            layout = ArrayLayout.of(json.loads(place.read_bytes()))
        except FileNotFoundError as error:
            raise Defect("an array is missing", kind="archive.missing", where=str(place)) from error
        if layout is None:
            raise Defect("an array is not laid out as the archive's are", kind="archive.layout", where=str(place))
        return cls(store, path, layout)

    def __getitem__(self, region: Region) -> npt.NDArray[Any]:
        """Pixels of a window, see :func:`read_window`."""
        return read_window(self.store, self.path, self.layout, region)


def _read_shard(
    place: Path, index: tuple[int, int], layout: ArrayLayout, window: Region, into: npt.NDArray[Any]
) -> None:
    """Read what of a window lies in one shard."""
    with _opened(place) as file:
        descriptor = file.fileno()
        table = _index(descriptor, layout, place)
        spans = [
            range(
                max(part.start - number * shard, 0) // chunk,
                (min(part.stop - number * shard, shard) - 1) // chunk + 1,
            )
            for part, number, shard, chunk in zip(window, index, layout.shard, layout.chunk, strict=True)
        ]
        wanted = [(row, column) for row in spans[0] for column in spans[1]]

        def one(at: tuple[int, int]) -> None:
            where = f"{place}, chunk {at[0]}/{at[1]}"
            offset, length = (int(value) for value in table[at])
            if offset == ABSENT:
                raise Defect("a chunk is missing", kind="archive.missing", where=where)
            raw = os.pread(descriptor, length, offset)
            if len(raw) != length:
                raise Defect("a shard is cut short", kind="archive.corrupt", where=where)
            first = [i * s + k * c for i, s, k, c in zip(index, layout.shard, at, layout.chunk, strict=True)]
            place_chunk(decode_chunk(raw, layout, where), (first[0], first[1]), window, into)

        if len(wanted) > 1 and _processors() > 1:
            # Every one is waited for, also after the first that fails: the file must stay open till then.
            running = [_pool(os.getpid()).submit(one, at) for at in wanted]
            wait(running)
            for done in running:
                done.result()
        else:
            for at in wanted:
                one(at)


def place_chunk(chunk: npt.NDArray[Any], first: tuple[int, int], window: Region, into: npt.NDArray[Any]) -> None:
    """Copy what of a chunk lies in a window; ``first`` is the chunk's first row and column in the array."""
    source, target = [], []
    for start, length, part in zip(first, chunk.shape, window, strict=True):
        low, high = max(start, part.start), min(start + length, part.stop)
        source.append(slice(low - start, high - start))
        target.append(slice(low - part.start, high - part.start))
    into[tuple(target)] = chunk[tuple(source)]


def _checked(raw: bytes, what: str, where: str) -> bytes:
    """What stands before a checksum, once it is found right."""
    content = raw[:-_CRC_BYTES]
    if not content or google_crc32c.value(content) != int.from_bytes(raw[-_CRC_BYTES:], "little"):
        raise Defect(
            f"{what} is damaged: its checksum is wrong",
            kind="archive.corrupt",
            where=where,
            remedy="Run: qyran verify --deep",
        )
    return content


def _opened(place: Path) -> Any:
    try:
        return place.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Defect(
            "a shard is missing", kind="archive.missing", where=str(place), remedy="Run: qyran verify"
        ) from error


def _index(descriptor: int, layout: ArrayLayout, place: Path) -> ChunkTable:
    size = os.fstat(descriptor).st_size
    raw = os.pread(descriptor, layout.index_bytes, max(size - layout.index_bytes, 0))
    return parse_index(raw, layout, str(place))


@lru_cache(maxsize=1)
def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of the process it was forked from do not live on."""
    return ThreadPoolExecutor(_processors(), thread_name_prefix="qyran-read")
