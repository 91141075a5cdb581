"""Secrets: how they are made, how they are kept, how they are compared."""

import hashlib
import hmac
import re
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from processing.model.errors import BadInput

_TOKEN = re.compile(r"qyran_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_ID_SIGNS = "abcdefghijklmnopqrstuvwxyz234567"
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 12, 256
_HASHER = PasswordHasher()
"""Argon2id with the library's parameters (RFC 9106, low memory: 64 MiB, three passes)."""


def new_id() -> str:
    """50 random bits in letters that can be read out over a telephone."""
    return "".join(secrets.choice(_ID_SIGNS) for _ in range(10))


def new_token() -> tuple[str, str, bytes]:
    """A token, its id, and what is kept of it.

    The secret has 256 random bits: nobody finds it by trying, so a plain SHA-256 keeps it, and verifying takes
    microseconds. Argon2 is for secrets that people choose, which can be guessed; asked with every request, it would be
    a way to exhaust the server.
    """
    identifier, secret = new_id(), secrets.token_urlsafe(32)
    return f"qyran_{identifier}_{secret}", identifier, digest(secret)


def split_token(token: str) -> tuple[str, bytes] | None:
    """A token's id and the digest of its secret; None if it has not the form of a token."""
    found = _TOKEN.fullmatch(token)
    return None if found is None else (found[1], digest(found[2]))


def new_secret() -> tuple[str, bytes]:
    """A random secret of 256 bits and its digest: a session's, a sign-in's."""
    secret = secrets.token_urlsafe(32)
    return secret, digest(secret)


def digest(secret: str) -> bytes:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def same(one: bytes, other: bytes) -> bool:
    """Whether two digests are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def hash_password(password: str) -> str:
    """What is kept of a password.

    Raises
    ------
    BadInput
        ``customer.password`` if it is too short or too long.
    """
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise BadInput(
            f"a password has {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters",
            kind="customer.password",
            remedy="Take four or more words that do not belong together.",
        )
    return _HASHER.hash(password)


def is_password(kept: str | None, given: str) -> bool:
    """Whether a password is the one. Where none is kept, as much is calculated: the time tells nothing."""
    if len(given) > _LONGEST_PASSWORD:
        return False
    try:
        _HASHER.verify(kept or _nobodys(), given)
    except (Argon2Error, InvalidHashError):
        return False
    return kept is not None


@cache
def _nobodys() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))
