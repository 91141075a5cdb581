"""One row of the audit log: what stands in it, how it is written, how it is chained to the one before."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import rfc8785

from processing.model.errors import BadInput

GENESIS = bytes(32)
"""What stands where the first row would name the one before."""
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"')
_PREVIOUS = re.compile(rb',"prev_hash":"([0-9a-f]{64})"')
_NAME = re.compile(r"[a-z][a-z0-9_.:-]{0,63}")
_FACT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONGEST = 500
_MOST_OBJECTS, _MOST_REASONS = 1_000, 100
_FIELDS = {
    "seq", "ts", "mono_us", "actor", "action", "objects", "decision", "rule", "reasons", "policy_sha256", "request_id",
    "facts", "prev_hash", "hash",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditObject:
    """What something was done with: an item, a file, an order, and the SHA-256 of what was given."""

    id: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be put on record, before it has a place in the log.

    Raises
    ------
    BadInput
        ``audit.row`` for what no row may hold.
    """

    actor: str
    """A pseudonym: no row may say who somebody is, for rows are never changed."""
    action: str
    objects: tuple[AuditObject, ...] = ()
    decision: str | None = None
    rule: str | None = None
    reasons: tuple[str, ...] = ()
    policy_sha256: str | None = None
    request_id: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """More about it, such as what was asked for: names of ours, short texts, nothing personal."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.action):
            raise _unfit(f"{self.action!r} is no name of an action")
        if len(self.objects) > _MOST_OBJECTS or len(self.reasons) > _MOST_REASONS or len(self.facts) > 20:
            raise _unfit("that is too much for one row")
        if not all(_FACT.fullmatch(name) for name in self.facts):
            raise _unfit("facts have names of small letters")

    def document(self) -> dict[str, Any]:
        """As it is written, without its place."""
        return {
            "actor": _text(self.actor),
            "action": self.action,
            "objects": [{"id": _text(one.id), "sha256": _digest(one.sha256)} for one in self.objects],
            "decision": self.decision,
            "rule": None if self.rule is None else _text(self.rule),
            "reasons": [_text(reason) for reason in self.reasons],
            "policy_sha256": _digest(self.policy_sha256),
            "request_id": None if self.request_id is None else _text(self.request_id),
            "facts": {name: _text(value) for name, value in self.facts.items()},
        }


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row that is on record: it is on the disk, and a power cut does not undo it."""

    seq: int
    hash: str
    document: Mapping[str, Any]

    @property
    def leaf(self) -> bytes:
        """What the Merkle tree holds of it."""
        return bytes.fromhex(self.hash)


def write(draft: Mapping[str, Any], seq: int, clock: tuple[str, int], previous: bytes) -> tuple[AuditEntry, bytes]:
    """A row and its line.

    The hash is that of the row's canonical JSON (RFC 8785) without the hash, followed by the hash of the row before:
    anybody can calculate it again from the JSON alone, in any language.

    Parameters
    ----------
    clock
        UTC, and microseconds of a clock that is never set.
    previous
        Hash of the row before.
    """
    body = {**draft, "seq": seq, "ts": clock[0], "mono_us": clock[1], "prev_hash": previous.hex()}
    found = hash_of(rfc8785.dumps(body), previous).hex()
    whole = {**body, "hash": found}
    return AuditEntry(seq, found, whole), rfc8785.dumps(whole) + b"\n"


def hash_of(canonical: bytes, previous: bytes) -> bytes:
    """The hash of a row from its canonical JSON without it."""
    return hashlib.sha256(canonical + previous).digest()


def read(line: bytes) -> AuditEntry | None:
    """The row of a line, without its line feed; None if it is not, to the last byte, one that was written here."""
    found, previous = _HASH.findall(line), _PREVIOUS.findall(line)
    if len(found) != 1 or len(previous) != 1:
        return None
    # The hash is taken of the very bytes, so that no change of any of them is lost in reading.
    body = _HASH.sub(b"", line)
    if hash_of(body, bytes.fromhex(previous[0].decode())).hex().encode() != found[0]:
        return None
    try:
        document = orjson.loads(line)
        whole = set(document) == _FIELDS and type(document["seq"]) is int
        if not whole or rfc8785.dumps(document) != line:
            return None
    except (orjson.JSONDecodeError, rfc8785.CanonicalizationError, TypeError, ValueError):
        return None
    return AuditEntry(document["seq"], document["hash"], document)


def leaf_of(line: bytes) -> bytes | None:
    """What the Merkle tree holds of a line; None if that is no row. Whether the row is right is not looked at."""
    found = _HASH.findall(line)
    return bytes.fromhex(found[0].decode()) if len(found) == 1 else None


def objects_of(given: Sequence["AuditObject | str | tuple[str, str | None]"]) -> tuple[AuditObject, ...]:
    """Objects however they are named."""
    return tuple(
        one if isinstance(one, AuditObject) else AuditObject(one) if isinstance(one, str) else AuditObject(*one)
        for one in given
    )


def _text(text: str) -> str:
    """Text as it may stand on record: no endless one, and none that a terminal would obey."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def _digest(given: str | None) -> str | None:
    if given is None or re.fullmatch(r"[0-9a-f]{64}", given):
        return given
    raise _unfit(f"{given[:80]!r} is no SHA-256")


def _unfit(words: str) -> BadInput:
    return BadInput(f"this cannot be put on record: {words}", kind="audit.row")
