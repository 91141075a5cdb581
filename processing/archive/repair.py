"""What is lost or damaged is fetched from a second location, and put in place only if it is what the record says.

Nothing is believed because it lies somewhere else: each object's SHA-256 is that of the manifest or the product's
record before it replaces anything, and a record is taken over only if what is left here bears it out.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.layout import CHECKSUMS, MANIFEST, PRODUCT_RECORD, ProductPaths
from processing.archive.manifest import ObjectRecord, check_objects, parse_manifest, resembles
from processing.archive.objects import Place
from processing.archive.remote_check import fetch_object
from processing.archive.remote_layout import RemotePaths
from processing.archive.remote_objects import Room
from processing.archive.scrub import product_files
from processing.archive.scrub_documents import MULTIHASH_SHA256, read_documents, require_consistent
from processing.archive.scrub_unit import Unit
from processing.model.errors import Defect
from processing.model.product import Product

type Outcome = Literal["repaired", "repairable", "not repaired"]


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Repair:
    """What became, or would become, of one object."""

    object: str
    """Path relative to HOME."""
    outcome: Outcome
    detail: str


class Copy:
    """The second location.

    Parameters
    ----------
    where
        Folder or ``s3://bucket/prefix``, as :func:`processing.archive.remote.publish_remote` fills it.

    Raises
    ------
    BadInput
        As :func:`processing.archive.objects.open_objects`.
    """

    def __init__(self, where: str | Path | Place) -> None:
        self._place = Place.of(where)
        self._room = Room(self._place)

    def __str__(self) -> str:
        return str(self._place)

    def small(self, key: str) -> bytes | None:
        """A document, None if it is not there."""
        try:
            return self._room.read(key)[0]
        except FileNotFoundError:
            return None

    def check(self, key: str, record: ObjectRecord) -> str:
        """Read an object through: what is wrong with it, nothing if it is what a record says."""
        found = self._room.measure(key)
        if found is None:
            return f"{self} does not have it"
        good = (found.size, found.sha256) == (record.size, record.sha256)
        return "" if good else f"the copy at {self} is damaged too"

    def fetch(self, key: str, record: ObjectRecord, target: Path) -> str:
        """Put the copy of an object in its place, durably and in one step, if it is what a record says.

        Returns
        -------
        wrong
            Why it was not; empty if it was.
        """
        try:
            fetch_object(self._place, replace(record, key=key), target)
        except Defect as error:
            return f"{error.message} ({self})"
        return ""


def repair_unit(
    unit: Unit, copy: Copy | None, *, revision: str, item: Mapping[str, Any] | None = None, act: bool
) -> tuple[Repair, ...]:
    """Make one revision of a product whole again, as far as it can be.

    Parameters
    ----------
    unit
        Which; nothing of it need be left.
    copy
        The second location; None: only what follows from what is here is repaired.
    revision
        Of the unit.
    item
        What the catalogue says of it, if it is the latest: a witness where its own documents are gone.
    act
        Do it; else say what would be done, having read the copies through.

    Returns
    -------
    repairs
        One for each object that is, or was, not as it should be. None if somebody publishes the product right now.

    Raises
    ------
    Retryable
        ``disk.*``, ``s3.unavailable``.
    """
    lock = unit.home / "staging" / f"{unit.collection}--{unit.item_id}.lock"
    try:
        with disk_faults(unit.files), durable.exclusive(lock, wait=False):
            return tuple(_Mender(unit, copy, revision, item, act).mend())
    except BlockingIOError:
        return ()


class _Mender:
    """The repair of one unit, by whoever holds its lock."""

    def __init__(self, unit: Unit, copy: Copy | None, revision: str, item: Mapping[str, Any] | None, act: bool) -> None:
        self._unit, self._copy, self._revision, self._item, self._act = unit, copy, revision, item, act

    def mend(self) -> Iterator[Repair]:
        """Objects of the store, its manifest, files; the documents that make them visible last."""
        record = self._unit.files / PRODUCT_RECORD
        product = read_documents(self._unit).product
        content = record.read_bytes() if product is not None else None
        if product is None or content is None:
            product, content, wrong = self._fetched_record()
            if product is None or content is None:
                yield self._told(record, "not repaired", wrong)
                return
            lost_record = True
        else:
            lost_record = False
        keys, paths = RemotePaths.of(product), ProductPaths.of(self._unit.home, product)
        yield from self._mend_store(product, paths, keys)
        yield from self._mend_objects(self._unit.files, keys.files, product_files(product).values())
        if lost_record:
            yield self._write(record, content, f"from {self._copy}, borne out by what is left here")
        yield from self._mend_checksums(product, content, paths)
        if self._unit.latest and _points_elsewhere(paths):
            if self._act:
                durable.point_link(paths.link, paths.store)
            yield self._told(paths.link, "repaired" if self._act else "repairable", "points to the latest revision")

    def _mend_store(self, product: Product, paths: ProductPaths, keys: RemotePaths) -> Iterator[Repair]:
        manifest = ObjectRecord(MANIFEST, product.manifest_size, product.manifest_sha256)
        yield from self._mend_objects(paths.store, keys.store, [manifest])
        content = _content(paths.store / MANIFEST)
        if content is None or hashlib.sha256(content).hexdigest() != manifest.sha256:
            # A trial run has not put it there; it needs it to know what else is wanting.
            content = self._copy.small(keys.manifest) if self._copy is not None else None
        if content is not None and hashlib.sha256(content).hexdigest() == manifest.sha256:
            yield from self._mend_objects(paths.store, keys.store, parse_manifest(content).values())

    def _mend_objects(self, folder: Path, prefix: str, records: Any) -> Iterator[Repair]:
        known = {record.key: record for record in records}
        wrong = {fault.key for fault in check_objects(folder, known.values(), deep=True)}
        wrong |= {key for key in known if not os.path.lexists(folder / key)}
        for key in sorted(wrong):
            target = folder / key
            if self._copy is None:
                yield self._told(target, "not repaired", "no second location is configured")
                continue
            source, record = f"{prefix}/{key}", known[key]
            try:
                fault = self._copy.fetch(source, record, target) if self._act else self._copy.check(source, record)
            except IsADirectoryError:
                fault = "a folder lies in its place"
            done: Outcome = "repaired" if self._act else "repairable"
            yield self._told(target, "not repaired" if fault else done, fault or f"from {self._copy}, its hash checked")

    def _mend_checksums(self, product: Product, content: bytes, paths: ProductPaths) -> Iterator[Repair]:
        """``manifest.sha256`` follows from the record: it needs no copy."""
        listed = {name: record.sha256 for name, record in product_files(product).items()}
        listed[PRODUCT_RECORD] = hashlib.sha256(content).hexdigest()
        lines = [f"{digest}  {name}" for name, digest in sorted(listed.items())]
        manifest = (paths.store / MANIFEST).relative_to(paths.files, walk_up=True).as_posix()
        text = "\n".join([*lines, f"{product.manifest_sha256}  {manifest}", ""]).encode()
        path = self._unit.files / CHECKSUMS
        if _content(path) != text:
            yield self._write(path, text, "written again from the product's record")

    def _fetched_record(self) -> tuple[Product | None, bytes | None, str]:
        """The copy's record, if it is that of this revision and what is left here says the same."""
        if self._copy is None:
            return None, None, "no second location is configured"
        key = f"products/{self._unit.item}/{self._revision}/{PRODUCT_RECORD}"
        content = self._copy.small(key)
        if content is None:
            return None, None, f"{self._copy} does not have it"
        try:
            product = Product.model_validate_json(content)
            require_consistent(self._unit, product, revision=self._revision)
        except (ValidationError, ValueError, Defect) as error:
            return None, None, f"the copy at {self._copy} is damaged too: {str(error)[:200]}"
        witnesses = dict(self._witnesses(product, content))
        against = sorted(name for name, agrees in witnesses.items() if not agrees)
        if against or not witnesses:
            why = f"{', '.join(against)} says otherwise" if against else "nothing is left here that bears it out"
            return None, None, f"the copy at {self._copy} is not taken over: {why}"
        return product, content, ""

    def _witnesses(self, product: Product, content: bytes) -> Iterator[tuple[str, bool]]:
        """What is left here, and whether it agrees. Each may be damaged itself: a manifest that does not agree is."""
        checksums = read_documents(self._unit).checksums or {}
        if PRODUCT_RECORD in checksums:
            stated, found = checksums[PRODUCT_RECORD], hashlib.sha256(content).hexdigest()
            yield CHECKSUMS, stated == found or resembles(stated, found)
        manifest = _content(self._unit.home / product.archive_href / MANIFEST)
        if manifest is not None and hashlib.sha256(manifest).hexdigest() == product.manifest_sha256:
            yield MANIFEST, True
        if self._item is not None and self._item["properties"].get("version") == product.revision:
            said = {key: asset.get("file:checksum") for key, asset in self._item["assets"].items()}
            meant = {file.key: f"{MULTIHASH_SHA256}{file.sha256}" for file in product.files if file.key != "zarr"}
            meant["manifest"] = f"{MULTIHASH_SHA256}{product.manifest_sha256}"
            yield "the catalogue", all(said.get(key) == checksum for key, checksum in meant.items())

    def _write(self, path: Path, content: bytes, detail: str) -> Repair:
        if self._act:
            durable.write_file(path, content)
        return self._told(path, "repaired" if self._act else "repairable", detail)

    def _told(self, path: Path, outcome: Outcome, detail: str) -> Repair:
        return Repair(object=path.relative_to(self._unit.home).as_posix(), outcome=outcome, detail=detail)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _points_elsewhere(paths: ProductPaths) -> bool:
    link = paths.link
    return not link.is_symlink() or (link.parent / link.readlink()).resolve() != paths.store.resolve()
