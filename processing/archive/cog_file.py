"""A cloud-optimised GeoTIFF written tile by tile, by any number of threads, in any order.

Tiles are compressed as they come and kept in a spool; at the end all is laid down in the order that the layout wants:
all directories, then the tiles of the coarsest overview first and those of the image last (OGC 21-026, Cloud Optimized
GeoTIFF 1.0; TIFF 6.0; BigTIFF where four gigabytes do not do). So the file's bytes depend on the pixels and on nothing
else. What stands in the tags about map and bands is GDAL's own work.
"""

import os
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deflate
import numpy as np
import numpy.typing as npt

from processing.archive.layout import level_shapes
from processing.archive.tiff_tags import Tag, directory_bytes, directory_size, numbers
from processing.model.errors import Defect

TILE_PX = 512
_FASTEST = 1
"""Of deflate: of images, which are mostly noise, the sixth level makes no less, in six times as long."""
_PROMISES = """\
LAYOUT=IFDS_BEFORE_DATA
BLOCK_ORDER=ROW_MAJOR
BLOCK_LEADER=SIZE_AS_UINT4
BLOCK_TRAILER=LAST_4_BYTES_REPEATED
{bands}KNOWN_INCOMPATIBLE_EDITION=NO
 """
"""What GDAL looks for behind the header to know a file that it may read in fewer requests (its COG driver's manual)."""
_FRAME = 4
"""Bytes before each tile, its size, and behind it, its last ones once more: whoever reads on sees both."""
_CLASSIC_BYTES = 2**32 - 2**20
"""From here on offsets might not fit into 32 bits."""
_KINDS = {"u": 1, "i": 2, "f": 3}

