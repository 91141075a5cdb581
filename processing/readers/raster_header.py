"""What a raster file says about itself, read from its header by us before any library decodes it.

A 300-byte TIFF can declare 2^31 pixels a side, and a decoder believes it. So the first directory of a TIFF and the
SIZ segment of a JPEG 2000 codestream are read here with plain struct, and a file is refused while it is still cheap.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from processing.model.errors import BadInput
from processing.readers.tiff_directory import TiffTags, read_tiff_tags

MAX_PIXEL_BYTES = 256 * 2**30
"""Decoded size of one file: a 20 km x 1,000 km panchromatic strip at 1 m is 40 GB."""
MAX_BLOCK_BYTES = 256 * 2**20
"""One compressed strip or tile is decoded whole: this much memory a reading thread may need."""
MAX_RATIO = 500.0
"""Decoded over stored bytes; real lossless imagery stays under 10, mostly-nodata granules under 300."""
HARMLESS_BYTES = 64 * 2**20
"""Below this decoded size a ratio does no harm: an all-nodata test tile is not a bomb."""
MAX_BANDS = 64
MAX_JP2_TILES = 65_535
_BOX_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterHeader:
    """A raster's own statement of its size."""

    driver: str
    """GDAL's driver: ``GTiff`` or ``JP2OpenJPEG``."""
    lines: int
    samples: int
    bands: int
    bits: int
    """Bits per sample as stored: 12 for a packed 12-bit TIFF."""
    compressed: bool


