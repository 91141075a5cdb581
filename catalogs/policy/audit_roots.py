"""Signed roots of the audit log: what it was at a time, kept in several places, so that no later one can deny it."""

import base64
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from catalogs.private_files import kept
from processing.archive.durable import exclusive, make_folders, sync_folder, write_file
from processing.model.errors import Defect, QyranError

if TYPE_CHECKING:
    from processing.archive.remote_objects import Room

log = logging.getLogger(__name__)
FILE = "roots.jsonl"
_PREFIX = "ed25519:"
_FIELDS = {"log", "size", "root", "head", "ts", "key", "prev", "signature"}


@dataclass(frozen=True, slots=True)
class Root:
    """What the log was at a time."""

    size: int
    root: bytes
    document: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Id of the key that signed it."""
        return str(self.document["key"])

    @property
    def line(self) -> bytes:
        """As it is written."""
        return rfc8785.dumps(dict(self.document)) + b"\n"


class SigningKey:
    """The key that signs roots: Ed25519, made once, in ``HOME/secrets/audit-key``.

    Parameters
    ----------
    home
        The installation.
    """

    def __init__(self, home: Path) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(_raw(kept(home / "secrets" / "audit-key", _new_key)))
        self.public = public_text(self._key.public_key())
        self.id = key_id(self.public)
        shown = home / "audit" / "keys" / f"{self.id}.pub"
        if not shown.exists():
            write_file(shown, f"{self.public}\n".encode())

    def sign(self, message: bytes) -> str:
        """Signature in base64."""
        return base64.b64encode(self._key.sign(message)).decode()


class SignedRoots:
    """The roots in ``HOME/audit/roots.jsonl``, and their copies elsewhere. Adding needs the log's lock.

    Parameters
    ----------
    home
        The installation.
    places
        Where copies go: folders, or ``s3://`` addresses.
    """

    def __init__(self, home: Path, places: Sequence[str]) -> None:
        self.path = home / "audit" / FILE
        self.places = (str(home / "logs"), *places)
        self._home = home
        self._key: SigningKey | None = None

    def last(self) -> Root | None:
        """The latest root.

        Raises
        ------
        Defect
            ``audit.damaged`` if the last line is none.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - 4_096))
                lines = stream.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        if not lines:
            return None
        found = read_root(lines[-1])
        if found is None:
            raise Defect(
                "the last signed root of the audit log is damaged", kind="audit.damaged", where=str(self.path),
                remedy=f"Put one of its copies in its place: {', '.join(self.places)}.",
            )  # fmt: skip
        return found

    def add(self, size: int, root: bytes, head: bytes, log_id: str) -> Root:
        """Sign a root and write it, durably. Copies are another matter: no network may keep others from appending."""
        self._key = self._key or SigningKey(self._home)
        before = self.last()
        body: dict[str, Any] = {
            "log": log_id,
            "size": size,
            "root": root.hex(),
            "head": head.hex(),
            "ts": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "key": self._key.id,
            "prev": hashlib.sha256(b"" if before is None else before.line).hexdigest(),
        }
        found = Root(size, root, {**body, "signature": self._key.sign(rfc8785.dumps(body))})
        _append_durably(self.path, found.line)
        log.info("audit root %s", found.line.decode().rstrip())
        return found

    def copy(self) -> list[str]:
        """Bring every place up to date; those that did not take it, which get it next time.

        What a place holds otherwise is left as it is, and told of.
        """
        behind = []
        with exclusive(self.path.with_name("copying.lock")):
            last = self.last()
            if last is None:
                return []
            own = self.path.read_bytes()
            for place in self.places:
                try:
                    _send(self._home, place, str(last.document["log"]), own)
                except (QyranError, OSError):
                    log.exception("signed roots of the audit log could not be copied to %s", place)
                    behind.append(place)
        return behind

    def copies(self, log_id: str) -> list[tuple[str, list[bytes]]]:
        """Every place with the lines that it holds; what cannot be read holds none."""
        found = []
        for place in self.places:
            try:
                found.append((place, _held_by(self._home, place, log_id)))
            except (QyranError, OSError) as error:
                log.warning("signed roots at %s cannot be read: %s", place, error)
        return found

    def public_keys(self) -> dict[str, str]:
        """Public keys that have signed here, by id."""
        return {
            path.stem: path.read_text().strip()
            for path in (self._home / "audit" / "keys").glob("*.pub")
            if key_id(path.read_text().strip()) == path.stem
        }


