"""Thumbnails of products of which their asker may not see everything: made anew of what is left."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from catalogs.api.refused import NotFound
from catalogs.api.tiles_layers import Shown

_METRES_OF_A_DEGREE = 111_320.0
_WIDTH, _TALLEST = 512, 1_024


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that lies in no file."""

    name: str
    media: str
    content: bytes


def thumbnail(found: Shown, stored: Path, media: str) -> Picture:
    """The stored thumbnail if its pixels are coarse enough and nothing is masked, else one of what is left.

    Raises
    ------
    NotFound
        If nothing is left that could be shown.
    """
    if found.reduced.mask is None and not found.reduced.drop_bands:
        ground = _ground_m(found, stored)
        if found.reduced.gsd_m is None or (ground is not None and ground >= found.reduced.gsd_m):
            return Picture(stored.name, media, stored.read_bytes())
    if not found.names:
        raise NotFound("there is no such item")
    # Imported with the first: it loads GDAL.
    from catalogs.api import tiles_pictures

    kind: Literal["png", "webp"] = "png" if media == "image/png" else "webp"
    picture = tiles_pictures.preview(found.layer(found.names[0]), _WIDTH, kind, tallest=_TALLEST)
    return Picture(f"{stored.stem}.{kind}", f"image/{kind}", picture)


def _ground_m(found: Shown, stored: Path) -> float | None:
    """Metres on the ground of a pixel of a stored thumbnail; None if that cannot be told."""
    box, code = found.item["properties"].get("proj:bbox"), str(found.item["properties"].get("proj:code", ""))
    if not isinstance(box, list) or len(box) != 4:
        return None
    with Image.open(stored) as image:
        across, down = (box[2] - box[0]) / image.width, (box[3] - box[1]) / image.height
    scale = _METRES_OF_A_DEGREE if code == "EPSG:4326" else 1.0
    return float(min(across, down)) * scale
