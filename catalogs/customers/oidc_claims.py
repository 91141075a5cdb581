"""What a provider says of somebody, believed only if it is signed by it, meant for us, and not over."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from configs.schema.sign_in import ClaimRule
from processing.model.errors import QyranError

_LEEWAY_S = 30
_LONGEST = 16_384
_ASYMMETRIC = ("RSA", "EC", "OKP")


class TokenRefused(QyranError):
    """A provider's token that is not believed."""

    default_kind = "token.refused"


class UnknownKey(TokenRefused):
    """Its key is none of the provider's: perhaps the provider has a new one."""

    default_kind = "token.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must stand in a token."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    longest_s: float
    nonce: str | None = None
    """Of an ID token: what its sign-in was begun with."""


def read_keys(document: object) -> KeySet:
    """The provider's public keys; what is no asymmetric signing key is left out.

    Raises
    ------
    TokenRefused
        ``token.keys`` if there is none.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    usable = [
        key
        for key in (listed if isinstance(listed, list) else [])
        if isinstance(key, Mapping) and key.get("kty") in _ASYMMETRIC and key.get("use", "sig") == "sig"
    ]
    try:
        keys = KeySet.import_key_set({"keys": usable})  # type: ignore[typeddict-item]
    except (JoseError, KeyError, TypeError, ValueError) as error:
        raise TokenRefused("the provider's keys cannot be read", kind="token.keys") from error
    if not keys.keys:
        raise TokenRefused("the provider has no key to verify with", kind="token.keys")
    return keys


def read_claims(token: str, keys: KeySet, expected: Expected, now: datetime | None = None) -> dict[str, Any]:
    """Claims of a token that may be believed.

    The algorithm is ours to say, never the token's; a key is found among the provider's by its id, and nowhere else.

    Raises
    ------
    UnknownKey
        If no key of the provider has its id.
    TokenRefused
        ``token.refused`` for every other reason.
    """
    if len(token) > _LONGEST or not token.isascii():
        raise TokenRefused("this is no token")
    try:
        decoded = jwt.decode(token, keys, algorithms=list(expected.algorithms))
    except (JoseError, KeyError, TypeError, ValueError, RecursionError) as error:
        if _names_no_key(token, keys):
            raise UnknownKey("the token's key is none of the provider's") from error
        raise TokenRefused(f"the token is not the provider's ({type(error).__name__})") from error
    claims = decoded.claims
    # Parts of the header that must be understood, and are not: RFC 7515, 4.1.11.
    if "crit" in decoded.header:
        raise TokenRefused("the token demands what is not understood here")
    _check_times(claims, expected, (now or datetime.now(UTC)).timestamp())
    _check_parties(claims, expected)
    return dict(claims)


def customer_by_rules(claims: Mapping[str, Any], rules: Sequence[ClaimRule]) -> str | None:
    """The customer that the first rule that holds names."""
    for rule in rules:
        # An address that the provider has not verified is what somebody typed.
        if rule.claim == "email" and claims.get("email_verified") is not True:
            continue
        found = claims.get(rule.claim)
        if found == rule.value or (isinstance(found, list) and rule.value in found):
            return rule.customer
    return None


def _check_times(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    expires, issued, begins = (_seconds(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None or ("nbf" in claims and begins is None):
        raise TokenRefused("the token does not say from when to when it holds")
    if expires <= now - _LEEWAY_S:
        raise TokenRefused("the token is over")
    if issued > now + _LEEWAY_S or (begins is not None and begins > now + _LEEWAY_S):
        raise TokenRefused("the token does not hold yet")
    if expires - issued > expected.longest_s or expires - now > expected.longest_s + _LEEWAY_S:
        raise TokenRefused("the token lives longer than any may")


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefused("the token is another provider's")
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    if expected.audience not in listed:
        raise TokenRefused("the token is meant for others")
    if expected.nonce is not None:
        # An ID token for several, or issued to another, is good for us only if it says that it was issued to us.
        if (len(listed) > 1 or "azp" in claims) and claims.get("azp") != expected.audience:
            raise TokenRefused("the token was issued to others")
        if claims.get("nonce") != expected.nonce:
            raise TokenRefused("the token belongs to another sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise TokenRefused("the token names nobody")


def _seconds(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def _names_no_key(token: str, keys: KeySet) -> bool:
    """Whether a token of an algorithm that may be names a key that is not there."""
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        return False
    kid = header.get("kid") if isinstance(header, dict) else None
    return isinstance(kid, str) and kid not in {key.kid for key in keys.keys}
