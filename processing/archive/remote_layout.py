"""Where a product's objects lie at a place, and which of its revisions are published there."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from processing.archive.layout import CHECKSUMS, MANIFEST, PRODUCT_RECORD
from processing.archive.manifest import ObjectRecord
from processing.archive.remote_objects import Room
from processing.model.errors import Defect
from processing.model.product import Product

LATEST = "latest.json"
"""Names the latest revision, and those that were it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePaths:
    """Keys of one revision of one product, relative to the place."""

    store: str
    """Prefix of the Zarr store: the same as in HOME."""
    files: str
    """Prefix of the COGs and reports: one folder more than in HOME, for every revision has its own for good."""
    latest: str

    @classmethod
    def of(cls, product: Product) -> "RemotePaths":
        """The keys of a product."""
        item = f"products/{product.collection}/{product.id}"
        return cls(store=product.archive_href, files=f"{item}/{product.revision}", latest=f"{item}/{LATEST}")

    @property
    def record(self) -> str:
        """The product's record: the intent to publish."""
        return f"{self.files}/{PRODUCT_RECORD}"

    @property
    def manifest(self) -> str:
        """The store's manifest: once it is there, the revision is published."""
        return f"{self.store}/{MANIFEST}"

    def key_of(self, href: str) -> str:
        """Key of a file by its address relative to HOME."""
        return href if href == self.store else f"{self.files}/{href.rpartition('/')[2]}"


def record_bytes(product: Product) -> bytes:
    """A product's record as it lies at a place."""
    return product.model_dump_json(indent=1).encode() + b"\n"


def same_content(one: Product, other: Product) -> bool:
    """Whether two makings of a revision are the same in all but the time of it."""
    return one.model_copy(update={"created": other.created}) == other


def documents(product: Product) -> dict[str, bytes]:
    """What is written for the place itself, by name: the record, and what ``sha256sum -c`` reads in a copy of it."""
    record = record_bytes(product)
    listed = [*_file_records(product), _measured(RemotePaths.of(product).record, record)]
    return {PRODUCT_RECORD: record, CHECKSUMS: _checksums(product, listed)}


def expected_records(product: Product, manifest: Mapping[str, ObjectRecord]) -> list[ObjectRecord]:
    """Every object of a published revision but the manifest that commits it, keys relative to the place.

    Parameters
    ----------
    product
        Its record as it is at the place.
    manifest
        What the store's manifest says.
    """
    paths = RemotePaths.of(product)
    stored = [ObjectRecord(f"{paths.store}/{key}", record.size, record.sha256) for key, record in manifest.items()]
    made = [_measured(f"{paths.files}/{name}", content) for name, content in documents(product).items()]
    return [*stored, *_file_records(product), *made]


def _file_records(product: Product) -> list[ObjectRecord]:
    paths = RemotePaths.of(product)
    files = [file for file in product.files if file.href != product.archive_href]
    return [ObjectRecord(paths.key_of(file.href), file.size, file.sha256) for file in files]


def _measured(key: str, content: bytes) -> ObjectRecord:
    return ObjectRecord(key, len(content), hashlib.sha256(content).hexdigest())


def _checksums(product: Product, records: Iterable[ObjectRecord]) -> bytes:
    paths = RemotePaths.of(product)
    lines = sorted(f"{record.sha256}  {record.key.rpartition('/')[2]}" for record in records)
    up = "../" * (paths.files.count("/") + 1)
    return "\n".join([*lines, f"{product.manifest_sha256}  {up}{paths.manifest}", ""]).encode()


@dataclass(frozen=True, slots=True)
class Latest:
    """The pointer as it was seen."""

    revision: str
    history: tuple[str, ...]
    """Every revision that has been the latest, in that order."""
    e_tag: str | None


def read_latest(room: Room, collection: str, item_id: str) -> Latest | None:
    """Which revision of a product is the latest at a place; None if there is none.

    Raises
    ------
    Defect
        ``remote.pointer`` if it cannot be read.
    """
    key = f"products/{collection}/{item_id}/{LATEST}"
    try:
        content, found = room.read(key)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(content)
        return Latest(str(document["revision"]), tuple(map(str, document["history"])), found.e_tag)
    except (ValueError, KeyError, TypeError) as error:
        raise Defect(
            "what says which revision is the latest cannot be read",
            kind="remote.pointer",
            where=f"{room.place}/{key}",
            remedy="Remove that object and publish the product there again.",
        ) from error


def remote_record(room: Room, collection: str, item_id: str, revision: str | None = None) -> Product | None:
    """The record of a published revision (None: the latest), or None if there is none.

    Raises
    ------
    Defect
        ``remote.pointer``, ``product.record_missing`` if what is published has no readable record.
    """
    if revision is None:
        latest = read_latest(room, collection, item_id)
        if latest is None:
            return None
        revision = latest.revision
    key = f"products/{collection}/{item_id}/{revision}/{PRODUCT_RECORD}"
    try:
        product = Product.model_validate_json(room.read(key)[0])
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Defect(
            "a product's record cannot be read", kind="product.record_missing", where=f"{room.place}/{key}"
        ) from error
    return product if room.exists(RemotePaths.of(product).manifest) else None
