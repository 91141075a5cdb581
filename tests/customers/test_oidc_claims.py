"""Tokens that claim to be the provider's: one is believed, and none of the others."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from catalogs.customers.oidc_claims import (
    Expected,
    TokenRefused,
    UnknownKey,
    customer_by_rules,
    read_claims,
    read_keys,
)
from configs.schema.sign_in import ClaimRule

ISSUER, CLIENT, NONCE = "https://login.example.kz", "qyran", "n-1"
KEY = RSAKey.generate_key(2048, parameters={"kid": "k1", "use": "sig"}, auto_kid=False)
OTHER = RSAKey.generate_key(2048, parameters={"kid": "k1"}, auto_kid=False)
KEYS = read_keys(KeySet([KEY]).as_dict(private=False))
ID_TOKEN = Expected(issuer=ISSUER, audience=CLIENT, algorithms=("RS256",), longest_s=86_400, nonce=NONCE)
ACCESS = Expected(issuer=ISSUER, audience=CLIENT, algorithms=("RS256",), longest_s=86_400)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    known = {"iss": ISSUER, "aud": CLIENT, "sub": "p-1", "iat": now, "exp": now + 600, "nonce": NONCE, **changes}
    return {name: value for name, value in known.items() if value is not None}


def signed(body: object, key: RSAKey = KEY, **header: Any) -> str:
    """A token signed by the book (RFC 7515), without the library that is tested with it."""
    head = {"alg": "RS256", "kid": "k1", **header}
    message = f"{part(head)}.{part(body)}".encode()
    digest = hashes.SHA512() if head["alg"] == "RS512" else hashes.SHA256()
    scheme = padding.PSS(padding.MGF1(digest), 32) if head["alg"] == "PS256" else padding.PKCS1v15()
    signature = key.private_key.sign(message, scheme, digest)
    return f"{message.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], body: dict[str, Any], secret: bytes | None) -> str:
    """A token as somebody forges it who has no key of the provider's."""
    message = f"{part(header)}.{part(body)}"
    mac = b"" if secret is None else hmac.digest(secret, message.encode(), hashlib.sha256)
    return f"{message}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


NOW = int(time.time())
PUBLIC_PEM = KEY.as_pem(private=False)
FORGED = {
    "alg none": by_hand({"alg": "none"}, claims(), None),
    "alg None": by_hand({"alg": "None", "kid": "k1"}, claims(), None),
    "alg missing": by_hand({"kid": "k1"}, claims(), None),
    "HS256 with the public key as PEM": by_hand({"alg": "HS256", "kid": "k1"}, claims(), PUBLIC_PEM),
    "HS256 with the public modulus": by_hand(
        {"alg": "HS256", "kid": "k1"}, claims(), base64.urlsafe_b64decode(KEY.as_dict(private=False)["n"] + "==")
    ),
    "HS256 with nothing": by_hand({"alg": "HS256", "kid": "k1"}, claims(), b""),
    "RS512, which is not pinned": signed(claims(), alg="RS512"),
    "PS256, which is not pinned": signed(claims(), alg="PS256"),
    "another key of the same id": signed(claims(), OTHER),
    "a key that the token brings along": signed(claims(), OTHER, jwk=OTHER.as_dict(private=False)),
    "a key at an address": signed(claims(), OTHER, jku="http://127.0.0.1:9/jwks", kid="k9"),
    "kid ../../": signed(claims(), OTHER, kid="../../../../dev/null"),
    "kid of SQL": signed(claims(), OTHER, kid="x' UNION SELECT 'AA"),
    "crit": signed(claims(), crit=["exp"], exp=1),
    "crit of nothing": signed(claims(), crit=[]),
    "wrong aud": signed(claims(aud="others")),
    "no aud": signed(claims(aud=None)),
    "aud a prefix": signed(claims(aud="qyran-evil")),
    "aud a map": signed(claims(aud={"qyran": 1})),
    "several aud and no azp": signed(claims(aud=[CLIENT, "others"])),
    "issued to another": signed(claims(azp="others")),
    "wrong iss": signed(claims(iss="https://evil.example")),
    "iss with a slash": signed(claims(iss=ISSUER + "/")),
    "no iss": signed(claims(iss=None)),
    "expired": signed(claims(iat=NOW - 7_200, exp=NOW - 3_600)),
    "exp far in the future": signed(claims(exp=NOW + 10 * 365 * 86_400)),
    "exp and iat far in the future": signed(claims(iat=NOW + 86_400_000, exp=NOW + 86_400_600)),
    "exp infinite": signed(claims(exp=1e308)),
    "exp a text": signed(claims(exp=str(NOW + 600))),
    "exp true": signed(claims(exp=True)),
    "no exp": signed(claims(exp=None)),
    "no iat": signed(claims(iat=None)),
    "not yet": signed(claims(nbf=NOW + 3_600)),
    "another sign-in's nonce": signed(claims(nonce="n-2")),
    "no nonce": signed(claims(nonce=None)),
    "no sub": signed(claims(sub=None)),
    "sub a list": signed(claims(sub=["p-1"])),
    "sub empty": signed(claims(sub="")),
    "too long": signed(claims(more="x" * 20_000)),
    "two parts": signed(claims()).rpartition(".")[0],
    "no text": "",
    "not ASCII": "ä.ö.ü",
    "claims that are no map": signed([1]),
}  # fmt: skip


