"""One revision of one product against everything that bears witness of it: manifest, checksums, record, item.

Each document is held against another that was written apart from it: the store's manifest against its digest in
``product.json`` and ``manifest.sha256``, ``product.json`` against its line in ``manifest.sha256``, and that against all
of them. So one flipped bit anywhere is seen, and told of the object that it hit, not of those that it disagrees with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from processing.archive.layout import CHECKSUMS, ISO, ITEM, PRODUCT_RECORD
from processing.archive.manifest import Fault, ObjectRecord, check_objects, check_product, is_inside
from processing.archive.scrub_documents import Documents, check_item, read_documents, store_of
from processing.archive.scrub_unit import CLEAN, UNFINISHED, Finding, Unit, absent, name_of, of_fault
from processing.model.product import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of one unit."""

    unit: Unit
    product: Product | None
    """Its record; None where that cannot be read."""
    item: Mapping[str, Any] | None
    """Its STAC item as it lies in a file; None where that cannot be read."""
    findings: tuple[Finding, ...]
    size: int
    """Bytes that its documents say it has."""
    deep: bool


def check_unit(unit: Unit, *, deep: bool) -> Checked:
    """Compare one revision of a product with everything that bears witness of it.

    Parameters
    ----------
    unit
        Which.
    deep
        Also hash every object as its disk gives it; else pixels' presence and sizes, and the documents in full.

    Returns
    -------
    checked
        Its findings are in the order of the objects' names, at most one for each.
    """
    documents = read_documents(unit)
    findings = list(documents.findings)
    findings += _check_files(unit, documents, deep=deep)
    store = store_of(unit, documents)
    if store is not None:
        faults = check_product(store, deep=deep, manifest_sha256=documents.manifest_sha256)
        if not store.is_dir():
            faults = [Fault("", "missing")]
        findings += [of_fault(unit, store, fault) for fault in faults]
        findings += _check_link(unit, store) if unit.latest else []
    item, about_item = check_item(unit, documents, deep=deep)
    by_object = {finding.object: finding for finding in reversed(findings + about_item)}
    product = documents.product
    return Checked(
        unit=unit,
        product=product,
        item=item,
        findings=tuple(by_object[name] for name in sorted(by_object)),
        size=sum(file.size for file in product.files) if product is not None else 0,
        deep=deep,
    )


def _check_link(unit: Unit, store: Path) -> list[Finding]:
    """The short path that is promised for the latest revision."""
    link = unit.home / "archive" / unit.collection / f"{unit.item_id}.zarr"
    if link.is_symlink() and (link.parent / link.readlink()).resolve() == store.resolve():
        return []
    remedy = "qyran verify --repair --yes points it there"
    there = link.is_symlink() or link.exists()
    detail = "does not lead to the latest revision" if there else "the link to the latest revision is not there"
    return [
        Finding(
            object=name_of(unit, link),
            kind="corrupt" if there else "missing",
            item=unit.item,
            detail=detail,
            remedy=remedy,
        )
    ]


def _check_files(unit: Unit, documents: Documents, *, deep: bool) -> Iterator[Finding]:
    """The files beside the store, in both directions."""
    product, checksums = documents.product, documents.checksums or {}
    ours = {PRODUCT_RECORD, CHECKSUMS, ITEM, ISO}
    names = {path.name: path for path in unit.files.iterdir()} if unit.files.is_dir() else {}
    records = product_files(product) if product is not None else {}
    for name in sorted(name for name in checksums.keys() - records.keys() - ours if is_inside(name)):
        if name in names:
            records[name] = ObjectRecord(name, names[name].lstat().st_size, checksums[name])
        elif product is None:  # where there is a record, the list alone is wrong, and that has been told
            yield absent(unit, unit.files / name, None)
    for name in records.keys() - names.keys():
        yield absent(unit, unit.files / name, None)
    for fault in check_objects(unit.files, records.values(), deep=deep):
        yield of_fault(unit, unit.files, fault)
    if product is None and not checksums:
        return  # nothing says what belongs here: what is lost has been told
    for name in sorted(names.keys() - records.keys() - ours):
        what = "an unfinished write" if UNFINISHED.fullmatch(name) else "a file that no record names"
        yield Finding(object=name_of(unit, names[name]), kind="orphan", item=unit.item, detail=what, remedy=CLEAN)


def product_files(product: Product) -> dict[str, ObjectRecord]:
    """The files beside the store, by name, as the product's record has them."""
    return {
        name: ObjectRecord(name, file.size, file.sha256)
        for file in product.files
        if file.key != "zarr" and (name := PurePosixPath(file.href).name)
    }
