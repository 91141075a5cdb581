"""Objects of a place as files that come and go: listed, fetched, set aside, removed; each only while it is itself."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import obstore

from processing.archive.objects import Place, explained, open_objects

_CHUNK = 8 << 20
_COPIED_BY_SERVER = 5_000_000_000
"""S3 copies no object in one request that is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object, as a listing shows it."""

    key: str
    """Relative to its place."""
    size: int
    etag: str | None


def list_objects(place: Place, *, most: int | None = None) -> Iterator[StoredObject]:
    """All objects of a place, in no order; at the most so many.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    """
    seen = 0
    with explained(place):
        for batch in obstore.list(open_objects(place), chunk_size=1000):
            for found in batch:
                if seen == most:
                    return
                seen += 1
                yield StoredObject(key=found["path"], size=found["size"], etag=found["e_tag"])


def fetch_object(place: Place, found: StoredObject, target: Path) -> bool:
    """Write an object into a file; False if it is another by now, or gone.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    OSError
        If the disk does not take it.
    """
    with contextlib.suppress(FileNotFoundError), explained(place, found.key):
        answer = obstore.get(open_objects(place), found.key)
        if not _is(answer.meta["e_tag"], answer.meta["size"], found):
            return False
        size = 0
        with target.open("xb") as file:
            for chunk in answer.stream(min_chunk_size=_CHUNK):
                size += file.write(chunk)
        return size == found.size
    return False


def remove_object(place: Place, found: StoredObject) -> bool:
    """Remove an object unless another took its place; whether it is gone.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    """
    store = open_objects(place)
    with explained(place, found.key):
        try:
            now = obstore.head(store, found.key)
        except FileNotFoundError:
            return True
        if not _is(now["e_tag"], now["size"], found):
            return False
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(store, found.key)
    return True


def set_object_aside(place: Place, found: StoredObject, folder: str, copy: Path) -> bool:
    """Move an object to another prefix of its bucket, unless another took its place; whether it is gone from here.

    Called again after it was interrupted, it goes on.

    Parameters
    ----------
    folder
        The prefix, from the bucket's root.
    copy
        A file of the same content: sent where the server cannot copy the object itself.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    """
    root, prefix = root_of(place)
    store, source, target = open_objects(root), f"{prefix}{found.key}", f"{folder}/{found.key}"
    with explained(root, target):
        try:
            now = obstore.head(store, source)
        except FileNotFoundError:
            return True
        if not _is(now["e_tag"], now["size"], found):
            return False
        if found.size < _COPIED_BY_SERVER:
            obstore.copy(store, source, target)
        else:
            obstore.put(store, target, copy)
        if obstore.head(store, target)["size"] != found.size:
            return False
    return remove_object(place, found)


def put_object(place: Place, folder: str, name: str, content: bytes) -> None:
    """Write a small object under another prefix of a place's bucket.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    """
    root, _ = root_of(place)
    with explained(root, f"{folder}/{name}"):
        obstore.put(open_objects(root), f"{folder}/{name}", content)


def root_of(place: Place) -> tuple[Place, str]:
    """The bucket of a place, and the place's prefix in it, with a slash at the end unless it is the whole bucket."""
    parts = urlsplit(place.url)
    prefix = parts.path.strip("/")
    return replace(place, url=f"{parts.scheme}://{parts.netloc}"), f"{prefix}/" if prefix else ""


def _is(etag: str | None, size: int, found: StoredObject) -> bool:
    return (etag, size) == (found.etag, found.size)


def is_safe(key: str) -> bool:
    """Whether a key can be the path of a file below some folder, on any disk."""
    parts = key.split("/")
    return all(
        part not in ("", ".", "..") and "\0" not in part and "\\" not in part and len(os.fsencode(part)) < 256
        for part in parts
    )
