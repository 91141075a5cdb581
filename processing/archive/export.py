"""Writing an orthoimage where the user asked, without archive or catalogue: a COG, or a store like the archive's."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from dask import threaded
from dask.base import compute
from dask.delayed import delayed

from processing.archive import durable
from processing.archive.cog_blocks import BlockLevel, CogBlocks
from processing.archive.cog_file import TILE_PX, CogFile, Raster
from processing.archive.compute import (
    Progress,
    count_tasks,
    counted,
    shard_inputs,
    steps,
    tiles_from,
    write_pixels,
)
from processing.archive.disk_faults import disk_faults
from processing.archive.encode import fill_of
from processing.archive.geozarr import map_crs
from processing.archive.manifest import write_manifest
from processing.archive.shards import stored_rows
from processing.archive.store import consolidate, create_store, expected_keys, plan_group
from processing.archive.tiff_tags import gdal_tags
from processing.model.conventions import REFLECTANCE_NODATA, REFLECTANCE_OFFSET, REFLECTANCE_SCALE
from processing.model.errors import BadInput
from processing.model.image import Counts, OrthoImage
from processing.model.levels import Quantity
from processing.model.product import Encoding

_RADIANCE_SCALE = 0.01
"""W m-2 sr-1 um-1 a step: 655 at most, above the brightest snow at the shortest wavelengths."""
TIFF_SUFFIXES = (".tif", ".tiff")
_SUFFIXES = (*TIFF_SUFFIXES, ".zarr")


def export_ortho(images: Sequence[OrthoImage], out: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Compute orthoimages and write them to one file or folder.

    Parameters
    ----------
    images
        Lazy images, one a measurement group. A ``.tif`` takes one.
    out
        ``FILE.tif``: a COG; counts in their own type, physical quantities as float32 with NaN.
        ``DIR.zarr``: Zarr v3 in the layout of the archive, integers with scale and offset, flags, coarser levels
        and a manifest. What was there under this name is replaced in one step, once the new one is whole.
    progress
        Called with (done, total, what).

    Returns
    -------
    dict
        ``out, format, crs, transform, shape, bands, dtype, scale, offset, nodata`` (null for NaN) of the
        first image.

    Raises
    ------
    BadInput
        ``out.format`` for any other suffix or several images in a ``.tif``; ``out.exists`` if a folder of other
        things has the name already.
    """
    suffix = out.suffix.lower()
    if suffix not in _SUFFIXES:
        raise BadInput(f"'{out.name}' ends in none of {', '.join(_SUFFIXES)}", kind="out.format")
    if suffix != ".zarr" and len(images) != 1:
        raise BadInput(
            f"a GeoTIFF holds one grid, and there are {len(images)}", kind="out.format", remedy="Write a .zarr."
        )
    if out.is_dir() and not (suffix == ".zarr" and (out / "zarr.json").is_file()):
        raise BadInput("a folder of other things has this name", kind="out.exists", where=str(out))
    durable.make_folders(out.absolute().parent)
    partial = out.with_name(f".{out.stem}-{uuid4().hex}{suffix}")
    try:
        encoding = (
            _write_store(images, partial, progress) if suffix == ".zarr" else _write_cog(images[0], partial, progress)
        )
        _replace(partial, out)
    finally:
        _remove(partial)
    return {"out": str(out), "format": "zarr" if suffix == ".zarr" else "cog", **_described(images[0]), **encoding}


def _described(image: OrthoImage) -> dict[str, Any]:
    affine = image.geobox.affine
    return {
        "crs": str(image.geobox.crs),
        "transform": [affine.a, affine.b, affine.c, affine.d, affine.e, affine.f],
        "shape": [int(length) for length in image.geobox.shape],
        "bands": [band.name for band in image.bands],
    }