def raster_header(path: Path) -> RasterHeader:
    """Header of a GeoTIFF (classic or Big) or JPEG 2000 file, admitted for decoding.

    Parameters
    ----------
    path
        A regular file; the driver is chosen by its first bytes, never by its name.

    Raises
    ------
    BadInput
        ``magic.mismatch`` (neither format), ``truncated``, ``raster.too_large``, ``raster.ratio``,
        ``raster.corrupt`` (impossible directory), ``dtype`` (complex, palette, float where counts belong).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(12)
        file.seek(0)
        if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            header = _tiff_header(read_tiff_tags(file, size, path.name), size, path.name)
        elif magic == b"\0\0\0\x0cjP  \r\n\x87\n" or magic[:4] == b"\xff\x4f\xff\x51":
            header = _jp2_header(file, size, path.name)
        else:
            raise BadInput(
                f"'{path.name}' is neither TIFF nor JPEG 2000: it begins with {magic[:8]!r}",
                kind="magic.mismatch",
                where=path.name,
                remedy="Only GeoTIFF and JPEG 2000 pixels are accepted; convert the file or ask for it anew.",
            )
    _admit(header, size, path.name)
    return header


def _admit(header: RasterHeader, size: int, name: str) -> None:
    """Refuse what a decoder should never be asked to do."""
    decoded = header.lines * header.samples * header.bands * ((header.bits + 7) // 8)
    if header.lines < 1 or header.samples < 1 or not 1 <= header.bands <= MAX_BANDS:
        raise BadInput(
            f"'{name}' declares {header.bands} bands of {header.lines} x {header.samples} pixels",
            kind="raster.corrupt",
            where=name,
        )
    if decoded > MAX_PIXEL_BYTES:
        raise BadInput(
            f"'{name}' ({size} bytes) declares {decoded} bytes of pixels; the limit is {MAX_PIXEL_BYTES}",
            kind="raster.too_large",
            where=name,
        )
    if decoded > HARMLESS_BYTES and decoded > MAX_RATIO * size:
        raise BadInput(
            f"'{name}' unpacks to {decoded / max(size, 1):.0f} times its size; images stay under {MAX_RATIO:.0f}",
            kind="raster.ratio",
            where=name,
        )


def _tiff_header(tags: TiffTags, size: int, name: str) -> RasterHeader:
    lines, samples, bands = tags.one("ImageLength"), tags.one("ImageWidth"), tags.one("SamplesPerPixel", 1)
    bits_of = tags.values("BitsPerSample", (1,) * bands)
    formats = set(tags.values("SampleFormat", (1,)))
    if tags.one("PhotometricInterpretation", 1) == 3 or formats & {5, 6} or len(set(bits_of)) != 1:
        raise BadInput(
            f"'{name}' holds palette, complex or mixed samples: bits {sorted(set(bits_of))}, formats {sorted(formats)}",
            kind="dtype",
            where=name,
        )
    compressed = tags.one("Compression", 1) != 1
    header = RasterHeader(
        driver="GTiff", lines=lines, samples=samples, bands=bands, bits=bits_of[0], compressed=compressed
    )
    if lines < 1 or samples < 1 or not 1 <= bands <= MAX_BANDS:
        _admit(header, size, name)
    _check_blocks(tags, header, size, name)
    return header


def _check_blocks(tags: TiffTags, header: RasterHeader, size: int, name: str) -> None:
    """Every strip or tile of the directory must be there, in number, in bytes, and inside the file."""
    tiled = tags.has("TileWidth")
    width = tags.one("TileWidth") if tiled else header.samples
    height = tags.one("TileLength") if tiled else min(tags.one("RowsPerStrip", header.lines), header.lines)
    planes = header.bands if tags.one("PlanarConfiguration", 1) == 2 else 1
    if width < 1 or height < 1:
        raise BadInput(f"'{name}' declares blocks of {height} x {width} pixels", kind="raster.corrupt", where=name)
    block_bits = width * height * header.bits * (header.bands // planes)
    expected = -(-header.samples // width) * -(-header.lines // height) * planes
    if header.compressed and block_bits // 8 > MAX_BLOCK_BYTES:
        raise BadInput(
            f"'{name}' declares one block of {block_bits // 8} bytes; the limit is {MAX_BLOCK_BYTES}",
            kind="raster.too_large",
            where=name,
        )
    counted = tags.count("TileOffsets" if tiled else "StripOffsets")
    sizes = tags.count("TileByteCounts" if tiled else "StripByteCounts")
    if counted != expected or sizes != expected:
        # An absurd size shows here first: name it for what it is.
        _admit(header, size, name)
        raise BadInput(
            f"'{name}' needs {expected} blocks but lists {counted} offsets and {sizes} sizes",
            kind="raster.corrupt",
            where=name,
        )
    offsets = tags.values("TileOffsets" if tiled else "StripOffsets")
    lengths = tags.values("TileByteCounts" if tiled else "StripByteCounts")
    if not all(offset > 0 and length > 0 for offset, length in zip(offsets, lengths, strict=True)):
        raise BadInput(
            f"'{name}' leaves out blocks (offset or size 0): their pixels would read as zeros",
            kind="raster.sparse",
            where=name,
            remedy="Ask for the file anew, or write it without SPARSE_OK.",
        )
    end = max(offset + length for offset, length in zip(offsets, lengths, strict=True))
    if end > size:
        raise BadInput(
            f"'{name}' is cut short: its last block ends at byte {end}, the file has {size}",
            kind="truncated",
            where=name,
            remedy="Transfer the file again.",
        )
    if not header.compressed and sum(lengths) * 8 < header.lines * header.samples * header.bands * header.bits:
        _admit(header, size, name)
        raise BadInput(
            f"'{name}' stores {sum(lengths)} bytes uncompressed for {header.lines} x {header.samples} x "
            f"{header.bands} samples of {header.bits} bits",
            kind="raster.corrupt",
            where=name,
        )


def _jp2_header(file: BinaryIO, size: int, name: str) -> RasterHeader:
    start, end = _codestream(file, size, name)
    file.seek(start)
    head = file.read(42)
    if len(head) < 42 or head[:4] != b"\xff\x4f\xff\x51":
        raise BadInput(f"'{name}' has no JPEG 2000 SIZ segment", kind="raster.corrupt", where=name)
    length, _, x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y, bands = struct.unpack(">HH8IH", head[4:42])
    if not (x1 > x0 and y1 > y0 and tile_w and tile_h and tile_x <= x0 and tile_y <= y0 and length == 38 + 3 * bands):
        raise BadInput(f"'{name}' has an impossible JPEG 2000 SIZ segment", kind="raster.corrupt", where=name)
    if bands > MAX_BANDS:
        raise BadInput(f"'{name}' declares {bands} components", kind="raster.too_large", where=name)
    depths = file.read(3 * bands)
    bits = {depth & 0x7F for depth in depths[::3]}
    signed = any(depth & 0x80 for depth in depths[::3])
    if len(depths) != 3 * bands or len(bits) != 1 or max(bits) > 15 or signed:
        raise BadInput(f"'{name}' holds signed or mixed components", kind="dtype", where=name)
    header = RasterHeader(
        driver="JP2OpenJPEG", lines=y1 - y0, samples=x1 - x0, bands=bands, bits=bits.pop() + 1, compressed=True
    )
    _admit(header, size, name)
    if min(tile_w, x1) * min(tile_h, y1) * bands * 2 > 8 * MAX_BLOCK_BYTES:
        # An untiled JP2 is one block by design; OpenJPEG decodes windows of it, so the limit is looser here.
        raise BadInput(f"'{name}' declares a tile of {tile_w} x {tile_h}", kind="raster.too_large", where=name)
    tiles = -(-(x1 - tile_x) // tile_w) * -(-(y1 - tile_y) // tile_h)
    if tiles > MAX_JP2_TILES:
        raise BadInput(f"'{name}' declares {tiles} tiles", kind="raster.too_large", where=name)
    _check_tile_parts(file, start + 4 + length, end, tiles, name)
    return header


def _codestream(file: BinaryIO, size: int, name: str) -> tuple[int, int]:
    """Byte range of the contiguous codestream among a JP2 file's boxes."""
    file.seek(0)
    if file.read(4) == b"\xff\x4f\xff\x51":
        return 0, size
    at = 0
    for _ in range(_BOX_LIMIT):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head[:8])
        body = 8
        if length == 1 and len(head) == 16:
            length, body = struct.unpack(">Q", head[8:])[0], 16
        elif length == 0:
            length = size - at
        if kind == b"jp2c":
            if at + length > size:
                raise BadInput(
                    f"'{name}' is cut short: {size} bytes of {at + length}",
                    kind="truncated",
                    where=name,
                    remedy="Transfer the file again.",
                )
            return at + body, at + length
        if length < body:
            break
        at += length
    raise BadInput(f"'{name}' has no JPEG 2000 codestream", kind="raster.corrupt", where=name)


