"""A product's own documents, held against each other: which of them can be believed, and which is damaged."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from processing.archive.layout import CHECKSUMS, ISO, ITEM, MANIFEST, PRODUCT_RECORD, ProductPaths
from processing.archive.manifest import is_inside, parse_checksums, resembles
from processing.archive.scrub_unit import Finding, Unit, absent, bytes_of, corrupt
from processing.model.errors import Defect
from processing.model.product import Product

MULTIHASH_SHA256 = "1220"
"""How an item's ``file:checksum`` begins: SHA2-256, 32 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """A product's own documents: what they say, as far as they can be believed."""

    product: Product | None
    checksums: Mapping[str, str] | None
    findings: tuple[Finding, ...]

    @property
    def manifest_sha256(self) -> str | None:
        """Digest of the store's manifest, where one of them says it."""
        if self.product is not None:
            return self.product.manifest_sha256
        lines = (digest for name, digest in (self.checksums or {}).items() if name.endswith(f"/{MANIFEST}"))
        return next(lines, None)


def store_of(unit: Unit, documents: Documents) -> Path | None:
    """A unit's store, from its record, else from its checksums, else from where it lies; None where nothing says."""
    if documents.product is not None:
        return ProductPaths.of(unit.home, documents.product).store
    for name in documents.checksums or {}:
        if name.endswith(f"/{MANIFEST}"):
            found = (unit.published_files / name).resolve().parent
            return found if found.is_relative_to(unit.home / "archive") else None
    if not unit.latest:
        return unit.files.with_suffix(".zarr")
    link = unit.home / "archive" / unit.collection / f"{unit.item_id}.zarr"
    return link.resolve() if link.exists() else None


def read_documents(unit: Unit) -> Documents:
    """``product.json`` and ``manifest.sha256``, and which of the two is damaged where they contradict each other."""
    record, listed = unit.files / PRODUCT_RECORD, unit.files / CHECKSUMS
    content, checksums_content = bytes_of(record), bytes_of(listed)
    found: list[Finding] = []
    checksums, product = None, None
    if isinstance(checksums_content, bytes):
        try:
            checksums = parse_checksums(checksums_content)
        except ValueError as error:
            found.append(corrupt(unit, listed, str(error)))
    else:
        found.append(absent(unit, listed, checksums_content))
    if not isinstance(content, bytes):
        return Documents(product=None, checksums=checksums, findings=(*found, absent(unit, record, content)))
    digest = hashlib.sha256(content).hexdigest()
    stated = (checksums or {}).get(PRODUCT_RECORD)
    if stated is not None and stated != digest:
        if not resembles(stated, digest):
            found.append(corrupt(unit, record, f"SHA-256 is {digest}, not {stated} as {CHECKSUMS} says"))
            return Documents(product=None, checksums=checksums, findings=tuple(found))
        found.append(corrupt(unit, listed, f"the line of {PRODUCT_RECORD} is damaged"))
    try:
        product = Product.model_validate_json(content)
        require_consistent(unit, product)
    except (ValidationError, ValueError, Defect) as error:
        found.append(corrupt(unit, record, f"not the record of this product: {str(error)[:300]}"))
        return Documents(product=None, checksums=checksums, findings=tuple(found))
    if checksums is not None:
        wrong = _contradictions(unit, product, checksums)
        found += [corrupt(unit, listed, f"contradicts {PRODUCT_RECORD} on {', '.join(wrong)}")] if wrong else []
    return Documents(product=product, checksums=checksums, findings=tuple(found))


