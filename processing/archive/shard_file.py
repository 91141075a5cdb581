"""A shard as bytes: the sharding codec of Zarr v3, written in one go.

What :mod:`zarr` would write for the same array, chunk for chunk, in a fraction of the time: no event loop, no copies of
parts, and the object's SHA-256 while its bytes are at hand. Reading is left to :mod:`zarr`, which is also the oracle.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from processing.archive.codecs import checksum, packed
from processing.archive.manifest import ObjectRecord

_ABSENT = 2**64 - 1
"""Offset and length of a chunk that lies outside the array altogether."""


class ShardFile:
    """One shard, written from its first row of chunks to its last.

    As the codecs ``bytes (little), blosc, crc32c`` in ``sharding_indexed`` with the index at the end, ``bytes
    (little), crc32c``, lay it down (zarr-specs, codec ``sharding_indexed`` 1.0).

    Parameters
    ----------
    store, key
        Folder of the store, and the object's key in it.
    shard, chunk
        Rows and columns of a whole shard, and of a chunk in it.
    fill
        Stands in the part of a chunk that lies outside the array.
    """

    def __init__(self, store: Path, key: str, shard: tuple[int, int], chunk: tuple[int, int], fill: float) -> None:
        self._key = key
        self._chunk = chunk
        self._fill = fill
        self._index = np.full((shard[0] // chunk[0], shard[1] // chunk[1], 2), _ABSENT, dtype="<u8")
        self._row = 0
        self._size = 0
        self._digest = hashlib.sha256()
        path = store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")

    def put(self, rows: npt.NDArray[Any]) -> None:
        """Write the next row of chunks: ``(rows, columns)`` of the array, fewer than a chunk's only at its end."""
        for column in range(self._index.shape[1]):
            part = rows[:, column * self._chunk[1] : (column + 1) * self._chunk[1]]
            if part.size == 0:
                break
            if part.shape != self._chunk:
                whole = np.full(self._chunk, self._fill, dtype=rows.dtype)
                whole[: part.shape[0], : part.shape[1]] = part
                part = whole
            data = packed(np.ascontiguousarray(part, dtype=rows.dtype.newbyteorder("<")))
            self._index[self._row, column] = self._size, len(data) + 4
            self._write(data)
            self._write(checksum(data))
        self._row += 1

    def close(self) -> ObjectRecord:
        """Write the index and measure the object.

        Raises
        ------
        OSError
            As the filesystem does; what was written so far stays, in a store that is not yet whole.
        """
        table = self._index.tobytes()
        self._write(table)
        self._write(checksum(table))
        self._file.close()
        return ObjectRecord(self._key, self._size, self._digest.hexdigest())

    def abandon(self) -> None:
        """Let the file go, after an error."""
        self._file.close()

    def _write(self, part: bytes) -> None:
        self._digest.update(part)
        self._file.write(part)
        self._size += len(part)