def _check_tile_parts(file: BinaryIO, at: int, end: int, tiles: int, name: str) -> None:
    """Walk main header and tile parts by their declared lengths: they must chain to the end of the codestream."""
    for _ in range(_BOX_LIMIT):
        file.seek(at)
        marker, length = _segment(file, name)
        if marker == 0xFF90:
            break
        at += 2 + length
    else:
        raise BadInput(f"'{name}' has no tile in its codestream", kind="raster.corrupt", where=name)
    for _ in range(tiles * 255):
        file.seek(at)
        head = file.read(12)
        if head[:2] == b"\xff\xd9" or at >= end:
            return
        if len(head) < 12 or head[:2] != b"\xff\x90":
            break
        _, tile, part = struct.unpack(">HHI", head[2:10])
        if part == 0 and tile < tiles:
            return
        if tile >= tiles or part < 14 or at + part > end:
            break
        at += part
    raise BadInput(
        f"'{name}' has a broken chain of JPEG 2000 tiles at byte {at}",
        kind="truncated",
        where=name,
        remedy="Transfer the file again.",
    )


def _segment(file: BinaryIO, name: str) -> tuple[int, int]:
    head = file.read(4)
    if len(head) < 4 or head[0] != 0xFF:
        raise BadInput(f"'{name}' has a broken JPEG 2000 main header", kind="raster.corrupt", where=name)
    marker, length = struct.unpack(">HH", head)
    return marker, max(length, 2)