def require_consistent(unit: Unit, product: Product, *, revision: str | None = None) -> None:
    """Refuse a record that is not that of the unit (and, if given, of the revision), or points out of the archive.

    Raises
    ------
    ValueError, Defect
        If it is not.
    """
    paths = ProductPaths.of(unit.home, product)
    if (product.collection, product.id) != (unit.collection, unit.item_id):
        raise ValueError(f"it is that of {product.collection}/{product.id}")
    if product.archive_href != paths.store.relative_to(unit.home).as_posix():
        raise ValueError(f"its store is said to be {product.archive_href}")
    if product.revision != product.lineage.digest[: len(product.revision)] or not product.revision:
        raise ValueError(f"revision {product.revision} is not that of its lineage")
    if revision is not None and product.revision != revision:
        raise ValueError(f"it is that of revision {product.revision}")
    if not unit.latest and unit.files != paths.superseded_files(product.revision):
        raise ValueError(f"it is that of revision {product.revision}")
    outside = [file.href for file in product.files if not is_inside(file.href)]
    if outside:
        raise ValueError(f"files outside the archive: {outside[:3]}")


def _contradictions(unit: Unit, product: Product, checksums: Mapping[str, str]) -> list[str]:
    """Names on which the list of checksums says something else than the record, which is intact."""
    said = {Path(file.href).name: file.sha256 for file in product.files if file.key != "zarr"}
    store = unit.home / product.archive_href / MANIFEST
    said[store.relative_to(unit.published_files, walk_up=True).as_posix()] = product.manifest_sha256
    wrong = [name for name, digest in said.items() if checksums.get(name) != digest]
    unknown = [
        name for name in checksums.keys() - said.keys() - {PRODUCT_RECORD} if bytes_of(unit.files / name) is None
    ]
    return sorted([*wrong, *unknown, *([] if PRODUCT_RECORD in checksums else [PRODUCT_RECORD])])


def check_item(unit: Unit, documents: Documents, *, deep: bool) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    """The STAC item as a file: whole, of one mind with the record, and (``deep``) written as we write to the last byte.

    Writing it again to compare takes longer than all else that is looked at in its documents.
    """
    path = unit.files / ITEM
    content = bytes_of(path)
    if not isinstance(content, bytes):
        # A revision that was never catalogued has no item; one that was is told of by the catalogue.
        return None, [absent(unit, path, content)] if isinstance(content, OSError) else []
    try:
        item = json.loads(content)
        if deep:
            _require_as_written(item, content)
        _require_item(unit, item, documents.product)
        return item, _check_iso(unit, item)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return None, [corrupt(unit, path, str(error)[:300])]


def _check_iso(unit: Unit, item: Mapping[str, Any]) -> list[Finding]:
    """The ISO 19139 document beside an item, as the item has it; items of before there were such ones name none."""
    asset = next((each for each in item["assets"].values() if each["href"] == ISO), None)
    if asset is None:
        return []
    path = unit.files / ISO
    content = bytes_of(path)
    if not isinstance(content, bytes):
        return [absent(unit, path, content)]
    stated, found = str(asset.get("file:checksum")).removeprefix(MULTIHASH_SHA256), hashlib.sha256(content).hexdigest()
    if stated != found:
        wrong = unit.files / ITEM if resembles(stated, found) else path
        return [corrupt(unit, wrong, f"SHA-256 of {ISO} is {found}, not {stated} as {ITEM} says")]
    return []


def written_item(document: Mapping[str, Any]) -> bytes:
    """A STAC document's bytes, as it is kept beside the files."""
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _require_as_written(item: Mapping[str, Any], content: bytes) -> None:
    if written_item(item) != content:
        raise ValueError("not written as items are")


def _require_item(unit: Unit, item: Mapping[str, Any], product: Product | None) -> None:
    if (item["collection"], item["id"]) != (unit.collection, unit.item_id):
        raise ValueError(f"it is that of {item['collection']}/{item['id']}")
    if product is None:
        return
    said = {key: asset.get("file:checksum") for key, asset in item["assets"].items()}
    meant = {file.key: f"{MULTIHASH_SHA256}{file.sha256}" for file in product.files if file.key != "zarr"}
    meant["manifest"] = f"{MULTIHASH_SHA256}{product.manifest_sha256}"
    wrong = sorted(key for key, checksum in meant.items() if said.get(key) != checksum)
    if wrong:
        raise ValueError(f"contradicts {PRODUCT_RECORD} on {', '.join(wrong)}")
    if item["properties"]["version"] != product.revision:
        raise ValueError(f"it is that of revision {item['properties']['version']}")