def test_the_right_one_is_believed() -> None:
    assert read_claims(signed(claims()), KEYS, ID_TOKEN)["sub"] == "p-1"
    assert read_claims(signed(claims(aud=[CLIENT, "others"], azp=CLIENT)), KEYS, ID_TOKEN)["sub"] == "p-1"
    assert read_claims(signed(claims(nonce=None, aud=["others", CLIENT])), KEYS, ACCESS)["sub"] == "p-1"


@pytest.mark.parametrize("name", FORGED)
def test_none_of_the_others_is(name: str) -> None:
    with pytest.raises(TokenRefused):
        read_claims(FORGED[name], KEYS, ID_TOKEN)


def test_only_an_unknown_key_is_worth_asking_the_provider_again() -> None:
    with pytest.raises(UnknownKey):
        read_claims(FORGED["kid ../../"], KEYS, ID_TOKEN)
    for name in ("another key of the same id", "alg none", "wrong aud", "two parts"):
        with pytest.raises(TokenRefused) as caught:
            read_claims(FORGED[name], KEYS, ID_TOKEN)
        assert not isinstance(caught.value, UnknownKey), name


@given(st.data())
def test_a_token_changed_anywhere_is_refused(data: st.DataObject) -> None:
    token = signed(claims(iat=NOW, exp=NOW + 3_600))
    place = data.draw(st.integers(0, len(token) - 2))
    sign = data.draw(st.sampled_from("ABCabc019-_."))
    if sign != token[place]:
        # The last letter of a part may have bits to spare; each part's decoded bytes are what counts.
        changed = token[:place] + sign + token[place + 1 :]
        if [decoded(one) for one in changed.split(".")] != [decoded(one) for one in token.split(".")]:
            with pytest.raises(TokenRefused):
                read_claims(changed, KEYS, ID_TOKEN)


def decoded(text: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None


def test_keys_of_the_provider_are_public_ones_for_signing() -> None:
    secret = OctKey.generate_key(256, parameters={"kid": "k1"}).as_dict(private=True)
    encrypts = {**ECKey.generate_key("P-256").as_dict(private=False), "use": "enc"}
    found = read_keys({"keys": [secret, encrypts, KEY.as_dict(private=False)]})
    assert [key.key_type for key in found.keys] == ["RSA"]
    for bad in ({"keys": [secret]}, {"keys": "x"}, {}, [], None, {"keys": [{"kty": "RSA"}]}, {"keys": [None]}):
        with pytest.raises(TokenRefused):
            read_keys(bad)


def test_who_somebody_is_here_is_said_by_rules_in_their_order() -> None:
    rules = (
        ClaimRule(claim="email", value="a@b.kz", customer="By mail"),
        ClaimRule(claim="groups", value="water", customer="Ministry of Water"),
        ClaimRule(claim="org", value="geo", customer="Geo"),
    )
    assert customer_by_rules({"email": "a@b.kz", "email_verified": True}, rules) == "By mail"
    assert customer_by_rules({"email": "a@b.kz", "org": "geo"}, rules) == "Geo", "an address nobody has verified"
    assert customer_by_rules({"email": "a@b.kz", "email_verified": "false"}, rules) is None
    assert customer_by_rules({"groups": ["x", "water"], "org": "geo"}, rules) == "Ministry of Water"
    assert customer_by_rules({"groups": "waterways"}, rules) is None
    assert customer_by_rules({}, rules) is None
