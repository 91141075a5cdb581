"""Whether what was published at a place is still there, byte for byte; and getting good copies back from it."""

import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import BinaryIO

from processing.archive import durable
from processing.archive.manifest import Fault, ObjectRecord, parse_manifest
from processing.archive.objects import Place
from processing.archive.remote_layout import RemotePaths, expected_records, record_bytes, same_content
from processing.archive.remote_objects import Found, Room
from processing.model.errors import Defect
from processing.model.product import Product

_AT_ONCE = 8


def check_remote(target: str | Path | Place, product: Product, *, deep: bool = False) -> list[Fault]:
    """Compare one revision of a product at a place with its record.

    Parameters
    ----------
    target
        The place.
    product
        The record as it is known here; only the time of its making may be another there.
    deep
        Also read and hash every object; else presence and sizes, and the documents in full.

    Returns
    -------
    faults
        Keys relative to the place, sorted; empty when all is well. A revision that was never committed is one fault:
        its manifest is ``missing``.

    Raises
    ------
    Retryable, BadInput
        If the place does not answer: that says nothing about the product.
    """
    room, paths = Room(Place.of(target)), RemotePaths.of(product)
    sizes = room.sizes(paths.store) | room.sizes(paths.files)
    if paths.manifest not in sizes:
        return [Fault(paths.manifest, "missing")]
    faults, agreed = _check_record(room, paths, product)
    content, found = room.read(paths.manifest)
    if found.sha256 != product.manifest_sha256:
        faults.append(Fault(paths.manifest, "sha256", f"{found.sha256}, not {product.manifest_sha256}"))
    try:
        records = expected_records(agreed, parse_manifest(content))
    except ValueError as error:
        return sorted({*faults, Fault(paths.manifest, "manifest", str(error))})
    if found.sha256 != product.manifest_sha256:
        # Its lines cannot be told from what they describe: only what the record itself vouches for is judged.
        records = [record for record in records if not record.key.startswith(f"{paths.store}/")]
    else:
        expected = {record.key for record in records} | {paths.manifest}
        faults += [Fault(key, "unexpected") for key in sizes.keys() - expected]
    judged = {fault.key for fault in faults}
    faults += _check_objects(room, (record for record in records if record.key not in judged), sizes, deep=deep)
    return sorted(faults)


def _check_record(room: Room, paths: RemotePaths, product: Product) -> tuple[list[Fault], Product]:
    """The record there, and what is wrong with it; where it is of no use, the one known here stands for it."""
    try:
        content, found = room.read(paths.record)
    except FileNotFoundError:
        return [Fault(paths.record, "missing")], product
    try:
        theirs = Product.model_validate_json(content)
    except ValueError:
        return [Fault(paths.record, "sha256", "it cannot be read")], product
    if found.is_altered or not same_content(product, theirs) or record_bytes(theirs) != content:
        return [Fault(paths.record, "sha256", f"{found.sha256} is not what was published")], product
    return [], theirs


def _check_objects(
    room: Room, records: Iterable[ObjectRecord], sizes: dict[str, int], *, deep: bool
) -> Iterator[Fault]:
    to_read = []
    for record in records:
        if record.key not in sizes:
            yield Fault(record.key, "missing")
        elif sizes[record.key] != record.size:
            yield Fault(record.key, "size", f"{sizes[record.key]} bytes, not {record.size}")
        elif deep:
            to_read.append(record)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as threads:
        for some in batched(to_read, 64):
            for record, found in zip(some, threads.map(lambda record: room.measure(record.key), some), strict=True):
                yield from _compare(record, found)


def _compare(record: ObjectRecord, found: Found | None) -> Iterator[Fault]:
    if found is None:
        yield Fault(record.key, "missing")
    elif found.sha256 != record.sha256:
        yield Fault(record.key, "sha256", f"{found.sha256}, not {record.sha256}")


def fetch_object(target: str | Path | Place, record: ObjectRecord, path: Path) -> None:
    """Get one object from a place into a file, durably; the file is there whole and right, or not at all.

    Parameters
    ----------
    target
        The place.
    record
        Its key there, and what it must be.
    path
        File to write; one that is there is replaced in one step.

    Raises
    ------
    Defect
        ``remote.corrupt`` if the place has it not, or altered: ``path`` is left as it was.
    Retryable, BadInput
        If the place does not answer.
    """
    room = Room(Place.of(target))
    durable.make_folders(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            found = room.measure(record.key, into=stream)
            _settle(stream)
        if found is None or (found.size, found.sha256) != (record.size, record.sha256):
            raise Defect(
                "the second place has no good copy either" if found else "the second place does not have it",
                kind="remote.corrupt",
                where=f"{room.place}/{record.key}",
                remedy="Make the product again from its package: qyran reproduce.",
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    durable.sync_folder(path.parent)


def _settle(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
