"""The codecs of every chunk in the archive: little-endian bytes, shuffled and compressed, with a checksum."""

from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs.blosc import SHUFFLE, Blosc

_LEVEL = 1
_BLOCK_BYTES = 1 << 20
"""A chunk is one block to the compressor, at most two: the whole of it is decoded in any case, and matches are found
across it. Smaller blocks take twice as long for the same ratio."""
_COMPRESSOR = Blosc(cname="zstd", clevel=_LEVEL, shuffle=SHUFFLE, blocksize=_BLOCK_BYTES)
"""Bytes shuffled, not bits: in blocks as large as a chunk they compress as well and are packed twice as fast, unpacked
thrice. Level 5 takes six times as long for three per cent."""

BYTES: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
CRC32C: dict[str, Any] = {"name": "crc32c"}


def blosc(itemsize: int) -> dict[str, Any]:
    """The compressor as a Zarr document names it, for elements of so many bytes."""
    return {
        "name": "blosc",
        "configuration": {
            "typesize": itemsize,
            "cname": "zstd",
            "clevel": _LEVEL,
            "shuffle": "shuffle",
            "blocksize": _BLOCK_BYTES,
        },
    }


def packed(chunk: npt.NDArray[np.generic]) -> bytes:
    """A contiguous little-endian chunk, shuffled and compressed."""
    result: bytes = _COMPRESSOR.encode(chunk)
    return result


def checksum(data: bytes) -> bytes:
    """CRC32C as the codec lays it down: four bytes, little-endian."""
    value: int = google_crc32c.value(data)
    return value.to_bytes(4, "little")


def with_checksum(data: bytes) -> bytes:
    """Data and its checksum behind it."""
    return data + checksum(data)


def zarr_codecs() -> tuple[Any, ...]:
    """What follows the bytes of a chunk, as :mod:`zarr` takes it: for arrays whose chunks others have written."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    return BloscCodec(cname="zstd", clevel=_LEVEL, shuffle="shuffle", blocksize=_BLOCK_BYTES), Crc32cCodec()