def storage_of(image: OrthoImage, band: str) -> Encoding:
    """How a band is stored where no recipe says so: counts as they were delivered, quantities as scaled integers.

    Delivered counts that state no nodata keep all their values: absence takes a number beyond them. Real numbers stay
    what they are.
    """
    quantity = image.quantity
    title = f"{str(quantity).replace('_', ' ')}, {band.replace('_', ' ')}"
    if quantity == Quantity.DN:
        dtype, nodata = _count_type(image.counts or Counts(dtype="uint16", nodata=0))
        return Encoding(title=title, dtype=dtype, scale=1.0, offset=0.0, nodata=nodata)
    if quantity == Quantity.RADIANCE:
        return Encoding(
            title=title, dtype="uint16", scale=_RADIANCE_SCALE, offset=0.0, nodata=0, units="W m-2 sr-1 um-1"
        )
    return Encoding(
        title=title,
        dtype="uint16",
        scale=REFLECTANCE_SCALE,
        offset=REFLECTANCE_OFFSET,
        nodata=REFLECTANCE_NODATA,
    )


def _count_type(counts: Counts) -> tuple[str, int]:
    """Type and absent number for counts."""
    kind = np.dtype(counts.dtype)
    if kind.kind == "f" or kind.itemsize > 2:
        return "float32", 0
    limits = np.iinfo(kind)
    if counts.nodata in (limits.min, limits.max):
        return str(kind), int(counts.nodata)
    if kind.kind == "i":
        return "int16", -32768
    return "uint16", 0 if counts.nodata == 0 else 65535


def _write_store(images: Sequence[OrthoImage], store: Path, progress: Progress | None) -> dict[str, Any]:
    groups = [plan_group(image, {band.name: storage_of(image, band.name) for band in image.bands}) for image in images]
    create_store(store, groups, images, {"Conventions": "CF-1.11"})
    records = write_pixels(store, groups, images, steps(progress, count_tasks(groups)))
    consolidate(store, groups)
    write_manifest(store, records, expected_keys(groups))
    durable.sync_tree(store)
    first = next(iter(groups[0].encodings.values()))
    return {"dtype": first.dtype, "scale": first.scale, "offset": first.offset, "nodata": first.nodata}


def _write_cog(image: OrthoImage, path: Path, progress: Progress | None) -> dict[str, Any]:
    """One compute: every block becomes tiles of the image and of its overviews."""
    encodings = {band.name: _in_a_tiff(storage_of(image, band.name)) for band in image.bands}
    level = BlockLevel(path="", geobox=image.geobox)
    first = next(iter(encodings.values()))
    absent = fill_of(first)
    profile = {
        "count": len(encodings), "dtype": first.dtype, "nodata": absent, "crs": map_crs(level.geobox).to_wkt(),
        "transform": level.geobox.affine,
    }  # fmt: skip
    tags = gdal_tags(profile, {"descriptions": tuple(encodings), "tags": {"QUANTITY": str(image.quantity)}})
    raster = Raster(shape=level.shape, bands=len(encodings), dtype=first.dtype, fill=absent, tags=tags)
    with disk_faults(path.parent):
        file = CogFile(path, raster)
        try:
            _fill(CogBlocks(file), level, image, encodings, progress)
            file.close()
        finally:
            file.abandon()
    return {"dtype": first.dtype, "scale": 1.0, "offset": 0.0, "nodata": None if np.isnan(absent) else absent}


def _in_a_tiff(encoding: Encoding) -> Encoding:
    """Counts as they are; quantities as themselves, for readers that overlook scale and offset."""
    return encoding if encoding.scale == 1.0 else encoding.model_copy(update={"dtype": "float32"})


def _fill(
    blocks: CogBlocks,
    level: BlockLevel,
    image: OrthoImage,
    encodings: Mapping[str, Encoding],
    progress: Progress | None,
) -> None:
    def put(index: tuple[int, int], *given: Any) -> None:
        rows, columns = level.region(index)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        blocks.put((rows.start, columns.start), stored_rows(shape, encodings, tiles_from(index, *given), TILE_PX))

    given = shard_inputs(image, level)
    indices = list(level.shards())
    step = steps(progress, len(indices))
    tasks = [delayed(put)(index, *given(index), dask_key_name=f"shard-{image.group}-{index}") for index in indices]
    with counted(step):
        compute(*tasks, scheduler=threaded.get)
    blocks.finish()


def _replace(partial: Path, out: Path) -> None:
    if out.is_dir():
        durable.exchange(partial, out)
    elif partial.is_dir():
        durable.move(partial, out)
    else:
        durable.sync_file(partial)
        partial.replace(out)
        durable.sync_folder(out.absolute().parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
