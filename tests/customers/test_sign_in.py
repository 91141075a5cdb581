"""Signing in through HTTP: tokens, passwords, a real provider; cookies, origins, limits."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from oidc_provider_mock import User

from catalogs.api import sign_in
from catalogs.api.attempts import Attempts
from catalogs.customers import secrets_of
from catalogs.customers.accounts import Details, Quota, Scope, Status
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.customers.usage import Measure
from catalogs.policy.terms import CustomerClass
from configs.schema.catalogue import CatalogueConfig
from tests.services.api import TOKEN, ApiServer, api_serving
from tests.services.provider import Provider, provider_running

pytestmark = pytest.mark.services
SESSION = "qyran-session"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    users = [User(sub="p-water", claims={"groups": ["staff", "water"]}), User(sub="p-nobody"), User(sub="p-linked")]
    with provider_running(*users) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[ApiServer]:
    home = tmp_path_factory.mktemp("sign-in")
    (home / "configs").mkdir()
    (home / "configs" / "sign_in.yaml").write_text(
        f"oidc:\n  issuer: {provider.issuer}\n  client_id: qyran\n  audience: qyran-api\n  title: Agency\n"
        "  customers:\n    - {claim: groups, value: water, customer: Ministry of Water}\n"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(secrets_of, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64))
        secrets_of._nobodys.cache_clear()
        customers = open_customers(home)
        for name, kind in (
            ("Ministry of Water", CustomerClass.GOV_DOMESTIC),
            ("Geo Export", CustomerClass.EXPORT_OTHER),
        ):
            customers.add(name, Details(customer_class=kind))
        customers.set_password("Geo Export", "correct horse battery")
        customers.link_identity("Geo Export", provider.issuer, "p-linked")
        with api_serving(home) as serving:
            yield serving
        customers.close()
    secrets_of._nobodys.cache_clear()


@pytest.fixture
def customers(server: ApiServer) -> Iterator[CustomerStore]:
    opened = open_customers(server.home)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _nobody_has_failed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "_attempts", Attempts())


def who(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/whoami")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_anybody_is_told_how_to_sign_in(server: ApiServer) -> None:
    with server.client() as client:
        found = who(client)
    assert (found["signed_in"], found["operator"]) == (False, False)
    assert found["sign_in"]["oidc"] == {"title": "Agency", "href": "/sign-in/oidc"}


def test_a_token_begins_a_session_whose_cookie_no_script_reads(server: ApiServer, customers: CustomerStore) -> None:
    made = customers.new_token("Geo Export", "portal")
    with server.client() as client:
        answer = client.post("/sign-in", json={"token": made.token})
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{SESSION}=")
        assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
        assert made.token not in answer.text + cookie
        assert answer.headers["cache-control"] == "no-store"
        found = who(client)
        assert (found["name"], found["signed_in"], found["class"]) == ("Geo Export", True, "export_other")
        assert client.get("/stac/collections").status_code == 200
        customers.revoke_token(made.id)
        assert not who(client)["signed_in"], "with the next request"


def test_an_operator_signs_in_too(server: ApiServer) -> None:
    with server.client() as client:
        assert client.post("/sign-in", json={"token": TOKEN}).status_code == 200
        assert who(client)["operator"]
        assert client.post("/sign-out").status_code == 200
        assert not who(client)["operator"]


def test_a_session_that_was_ended_is_over_on_the_server(server: ApiServer) -> None:
    with server.client() as client:
        client.post("/sign-in", json={"name": "geo export", "password": "correct horse battery"})
        session = client.cookies[SESSION]
        assert who(client)["signed_in"]
        client.post("/sign-out")
    with server.client() as thief:
        thief.cookies.set(SESSION, session)
        assert not who(thief)["signed_in"]


def test_over_https_the_cookie_is_for_this_host_alone(tmp_path: Path) -> None:
    config = CatalogueConfig(public_url="https://eo.example.kz", policy="open-data")
    with api_serving(tmp_path, config=config) as serving, serving.client() as client:
        cookie = client.post("/sign-in", json={"token": TOKEN}).headers["set-cookie"]
    assert cookie.startswith(f"__Host-{SESSION}=")
    assert "secure" in cookie.lower()


@pytest.mark.parametrize(
    "body",
    [{}, {"token": None}, {"token": "x", "name": "y", "password": "z"}, {"name": "y"}, {"password": "z"}, [], "x",
     {"token": 5}, {"token": "x" * 600}, {"token": "x", "more": 1}],
)  # fmt: skip
def test_what_is_no_sign_in_is_400(server: ApiServer, body: object) -> None:
    with server.client() as client:
        answer = client.post("/sign-in", json=body)
    assert answer.status_code == 400
    assert "x" * 600 not in answer.text


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example", "file://"]
)
def test_pages_of_others_change_nothing(server: ApiServer, origin: str) -> None:
    with server.client() as client:
        headers = {"Origin": origin}
        assert client.post("/sign-in", json={"token": TOKEN}, headers=headers).status_code == 403
        assert client.post("/sign-in", json={"token": TOKEN}).status_code == 200
        collection = {"id": "evil", "type": "Collection"}
        assert client.post("/stac/collections", json=collection, headers=headers).status_code == 403
        assert client.post("/stac/collections", json=collection).status_code == 403, "a browser names the origin"
        assert client.delete("/stac/collections/x", headers=headers).status_code == 403
        assert client.post("/sign-out", headers=headers).status_code == 403
        assert who(client)["operator"], "still"
        own = client.delete("/stac/collections/x", headers={"Origin": server.url})
        assert own.status_code == 404, own.text


def test_whoever_fails_too_often_waits_and_others_do_not(server: ApiServer) -> None:
    with server.client() as client:
        guess = {"name": "Geo Export", "password": "wrong"}
        statuses = [client.post("/sign-in", json=guess).status_code for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        blocked = client.post("/sign-in", json={"name": "Geo Export", "password": "correct horse battery"})
        assert blocked.status_code == 429
        assert int(blocked.headers["retry-after"]) >= 1
        assert client.post("/sign-in", json={"token": TOKEN}).status_code == 200, "by another name"
        guesses = [client.post("/sign-in", json={"token": f"guess-{n}"}).status_code for n in range(25)]
        assert guesses[-1] == 429


def begin(client: httpx.Client) -> str:
    answer = client.get("/sign-in/oidc")
    assert answer.status_code == 303
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    return str(answer.headers["location"])


def test_a_provider_vouches_for_somebody(server: ApiServer, provider: Provider) -> None:
    with server.client() as client:
        away = begin(client)
        asked = parse_qs(urlsplit(away).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{server.url}/sign-in/oidc/callback"]
        assert {"state", "nonce", "code_challenge"} <= set(asked)
        back = provider.let_in(away, "p-water")
        answer = client.get(back)
        assert answer.status_code == 200, answer.text
        assert SESSION in client.cookies
        assert 'http-equiv="refresh"' in answer.text
        found = who(client)
        assert (found["signed_in"], found["class"]) == (True, "gov_domestic")
        again = client.get(back)
        assert again.status_code == 401, "a sign-in ends once"


def test_identities_are_linked_one_by_one_and_nobody_becomes_a_customer_by_signing_in(
    server: ApiServer, provider: Provider
) -> None:
    with server.client() as client:
        client.get(provider.let_in(begin(client), "p-linked"))
        assert who(client)["class"] == "export_other"
    with server.client() as client:
        answer = client.get(provider.let_in(begin(client), "p-nobody"))
        assert answer.status_code == 403
        assert "p-nobody" in answer.text
        assert not who(client)["signed_in"]
    with server.client() as client:
        answer = client.get(provider.let_in(begin(client), "<script>alert(1)</script>"))
        assert answer.status_code == 403
        assert "<script>" not in answer.text


def test_nobody_is_signed_in_as_another_by_a_foreign_link(server: ApiServer, provider: Provider) -> None:
    """Login CSRF: an attacker's own code and state, in a victim's browser."""
    with server.client() as attacker:
        back = provider.let_in(begin(attacker), "p-water")
    with server.client() as victim:
        assert victim.get(back).status_code == 401
        begin(victim)
        assert victim.get(back).status_code == 401
        assert not who(victim)["signed_in"]


def test_a_code_of_another_sign_in_is_refused(server: ApiServer, provider: Provider) -> None:
    """PKCE: the code was made for another verifier."""
    with server.client() as one, server.client() as other:
        stolen = parse_qs(urlsplit(provider.let_in(begin(one), "p-water")).query)["code"][0]
        state = parse_qs(urlsplit(begin(other)).query)["state"][0]
        assert other.get("/sign-in/oidc/callback", params={"code": stolen, "state": state}).status_code == 401
        assert other.get("/sign-in/oidc/callback", params={"error": "access_denied"}).status_code == 401


def access(provider: Provider, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": "qyran-api", "sub": "p-linked", "iat": now, "exp": now + 600, **changes}
    return provider.sign(claims, header)


def bearer(server: ApiServer, token: str) -> int:
    with server.client() as client:
        return client.get("/whoami", headers={"Authorization": f"Bearer {token}"}).status_code


def test_programs_come_with_access_tokens_and_forged_ones_are_401(
    server: ApiServer, provider: Provider, customers: CustomerStore
) -> None:
    assert bearer(server, access(provider)) == 200
    now = int(time.time())
    head, body, _ = access(provider).split(".")

    def forged(algorithm: str, secret: bytes | None) -> str:
        top = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=").decode()
        mac = b"" if secret is None else hmac.digest(secret, f"{top}.{body}".encode(), hashlib.sha256)
        return f"{top}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    for name, token in {
        "alg none": forged("none", None),
        "HS256 with the public key": forged("HS256", provider.public_pem()),
        "wrong aud": access(provider, aud="others"),
        "an ID token's aud": access(provider, aud="qyran"),
        "wrong iss": access(provider, iss="https://evil.example"),
        "expired": access(provider, iat=now - 7_200, exp=now - 3_600),
        "far-future exp": access(provider, exp=now + 10**9),
        "kid ../../": access(provider, {"kid": "../../../../etc/passwd"}),
        "nobody's sub": access(provider, sub="p-nobody"),
        "no signature": f"{head}.{body}.",
        "other text": "a.b.c",
    }.items():
        assert bearer(server, token) == 401, name
    customers.set_status("Geo Export", Status.SUSPENDED)
    assert bearer(server, access(provider)) == 401, "shut out here, whatever the provider says"
    customers.set_status("Geo Export", Status.ACTIVE)


def test_tokens_that_are_none_are_401(server: ApiServer, customers: CustomerStore) -> None:
    made = customers.new_token("Geo Export", "one", days=0.00002)
    good = customers.new_token("Geo Export", "two")
    time.sleep(2.5)
    for token in (
        "-",
        "x",
        made.token,
        good.token[:-1],
        good.token + "x",
        good.token.upper(),
        f"qyran_{'a' * 10}_{'b' * 43}",
    ):
        assert bearer(server, token) == 401, token
    assert bearer(server, good.token) == 200
    customers.revoke_token(good.id)
    assert bearer(server, good.token) == 401


def test_a_token_is_for_what_it_is_for(server: ApiServer, customers: CustomerStore) -> None:
    made = customers.new_token("Geo Export", "orders only", scopes=[Scope.ORDER])
    with server.client() as client:
        found = client.get("/stac/collections", headers={"Authorization": f"Bearer {made.token}"})
        assert found.json()["collections"] == []


def test_a_fast_customer_waits_and_others_are_unaffected(server: ApiServer, customers: CustomerStore) -> None:
    fast = customers.add("Fast", Details(customer_class=CustomerClass.DOMESTIC))
    customers.set_quota(fast.id, Quota(per_second=1.0, burst=5))
    token, other = customers.new_token(fast.id, "one").token, customers.new_token("Geo Export", "one").token
    with server.client() as client:
        answers = [client.get("/whoami", headers={"Authorization": f"Bearer {token}"}) for _ in range(12)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        limited = [answer for answer in answers if answer.status_code == 429]
        assert len(limited) >= 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in limited)
        assert all(
            client.get("/whoami", headers={"Authorization": f"Bearer {other}"}).status_code == 200 for _ in range(12)
        )
        assert all(client.get("/whoami").status_code == 200 for _ in range(12))


def test_requests_of_a_month_are_counted_and_end(server: ApiServer, customers: CustomerStore) -> None:
    frugal = customers.add("Frugal", Details(customer_class=CustomerClass.DOMESTIC))
    customers.set_quota(frugal.id, Quota(requests_month=8))
    headers = {"Authorization": f"Bearer {customers.new_token(frugal.id, 'one').token}"}
    with server.client() as client:
        answers = [client.get("/whoami", headers=headers) for _ in range(10)]
        assert [answer.status_code for answer in answers] == [200] * 8 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
        for _ in range(100):
            if customers.used(frugal.id)[Measure.REQUESTS] == 8:
                break
            time.sleep(0.1)
        assert customers.used(frugal.id)[Measure.REQUESTS] == 8
        assert client.get("/whoami", headers=headers).status_code == 429
