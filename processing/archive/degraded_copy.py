"""Copies of images with less in them: coarser pixels, absent parts. What is shown is read from these alone."""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.features import geometry_mask
from rasterio.warp import transform_bounds
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from processing.archive.viewed import Image, Place, on_grid, opened, pixel_m
from processing.model.qa import Qa
from processing.products.degrade import averaged, coarse_shape, flags_of, grown

LONGEST = 4_096
"""Pixels along the longer side of a copy at most: to look at, not to have."""
_FINER = 4
"""Pixels of an overview that is read are at least so many times finer than those that are made, where there is one."""
_JPEG_BLOCK = 16
"""A pixel of a JPEG tells of those in its block, of whose colours there is one for two by two pixels."""
_STRIP = 256


@dataclass(frozen=True, slots=True)
class Less:
    """What is left."""

    gsd_m: float | None
    """No finer pixels than so many metres; None: as fine as they are, but for ``LONGEST``."""
    mask: BaseGeometry | None
    """Where no pixel has a value, degrees of WGS 84; every pixel that it touches."""
    flags: bool
    """The numbers are quality flags."""


def degraded_copy(place: Place, target: Path, less: Less) -> None:
    """Write a copy of a COG, or of a band of a store, with coarser pixels and without those of a mask.

    Fine pixels under the mask are gone before any are averaged. The copy appears under its name when it is whole.

    Raises
    ------
    Defect
        ``cog.unreadable``, ``archive.missing``, ``archive.corrupt`` if it is damaged.
    """
    with opened(place) as full:
        own, longest = pixel_m(full), max(full.shape)
        wanted = max(own * max(1.0, longest / LONGEST), less.gsd_m or 0.0)
        shape, origin = coarse_shape(full.shape, wanted / own), full.transform
        transform = origin @ origin.scale(wanted / own)
        profile = {
            "driver": "GTiff", "count": full.count + _has_mask(full),
            "dtype": full.dtypes[0], "nodata": full.nodata, "height": shape[0],
            "width": shape[1], "crs": full.crs, "transform": transform, "tiled": True, "blockxsize": 256,
            "blockysize": 256, "compress": "DEFLATE",
        }  # fmt: skip
        coloured = (*full.colorinterp, *([ColorInterp.alpha] if _has_mask(full) else ()))
        finest = abs(full.transform.e)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened(place, lambda found: wanted / _FINER / pixel_m(found)) as source:
        # An overview's rows may not divide the image's: then GDAL takes its pixels for a little narrower than they are.
        ratio = wanted / own * finest / abs(source.transform.e)
        with _appearing(target) as draft:
            with rasterio.open(draft, "w", **profile) as out:
                out.colorinterp = coloured
                for first in range(0, shape[0], _STRIP):
                    rows = (first, min(first + _STRIP, shape[0]))
                    strip = _strip(source, ratio, rows, shape[1], less)
                    out.write(strip.astype(out.dtypes[0]), window=Window(0, first, shape[1], rows[1] - first))
            if max(shape) > 512:
                factors = [2**power for power in range(1, math.ceil(math.log2(max(shape) / 256)) + 1)]
                with rasterio.open(draft, "r+") as out:
                    out.build_overviews(factors, Resampling.nearest if less.flags else Resampling.average)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".draft-", suffix=".tif")
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def _strip(source: Image, ratio: float, rows: tuple[int, int], width: int, less: Less) -> npt.NDArray[np.generic]:
    """Coarse rows from the fine ones that they cover."""
    top, bottom = math.floor(rows[0] * ratio), min(math.ceil(rows[1] * ratio - 1e-9), source.height)
    window = Window(0, top, source.width, max(bottom - top, 1))
    stored = source.read(window=window)
    hidden = _hidden(source, window, less)
    if less.flags:
        words = np.where(hidden, np.uint16(Qa.NODATA), stored[0].astype(np.uint16))
        # Rows of a strip begin between fine rows; a flag of the row that is cut counts on both sides.
        found = np.full((rows[1] - rows[0], width), np.uint16(Qa.NODATA))
        seen = flags_of(words, ratio, absent=int(Qa.NODATA))[: rows[1] - rows[0], :width]
        found[: seen.shape[0], : seen.shape[1]] = seen
        return found[None]
    valid = _valid(source, window, stored) & ~hidden
    made = np.zeros((len(stored) + _has_mask(source), rows[1] - rows[0], width))
    absent = 0.0 if source.nodata is None else source.nodata
    for number, band in enumerate(stored):
        means, there = averaged(band, valid, ratio, rows=rows, columns=width, first=top)
        if source.colorinterp[number] is ColorInterp.alpha:
            means = np.full_like(means, 255.0)
        made[number] = np.where(there, means, absent)
    if _has_mask(source):
        made[-1] = np.where(there, 255.0, 0.0)
    if np.issubdtype(stored.dtype, np.integer):
        made = np.rint(made)
        if source.nodata is not None:
            made = _unlike_nodata(made, source.nodata, valid_there=there)
    return made


def _has_mask(source: Image) -> bool:
    """Whether an image says by a mask of its own where it has values: pictures do. The copy says so by opacity."""
    return MaskFlags.per_dataset in source.mask_flag_enums[0] and MaskFlags.alpha not in source.mask_flag_enums[0]


def _lossy(source: Image) -> bool:
    return str(source.profile.get("compress", "")).lower() in ("jpeg", "ycbcr jpeg", "webp", "jxl")


def _unlike_nodata(
    made: npt.NDArray[np.float64], nodata: float, *, valid_there: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """A mean that happens to round to nodata is moved by a step."""
    made[(made == nodata) & valid_there] = nodata + 1
    return made


def _valid(source: Image, window: Window, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    there = source.dataset_mask(window=window) > 127
    return np.asarray(there & np.isfinite(stored[0].astype(np.float64)), np.bool_)


def _hidden(source: Image, window: Window, less: Less) -> npt.NDArray[np.bool_]:
    shape = (int(window.height), int(window.width))
    near = None if less.mask is None else _near(source, less.mask)
    if near is None:
        return np.zeros(shape, bool)
    # Read beyond the strip, so that what grows does so across its edges too.
    reach = _JPEG_BLOCK if _lossy(source) else 1
    wider = Window(0, window.row_off - reach, window.width, window.height + 2 * reach)
    found = geometry_mask(
        [on_grid(near, source)], out_shape=(shape[0] + 2 * reach, shape[1]),
        transform=source.window_transform(wider), all_touched=True, invert=True,
    )  # fmt: skip
    return grown(found, reach)[reach:-reach]


def _near(source: Image, mask: BaseGeometry) -> BaseGeometry | None:
    """What of a mask may lie on an image: far from it, maps end."""
    west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *source.bounds, densify_pts=21)
    if west > east:
        return mask
    slack = max(east - west, north - south) / 50 + 1e-4
    near = shapely.intersection(mask, shapely.box(west - slack, south - slack, east + slack, north + slack))
    return None if near.is_empty else near
