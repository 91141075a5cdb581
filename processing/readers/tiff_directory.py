"""The first directory of a TIFF file, read with plain struct and bounded in every number."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from processing.model.errors import BadInput

MAX_DIRECTORIES = 1024
MAX_ENTRIES = 4096
MAX_TAG_BYTES = 16 * 2**20
"""A text or metadata tag larger than this is not metadata."""

_NAMES = {
    256: "ImageWidth",
    257: "ImageLength",
    258: "BitsPerSample",
    259: "Compression",
    262: "PhotometricInterpretation",
    273: "StripOffsets",
    277: "SamplesPerPixel",
    278: "RowsPerStrip",
    279: "StripByteCounts",
    284: "PlanarConfiguration",
    322: "TileWidth",
    323: "TileLength",
    324: "TileOffsets",
    325: "TileByteCounts",
    339: "SampleFormat",
}
_ARRAYS = frozenset({"StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts"})
_WIDTH = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class TiffTags:
    """Unsigned-integer tags of a TIFF's first directory. Arrays are read when asked for."""

    file: BinaryIO
    name: str
    order: str
    entries: dict[str, _Entry]

    def has(self, tag: str) -> bool:
        """Whether the directory holds a tag."""
        return tag in self.entries

    def count(self, tag: str) -> int:
        """Number of values of a tag; 0 when absent."""
        return self.entries[tag].count if tag in self.entries else 0

    def one(self, tag: str, default: int | None = None) -> int:
        """First value of a tag.

        Raises
        ------
        BadInput
            ``raster.corrupt`` when the tag is absent and no default is given.
        """
        found = self.values(tag, (default,) if default is not None else None)
        return found[0]

    def values(self, tag: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """All values of a tag.

        Raises
        ------
        BadInput
            ``raster.corrupt`` when the tag is absent and no default is given, or is no unsigned integer.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.count == 0:
            if default is None:
                raise BadInput(f"'{self.name}' has no {tag} tag", kind="raster.corrupt", where=self.name)
            return default
        code = _CODE.get(entry.kind)
        if code is None:
            raise BadInput(f"'{self.name}' has {tag} of type {entry.kind}", kind="raster.corrupt", where=self.name)
        self.file.seek(entry.offset)
        data = self.file.read(entry.count * _WIDTH[entry.kind])
        return struct.unpack(f"{self.order}{entry.count}{code}", data)


def read_tiff_tags(file: BinaryIO, size: int, name: str) -> TiffTags:
    """Tags of the first directory; the chain of further directories is walked, bounded, and must end.

    Raises
    ------
    BadInput
        ``truncated`` when a directory or tag lies beyond the file's end, ``raster.corrupt`` when directories form
        a circle or hold absurd numbers of entries, ``raster.too_large`` for a giant metadata tag.
    """
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    if len(head) < (16 if big else 8):
        raise BadInput(f"'{name}' ends inside its TIFF header", kind="truncated", where=name)
    at = struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0]
    entries: dict[str, _Entry] | None = None
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) >= MAX_DIRECTORIES:
            raise BadInput(f"'{name}' has circular or endless TIFF directories", kind="raster.corrupt", where=name)
        seen.add(at)
        found, at = _directory(file, at, size, order, big, name)
        entries = found if entries is None else entries
    if entries is None:
        raise BadInput(f"'{name}' has no TIFF directory", kind="raster.corrupt", where=name)
    return TiffTags(file=file, name=name, order=order, entries=entries)


def _directory(file: BinaryIO, at: int, size: int, order: str, big: bool, name: str) -> tuple[dict[str, _Entry], int]:
    """One directory's entries and the offset of the next."""
    count_format, entry_format, next_format = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    head = struct.calcsize(f"{order}{count_format}")
    one = struct.calcsize(f"{order}{entry_format}")
    tail = struct.calcsize(f"{order}{next_format}")
    file.seek(min(at, size))
    counted = file.read(head)
    count = struct.unpack(f"{order}{count_format}", counted)[0] if len(counted) == head else 0
    if len(counted) < head or count > MAX_ENTRIES or at + head + count * one + tail > size:
        kind = "raster.corrupt" if count > MAX_ENTRIES else "truncated"
        raise BadInput(f"'{name}' has a TIFF directory beyond its end (byte {at} of {size})", kind=kind, where=name)
    entries: dict[str, _Entry] = {}
    body = file.read(count * one)
    for index in range(count):
        tag, kind_code, number, inline = struct.unpack_from(f"{order}{entry_format}", body, index * one)
        length = _WIDTH.get(kind_code, 1) * number
        where = at + head + index * one + one - len(inline)
        offset = where if length <= len(inline) else struct.unpack(f"{order}{'Q' if big else 'I'}", inline)[0]
        label = _NAMES.get(tag, str(tag))
        if length > MAX_TAG_BYTES and label not in _ARRAYS:
            raise BadInput(f"'{name}' has a tag {label} of {length} bytes", kind="raster.too_large", where=name)
        if offset + length > size:
            raise BadInput(
                f"'{name}' is cut short: tag {label} ends at byte {offset + length} of {size}",
                kind="truncated",
                where=name,
                remedy="Transfer the file again.",
            )
        entries[label] = _Entry(kind_code, number, offset)
    return entries, struct.unpack(f"{order}{next_format}", file.read(tail))[0]
