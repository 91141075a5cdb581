"""The manifest: what a store holds, byte for byte, and whether it still does."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processing.archive.layout import MANIFEST
from processing.model.errors import Defect


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
    kind: Literal["missing", "size", "sha256", "unexpected", "manifest"]
    detail: str = ""


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record_of(store: Path, key: str) -> ObjectRecord:
    """Measure one object of a store."""
    path = store / key
    return ObjectRecord(key, path.stat().st_size, fingerprint(path))


def keys_in(store: Path) -> set[str]:
    """Keys of all objects of a store, its manifest excepted."""
    return {path.relative_to(store).as_posix() for path in store.rglob("*") if not path.is_dir()} - {MANIFEST}


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
        objects = json.loads(path.read_bytes())["objects"]
        return {key: ObjectRecord(key, int(entry["size"]), str(entry["sha256"])) for key, entry in objects.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Defect(
            f"the store's manifest cannot be read: {error}", kind="archive.manifest", where=str(path)
        ) from error


def check_product(store: Path, *, deep: bool = True) -> list[Fault]:
    """Compare a store with its manifest.

    Parameters
    ----------
    store
        Folder of the store, or the link to it.
    deep
        Also hash every object; else only presence and sizes are compared.

    Returns
    -------
    faults
        Sorted by key; empty when the store is whole.
    """
    try:
        records = read_manifest(store)
    except Defect as error:
        return [Fault(MANIFEST, "manifest", error.message)]
    faults = [Fault(key, "unexpected") for key in keys_in(store.resolve()) - records.keys()]
    for key, record in records.items():
        path = store / key
        if not path.is_file():
            faults.append(Fault(key, "missing"))
        elif (size := path.stat().st_size) != record.size:
            faults.append(Fault(key, "size", f"{size} bytes, not {record.size}"))
        elif deep and (found := fingerprint(path)) != record.sha256:
            faults.append(Fault(key, "sha256", f"{found}, not {record.sha256}"))
    return sorted(faults)
