"""The files of one delivered item, made from lazy images: nothing but what these show is in any of them.

The images are computed once into a small store; overviews, picture, thumbnail, outline and figures are all made of
that, so pixels that were cut off or taken out are in none of them.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from processing.archive.cog import write_band, write_flags, write_visual
from processing.archive.compute import tally, write_pixels
from processing.archive.files import flags_key
from processing.archive.footprint import on_the_ground, outline
from processing.archive.geozarr import map_crs
from processing.archive.layout import COG_TYPE, MANIFEST, QUALITY_REPORT, THUMBNAIL, VISUAL, ZARR_TYPE
from processing.archive.manifest import ObjectRecord, read_manifest, record_of, write_manifest
from processing.archive.picture import Style, write_thumbnail
from processing.archive.record import gdal_statistics, quality_report, stored_bands, stored_file, stored_groups
from processing.archive.shards import GroupTally
from processing.archive.space import product_bytes, require_space
from processing.archive.store import Group, consolidate, create_store, expected_keys, plan_group
from processing.model.composite_layers import BESIDE, roles_of
from processing.model.image import OrthoImage
from processing.model.product import Encoding, Product, StoredFile

_DEGREE_M = 111_320.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """In which form an item is delivered."""

    form: Literal["cog", "zarr"]
    style: Style | None
    """How it looks as a picture; None: it has none."""
    tags: Mapping[str, str]
    """Written into every raster, and into the attributes of a store."""
    gsd_m: float
    """Finest ground sampling distance of what is delivered."""


def write_item_files(
    root: Path,
    product: Product,
    images: Sequence[OrthoImage],
    encodings: Mapping[str, Encoding],
    wanted: Wanted,
    step: Callable[[str], None] = lambda _: None,
) -> Product:
    """Compute images and write the files of a delivered item.

    Parameters
    ----------
    root
        Folder that gets ``COLLECTION/ID/``; what lies there already is made anew.
    product
        The archived product the images are of.
    images, encodings
        Lazy; and how each band is stored.

    Returns
    -------
    product
        As it is delivered: its bands, figures, outline and files are those of the delivered bytes. Addresses are
        relative to a HOME in which ``root`` is ``products``.

    Raises
    ------
    BadInput
        ``product.empty`` if no pixel is left.
    Retryable
        ``disk.full``.
    """
    folder = root / product.collection / product.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    groups = tuple(plan_group(image, encodings) for image in images)
    shapes = ((group.levels[0].shape, len(group.arrays)) for group in groups)
    require_space(folder, product_bytes((rows * columns, arrays) for (rows, columns), arrays in shapes),
                  what="the package")  # fmt: skip
    store = folder / f"{product.id}.zarr"
    manifest = _write_store(store, groups, images, product, wanted, step)
    ring = outline(store, groups)
    tallies = tally(store, groups, ring)
    delivered = _delivered(product, groups, images, tallies, manifest, wanted)
    geometry, bbox = on_the_ground(ring, map_crs(groups[0].levels[0].geobox))
    delivered = delivered.model_copy(update={"geometry": geometry, "bbox": bbox})
    files = _Files(folder, delivered)
    if wanted.form == "cog":
        _write_bands(files, store, groups, delivered, wanted, step)
    _write_pictures(files, store, groups, wanted)
    (folder / QUALITY_REPORT).write_bytes(json.dumps(quality_report(delivered), indent=1).encode() + b"\n")
    files.add(QUALITY_REPORT, key="quality", media="application/json", roles=("metadata",), title="Quality report")
    if wanted.form == "zarr":
        files.add_store(store, manifest)
    else:
        shutil.rmtree(store)
    return delivered.model_copy(update={"files": tuple(files.written)})


def _write_store(
    store: Path,
    groups: Sequence[Group],
    images: Sequence[OrthoImage],
    product: Product,
    wanted: Wanted,
    step: Callable[[str], None],
) -> ObjectRecord:
    attributes: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": f"{product.collection}/{product.id}",
        "id": product.id,
        "collection": product.collection,
        "mission": product.mission,
        "acquired": product.acquired.isoformat(),
        **wanted.tags,
    }
    create_store(store, groups, images, attributes)
    records = write_pixels(store, groups, images, step)
    consolidate(store, groups)
    return write_manifest(store, records, expected_keys(groups))


def _delivered(
    product: Product,
    groups: Sequence[Group],
    images: Sequence[OrthoImage],
    tallies: Mapping[str, GroupTally],
    manifest: ObjectRecord,
    wanted: Wanted,
) -> Product:
    """What is known of the delivered item: the archived one's facts, and figures of its own pixels only."""
    flags = {
        name: {flag: round(100.0 * count / found.footprint, 4) if found.footprint else 0.0
               for flag, count in found.flags.items()}
        for name, found in tallies.items()
    }  # fmt: skip
    kept = {name: product.quality[name] for name in ("warnings",) if name in product.quality}
    places = []
    for place, group in zip(stored_groups(groups), groups, strict=True):
        degrees = map_crs(group.levels[0].geobox).is_geographic
        size = place.resolution_m * _DEGREE_M if degrees else place.resolution_m
        places.append(place.model_copy(update={"resolution_m": float(f"{size:.6g}")}))
    return product.model_copy(
        update={
            "groups": tuple(places),
            "bands": stored_bands(groups, images, tallies),
            "files": (),
            "archive_href": f"products/{product.collection}/{product.id}/{product.id}.zarr",
            "manifest_sha256": manifest.sha256,
            "manifest_size": manifest.size,
            "gsd_m": wanted.gsd_m,
            "quality": {"flags_percent": flags, **kept},
        }
    )


