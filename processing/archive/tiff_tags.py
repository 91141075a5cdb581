"""Tags of a TIFF: those that GDAL would write about map and bands, and directories as bytes."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rasterio.io import MemoryFile

_ABOUT_MAP_AND_BANDS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)
"""Pixel scale, tie point, transformation, the keys of the CRS with their numbers and texts, metadata, nodata."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
"""Bytes of each type that TIFF knows, and BigTIFF's long."""
_TYPES = {"H": 3, "L": 4, "Q": 16}
_ENTRY = {False: ("<HHL", 4), True: ("<HHQ", 8)}
"""How an entry begins, and how many bytes of its value may stand in it: classic, big."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag's value."""

    kind: int
    """TIFF's number of the type."""
    count: int
    data: bytes
    """Little-endian."""


def numbers(kind: str, *values: int) -> Tag:
    """Whole numbers of 16 (``H``), 32 (``L``) or 64 bits (``Q``)."""
    return Tag(_TYPES[kind], len(values), struct.pack(f"<{len(values)}{kind}", *values))


def gdal_tags(profile: Mapping[str, Any], words: Mapping[str, Any]) -> dict[int, Tag]:
    """What GDAL writes into a GeoTIFF about map and bands.

    Parameters
    ----------
    profile
        rasterio's words for the raster: ``count, dtype, crs, transform, nodata``. Its size does not matter.
    words
        As :func:`describe` takes them.
    """
    small = dict(profile) | {"driver": "GTiff", "width": 16, "height": 16, "photometric": "MINISBLACK"}
    with MemoryFile() as memory:
        with memory.open(**small, SPARSE_OK=True, ENDIANNESS="LITTLE") as target:
            describe(target, words)
        content = bytes(memory.getbuffer())
    return {number: tag for number, tag in _first_directory(content) if number in _ABOUT_MAP_AND_BANDS}


def describe(target: Any, words: Mapping[str, Any]) -> None:
    """Write what a raster's bands mean into an open dataset.

    Parameters
    ----------
    target
        Of rasterio.
    words
        ``scales``, ``offsets``, ``units``, ``descriptions``, ``colorinterp``: an entry for each band; ``band_tags``: a
        mapping for each band; ``tags``: of the whole. All may be left out.
    """
    for attribute in ("colorinterp", "scales", "offsets", "units", "descriptions"):
        if attribute in words:
            setattr(target, attribute, words[attribute])
    target.update_tags(**words.get("tags", {}))
    for number, own in enumerate(words.get("band_tags", ()), start=1):
        target.update_tags(number, **own)


def _first_directory(content: bytes) -> list[tuple[int, Tag]]:
    """Tags of a classic little-endian file's first directory."""
    (at,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    found = []
    for place in range(at + 2, at + 2 + 12 * count, 12):
        number, kind, values = struct.unpack_from("<HHL", content, place)
        size = _SIZES[kind] * values
        start = place + 8 if size <= 4 else struct.unpack_from("<L", content, place + 8)[0]
        found.append((number, Tag(kind, values, content[start : start + size])))
    return found


def directory_size(tags: Mapping[int, Tag], *, big: bool) -> int:
    """Bytes of a directory with the values that do not fit into it, even."""
    head, inside = _ENTRY[big]
    frame = 16 if big else 6
    outside = sum(len(tag.data) + len(tag.data) % 2 for tag in tags.values() if len(tag.data) > inside)
    return frame + len(tags) * (struct.calcsize(head) + inside) + outside


def directory_bytes(tags: Mapping[int, Tag], at: int, following: int, *, big: bool) -> bytes:
    """A directory that lies at an offset, with its values behind it.

    Parameters
    ----------
    tags
        By number, ascending.
    at
        Offset in the file.
    following
        Offset of the next directory; 0: the last.
    """
    head, inside = _ENTRY[big]
    size = struct.calcsize(head) + inside
    outside = at + (16 if big else 6) + len(tags) * size
    entries, values = [], []
    for number, tag in tags.items():
        if len(tag.data) <= inside:
            value = tag.data.ljust(inside, b"\0")
        else:
            value = outside.to_bytes(inside, "little")
            padded = tag.data + b"\0" * (len(tag.data) % 2)
            values.append(padded)
            outside += len(padded)
        entries.append(struct.pack(head, number, tag.kind, tag.count) + value)
    count = struct.pack("<Q" if big else "<H", len(tags))
    return count + b"".join(entries) + following.to_bytes(inside, "little") + b"".join(values)
