"""Pictures for people: stored integers to eight bits of colour."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from processing.archive.encode import Stored
from processing.archive.shard_read import LocalArray
from processing.archive.store import Group, Level
from processing.model.errors import Defect
from processing.model.product import Encoding, ProductDraft
from processing.products.palette import colour_table

Rgba = npt.NDArray[np.uint8]
Tones = npt.NDArray[np.uint8]
_TABLED_BYTES = 2
"""Of integers whose tones are worth looking up: each is worked out once, instead of for every pixel."""
_THUMBNAIL_PX = 512
_WEBP_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Which bands, between which values, in which colours."""

    bands: tuple[str, ...]
    """Red, green, blue, or one band."""
    value_range: tuple[float, float]
    palette: str | None = None

    @classmethod
    def of(cls, draft: ProductDraft) -> "Style":
        """The style that a draft asks for."""
        return cls(bands=draft.visual, value_range=draft.visual_range, palette=draft.palette)

    def group(self, groups: tuple[Group, ...]) -> Group:
        """The group that holds all its bands.

        Raises
        ------
        Defect
            ``visual.bands`` if there is none, or the number of bands is neither one nor three.
        """
        if len(self.bands) in (1, 3):
            for group in groups:
                if all(band in group.encodings for band in self.bands):
                    return group
        raise Defect(f"no group can show the bands {list(self.bands)}", kind="visual.bands")


def stretch(stored: Stored, encoding: Encoding, value_range: tuple[float, float]) -> Tones:
    """Brightness 1-255, linear between two physical values; 0 where nodata."""
    few = stored.size < 2 ** (8 * stored.dtype.itemsize)
    if few or stored.dtype.itemsize > _TABLED_BYTES or stored.dtype.kind not in "iu" or not stored.dtype.isnative:
        return _tones(stored, encoding, value_range)
    bounds = np.iinfo(stored.dtype)
    table = _tones(np.arange(bounds.min, bounds.max + 1, dtype=np.int64).astype(stored.dtype), encoding, value_range)
    # Its own bits are its place in a table that starts at 0.
    tones: Tones = np.roll(table, int(bounds.min))[stored.view(np.dtype(f"u{stored.dtype.itemsize}"))]
    return tones


def _tones(stored: Stored, encoding: Encoding, value_range: tuple[float, float]) -> Tones:
    low, high = ((value - encoding.offset) / encoding.scale for value in value_range)
    share = np.clip((stored.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.where(stored == encoding.nodata, 0, np.rint(1 + 254 * share)).astype(np.uint8)


def paint(stored: tuple[Stored, ...], encodings: tuple[Encoding, ...], style: Style) -> Rgba:
    """Picture ``(4, rows, columns)``: red, green, blue, and alpha 0 where any band has no value, else 255."""
    picture = np.zeros((4, *stored[0].shape), dtype=np.uint8)
    if any(not (band != encoding.nodata).any() for band, encoding in zip(stored, encodings, strict=True)):
        return picture  # the better part of a grid's tile that a scene only touches
    tones = [stretch(band, encoding, style.value_range) for band, encoding in zip(stored, encodings, strict=True)]
    valid = np.logical_and.reduce([tone > 0 for tone in tones])
    if style.palette and len(tones) == 1:
        colours = [channel[tones[0]] for channel in colour_table(style.palette).T]
    else:
        colours = tones * 3 if len(tones) == 1 else tones
    for channel, colour in zip(picture, [*colours, np.uint8(255)], strict=True):
        np.multiply(colour, valid, out=channel)
    return picture


def painted_region(store: Path, group: Group, level: Level, style: Style, region: tuple[slice, slice]) -> Rgba:
    """Picture of a part of one level."""
    stored = tuple(LocalArray.at(store, f"{level.path}/{band}")[region] for band in style.bands)
    return paint(stored, tuple(group.encodings[band] for band in style.bands), style)


def write_thumbnail(path: Path, store: Path, groups: tuple[Group, ...], style: Style) -> None:
    """A WebP of at most 512 pixels a side, cropped to the valid area, transparent where there is no value."""
    group = style.group(groups)
    region = tuple(slice(0, size) for size in group.levels[-1].shape)
    for level in reversed(group.levels):
        picture = painted_region(store, group, level, style, (region[0], region[1]))
        kept = [np.flatnonzero(picture[3].any(axis=axis)) for axis in (1, 0)]
        if not kept[0].size:
            raise Defect("no pixel can be shown", kind="visual.empty", where=str(store))
        cropped = picture[:, kept[0][0] : kept[0][-1] + 1, kept[1][0] : kept[1][-1] + 1]
        if max(cropped.shape[1:]) >= _THUMBNAIL_PX:
            break
        # A pixel has a value where any of the four below it has one: all that can be shown there lies within.
        region = tuple(
            slice(2 * (part.start + int(there[0])), 2 * (part.start + int(there[-1]) + 1))
            for part, there in zip(region, kept, strict=True)
        )
    image = Image.fromarray(np.moveaxis(cropped, 0, -1))
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.LANCZOS)
    image.save(path, "WEBP", quality=_WEBP_QUALITY, method=4)
