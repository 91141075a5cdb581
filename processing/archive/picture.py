"""Pictures for people: stored integers to eight bits of colour."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from processing.archive.encode import Stored
from processing.archive.shards import array_at
from processing.archive.store import Group, Level
from processing.model.errors import Defect
from processing.model.product import Encoding, ProductDraft
from processing.products.palette import colour_table

Rgba = npt.NDArray[np.uint8]
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


def stretch(stored: Stored, encoding: Encoding, value_range: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Brightness 1-255, linear between two physical values; 0 where nodata."""
    low, high = ((value - encoding.offset) / encoding.scale for value in value_range)
    share = np.clip((stored.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.where(stored == encoding.nodata, 0, np.rint(1 + 254 * share)).astype(np.uint8)


def paint(stored: tuple[Stored, ...], encodings: tuple[Encoding, ...], style: Style) -> Rgba:
    """Picture ``(4, rows, columns)``: red, green, blue, and alpha 0 where any band has no value, else 255."""
    tones = [stretch(band, encoding, style.value_range) for band, encoding in zip(stored, encodings, strict=True)]
    alpha = np.where(np.logical_and.reduce([tone > 0 for tone in tones]), 255, 0).astype(np.uint8)
    if style.palette and len(tones) == 1:
        colours: npt.NDArray[np.uint8] = np.moveaxis(colour_table(style.palette)[tones[0]], -1, 0)
    else:
        colours = np.stack(tones * 3 if len(tones) == 1 else tones)
    return np.concatenate([np.where(alpha, colours, 0), alpha[None]])


def painted_region(store: Path, group: Group, level: Level, style: Style, region: tuple[slice, slice]) -> Rgba:
    """Picture of a part of one level."""
    stored = tuple(np.asarray(array_at(store, f"{level.path}/{band}")[region]) for band in style.bands)
    return paint(stored, tuple(group.encodings[band] for band in style.bands), style)


def write_thumbnail(path: Path, store: Path, groups: tuple[Group, ...], style: Style) -> None:
    """A WebP of at most 512 pixels a side, cropped to the valid area, transparent where there is no value."""
    group = style.group(groups)
    for level in reversed(group.levels):
        picture = painted_region(store, group, level, style, (slice(0, level.shape[0]), slice(0, level.shape[1])))
        rows, columns = (np.flatnonzero(picture[3].any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            continue
        cropped = picture[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if max(cropped.shape[1:]) >= _THUMBNAIL_PX or level is group.levels[0]:
            break
    else:
        raise Defect("no pixel can be shown", kind="visual.empty", where=str(store))
    image = Image.fromarray(np.moveaxis(cropped, 0, -1))
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.LANCZOS)
    image.save(path, "WEBP", quality=_WEBP_QUALITY, method=4)
