"""One object on its way to a place: sent whole, read back, and never put where other content belongs."""

import hashlib
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processing.archive.manifest import ObjectRecord, fingerprint
from processing.archive.objects import Place
from processing.archive.remote_objects import WAITS_S, Found, Room
from processing.model.errors import Conflict, Defect, Retryable

ONE_REQUEST_BYTES = 32 << 20
"""Larger objects go in parts."""

type Sent = Literal["sent", "there", "replaced"]


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
    for wait in (*WAITS_S, None):
        try:
            if not there and _send(room, part):
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


def _send(room: Room, part: Part) -> bool:
    """Put an object where none is; False if one is there by now."""
    content = part.content()
    if isinstance(content, bytes):
        return room.create(part.record.key, content)
    # Unconditional; but all who send a revision have agreed on its record, so whoever writes here writes these bytes.
    room.put_large(part.record, content)
    return True


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
        room.put_large(part.record, content)
    else:
        room.replace(part.record.key, content, found.e_tag)
    return "replaced"
