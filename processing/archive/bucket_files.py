"""Objects of a place as files that come and go: listed, fetched, set aside, removed; each only while it is itself."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from processing.archive.objects import Place, explained, open_objects
from processing.model.errors import BadInput

_CHUNK = 8 << 20
_COPIED_BY_SERVER = 5_000_000_000
"""S3 copies no object in one request that is larger."""
_NO_PATH = re.compile(r'invalid path: .*?Path "(?P<key>.+?)"(?: contained |: )', re.DOTALL)
_NO_LISTING = "invalid list response"


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
    BadInput
        ``s3.key``: one object's name is no path (``//``, ``/./`` or ``/../`` in it), and so none is listed;
        ``s3.listing``: the answer is no listing.
    """
    seen = 0
    with explained(place), _readable(place):
        for batch in obstore.list(open_objects(place), chunk_size=1000):
            for found in batch:
                if seen == most:
                    return
                seen += 1
                yield StoredObject(key=found["path"], size=found["size"], etag=found["e_tag"])


@contextlib.contextmanager
def _readable(place: Place) -> Iterator[None]:
    """Tell a listing that came, and cannot be read, from one that did not come."""
    try:
        yield
    except BaseError as error:
        text = str(error)
        if named := _NO_PATH.search(text):
            raise BadInput(
                f"an object's name is no path, and so none is listed: {named['key'][:200]!r}",
                kind="s3.key",
                where=str(place),
                remedy="Remove that object, or give it a name without '//', '.', '..' and control characters.",
            ) from None
        if _NO_LISTING in text:
            raise BadInput(
                "what the server answered is no list of objects",
                kind="s3.listing",
                where=str(place),
                remedy="Check that the endpoint is that of an S3 server.",
            ) from None
        raise


def fetch_objects(place: Place, wanted: Iterable[tuple[StoredObject, Path]]) -> bool:
    """Write objects into files; False if one of them is another by now, or gone: then the rest is not fetched.

    An empty one that is not there under its name stands for a folder, and becomes one.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    OSError
        If the disk does not take it.
    """
    store = open_objects(place)
    return all(_fetch(store, place, found, target) for found, target in wanted)


def _fetch(store: ObjectStore, place: Place, found: StoredObject, target: Path) -> bool:
    try:
        with explained(place, found.key):
            answer = obstore.get(store, found.key)
            if not _is(answer.meta["e_tag"], answer.meta["size"], found):
                return False
            size = 0
            with target.open("xb") as file:
                for chunk in answer.stream(min_chunk_size=_CHUNK):
                    size += file.write(chunk)
            return size == found.size
    except FileNotFoundError:
        if found.size:
            return False
    # Some programs make an empty object "name/" for a folder: it is listed without the slash, and not found so.
    target.mkdir()
    return True


def remove_objects(place: Place, gone: Iterable[StoredObject]) -> None:
    """Remove objects, but for those whose place another took.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    """
    store = open_objects(place)
    for found in gone:
        with explained(place, found.key):
            if _is_there(store, found.key, found):
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(store, found.key)


def set_objects_aside(place: Place, moved: Iterable[tuple[StoredObject, Path]], folder: str) -> None:
    """Move objects to another prefix of their bucket, but for those whose place another took.

    Called again after it was interrupted, it goes on.

    Parameters
    ----------
    moved
        Each with a file of the same content: that is sent where the server cannot copy the object itself.
    folder
        The prefix, from the bucket's root.

    Raises
    ------
    Retryable, BadInput
        As :func:`processing.archive.objects.explained`.
    """
    root, prefix = root_of(place)
    store = open_objects(root)
    for found, copy in moved:
        source, target = f"{prefix}{found.key}", f"{folder}/{found.key}"
        with explained(root, target):
            if not _is_there(store, source, found):
                continue
            if found.size < _COPIED_BY_SERVER:
                obstore.copy(store, source, target)
            else:
                obstore.put(store, target, copy)
            if obstore.head(store, target)["size"] == found.size and _is_there(store, source, found):
                obstore.delete(store, source)


def _is_there(store: ObjectStore, key: str, found: StoredObject) -> bool:
    """Whether an object is there, and is still the one that was found."""
    try:
        now = obstore.head(store, key)
    except FileNotFoundError:
        return False
    return _is(now["e_tag"], now["size"], found)


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
