"""Customers as operators keep them and as policy is told of them."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from catalogs.customers import secrets_of
from catalogs.customers.accounts import Contract, Details, Quota, Scope, Status
from catalogs.customers.credentials import SESSION_TIME
from catalogs.customers.register import UnknownCustomer
from catalogs.customers.secrets_of import split_token
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.customers.usage import Measure, QuotaExhausted
from catalogs.policy.terms import CustomerClass, Purpose
from processing.model.errors import BadInput, Conflict, Defect

EXPORT = Details(customer_class=CustomerClass.EXPORT_OTHER, country="DE", legal_name="Geo Export GmbH", tax_id="DE 123")
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CustomerStore]:
    opened = open_customers(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def customer(store: CustomerStore) -> str:
    return store.add("Geo Export", EXPORT).id


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where it is not about how hard they are to guess."""
    monkeypatch.setattr(secrets_of, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64))
    secrets_of._nobodys.cache_clear()
    yield
    secrets_of._nobodys.cache_clear()


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Move the clock by which tokens and sessions end."""
    monkeypatch.setattr("catalogs.customers.credentials._now", lambda: int((datetime.now(UTC) + by).timestamp()))


def test_policy_is_told_what_stands_here(store: CustomerStore) -> None:
    stated = Details(customer_class=CustomerClass.GOV_DOMESTIC, country="kz", region="KZ-75", clearance=2)
    account = store.add("Akimat of Almaty", stated)
    party = store.party(account.id)
    assert (party.id, party.name, party.customer_class) == (account.id, "Akimat of Almaty", CustomerClass.GOV_DOMESTIC)
    assert (party.country, party.region, party.clearance, party.contract) == ("KZ", "KZ-75", 2, False)
    assert (party.paid, party.purpose, party.licences) == (False, Purpose.ROUTINE, frozenset())


def test_a_contract_holds_from_its_first_moment_up_to_its_last(store: CustomerStore, customer: str) -> None:
    store.put_contract(customer, Contract(number="1", starts=NOW - timedelta(days=1), ends=NOW + timedelta(days=1)))
    assert store.party(customer).contract
    assert not store.party(customer, NOW - timedelta(days=2)).contract
    assert not store.party(customer, NOW + timedelta(days=1)).contract
    with pytest.raises(BadInput):
        store.put_contract(customer, Contract(number="2", starts=NOW, ends=NOW))
    with pytest.raises(BadInput, match="time zone"):
        store.put_contract(customer, Contract(number="2", starts=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_licences_are_recorded_with_version_time_and_name_and_can_be_withdrawn(
    store: CustomerStore, customer: str
) -> None:
    first = store.accept_licence(customer, "kz-export-eula", "2", "J. Smith")
    assert (first.version, first.accepted_by) == ("2", "J. Smith")
    assert abs((first.accepted - datetime.now(UTC)).total_seconds()) < 60
    assert store.accept_licence(customer, "kz-export-eula", "2", "somebody else") == first, "what was first stays"
    assert store.party(customer).licences == {"kz-export-eula", "kz-export-eula@2"}
    store.withdraw_licence(customer, "kz-export-eula")
    assert store.party(customer).licences == frozenset()
    assert store.accept_licence(customer, "kz-export-eula", "2", "J. Doe").accepted_by == "J. Doe"


@pytest.mark.parametrize(
    "stated",
    [{"country": "XX"}, {"country": "Kazakhstan"}, {"clearance": -1}, {"clearance": 10}, {"legal_name": "a\nb"},
     {"region": ""}, {"tax_id": "\x1b[31m"}],
)  # fmt: skip
def test_what_cannot_be_is_refused(stated: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Details(customer_class=CustomerClass.DOMESTIC, **stated)  # type: ignore[arg-type]


def test_a_name_belongs_to_one_however_it_is_written(store: CustomerStore, customer: str) -> None:
    for name in ("Geo Export", "geo export", " GEO EXPORT "):
        with pytest.raises(Conflict):
            store.add(name, EXPORT)
    with pytest.raises(BadInput):
        store.add("c_" + "a" * 10, EXPORT)
    assert store.get("geo EXPORT").id == customer
    with pytest.raises(UnknownCustomer):
        store.get("nobody")


def test_a_token_is_its_owners_until_it_ends_or_is_revoked(
    store: CustomerStore, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.new_token(customer, "nightly", days=2, scopes=[Scope.READ])
    found = store.credential_of_token(made.token)
    assert found is not None
    assert found.party == store.party(customer)
    assert (found.id, found.scopes) == (made.id, {Scope.READ})
    with monkeypatch.context() as clock:
        later(clock, timedelta(days=2, seconds=1))
        assert store.party_of_token(made.token) is None
    assert store.party_of_token(made.token) is not None
    assert store.revoke_token(made.id).revoked is not None
    assert store.party_of_token(made.token) is None


@given(st.data())
def test_no_other_text_is_a_token(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    home = tmp_path_factory.getbasetemp() / "tokens"
    store = open_customers(home)
    known = [one.id for one in store.all()] or [store.add("One", EXPORT).id]
    token = store.new_token(known[0], "one").token
    place, sign = data.draw(st.integers(0, 59)), data.draw(st.characters())
    assert len(token) == 60
    changed = token[:place] + sign + token[place + 1 :]
    assert (store.party_of_token(changed) is None) == (changed != token)
    assert store.party_of_token(token[:place]) is None
    assert store.party_of_token(data.draw(st.text(max_size=80))) is None
    assert store.party_of_token(token) is not None
    store.close()


@pytest.mark.usefixtures("quick_passwords")
def test_secrets_are_not_kept(tmp_path: Path, store: CustomerStore, customer: str) -> None:
    token, session = store.new_token(customer, "one").token, store.new_session(customer, "token")
    store.set_password(customer, "correct horse battery")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "customers").iterdir())
    for secret in (token, token.rpartition("_")[2], session, "correct horse battery"):
        assert secret.encode() not in kept
    for path in (tmp_path / "customers").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "customers").stat().st_mode & 0o077 == 0


def test_a_session_lasts_eight_hours_or_until_it_is_ended(
    store: CustomerStore, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = store.new_session(customer, "password")
    assert store.party_of_session(cookie) == store.party(customer)
    with monkeypatch.context() as clock:
        later(clock, SESSION_TIME)
        assert store.party_of_session(cookie) is None
    store.end_session(cookie)
    assert store.party_of_session(cookie) is None
    assert store.party_of_session("") is None


def test_a_session_begun_by_a_token_is_no_more_than_the_token(store: CustomerStore, customer: str) -> None:
    made = store.new_token(customer, "viewer", days=0.1, scopes=[Scope.READ])
    cookie = store.new_session_of_token(made.token)
    assert cookie is not None
    found = store.credential_of_session(cookie)
    assert found is not None
    assert found.scopes == {Scope.READ}
    assert found.expires == made.expires
    store.revoke_token(made.id)
    assert store.credential_of_session(cookie) is None
    assert store.new_session_of_token(made.token) is None


def test_an_operators_session_is_nobodys_party(store: CustomerStore) -> None:
    cookie = store.new_operator_session("secret")
    found = store.credential_of_session(cookie)
    assert found is not None
    assert found.party is None
    assert found.operator is not None
    assert store.party_of_session(cookie) is None


@pytest.mark.usefixtures("quick_passwords")
def test_who_is_suspended_comes_in_by_nothing(store: CustomerStore, customer: str) -> None:
    token, session = store.new_token(customer, "one").token, store.new_session(customer, "token")
    store.set_password(customer, "correct horse battery")
    store.set_status(customer, Status.SUSPENDED)
    assert store.party_of_token(token) is None
    assert store.party_of_session(session) is None
    assert store.check_password("Geo Export", "correct horse battery") is None
    assert store.credential_of_customer(customer, "oidc", 2**31) is None
    with pytest.raises(BadInput):
        store.new_token(customer, "two")
    with pytest.raises(BadInput):
        store.new_session(customer, "oidc")
    store.set_status(customer, Status.ACTIVE)
    assert store.party_of_token(token) is not None


def test_passwords_are_kept_by_argon2_and_compared_as_long_for_nobody(store: CustomerStore, customer: str) -> None:
    store.set_password(customer, "correct horse battery")
    account = store.check_password("geo export", "correct horse battery")
    assert account is not None
    assert account.id == customer
    assert store.check_password("geo export", "wrong horse battery") is None
    with store._db.read() as db:
        assert db.execute("SELECT password FROM customers").fetchone()[0].startswith("$argon2id$")

    def took(name: str) -> float:
        times = []
        for _ in range(2):
            start = time.perf_counter()
            assert store.check_password(name, "wrong horse battery") is None
            times.append(time.perf_counter() - start)
        return min(times)

    assert 0.4 < took("geo export") / took("nobody at all") < 2.5
    for bad in ("short", "x" * 300):
        with pytest.raises(BadInput):
            store.set_password(customer, bad)


REVOKES = """
import sys
from pathlib import Path
from catalogs.customers.store import open_customers
store = open_customers(Path(sys.argv[1]))
store.revoke_token(sys.argv[2])
store.revoke_links(order="o-1")
"""


def test_what_another_process_revokes_is_refused_with_the_next_question(
    tmp_path: Path, store: CustomerStore, customer: str
) -> None:
    made = store.new_token(customer, "one")
    assert store.party_of_token(made.token) is not None
    expires = int(datetime.now(UTC).timestamp()) + 600
    link = {"key": "k", "customer": customer, "order": "o-1", "expires": expires}
    assert not store.links_revoked(**link)  # type: ignore[arg-type]
    subprocess.run([sys.executable, "-c", REVOKES, str(tmp_path), made.id], check=True, timeout=60)
    assert store.party_of_token(made.token) is None
    assert store.links_revoked(**link)  # type: ignore[arg-type]


def test_verifying_takes_less_than_a_millisecond(store: CustomerStore, customer: str) -> None:
    """The best of many: the machine may be busy."""
    for number in range(300):
        store.add(f"Other {number}", EXPORT)
    token, session = store.new_token(customer, "one").token, store.new_session(customer, "token")

    def best(ask: object, given: str) -> float:
        times = []
        for _ in range(200):
            start = time.perf_counter()
            assert ask(given) is not None  # type: ignore[operator]
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(store.party_of_token, token) < 1e-3
    assert best(store.party_of_session, session) < 1e-3


def test_a_quota_is_taken_once_under_a_key_and_never_overdrawn(store: CustomerStore, customer: str) -> None:
    store.set_quota(customer, Quota(km2_month=100.0))
    assert store.take(customer, {Measure.KM2: 60.0, Measure.GB: 3.0}, key="o-1")
    assert not store.take(customer, {Measure.KM2: 60.0, Measure.GB: 3.0}, key="o-1"), "told again"
    assert store.quota_left(customer) == {Measure.KM2: 40.0, Measure.GB: None, Measure.REQUESTS: None}
    with pytest.raises(QuotaExhausted, match="40 are left"):
        store.take(customer, {Measure.GB: 1.0, Measure.KM2: 41.0}, key="o-2")
    assert store.used(customer) == {Measure.KM2: 60.0, Measure.GB: 3.0, Measure.REQUESTS: 0.0}, "nothing of it"
    assert store.quota_left(customer, NOW + timedelta(days=40))[Measure.KM2] == 100.0, "another month"


def test_threads_cannot_take_more_than_there_is(store: CustomerStore, customer: str) -> None:
    store.set_quota(customer, Quota(requests_month=50))
    refused = []

    def take(thread: int) -> None:
        for number in range(10):
            try:
                store.take(customer, {Measure.REQUESTS: 1}, key=f"{thread}-{number}")
            except QuotaExhausted:
                refused.append(1)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (store.used(customer)[Measure.REQUESTS], len(refused)) == (50, 30)


def test_a_customers_copy_holds_everything_but_secrets(store: CustomerStore, customer: str) -> None:
    token = store.new_token(customer, "nightly").token
    store.accept_licence(customer, "eula", "1", "J. Smith")
    store.link_identity(customer, "https://login", "sub-1")
    store.count_use(customer, {Measure.KM2: 12.5})
    copy = store.export(customer)
    assert copy["customer"]["legal_name"] == "Geo Export GmbH"
    assert copy["licences"][0]["accepted_by"] == "J. Smith"
    assert copy["identities"][0]["subject"] == "sub-1"
    assert copy["usage"][0]["amount"] == 12.5
    assert token.rpartition("_")[2] not in str(copy)


def test_erasing_leaves_sums_and_no_name(tmp_path: Path, store: CustomerStore, customer: str) -> None:
    token = store.new_token(customer, "nightly of Mr Smith").token
    session = store.new_session_of_token(token)
    store.accept_licence(customer, "eula", "1", "J. Smith")
    store.link_identity(customer, "https://login", "sub-smith")
    store.put_contract(customer, Contract(number="1", starts=NOW, note="Mr Smith, room 7"))
    store.count_use(customer, {Measure.KM2: 12.5})
    gone = store.erase(customer)
    assert gone.status == Status.ERASED
    assert store.party_of_token(token) is None
    assert session is not None
    assert store.party_of_session(session) is None
    assert store.used(customer)[Measure.KM2] == 12.5
    kept = b"".join(path.read_bytes() for path in (tmp_path / "customers").iterdir())
    for word in (b"Smith", b"smith", b"GmbH", b"DE 123", b"Geo Export"):
        assert word not in kept, word
    with pytest.raises(BadInput):
        store.set_status(customer, Status.ACTIVE)
    store.add("Geo Export", EXPORT)


def test_a_newer_or_damaged_database_is_not_touched(tmp_path: Path) -> None:
    store = open_customers(tmp_path)
    with store._db.write() as db:
        db.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(Defect) as caught:
        open_customers(tmp_path)
    assert caught.value.kind == "customers.version"
    path = tmp_path / "customers" / "customers.db"
    path.write_bytes(b"nonsense" * 1_000)
    with pytest.raises(Defect) as caught:
        open_customers(tmp_path)
    assert caught.value.kind == "customers.corrupt"


def test_a_token_has_one_form() -> None:
    for text in ("", "qyran_", "qyran_ABCDEFGHIJ_" + "a" * 43, "qyran_abcdefghij_" + "a" * 42, "x" * 10_000):
        assert split_token(text) is None