def read_root(line: bytes) -> Root | None:
    """The root of a line, without its line feed; None if it is none. Its signature is another matter."""
    try:
        document = orjson.loads(line)
        if set(document) != _FIELDS or rfc8785.dumps(document) != line or type(document["size"]) is not int:
            return None
        found = Root(document["size"], bytes.fromhex(document["root"]), document)
    except (orjson.JSONDecodeError, rfc8785.CanonicalizationError, KeyError, TypeError, ValueError):
        return None
    return found if found.size > 0 and len(found.root) == 32 else None


def is_genuine(root: Root, public_key: str) -> bool:
    """Whether a root was signed with a key."""
    body = {name: value for name, value in root.document.items() if name != "signature"}
    try:
        raw = base64.b64decode(public_key.removeprefix(_PREFIX), validate=True)
        signature = base64.b64decode(str(root.document["signature"]), validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, rfc8785.dumps(body))
    except (InvalidSignature, ValueError):
        return False
    # Base64 has several spellings of one signature; only one was written.
    return root.key == key_id(public_key) and base64.b64encode(signature).decode() == root.document["signature"]


def key_id(public: str) -> str:
    """Sixteen hex digits that name a public key."""
    try:
        return hashlib.sha256(base64.b64decode(public.removeprefix(_PREFIX), validate=True)).hexdigest()[:16]
    except ValueError:
        return ""


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as it is shown and pinned: ``ed25519:BASE64``."""
    return _PREFIX + base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def _new_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return base64.b64encode(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())) + b"\n"


def _raw(content: bytes) -> bytes:
    return base64.b64decode(content)


def _append_durably(path: Path, content: bytes) -> None:
    """Append a line; what an interrupted one left of a line before goes, for nobody was given that root."""
    make_folders(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        whole = os.pread(descriptor, os.fstat(descriptor).st_size, 0).rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        if os.pwrite(descriptor, content, whole) != len(content):
            os.ftruncate(descriptor, whole)
            raise OSError(28, os.strerror(28), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _send(home: Path, place: str, log_id: str, own: bytes) -> None:
    if _is_bucket(place):
        room = _room(home, place)
        there = room.sizes(f"audit-roots/{log_id}")
        for line in own.splitlines(keepends=True):
            key = _key_of(log_id, line)
            if key not in there:
                room.create(key, line)
        return
    path = _path_in(Path(place), log_id)
    held = path.read_bytes() if path.exists() else b""
    whole = held.rfind(b"\n") + 1
    if not own.startswith(held[:whole]):
        raise Defect("the copy has other roots than the log", kind="audit.fork", where=str(path))
    if own[whole:]:
        _append_durably(path, own[whole:])


def _held_by(home: Path, place: str, log_id: str) -> list[bytes]:
    if _is_bucket(place):
        room = _room(home, place)
        return [room.read(key)[0].rstrip(b"\n") for key in sorted(room.sizes(f"audit-roots/{log_id}"))]
    path = _path_in(Path(place), log_id)
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _is_bucket(place: str) -> bool:
    return "://" in place


def _room(home: Path, place: str) -> "Room":
    # Clients of object storage are imported where there is one.
    from processing.archive.objects import Place
    from processing.archive.remote_objects import Room

    return Room(Place.of(place, credentials=home / "secrets" / "s3.ini"))


def _path_in(folder: Path, log_id: str) -> Path:
    return folder / f"audit-roots-{log_id}.jsonl"


def _key_of(log_id: str, line: bytes) -> str:
    root = orjson.loads(line)
    # Two roots over as many rows are a fork: both are kept.
    return f"audit-roots/{log_id}/{root['size']:012d}-{root['root'][:16]}.json"
