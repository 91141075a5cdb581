"""Images that carry an order's fingerprint, and files held against it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioIOError

from processing.archive.encode import decode, encode, stored_range
from processing.model.composite_layers import BESIDE
from processing.model.errors import BadInput
from processing.model.image import Arrays, OrthoImage
from processing.model.product import Encoding
from processing.model.qa import Qa
from processing.products.fingerprint import Evidence, evidence, marks

_FLAGGED = np.uint16(
    0xFFFF & ~int(Qa.CLOUD_NOT_TESTED | Qa.SHADOW_NOT_TESTED | Qa.SNOW_NOT_TESTED | Qa.WATER_NOT_TESTED)
)
"""Bits that say something of a pixel; the others say that it was not looked at for something."""
_NEAR = 1e-3
"""Of a pixel: grids that lie so near to each other are one."""
_MAX_PIXELS = 64_000_000
"""Of a file that is looked at: it is read at once."""


def marked(image: OrthoImage, encodings: Mapping[str, Encoding], key: bytes) -> OrthoImage:
    """The image with an order's pattern in its bands: a count more or less at some valid pixels without any flag.

    Angles, counts of observations, and bands that are not stored as integers, stay as they are. No value becomes
    nodata, or leaves the range between the ends of what may be stored: pixels at an end are not marked.

    Parameters
    ----------
    encodings
        How each band is stored: a count is one step of that.
    key
        Of the order.
    """
    if image.group in BESIDE:
        return image
    place, names = grid_place(image.geobox), [band.name for band in image.bands]

    def block(values: npt.NDArray[Any], flags: npt.NDArray[np.uint16], block_info: Any = None) -> npt.NDArray[Any]:
        if not values.size or not block_info:
            return values
        where = block_info[0]["array-location"]
        at = (place[0] + where[1][0], place[1] + where[2][0])
        found = values.copy()
        for number, plane in enumerate(values):
            name = names[where[0][0] + number]
            if np.dtype(encodings[name].dtype).kind in "iu":
                found[number] = _marked(plane, flags[0], encodings[name], marks(key, name, at, plane.shape))
        return found

    pixels = image.arrays.pixels
    data = da.map_blocks(block, pixels.data, image.arrays.qa.data[None], dtype=pixels.dtype, chunks=pixels.data.chunks)
    return replace(image, arrays=Arrays(pixels=xr.DataArray(data, dims=pixels.dims), qa=image.arrays.qa))


def _marked(
    plane: npt.NDArray[Any], flags: npt.NDArray[np.uint16], encoding: Encoding, pattern: npt.NDArray[np.int8]
) -> npt.NDArray[Any]:
    stored, _ = encode(plane, encoding)
    chosen = (pattern != 0) & _may_be_marked(stored, flags, encoding) & np.isfinite(plane)
    counted = (stored.astype(np.int64) + pattern).astype(stored.dtype)
    return np.where(chosen, decode(counted, encoding).astype(plane.dtype), plane)


def _may_be_marked(
    stored: npt.NDArray[np.integer], flags: npt.NDArray[np.uint16], encoding: Encoding
) -> npt.NDArray[np.bool_]:
    low, high = stored_range(encoding)
    sound: npt.NDArray[np.bool_] = ((flags & _FLAGGED) == 0) & (stored > low) & (stored < high)
    return sound


def grid_place(box: GeoBox) -> tuple[int, int]:
    """Row and column of a grid's first pixel, counted from the map's origin in its own pixels."""
    found = box.affine
    return round(found.f / found.e), round(found.c / found.a)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One band of a file from anywhere."""

    stored: npt.NDArray[np.integer]
    """Counts, ``(row, column)``."""
    there: npt.NDArray[np.bool_]
    """Where the file itself says there is a value."""
    box: GeoBox
    """Its grid."""


def read_suspects(path: Path) -> list[Suspect]:
    """All bands of a GeoTIFF.

    Raises
    ------
    BadInput
        ``trace.file`` for what is none, has no place on a map, or holds no integers.
    """
    # It comes from outside: one driver, and nothing beside the file is looked at.
    try:
        with (
            rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(path.resolve(), driver="GTiff") as source,
        ):
            if source.crs is None or source.width * source.height > _MAX_PIXELS:
                raise _unreadable(path, f"it is on no map, or has more than {_MAX_PIXELS:,} pixels")
            box = GeoBox(source.shape, source.transform, source.crs.to_wkt())
            bands = [
                Suspect(stored=source.read(number), there=source.read_masks(number) != 0, box=box)
                for number, kind in zip(source.indexes, source.dtypes, strict=True) if np.dtype(kind).kind in "iu"
            ]  # fmt: skip
    except RasterioIOError as error:
        raise _unreadable(path, "it is no GeoTIFF that can be read") from error
    if not bands:
        raise _unreadable(path, "its bands hold no whole numbers, as deliveries do")
    return bands


def _unreadable(path: Path, why: str) -> BadInput:
    return BadInput(
        f"the file cannot be traced: {why}", kind="trace.file", where=path.name,
        remedy="Give a GeoTIFF of bands as they were delivered, or a part that is cut out of one.",
    )  # fmt: skip


def compared(suspect: Suspect, image: OrthoImage, band: int, encoding: Encoding, key: bytes) -> Evidence | None:
    """Hold a band of a file against what an order would have got of a band; None where the two have no pixel in common.

    Parameters
    ----------
    image
        What the order got, without its pattern; lazy.
    band
        Place of the band in it.
    """
    window = _common(suspect.box, image.geobox)
    if window is None or np.dtype(encoding.dtype).kind not in "iu":
        return None
    (row, column), rows, columns = window
    pixels = np.asarray(image.arrays.pixels[band, rows, columns].data)
    flags = np.asarray(image.arrays.qa[rows, columns].data)
    stored, _ = encode(pixels, encoding)
    inside = (slice(row, row + stored.shape[0]), slice(column, column + stored.shape[1]))
    there = suspect.there[inside] & np.isfinite(pixels) & _may_be_marked(stored, flags, encoding)
    first = grid_place(image.geobox)
    pattern = marks(key, image.bands[band].name, (first[0] + rows.start, first[1] + columns.start), stored.shape)
    return evidence(suspect.stored[inside].astype(np.int64) - stored.astype(np.int64), there, pattern)


def _common(own: GeoBox, other: GeoBox) -> tuple[tuple[int, int], slice, slice] | None:
    """First row and column in a file, and rows and columns in an image, of what both have; None if nothing."""
    a, b = own.affine, other.affine
    same = abs(a.a - b.a) <= 1e-6 * abs(b.a) and abs(a.e - b.e) <= 1e-6 * abs(b.e) and a.b == a.d == b.b == b.d == 0
    if not same or own.crs != other.crs:
        return None
    down, right = (a.f - b.f) / b.e, (a.c - b.c) / b.a
    row, column = round(down), round(right)
    if abs(down - row) > _NEAR or abs(right - column) > _NEAR:
        return None
    rows = slice(max(row, 0), min(row + own.shape[0], other.shape[0]))
    columns = slice(max(column, 0), min(column + own.shape[1], other.shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return None
    return (rows.start - row, columns.start - column), rows, columns
