"""Cloud-optimised GeoTIFFs made from a store: one a band, one of the flags, one for the eye."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from processing.archive.geozarr import map_crs
from processing.archive.layout import QA
from processing.archive.picture import Style, painted_region
from processing.archive.shards import array_at
from processing.archive.store import Group, Level

# No side files are read or written; and sizes do not depend on what else is in the folder.
SAFE_ENVIRONMENT = {"GDAL_PAM_ENABLED": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
_JPEG_QUALITY = 90
Strip = tuple[int, npt.NDArray[np.generic]]


def _strips(level: Level) -> Iterator[tuple[slice, slice]]:
    """Regions as wide as the level and as high as its shards: what a plain TIFF can take in order."""
    for start in range(0, level.shape[0], level.shard[0]):
        yield slice(start, min(start + level.shard[0], level.shape[0])), slice(0, level.shape[1])


def write_cog(
    path: Path,
    profile: Mapping[str, Any],
    strips: Iterator[Strip],
    options: Mapping[str, Any],
    tags: Mapping[str, Any] | None = None,
) -> None:
    """Write a COG from strips of rows.

    Parameters
    ----------
    path
        File to create.
    profile
        rasterio's words: count, height, width, dtype, crs, transform, nodata.
    strips
        ``(first row, array (band, rows, columns))`` in order from the top.
    options
        Creation options of GDAL's COG driver.
    tags
        ``scales``, ``offsets``, ``units``, ``descriptions`` (a tuple entry for each band), ``colorinterp``, ``tags``.
    """
    plain = path.with_suffix(".plain.tif")
    named = dict(tags or {})
    try:
        with rasterio.Env(**SAFE_ENVIRONMENT):
            with rasterio.open(plain, "w", driver="GTiff", BIGTIFF="IF_SAFER", **profile) as target:
                for attribute in ("colorinterp", "scales", "offsets", "units", "descriptions"):
                    if attribute in named:
                        setattr(target, attribute, named[attribute])
                target.update_tags(**named.get("tags", {}))
                for row, strip in strips:
                    target.write(strip, window=Window(0, row, strip.shape[2], strip.shape[1]))
            to_cog(plain, path, options)
    finally:
        plain.unlink(missing_ok=True)


def to_cog(plain: Path, path: Path, options: Mapping[str, Any]) -> None:
    """Make a COG of a plain TIFF, with GDAL's own driver and its options."""
    with rasterio.open(plain) as source:
        rasterio.shutil.copy(
            source, path, driver="COG", BLOCKSIZE=512, BIGTIFF="IF_SAFER", NUM_THREADS="ALL_CPUS", **options
        )


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


def write_band(path: Path, store: Path, group: Group, band: str, tags: Mapping[str, str]) -> None:
    """One band as stored, with its scale, offset and nodata."""
    level, encoding = group.levels[0], group.encodings[band]
    array = array_at(store, f"{level.path}/{band}")
    write_cog(
        path,
        _profile(level, encoding.dtype, 1, encoding.nodata),
        ((region[0].start, np.asarray(array[region])[None]) for region in _strips(level)),
        {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "OVERVIEW_RESAMPLING": "AVERAGE"},
        {
            "scales": (encoding.scale,),
            "offsets": (encoding.offset,),
            "units": (encoding.units,),
            "descriptions": (band,),
            "tags": dict(tags),
        },
    )


def write_flags(path: Path, store: Path, group: Group, tags: Mapping[str, str]) -> None:
    """The quality flags of a group. Coarser views show single pixels: flags cannot be averaged."""
    level = group.levels[0]
    array = array_at(store, f"{level.path}/{QA}")
    write_cog(
        path,
        _profile(level, "uint16", 1, None),
        ((region[0].start, np.asarray(array[region])[None]) for region in _strips(level)),
        {"COMPRESS": "DEFLATE", "OVERVIEW_RESAMPLING": "NEAREST"},
        {"descriptions": (QA,), "tags": dict(tags)},
    )


def write_visual(path: Path, store: Path, groups: tuple[Group, ...], style: Style, tags: Mapping[str, str]) -> None:
    """The picture for the eye: JPEG in a COG, transparent where there is no value."""
    group = style.group(groups)
    level = group.levels[0]
    write_cog(
        path,
        _profile(level, "uint8", 4, None),
        ((region[0].start, painted_region(store, group, level, style, region)) for region in _strips(level)),
        {"COMPRESS": "JPEG", "QUALITY": _JPEG_QUALITY, "OVERVIEW_RESAMPLING": "AVERAGE"},
        {
            "colorinterp": (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha),
            "tags": dict(tags),
        },
    )
