"""An opened place: its objects listed, read, put where none is, or in place of the very one that was seen."""

import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import ObjectStore

from processing.archive.manifest import ObjectRecord
from processing.archive.objects import Place, explained, open_objects
from processing.model.errors import Retryable

_PART_BYTES, _PARTS_AT_ONCE = 16 << 20, 2
_CLAIM = "sha256"
"""Metadata of an object: what its content is meant to be."""
WAITS_S = (0.2, 1.0, 3.0)
_TYPES = {".json": "application/json", ".tif": "image/tiff", ".webp": "image/webp", ".html": "text/html"}


@dataclass(frozen=True, slots=True)
class Found:
    """An object as the place gives it."""

    size: int
    sha256: str
    claim: str | None
    """SHA-256 that whoever sent it meant it to have."""
    e_tag: str | None
    token: str | None = None

    @property
    def is_altered(self) -> bool:
        """Whether it is not what it was meant to be, as far as that is known."""
        return self.claim is not None and self.claim != self.sha256


def _patient[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Ask again, a little later, what got no usable answer: obstore does so too, but not where an answer breaks off."""

    @wraps(method)
    def asked(*arguments: P.args, **options: P.kwargs) -> R:
        for wait in WAITS_S[:-1]:
            try:
                return method(*arguments, **options)
            except Retryable:
                time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, keeps no secret
        return method(*arguments, **options)

    return asked


class Room:
    """An opened place. Every method raises what :func:`~processing.archive.objects.explained` says."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._objects: ObjectStore = open_objects(place)

    @_patient
    def sizes(self, prefix: str) -> dict[str, int]:
        """Sizes of all objects below a prefix, by key."""
        with explained(self.place, prefix):
            pages = self._objects.list(f"{prefix.rstrip('/')}/")
            return {entry["path"]: entry["size"] for page in pages for entry in page}

    @_patient
    def times(self, prefix: str) -> dict[str, datetime]:
        """When each object below a prefix was put there, by key."""
        with explained(self.place, prefix):
            pages = self._objects.list(f"{prefix.rstrip('/')}/")
            return {entry["path"]: entry["last_modified"] for page in pages for entry in page}

    @_patient
    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix."""
        with explained(self.place, prefix):
            below = self._objects.list_with_delimiter(f"{prefix.rstrip('/')}/")
            return sorted(path.rstrip("/").rpartition("/")[2] for path in below["common_prefixes"])

    @_patient
    def read(self, key: str) -> tuple[bytes, Found]:
        """A small object and what it is; one that arrives altered is asked for again.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        for wait in (0.0, 0.2, None):
            with explained(self.place, key):
                answer = self._objects.get(key)
                content = bytes(answer.bytes())
            found = _found(answer, hashlib.sha256(content).hexdigest(), len(content))
            if wait is None or not found.is_altered:
                break
            time.sleep(wait)
        return content, found

    def measure(self, key: str, *, into: Any = None) -> Found | None:
        """Read an object through: its size and digest as they arrive; None if it is not there.

        Parameters
        ----------
        key
            Relative to the place.
        into
            Binary stream that gets the bytes too.
        """
        digest, size = hashlib.sha256(), 0
        try:
            with explained(self.place, key):
                answer = self._objects.get(key)
                for piece in answer.stream():
                    digest.update(piece)
                    size += len(piece)
                    if into is not None:
                        into.write(piece)
                return _found(answer, digest.hexdigest(), size)
        except FileNotFoundError:
            return None

    @_patient
    def exists(self, key: str) -> bool:
        """Whether an object is there."""
        try:
            with explained(self.place, key):
                self._objects.head(key)
        except FileNotFoundError:
            return False
        return True

    @_patient
    def create(self, key: str, content: bytes, *, token: str | None = None) -> bool:
        """Put an object where none is, in one step. False if one is there already.

        A lost answer makes the request be sent twice: False may then mean an object of our own.
        """
        with explained(self.place, key):
            try:
                self._objects.put(key, content, mode="create", attributes=self._attributes(key, content, token))
            except AlreadyExistsError:
                return False
        return True

    @_patient
    def replace(self, key: str, content: bytes, e_tag: str | None, *, token: str | None = None) -> bool:
        """Put an object in place of the very one that was seen. False if it is another by now."""
        with explained(self.place, key):
            try:
                mode: Any = {"e_tag": e_tag} if self.place.is_s3 else "overwrite"
                self._objects.put(key, content, mode=mode, attributes=self._attributes(key, content, token))
            except PreconditionError:
                return False
        return True

    def put_large(self, record: ObjectRecord, path: Path) -> None:
        """Put an object too large for one request, in several. No condition can go with them."""
        with explained(self.place, record.key):
            self._objects.put(
                record.key,
                path,
                use_multipart=True,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
                attributes=self._attributes(record.key, record.sha256, None),
            )

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        # A bucket forgets many at once; a folder stops at the first that is not there.
        for some in [keys] if self.place.is_s3 else [[key] for key in keys]:
            with contextlib.suppress(FileNotFoundError), explained(self.place):
                self._objects.delete(some)

    def _attributes(self, key: str, content: bytes | str, token: str | None) -> Any:
        """Metadata; a folder keeps none."""
        if not self.place.is_s3:
            return None
        claim = content if isinstance(content, str) else hashlib.sha256(content).hexdigest()
        kind = _TYPES.get(Path(key).suffix, "application/octet-stream")
        return {_CLAIM: claim, "Content-Type": kind} | ({"token": token} if token else {})


def _found(answer: Any, sha256: str, size: int) -> Found:
    attributes = answer.attributes
    return Found(size, sha256, attributes.get(_CLAIM), answer.meta["e_tag"], attributes.get("token"))
