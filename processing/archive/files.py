"""The files beside a store: COGs, thumbnail, reports. All made from what the store holds, so they can be made again."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from processing.archive.cog import write_band, write_flags, write_visual
from processing.archive.layout import (
    CHECKSUMS,
    COG_TYPE,
    ISO,
    MANIFEST,
    PRODUCT_RECORD,
    QA,
    QUALITY_REPORT,
    THUMBNAIL,
    VISUAL,
    ZARR_TYPE,
    ProductPaths,
)
from processing.archive.manifest import ObjectRecord, read_manifest, record_of
from processing.archive.picture import Style, write_thumbnail
from processing.archive.record import gdal_statistics, quality_report, stored_file
from processing.archive.store import Group
from processing.model.composite_layers import BESIDE, roles_of
from processing.model.errors import Defect
from processing.model.product import Product, ProductDraft, StoredFile


def write_files(
    folder: Path,
    store: Path,
    product: Product,
    draft: ProductDraft,
    groups: Sequence[Group],
    paths: ProductPaths,
    step: Callable[[str], None],
) -> Product:
    """Write every file of a product into a staging folder.

    Parameters
    ----------
    folder, store
        Where they lie now; ``paths`` says where they will.

    Returns
    -------
    product
        With its files.
    """
    folder.mkdir()
    tags = {"QYRAN_ITEM": f"{product.collection}/{product.id}", "QYRAN_REVISION": product.revision}
    written = []
    statistics = {band.name: gdal_statistics(band) for band in product.bands}
    for record in _pictures(folder, store, draft, tuple(groups), paths, tags, statistics):
        written.append(record)
        step(record.key)
    for attached in draft.attachments:
        (folder / attached.name).write_bytes(attached.content)
        key = Path(attached.name).stem
        written.append(
            _file(
                folder, paths, attached.name, key=key, media_type=attached.media_type, roles=attached.roles,
                title=attached.title,
            )
        )  # fmt: skip
    (folder / QUALITY_REPORT).write_bytes(_json(quality_report(product)))
    written.append(
        _file(
            folder, paths, QUALITY_REPORT, key="quality", media_type="application/json", roles=("metadata",),
            title="Quality report",
        )
    )  # fmt: skip
    written.append(_archive(store, product, paths))
    product = product.model_copy(update={"files": tuple(written)})
    (folder / PRODUCT_RECORD).write_bytes(product.model_dump_json(indent=1).encode() + b"\n")
    _write_checksums(folder, store, paths)
    return product


def _pictures(
    folder: Path,
    store: Path,
    draft: ProductDraft,
    groups: tuple[Group, ...],
    paths: ProductPaths,
    tags: dict[str, str],
    statistics: dict[str, dict[str, str]],
) -> Iterator[StoredFile]:
    """Every raster, as it is finished."""
    for group in groups:
        for band, encoding in group.encodings.items():
            write_band(folder / f"{band}.tif", store, group, band, tags, statistics=statistics.get(band))
            roles = roles_of(band) if group.name in BESIDE else ("data",)
            yield _file(folder, paths, f"{band}.tif", key=band, media_type=COG_TYPE, roles=roles, title=encoding.title)
    for group in groups:
        key = flags_key(groups, group)
        write_flags(folder / f"{key}.tif", store, group, tags)
        yield _file(
            folder, paths, f"{key}.tif", key=key, media_type=COG_TYPE, roles=("metadata", "data-mask"),
            title=f"Quality flags of {group.name}",
        )  # fmt: skip
    if draft.visual:
        style = Style.of(draft)
        write_visual(folder / VISUAL, store, groups, style, tags)
        yield _file(
            folder, paths, VISUAL, key="visual", media_type=COG_TYPE, roles=("visual", "overview"), title="Picture"
        )
        write_thumbnail(folder / THUMBNAIL, store, groups, style)
        yield _file(
            folder, paths, THUMBNAIL, key="thumbnail", media_type="image/webp", roles=("thumbnail",), title="Thumbnail"
        )


def flags_key(groups: Sequence[Group], group: Group) -> str:
    """Asset key of a group's flags: ``qa`` for the first, ``qa_<group>`` for any other."""
    return QA if group is groups[0] else f"{QA}_{group.name}"


def count_files(draft: ProductDraft, groups: Sequence[Group]) -> int:
    """How many rasters :func:`write_files` will write."""
    return sum(len(group.encodings) + 1 for group in groups) + (2 if draft.visual else 0)


def check_keys(draft: ProductDraft, groups: Sequence[Group]) -> None:
    """Refuse, before anything is computed, a product whose files would overwrite each other.

    Raises
    ------
    Defect
        ``archive.bands`` if two bands, or a band and another file, share a name.
    """
    reserved = {"visual", "thumbnail", "quality", "zarr", "manifest", Path(ISO).stem}
    keys = [band for group in groups for band in group.encodings] + [flags_key(groups, group) for group in groups]
    keys += [Path(attached.name).stem for attached in draft.attachments]
    doubled = sorted({key for key in keys if keys.count(key) > 1 or key in reserved})
    if doubled:
        raise Defect(f"names used twice among bands and files: {doubled}", kind="archive.bands", where=draft.id)


def _file(
    folder: Path, paths: ProductPaths, name: str, *, key: str, media_type: str, roles: tuple[str, ...], title: str
) -> StoredFile:
    return stored_file(
        paths.files / name,
        record_of(folder, name),
        key=key,
        media_type=media_type,
        roles=roles,
        title=title,
        home=paths.home,
    )


def _archive(store: Path, product: Product, paths: ProductPaths) -> StoredFile:
    """The store as one asset: its size is that of all its objects, its digest that of its manifest."""
    size = sum(record.size for record in read_manifest(store).values()) + product.manifest_size
    whole = ObjectRecord(MANIFEST, size, product.manifest_sha256)
    return stored_file(
        paths.store,
        whole,
        key="zarr",
        media_type=ZARR_TYPE,
        roles=("data",),
        title="Zarr v3 store of all bands and levels",
        home=paths.home,
    )


def _write_checksums(folder: Path, store: Path, paths: ProductPaths) -> None:
    """For ``sha256sum -c``, run in the published folder: its files, and the manifest of the store."""
    records = [record_of(folder, path.name) for path in sorted(folder.iterdir())]
    lines = [f"{record.sha256}  {record.key}" for record in records]
    manifest = (paths.store / MANIFEST).relative_to(paths.files, walk_up=True).as_posix()
    lines.append(f"{record_of(store, MANIFEST).sha256}  {manifest}")
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n")


def _json(content: object) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
