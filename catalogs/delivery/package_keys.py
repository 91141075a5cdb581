"""The key that deliveries are signed with: Ed25519, one an installation, made once."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from catalogs.private_files import kept
from processing.archive import durable
from processing.model.errors import BadInput, Defect

ALGORITHM = "ed25519"
_PRIVATE, _PUBLIC = "secrets/delivery-key", "orders/delivery-key.pub"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """From ``ed25519:BASE64``, as it is shown and pinned.

        Raises
        ------
        BadInput
            ``delivery.key`` if it is none.
        """
        kind, _, encoded = text.strip().partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        if kind != ALGORITHM or len(raw) != 32:
            raise BadInput("that is no public key", kind="delivery.key", remedy="It is written ed25519:BASE64.")
        return cls(raw)

    def __str__(self) -> str:
        """``ed25519:BASE64``."""
        return f"{ALGORITHM}:{base64.b64encode(self.raw).decode()}"

    @property
    def id(self) -> str:
        """Sixteen hex digits that name it."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def verifies(self, signature: str, message: bytes) -> bool:
        """Whether a signature in base64 is this key's, of this message."""
        try:
            given = base64.b64decode(signature, validate=True)
            Ed25519PublicKey.from_public_bytes(self.raw).verify(given, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs. Its secret stays inside."""

    _private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """What its signatures are checked with."""
        return PublicKey(self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> str:
        """A signature in base64: the same for the same message."""
        return base64.b64encode(self._private.sign(message)).decode()

    def __repr__(self) -> str:
        """Without its secret."""
        return f"SigningKey({self.public.id})"


def signing_key(home: Path) -> SigningKey:
    """The key of an installation; where there is none, it is made: two who come at once agree on one.

    Raises
    ------
    Defect
        ``delivery.key`` if the file does not hold one.
    """
    path = home / _PRIVATE
    try:
        raw = base64.b64decode(kept(path, _new_secret).strip(), validate=True)
        key = SigningKey(Ed25519PrivateKey.from_private_bytes(raw))
    except ValueError:
        # Said without the reason: it might quote the secret.
        raise Defect("the key that signs deliveries is damaged", kind="delivery.key", where=str(path),
                     remedy="Put it back from a backup: customers have pinned its public half.") from None  # fmt: skip
    public = home / _PUBLIC
    if not public.exists():
        durable.write_file(public, f"{key.public}\n".encode())
    return key


def _new_secret() -> bytes:
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()) + b"\n"


def public_key(home: Path) -> PublicKey | None:
    """The public half of an installation's key, read without its secret; None where nothing was ever delivered."""
    try:
        return PublicKey.parse((home / _PUBLIC).read_text())
    except FileNotFoundError:
        return None
