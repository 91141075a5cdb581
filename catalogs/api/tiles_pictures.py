"""Pictures of layers: tiles and previews, by rio-tiler. Imported when the first is asked for, not before."""

import io
import math
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from affine import Affine
from PIL import Image
from rio_tiler.colormap import cmap
from rio_tiler.constants import WEB_MERCATOR_CRS
from rio_tiler.models import ImageData
from rio_tiler.reader import part

from catalogs.api.tiles_layers import Layer, Source
from processing.archive.viewed import Image as Viewed
from processing.archive.viewed import opened, opened_around, pixel_m

type Format = Literal["png", "webp"]
_SPHERE_M = 6_378_137.0
_FLAG_COLOURS = {
    "cloud": (255, 255, 255),
    "snow": (120, 220, 255),
    "shadow": (70, 70, 90),
    "terrain_shadow": (100, 85, 60),
    "water": (40, 90, 200),
    "saturated": (255, 60, 60),
    "out_of_range": (255, 150, 40),
    "no_terrain": (200, 60, 200),
    "occluded": (140, 60, 160),
}
"""Strongest first. What was merely not looked for has no colour."""
_SOUND = (90, 160, 90)
_OPTIONS: dict[str, dict[str, Any]] = {"png": {"compress_level": 3}, "webp": {"quality": 85, "method": 2}}


def tile(layer: Layer, outline: tuple[float, float, float, float], size: int, kind: Format) -> bytes:
    """A layer on Web Mercator.

    Parameters
    ----------
    outline
        West, south, east, north in metres of EPSG:3857.
    size
        Pixels along either side.

    Returns
    -------
    image
        Transparent beside the layer, and where any of its bands has no value.
    """
    west, south, east, north = outline
    across, down = (east - west) / size, (north - south) / size
    shrunk = 1 / math.cosh((south + north) / 2 / _SPHERE_M)
    # Warped in one step onto the very pixels of the tile.
    exact = {"transform": Affine(across, 0, west, 0, -down, north), "width": size, "height": size}

    def fits(found: Viewed) -> float:
        return across * shrunk / pixel_m(found)

    images = []
    for source in layer.sources:
        with opened_around(source.place, fits, outline, WEB_MERCATOR_CRS) as dataset:
            images.append(part(
                dataset, outline, width=size, height=size, dst_crs=WEB_MERCATOR_CRS, indexes=_indexes(source),
                reproject_method=_method(source), vrt_options=exact,
            ))  # fmt: skip
    return encoded(_painted(layer, images), kind)


def preview(layer: Layer, width: int, kind: Format, *, tallest: int) -> bytes:
    """A whole layer on its own grid.

    Parameters
    ----------
    width
        Pixels; the height follows from the image's shape, and both shrink where it would exceed ``tallest``.
    """
    with opened(layer.sources[0].place) as first:
        left, bottom, right, top = first.bounds
        bounds, crs = (left, bottom, right, top), first.crs
        aspect = (bounds[3] - bounds[1]) / (bounds[2] - bounds[0])
    columns = max(min(width, round(tallest / aspect)), 1)
    rows = max(min(round(columns * aspect), tallest), 1)
    pixel = (bounds[2] - bounds[0]) / columns
    images = []
    for source in layer.sources:
        with opened_around(source.place, lambda found: pixel / abs(found.res[0]), bounds, crs) as dataset:
            images.append(part(
                dataset, bounds, width=columns, height=rows, dst_crs=crs, bounds_crs=crs, indexes=_indexes(source),
                resampling_method=_method(source),
            ))  # fmt: skip
    return encoded(_painted(layer, images), kind)


@lru_cache(maxsize=8)
def empty(size: int, kind: Format) -> bytes:
    """A picture of nothing."""
    return encoded(np.zeros((size, size, 4), np.uint8), kind)


def encoded(picture: npt.NDArray[np.uint8], kind: Format) -> bytes:
    """An image file of red, green, blue and opacity, ``(row, column, 4)``."""
    target = io.BytesIO()
    Image.fromarray(picture).save(target, format=kind.upper(), **_OPTIONS[kind])
    return target.getvalue()


def _indexes(source: Source) -> tuple[int, ...] | None:
    """Which bands: the one of values or flags; of a picture all but its opacity."""
    return (1,) if source.flags or source.scale is not None else None


def _method(source: Source) -> Literal["nearest", "bilinear"]:
    return "nearest" if source.flags else "bilinear"


def _painted(layer: Layer, images: list[ImageData]) -> npt.NDArray[np.uint8]:
    """Red, green, blue and opacity, ``(row, column, 4)``."""
    first = images[0]
    if layer.sources[0].flags:
        return _flags_painted(first, dict(layer.sources[0].flags))
    opaque = np.full(first.array.shape[1:], 255, np.uint8)
    for image in images:
        opaque[np.ma.getmaskarray(image.array).any(axis=0)] = 0
    if not layer.rescale:
        if first.alpha_mask is not None:
            opaque = first.alpha_mask.astype(np.uint8)
        tones = first.array.data.astype(np.uint8)
    else:
        pairs = zip(images, layer.rescale, strict=True)
        tones = np.stack([_stretched(image.array.data[0], *limits) for image, limits in pairs])
    if len(tones) == 1:
        colours = _table(layer.palette)[tones[0]] if layer.palette else np.repeat(tones[0][..., None], 3, axis=-1)
    else:
        colours = np.moveaxis(tones[:3], 0, -1)
    picture = np.dstack([colours, opaque])
    picture[opaque == 0] = 0
    return np.ascontiguousarray(picture)


def _stretched(stored: npt.NDArray[np.generic], low: float, high: float) -> npt.NDArray[np.uint8]:
    share = (stored.astype(np.float32) - low) / (high - low)
    tones: npt.NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return tones


@lru_cache(maxsize=16)
def _table(name: str) -> npt.NDArray[np.uint8]:
    """256 colours of a palette; greys for one that rio-tiler does not know."""
    if name not in cmap.list():
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    found: Any = cmap.get(name)
    return np.array([found[tone][:3] for tone in range(256)], np.uint8)


def _flags_painted(image: ImageData, bits: dict[str, int]) -> npt.NDArray[np.uint8]:
    """The strongest flag of each pixel in its colour; sound pixels green; nothing where there is no image."""
    stored = image.array.data[0].astype(np.uint16)
    picture = np.empty((*stored.shape, 4), np.uint8)
    picture[...] = (*_SOUND, 255)
    for name in reversed(_FLAG_COLOURS):
        picture[(stored & bits.get(name, 0)) != 0] = (*_FLAG_COLOURS[name], 255)
    picture[((stored & bits.get("nodata", 0)) != 0) | np.ma.getmaskarray(image.array)[0]] = 0
    return picture