Place = tuple[int, int, int, int]
"""Level, band, and row and column of a tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """What a file holds."""

    shape: tuple[int, int]
    """Rows, columns."""
    bands: int
    dtype: str
    fill: float
    """Stands where a tile reaches beyond the image."""
    tags: Mapping[int, Tag]
    """Of map and bands, from :func:`processing.archive.tiff_tags.gdal_tags`."""


class CogFile:
    """One file under way.

    Parameters
    ----------
    path
        File to create, with its spool beside it until it is closed.
    raster
        What it will hold.
    shapes
        Of the image and its overviews, finest first; None: halved until one tile holds it.
    """

    def __init__(self, path: Path, raster: Raster, *, shapes: Sequence[tuple[int, int]] | None = None) -> None:
        self.raster = raster
        self.shapes = tuple(shapes or level_shapes(raster.shape, stop_px=TILE_PX))
        self._path = path
        self._places: dict[Place, tuple[int, int]] = {}
        self._end = 0
        self._lock = threading.Lock()
        self._spool_path = path.with_name(f"{path.name}.tiles")
        self._spool = self._spool_path.open("wb+")

    def put(self, level: int, band: int, at: tuple[int, int], pixels: npt.NDArray[Any]) -> None:
        """Take whole tiles of one band: ``(rows, columns)`` that start at a tile, cut short only at the image's end.

        Parameters
        ----------
        level
            0 is the image, then the overviews, finest first.
        at
            First row and column.
        """
        for top in range(0, pixels.shape[0], TILE_PX):
            for left in range(0, pixels.shape[1], TILE_PX):
                part = pixels[top : top + TILE_PX, left : left + TILE_PX]
                if part.shape != (TILE_PX, TILE_PX):
                    whole = np.full((TILE_PX, TILE_PX), self.raster.fill, dtype=pixels.dtype)
                    whole[: part.shape[0], : part.shape[1]] = part
                    part = whole
                data = bytes(deflate.zlib_compress(predicted(part), _FASTEST))
                framed = len(data).to_bytes(_FRAME, "little") + data + data[-_FRAME:]
                self._keep((level, band, (at[0] + top) // TILE_PX, (at[1] + left) // TILE_PX), framed)

    def _keep(self, place: Place, data: bytes) -> None:
        with self._lock:
            offset, self._end = self._end, self._end + len(data)
            self._places[place] = offset, len(data)
        written = 0
        while written < len(data):
            written += os.pwrite(self._spool.fileno(), data[written:], offset + written)

    def close(self) -> None:
        """Lay the file down.

        Raises
        ------
        Defect
            ``cog.incomplete`` if a tile was never put.
        OSError
            If the disk does not take it.
        """
        order = list(self._order())
        missing = [place for place in order if place not in self._places]
        if missing:
            raise Defect(f"{len(missing)} tiles were never put, the first {missing[0]}", kind="cog.incomplete")
        big = self._end + 64 * len(order) > _CLASSIC_BYTES
        head = self._head(order, big=big)
        with self._path.open("wb") as target:
            target.write(head)
            target.flush()
            for place in order:
                self._copy(*self._places[place], target.fileno())
        self.abandon()

    def abandon(self) -> None:
        """Remove the spool."""
        self._spool.close()
        self._spool_path.unlink(missing_ok=True)

    def _order(self) -> Iterator[Place]:
        """Tiles in the order of the file."""
        for level in reversed(range(len(self.shapes))):
            for band in range(self.raster.bands):
                yield from self._tiles(level, band)

    def _tiles(self, level: int, band: int) -> Iterator[Place]:
        rows, columns = (-(-length // TILE_PX) for length in self.shapes[level])
        return ((level, band, row, column) for row in range(rows) for column in range(columns))

    def _copy(self, offset: int, size: int, target: int) -> None:
        while size:
            done = os.sendfile(target, self._spool.fileno(), offset, size)
            if done == 0:
                raise Defect("the spool of tiles was cut short", kind="cog.incomplete", where=str(self._spool_path))
            offset, size = offset + done, size - done

    def _head(self, order: Sequence[Place], *, big: bool) -> bytes:
        """Everything before the first tile."""
        promises = _PROMISES.format(bands="INTERLEAVE=BAND\n" if self.raster.bands > 1 else "").encode()
        ghost = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n%s" % (len(promises), promises)
        first = (16 if big else 8) + len(ghost) + len(ghost) % 2
        blank = [self._directory(level, dict.fromkeys(order, 0), big=big) for level in range(len(self.shapes))]
        data = first + sum(directory_size(tags, big=big) for tags in blank)
        offsets = {}
        for place in order:
            offsets[place] = data + _FRAME
            data += self._places[place][1]
        parts, at = [], first
        for level in range(len(self.shapes)):
            tags = self._directory(level, offsets, big=big)
            after = at + directory_size(tags, big=big)
            parts.append(directory_bytes(tags, at, after if level + 1 < len(self.shapes) else 0, big=big))
            at = after
        header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, first) if big else struct.pack("<2sHL", b"II", 42, first)
        return (header + ghost).ljust(first, b"\0") + b"".join(parts)

    def _directory(self, level: int, offsets: Mapping[Place, int], *, big: bool) -> dict[int, Tag]:
        """Tags of one level."""
        kind, bands = np.dtype(self.raster.dtype), self.raster.bands
        tiles = [place for band in range(bands) for place in self._tiles(level, band)]
        own = {
            254: numbers("L", 1 if level else 0),  # a reduced image, or the image
            256: numbers("L", self.shapes[level][1]),
            257: numbers("L", self.shapes[level][0]),
            258: numbers("H", *[8 * kind.itemsize] * bands),
            259: numbers("H", 8),  # deflate
            262: numbers("H", 1),  # more is brighter
            277: numbers("H", bands),
            284: numbers("H", 2 if bands > 1 else 1),  # each band's tiles by themselves
            317: numbers("H", 3 if kind.kind == "f" else 2),
            322: numbers("L", TILE_PX),
            323: numbers("L", TILE_PX),
            324: numbers("Q" if big else "L", *(offsets[place] for place in tiles)),
            325: numbers("L", *(self._places[place][1] - 2 * _FRAME for place in tiles)),
            339: numbers("H", *[_KINDS[kind.kind]] * bands),
        }
        if bands > 1:
            own[338] = numbers("H", *[0] * (bands - 1))  # more bands, of no particular meaning
        # An overview has no place on the map of its own; absent numbers it has.
        given = (
            self.raster.tags if level == 0 else {42113: self.raster.tags[42113]} if 42113 in self.raster.tags else {}
        )
        return dict(sorted((own | dict(given)).items()))


def predicted(tile: npt.NDArray[Any]) -> bytes:
    """A tile as differences from the pixel on the left, little-endian; of real numbers, byte by byte.

    TIFF's predictors 2 (TIFF 6.0, section 14) and 3 (Adobe Photoshop TIFF Technical Note 3).
    """
    if tile.dtype.kind != "f":
        # Wraps around, as it is meant to.
        values = tile.astype(tile.dtype.newbyteorder("<"), copy=True)
        values[:, 1:] -= tile[:, :-1]
        return values.tobytes()
    rows, columns = tile.shape
    width = tile.dtype.itemsize
    # The highest bytes of a row first: signs and exponents hardly change from pixel to pixel.
    apart = np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder(">")).view(np.uint8).reshape(rows, columns, width)
    planes = apart.transpose(0, 2, 1).reshape(rows, width * columns)
    values = planes.copy()
    values[:, 1:] -= planes[:, :-1]
    return values.tobytes()
