"""The manifest: what a store holds, byte for byte, and whether it still does."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from pathlib import Path, PurePosixPath
from typing import Literal

from processing.archive.layout import CHECKSUMS, MANIFEST
from processing.model.errors import Defect

_SHA256 = re.compile(r"[0-9a-f]{64}")
_THREADS = min(4, os.cpu_count() or 1)
"""Hashing lets other threads run; more than four readers only make a disk seek."""
_ALONE_BYTES = 4 << 20
"""Less than this to hash is done sooner than threads are started."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectRecord:
    """One object of a store."""

    key: str
    """Path inside the store, forward slashes."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One way in which a store is not what its manifest says."""

    key: str
    kind: Literal["missing", "size", "sha256", "unexpected", "manifest", "unreadable"]
    detail: str = ""


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint_on_disk(path: Path) -> str:
    """SHA-256 of a file as its disk gives it, hex.

    What the system remembers of the file is forgotten first, or the hash would be of memory and not of the disk; and
    afterwards, so that an archive that is read through does not push out what people work with.

    Raises
    ------
    OSError
        If the disk does not give it.
    """
    with path.open("rb", buffering=0) as stream:
        _forget(stream.fileno())
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        _forget(stream.fileno())
    return found


def _forget(descriptor: int) -> None:
    """Have the system drop what it remembers of a file; where it cannot, the hash is of what it remembers."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def record_of(store: Path, key: str) -> ObjectRecord:
    """Measure one object of a store."""
    path = store / key
    return ObjectRecord(key, path.stat().st_size, fingerprint(path))


def keys_in(store: Path) -> set[str]:
    """Keys of all objects of a store, its manifest excepted."""
    keys, below = set[str](), [(str(store), "")]
    while below:
        folder, prefix = below.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    keys.add(f"{prefix}{entry.name}")
    return keys - {MANIFEST}


def write_manifest(store: Path, known: Iterable[ObjectRecord], expected: Iterable[str]) -> ObjectRecord:
    """Write the manifest, which makes the store whole.

    Parameters
    ----------
    store
        Folder of the store, complete but for its manifest.
    known
        Objects measured by those who wrote them; the others are measured here.
    expected
        Every key the store's arrays and groups must have.

    Returns
    -------
    record
        Of the manifest itself: its SHA-256 covers every byte of the product.

    Raises
    ------
    Defect
        ``archive.keys`` if an expected object is not on disk, or one is there that nobody expects.
    """
    wanted, found = set(expected), keys_in(store)
    if wanted != found:
        raise Defect(
            f"the store lacks {sorted(wanted - found)[:5]} and has unexpected {sorted(found - wanted)[:5]}",
            kind="archive.keys",
            where=str(store),
        )
    records = {record.key: record for record in known}
    records |= {key: record_of(store, key) for key in wanted - records.keys()}
    content = {
        "format": "qyran-manifest/1",
        "objects": {key: {"size": records[key].size, "sha256": records[key].sha256} for key in sorted(records)},
    }
    (store / MANIFEST).write_bytes(json.dumps(content, indent=1).encode() + b"\n")
    return record_of(store, MANIFEST)


def read_manifest(store: Path) -> Mapping[str, ObjectRecord]:
    """Records by key.

    Raises
    ------
    Defect
        ``archive.manifest`` if there is none or it cannot be read: the store was never finished, or is damaged.
    """
    path = store / MANIFEST
    try:
        return parse_manifest(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Defect(
            f"the store's manifest cannot be read: {error}", kind="archive.manifest", where=str(path)
        ) from error


def parse_manifest(content: bytes) -> Mapping[str, ObjectRecord]:
    """Records by key, of a manifest's bytes: they may be damaged, or somebody else's, and nothing is taken on trust.

    Raises
    ------
    ValueError
        If they are no manifest, or a key leads out of the store.
    """
    try:
        objects = json.loads(content)["objects"]
        records = {key: ObjectRecord(key, int(entry["size"]), str(entry["sha256"])) for key, entry in objects.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error
    for record in records.values():
        if not _SHA256.fullmatch(record.sha256) or record.size < 0 or not is_inside(record.key):
            raise ValueError(f"not a manifest: {record}")
    return records


def is_inside(key: str) -> bool:
    """Whether a key names something below the folder it is relative to, by plain names alone."""
    parts = key.split("/")
    return not PurePosixPath(key).is_absolute() and not {"", ".", ".."} & set(parts) and "\0" not in key


def parse_checksums(content: bytes) -> dict[str, str]:
    """Names and SHA-256 of a file that ``sha256sum -c`` reads, exactly as we write it.

    Raises
    ------
    ValueError
        If it is not one.
    """
    found = {}
    for line in content.decode().removesuffix("\n").split("\n"):
        digest, separator, name = line.partition("  ")
        if not (separator and name and _SHA256.fullmatch(digest)) or name in found:
            raise ValueError(f"not a line of {CHECKSUMS}: {line[:120]!r}")
        found[name] = digest
    if not content.endswith(b"\n"):
        raise ValueError(f"{CHECKSUMS} ends in the middle of a line")
    return found


def resembles(one: str, other: str) -> bool:
    """Whether two different digests agree in most places: then one of them was damaged, not what it is the digest of.

    Digests of different bytes agree in 4 of 64 places; in 32, never.
    """
    return len(one) == len(other) and 2 * sum(a == b for a, b in zip(one, other, strict=True)) > len(one)


def check_product(store: Path, *, deep: bool = True, manifest_sha256: str | None = None) -> list[Fault]:
    """Compare a store with its manifest.

    Parameters
    ----------
    store
        Folder of the store, or the link to it.
    deep
        Also hash every object, as the disk gives it; else only presence and sizes are compared.
    manifest_sha256
        What the manifest itself must be, where that is known. One that is not is a fault, and of its objects only
        those are then faults too which no damage to the manifest explains.

    Returns
    -------
    faults
        Sorted by key; empty when the store is whole.
    """
    store = store.resolve()
    try:
        content = (store / MANIFEST).read_bytes()
    except FileNotFoundError:
        return [Fault(MANIFEST, "manifest", "missing")]
    except OSError as error:
        return [Fault(MANIFEST, "unreadable", error.strerror or str(error))]
    found = hashlib.sha256(content).hexdigest()
    doubtful = manifest_sha256 is not None and found != manifest_sha256
    faults = [Fault(MANIFEST, "sha256", f"{found}, not {manifest_sha256}")] if doubtful else []
    try:
        records = parse_manifest(content)
    except ValueError as error:
        return faults or [Fault(MANIFEST, "manifest", str(error))]
    present = keys_in(store)
    if not doubtful:
        faults += [Fault(key, "unexpected") for key in present - records.keys()]
        faults += [Fault(key, "missing") for key in records.keys() - present]
    return sorted(faults + list(check_objects(store, records.values(), deep=deep, doubtful=doubtful)))


def check_objects(
    folder: Path, records: Iterable[ObjectRecord], *, deep: bool, doubtful: bool = False
) -> Iterator[Fault]:
    """Compare the objects that are there with their records; those that are not there are passed over.

    Parameters
    ----------
    folder
        What the keys are relative to.
    deep
        Also hash them.
    doubtful
        The records themselves may be damaged: a digest or size beside the mark by a few characters is theirs.
    """
    to_hash = []
    for record in records:
        try:
            state = (folder / record.key).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            yield Fault(record.key, "unreadable", error.strerror or str(error))
            continue
        if not stat.S_ISREG(state.st_mode):
            yield Fault(record.key, "unexpected", "not a regular file")
        elif state.st_size != record.size and not doubtful:
            yield Fault(record.key, "size", f"{state.st_size} bytes, not {record.size}")
        elif deep:
            to_hash.append(record)
    for record, found in _digests(folder, to_hash):
        if isinstance(found, OSError):
            yield Fault(record.key, "unreadable", found.strerror or str(found))
        elif found != record.sha256 and not (doubtful and resembles(found, record.sha256)):
            yield Fault(record.key, "sha256", f"{found}, not {record.sha256}")


def _digests(folder: Path, records: Iterable[ObjectRecord]) -> Iterator[tuple[ObjectRecord, str | OSError]]:
    """Each object's SHA-256, or why the disk would not give it; large amounts by several threads."""

    def measured(record: ObjectRecord) -> str | OSError:
        try:
            return fingerprint_on_disk(folder / record.key)
        except OSError as error:
            return error

    records = tuple(records)
    if _THREADS == 1 or sum(record.size for record in records) < _ALONE_BYTES:
        yield from ((record, measured(record)) for record in records)
        return
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="scrub") as threads:
        for some in batched(records, 256):
            yield from zip(some, threads.map(measured, some), strict=True)
