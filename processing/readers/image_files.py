"""The pixel files a package's metadata promises: present, empty, absent, or in part."""

from collections.abc import Sequence
from dataclasses import dataclass

from processing.model.errors import BadInput
from processing.readers.pixels import LazyRaster, PixelTile, TiledSource, open_source, stacked_source

STUB_BYTES = 1
"""Metadata-only packages keep pixel files of 0 or 1 byte in place of the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFiles:
    """Tiles of one file set, and how many bands each of its files holds."""

    tiles: tuple[PixelTile, ...]
    bands: int


def missing_pixels(sets: Sequence[ImageFiles]) -> str | None:
    """Why a scene has no pixels, in plain words; None when every file is there.

    Raises
    ------
    BadInput
        ``raster.missing`` when some files are there and others are not: the package is incomplete.
    """
    tiles = [tile for files in sets for tile in files.tiles]
    absent = [tile.path.name for tile in tiles if not tile.path.is_file()]
    empty = [tile.path.name for tile in tiles if tile.path.is_file() and tile.path.stat().st_size <= STUB_BYTES]
    if not tiles:
        return "its metadata names no image file"
    if not absent and not empty:
        return None
    if len(absent) + len(empty) < len(tiles):
        raise BadInput(
            f"{len(absent) + len(empty)} of {len(tiles)} image files are absent or empty, e.g. {(absent + empty)[0]}",
            kind="raster.missing",
            where=(absent + empty)[0],
            remedy="The package is incomplete: transfer it again.",
        )
    reasons = []
    if absent:
        reasons.append(f"image file {absent[0]} is absent" + (f" (and {len(absent) - 1} more)" if absent[1:] else ""))
    if empty:
        reasons.append(f"image file {empty[0]} is empty" + (f" (and {len(empty) - 1} more)" if empty[1:] else ""))
    return "metadata only: " + ", ".join(reasons)


def open_image(
    sets: Sequence[ImageFiles], *, shape: tuple[int, int], bits: int | None = None
) -> LazyRaster | TiledSource:
    """Pixels of all file sets by window, stacked along the band axis in the order of the sets.

    Raises
    ------
    BadInput
        As :func:`processing.readers.pixels.open_source`.
    """
    return stacked_source([open_source(files.tiles, shape=shape, bands=files.bands, bits=bits) for files in sets])
