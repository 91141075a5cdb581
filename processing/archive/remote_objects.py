"""One object to and from a place: sent whole, read back, and never put where other content belongs."""

import hashlib
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import ObjectStore

from processing.archive.manifest import ObjectRecord, fingerprint
from processing.archive.objects import Place, explained, open_objects
from processing.model.errors import Conflict, Defect, Retryable

ONE_REQUEST_BYTES = 32 << 20
"""Larger objects go in parts."""
_PART_BYTES, _PARTS_AT_ONCE = 16 << 20, 2
_CLAIM = "sha256"
"""Metadata of an object: what its content is meant to be."""
_WAITS_S = (0.2, 1.0, 3.0)
_TYPES = {".json": "application/json", ".tif": "image/tiff", ".webp": "image/webp", ".html": "text/html"}

type Sent = Literal["sent", "there", "replaced"]


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


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a product on its way: what it must be, and where it is."""

    record: ObjectRecord
    """Its key is relative to the place."""
    source: Path | bytes

    def content(self) -> bytes | Path:
        """What to send: small ones as bytes, large ones as their file; either just measured.

        Raises
        ------
        Defect
            ``archive.corrupt`` if the local copy is not what its record says.
        """
        small = isinstance(self.source, bytes) or self.record.size <= ONE_REQUEST_BYTES
        try:
            content = self.source if isinstance(self.source, bytes) or not small else self.source.read_bytes()
            found = fingerprint(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        if found != self.record.sha256:
            raise self._damaged("its SHA-256 is not the recorded one")
        return content

    def _damaged(self, why: str) -> Defect:
        return Defect(
            f"the local copy is damaged and is not sent: {why}",
            kind="archive.corrupt",
            where=str(self.source) if isinstance(self.source, Path) else self.record.key,
            remedy="Run: qyran verify --deep",
        )


class Room:
    """An opened place. Every method raises what :func:`~processing.archive.objects.explained` says."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._objects: ObjectStore = open_objects(place)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Sizes of all objects below a prefix, by key."""
        with explained(self.place, prefix):
            pages = self._objects.list(f"{prefix.rstrip('/')}/")
            return {entry["path"]: entry["size"] for page in pages for entry in page}

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix."""
        with explained(self.place, prefix):
            below = self._objects.list_with_delimiter(f"{prefix.rstrip('/')}/")
            return sorted(path.rstrip("/").rpartition("/")[2] for path in below["common_prefixes"])

    def read(self, key: str) -> tuple[bytes, Found]:
        """A small object and what it is; one that arrives altered is asked for again.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        for wait in (*_WAITS_S, None):
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

    def exists(self, key: str) -> bool:
        """Whether an object is there."""
        try:
            with explained(self.place, key):
                self._objects.head(key)
        except FileNotFoundError:
            return False
        return True

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

    def replace(self, key: str, content: bytes, e_tag: str | None, *, token: str | None = None) -> bool:
        """Put an object in place of the very one that was seen. False if it is another by now."""
        with explained(self.place, key):
            try:
                mode: Any = {"e_tag": e_tag} if self.place.is_s3 else "overwrite"
                self._objects.put(key, content, mode=mode, attributes=self._attributes(key, content, token))
            except PreconditionError:
                return False
        return True

    def send(self, part: Part, content: bytes | Path) -> bool:
        """Put a part of a product where none is; one too large for one request, in several."""
        if isinstance(content, bytes):
            return self.create(part.record.key, content)
        with explained(self.place, part.record.key):
            # No condition goes with several requests. None is needed: whoever writes here writes these bytes.
            self._objects.put(
                part.record.key,
                content,
                use_multipart=True,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
                attributes=self._attributes(part.record.key, part.record.sha256, None),
            )
        return True

    def delete(self, keys: list[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        with explained(self.place):
            self._objects.delete(keys)

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


def ensure(room: Room, part: Part, *, there: bool) -> Sent:
    """See to it that an object is at the place, whole; what was sent is read back.

    Parameters
    ----------
    room, part
        Where, and what.
    there
        Whether something has been seen under this name.

    Returns
    -------
    sent
        ``there``: the right bytes were. ``replaced``: altered ones were, that were meant to be these.

    Raises
    ------
    Conflict
        ``revision.differs`` if what is there was meant to be something else: it is left alone.
    Retryable
        ``s3.unavailable``; ``s3.altered`` if the bytes arrive altered again and again.
    """
    outcome: Sent = "there"
    trouble = Retryable(
        "an object is not what was sent, each time anew", kind="s3.altered", where=f"{room.place}/{part.record.key}",
        remedy="Something on the way to the server alters bytes: check the network, proxies and the server.",
    )  # fmt: skip
    for wait in (*_WAITS_S, None):
        try:
            if not there and room.send(part, part.content()):
                outcome = "sent"
            found = room.measure(part.record.key)
            if found is not None and (found.size, found.sha256) == (part.record.size, part.record.sha256):
                return outcome
            there = found is not None
            if found is not None:
                outcome = _replaced(room, part, found)
        except Retryable as error:
            # Whether the last request was carried out nobody knows: look before sending again.
            trouble, there = error, True
        if wait is not None:
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, keeps no secret
    raise trouble


def differs(place: Place, key: str, what: str) -> Conflict:
    """A revision is at a place with other content than here."""
    return Conflict(
        what,
        kind="revision.differs",
        where=f"{place}/{key}",
        remedy="One revision must always be the same bytes: find out which machine computes otherwise.",
    )


def _replaced(room: Room, part: Part, found: Found) -> Sent:
    """Put the right bytes in place of altered ones, unless they belong to somebody who meant other ones."""
    if room.place.is_s3 and found.claim != part.record.sha256:
        raise differs(room.place, part.record.key, "another attempt at this revision left other bytes")
    content = part.content()
    if isinstance(content, Path):
        room.send(part, content)
    else:
        room.replace(part.record.key, content, found.e_tag)
    return "replaced"
