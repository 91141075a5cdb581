"""Cloud-optimised GeoTIFFs made from a store: one a band, one of the flags, one for the eye."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp

from processing.archive.cog_file import TILE_PX, CogFile, Raster
from processing.archive.gdal_writes import Sums, copy_checked, gdal_faults
from processing.archive.geozarr import map_crs
from processing.archive.layout import QA
from processing.archive.picture import Style, painted_region
from processing.archive.shard_read import LocalArray
from processing.archive.store import Group, Level
from processing.archive.tiff_tags import describe, gdal_tags

# No side files are read or written; and sizes do not depend on what else is in the folder.
SAFE_ENVIRONMENT = {"GDAL_PAM_ENABLED": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
_JPEG_QUALITY = 90
Strip = tuple[int, npt.NDArray[np.generic]]
"""First row, and the rows from there on: ``(band, rows, columns)``."""
_Rows = npt.NDArray[np.generic]
_Kind = tuple[str, int | None]
"""Type and nodata."""
Layer = tuple[dict[str, Any], Iterator[Strip]]
"""A raster as rasterio's words for it (count, height, width, dtype, crs, transform, nodata), and its strips."""


def _strips(level: Level) -> Iterator[tuple[slice, slice]]:
    """Regions as wide as the level and as high as its shards: what a plain TIFF can take in order."""
    for start in range(0, level.shape[0], level.shard[0]):
        yield slice(start, min(start + level.shard[0], level.shape[0])), slice(0, level.shape[1])


def write_cog(path: Path, layer: Layer, options: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    """Have GDAL write a COG from strips of rows, and make its overviews.

    Parameters
    ----------
    path
        File to create.
    layer
        The image.
    options
        Creation options of GDAL's COG driver.
    words
        About the bands, as :func:`processing.archive.tiff_tags.describe` takes them.
    """
    plain, sums = path.with_suffix(".plain.tif"), Sums()
    profile, strips = layer
    try:
        with gdal_faults(path), rasterio.Env(**SAFE_ENVIRONMENT):
            with rasterio.open(plain, "w", driver="GTiff", BIGTIFF="IF_SAFER", **profile) as target:
                describe(target, words)
                for window, strip in sums.counted(strips):
                    target.write(strip, window=window)
            sums.require(plain)
            fixed = {"driver": "COG", "BLOCKSIZE": TILE_PX, "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS"}
            with rasterio.open(plain) as source:
                copy_checked(source, path, {**fixed, **options})
    finally:
        plain.unlink(missing_ok=True)


def _write_levels(path: Path, store: Path, group: Group, name: str, kind: _Kind, words: Mapping[str, Any]) -> None:
    """One array of a store as a COG whose overviews are the archive's own levels."""
    first, (dtype, nodata) = group.levels[0], kind
    tags = gdal_tags(_profile(first, dtype, 1, nodata), words)
    raster = Raster(shape=first.shape, bands=1, dtype=dtype, fill=nodata or 0, tags=tags)
    file = CogFile(path, raster, shapes=[level.shape for level in group.levels])
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, level in enumerate(group.levels):
                for row, rows in _tile_rows(level, LocalArray.at(store, f"{level.path}/{name}")):

                    def put(left: int, number: int = number, row: int = row, rows: _Rows = rows) -> None:
                        file.put(number, 0, (row, left), rows[:, left : left + TILE_PX])

                    list(pool.map(put, range(0, level.shape[1], TILE_PX)))
        file.close()
    finally:
        file.abandon()


def _tile_rows(level: Level, array: LocalArray) -> Iterator[tuple[int, _Rows]]:
    """An array in strips that start at a row of tiles; each shard is read once."""
    start, waiting = 0, np.empty((0, level.shape[1]), dtype=array.layout.dtype)
    for region in _strips(level):
        rows = np.concatenate([waiting, array[region]])
        last = region[0].stop == level.shape[0]
        whole = rows.shape[0] if last else rows.shape[0] // TILE_PX * TILE_PX
        yield start, rows[:whole]
        start, waiting = start + whole, rows[whole:]


def _profile(level: Level, dtype: str, count: int, nodata: int | None) -> dict[str, Any]:
    return {
        "count": count,
        "height": level.shape[0],
        "width": level.shape[1],
        "dtype": dtype,
        "crs": map_crs(level.geobox).to_wkt(),
        "transform": level.geobox.affine,
        "nodata": nodata,
    }


def write_band(
    path: Path,
    store: Path,
    group: Group,
    band: str,
    tags: Mapping[str, str],
    *,
    statistics: Mapping[str, str] | None = None,
) -> None:
    """One band as stored, with its scale, offset and nodata; and its statistics, as GDAL keeps them."""
    encoding = group.encodings[band]
    _write_levels(
        path,
        store,
        group,
        band,
        (encoding.dtype, encoding.nodata),
        {
            "scales": (encoding.scale,),
            "offsets": (encoding.offset,),
            "units": (encoding.units,),
            "descriptions": (band,),
            "band_tags": (statistics or {},),
            "tags": dict(tags),
        },
    )


def write_flags(path: Path, store: Path, group: Group, tags: Mapping[str, str]) -> None:
    """The quality flags of a group."""
    _write_levels(path, store, group, QA, ("uint16", None), {"descriptions": (QA,), "tags": dict(tags)})


def write_visual(path: Path, store: Path, groups: tuple[Group, ...], style: Style, tags: Mapping[str, str]) -> None:
    """The picture for the eye: JPEG in a COG, transparent where there is no value."""
    group = style.group(groups)
    level = group.levels[0]
    strips = ((region[0].start, painted_region(store, group, level, style, region)) for region in _strips(level))
    write_cog(
        path,
        (_profile(level, "uint8", 4, None), strips),
        {"COMPRESS": "JPEG", "QUALITY": _JPEG_QUALITY, "OVERVIEW_RESAMPLING": "AVERAGE"},
        {
            "colorinterp": (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha),
            "tags": dict(tags),
        },
    )
