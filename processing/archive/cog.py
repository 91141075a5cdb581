"""Cloud-optimised GeoTIFFs made from a store: one a band, one of the flags, one for the eye."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement, tostring

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from defusedxml.ElementTree import fromstring
from rasterio.enums import ColorInterp

from processing.archive.gdal_writes import Sums, copy_checked, gdal_faults
from processing.archive.geozarr import map_crs
from processing.archive.layout import QA
from processing.archive.picture import Style, painted_region
from processing.archive.shards import array_at
from processing.archive.store import Group, Level

# No side files are read or written; and sizes do not depend on what else is in the folder.
SAFE_ENVIRONMENT = {"GDAL_PAM_ENABLED": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
_JPEG_QUALITY = 90
Strip = tuple[int, npt.NDArray[np.generic]]
"""First row, and the rows from there on: ``(band, rows, columns)``."""
Layer = tuple[dict[str, Any], Iterator[Strip]]
"""A raster as rasterio's words for it (count, height, width, dtype, crs, transform, nodata), and its strips."""


def _strips(level: Level) -> Iterator[tuple[slice, slice]]:
    """Regions as wide as the level and as high as its shards: what a plain TIFF can take in order."""
    for start in range(0, level.shape[0], level.shard[0]):
        yield slice(start, min(start + level.shard[0], level.shape[0])), slice(0, level.shape[1])


def write_cog(path: Path, layers: Sequence[Layer], options: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
    """Write a COG from strips of rows.

    Parameters
    ----------
    path
        File to create.
    layers
        The image and, if there are any more, its overviews, finest first; else GDAL makes the overviews.
    options
        Creation options of GDAL's COG driver.
    tags
        ``scales``, ``offsets``, ``units``, ``descriptions``, ``colorinterp``, ``band_tags`` (a tuple entry for each
        band), ``tags``.
    """
    plain = [path.with_suffix(f".plain-{number}.tif") for number in range(len(layers))]
    together = path.with_suffix(".plain.vrt")
    try:
        with gdal_faults(path), rasterio.Env(**SAFE_ENVIRONMENT):
            for place, (profile, strips) in zip(plain, layers, strict=True):
                sums = Sums()
                with rasterio.open(place, "w", driver="GTiff", BIGTIFF="IF_SAFER", **profile) as target:
                    for attribute in ("colorinterp", "scales", "offsets", "units", "descriptions"):
                        if attribute in tags:
                            setattr(target, attribute, tags[attribute])
                    target.update_tags(**tags.get("tags", {}))
                    for number, own in enumerate(tags.get("band_tags", ()), start=1):
                        target.update_tags(number, **own)
                    for window, strip in sums.counted(strips):
                        target.write(strip, window=window)
                sums.require(place)
            _join(plain, together)
            to_cog(together, path, options)
    finally:
        for place in (*plain, together):
            place.unlink(missing_ok=True)


def _join(plain: Sequence[Path], together: Path) -> None:
    """A virtual file that shows the first file's one band with the others as its overviews."""
    with rasterio.open(plain[0]) as source:
        rasterio.shutil.copy(source, together, driver="VRT")
    tree = fromstring(together.read_bytes())
    for number, band in enumerate(tree.iter("VRTRasterBand"), start=1):
        for place in plain[1:]:
            overview = SubElement(band, "Overview")
            SubElement(overview, "SourceFilename", relativeToVRT="1").text = place.name
            SubElement(overview, "SourceBand").text = str(number)
    together.write_bytes(tostring(tree))


def to_cog(plain: Path, path: Path, options: Mapping[str, Any]) -> None:
    """Make a COG of a plain raster, with GDAL's own driver and its options."""
    with rasterio.open(plain) as source:
        fixed = {"driver": "COG", "BLOCKSIZE": 512, "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS"}
        copy_checked(source, path, {**fixed, **options})


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


def _layers(store: Path, group: Group, name: str, dtype: str, nodata: int | None) -> list[Layer]:
    """An array at all its levels: a COG's overviews are the archive's own."""

    def strips(level: Level) -> Iterator[Strip]:
        array = array_at(store, f"{level.path}/{name}")
        return ((region[0].start, np.asarray(array[region])[None]) for region in _strips(level))

    return [(_profile(level, dtype, 1, nodata), strips(level)) for level in group.levels]


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
    write_cog(
        path,
        _layers(store, group, band, encoding.dtype, encoding.nodata),
        {"COMPRESS": "DEFLATE", "PREDICTOR": "YES"},
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
    write_cog(
        path,
        _layers(store, group, QA, "uint16", None),
        {"COMPRESS": "DEFLATE"},
        {"descriptions": (QA,), "tags": dict(tags)},
    )


def write_visual(path: Path, store: Path, groups: tuple[Group, ...], style: Style, tags: Mapping[str, str]) -> None:
    """The picture for the eye: JPEG in a COG, transparent where there is no value."""
    group = style.group(groups)
    level = group.levels[0]
    strips = ((region[0].start, painted_region(store, group, level, style, region)) for region in _strips(level))
    write_cog(
        path,
        [(_profile(level, "uint8", 4, None), strips)],
        {"COMPRESS": "JPEG", "QUALITY": _JPEG_QUALITY, "OVERVIEW_RESAMPLING": "AVERAGE"},
        {
            "colorinterp": (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha),
            "tags": dict(tags),
        },
    )