class _Files:
    """The files of an item as they are written."""

    def __init__(self, folder: Path, product: Product) -> None:
        self.folder = folder
        self.written: list[StoredFile] = []
        self._home = folder.parent.parent.parent
        self._place = self._home / "products" / product.collection / product.id

    def add(self, name: str, *, key: str, media: str, roles: tuple[str, ...], title: str) -> None:
        """Take in a file that is there."""
        record = record_of(self.folder, name)
        self.written.append(
            stored_file(self._place / name, record, key=key, media_type=media, roles=roles, title=title,
                        home=self._home)
        )  # fmt: skip

    def add_store(self, store: Path, manifest: ObjectRecord) -> None:
        """Take in the store as one asset: its size is that of all its objects, its digest that of its manifest."""
        size = sum(record.size for record in read_manifest(store).values()) + manifest.size
        whole = ObjectRecord(MANIFEST, size, manifest.sha256)
        self.written.append(
            stored_file(self._place / store.name, whole, key="zarr", media_type=ZARR_TYPE, roles=("data",),
                        title="Zarr v3 store of all bands and levels", home=self._home)
        )  # fmt: skip


def _write_bands(
    files: _Files,
    store: Path,
    groups: Sequence[Group],
    product: Product,
    wanted: Wanted,
    step: Callable[[str], None],
) -> None:
    statistics = {band.name: gdal_statistics(band) for band in product.bands}
    for group in groups:
        for band, encoding in group.encodings.items():
            write_band(files.folder / f"{band}.tif", store, group, band, dict(wanted.tags),
                       statistics=statistics.get(band))  # fmt: skip
            roles = roles_of(band) if group.name in BESIDE else ("data",)
            files.add(f"{band}.tif", key=band, media=COG_TYPE, roles=roles, title=encoding.title)
            step(f"{band}.tif")
        key = flags_key(groups, group)
        write_flags(files.folder / f"{key}.tif", store, group, dict(wanted.tags))
        files.add(f"{key}.tif", key=key, media=COG_TYPE, roles=("metadata", "data-mask"),
                  title=f"Quality flags of {group.name}")  # fmt: skip


def _write_pictures(files: _Files, store: Path, groups: tuple[Group, ...], wanted: Wanted) -> None:
    if wanted.style is None:
        return
    if wanted.form == "cog":
        write_visual(files.folder / VISUAL, store, groups, wanted.style, dict(wanted.tags))
        files.add(VISUAL, key="visual", media=COG_TYPE, roles=("visual", "overview"), title="Picture")
    write_thumbnail(files.folder / THUMBNAIL, store, groups, wanted.style)
    files.add(THUMBNAIL, key="thumbnail", media="image/webp", roles=("thumbnail",), title="Thumbnail")
