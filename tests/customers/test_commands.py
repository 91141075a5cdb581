"""``qyran customer`` and ``qyran audit`` as an operator types them."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from catalogs.customers.accounts import Scope
from catalogs.customers.store import open_customers
from catalogs.delivery.link_keys import LinkKeys
from catalogs.delivery.links import LinkRefused, sign, verify
from catalogs.delivery.metering import usage_of
from catalogs.delivery.order import Event, Order, OrderedItem, OrderRequest, OrderState, Price
from catalogs.delivery.order_package import Ruling
from catalogs.delivery.order_store import open_orders
from catalogs.policy.audit_proof import verify_inclusion
from pipelines.cli import app

NAME = "Geo Export"


def typed(home: Path, *words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [*words, "--home", str(home)], input=given)


def answered(home: Path, *words: str, given: str | None = None) -> dict[str, Any]:
    result = typed(home, *words, "--json", given=given)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    answered(
        tmp_path, "customer", "add", NAME, "--class", "export_other", "--country", "de", "--legal-name", "Geo GmbH"
    )
    return tmp_path


def test_a_customer_from_its_first_token_to_its_last(home: Path) -> None:
    made = answered(home, "customer", "token", NAME, "--label", "nightly", "--scope", "read", "--days", "3")
    with_token = made["token"]["token"]
    store = open_customers(home)
    found = store.credential_of_token(with_token)
    assert found is not None
    assert found.scopes == {Scope.READ}
    assert with_token not in typed(home, "customer", "show", NAME).stdout
    answered(home, "customer", "contract", NAME, "2026/17", "--from", "2026-01-01")
    answered(home, "customer", "licence", NAME, "eula", "--version", "2", "--by", "J. Smith")
    answered(home, "customer", "quota", NAME, "--km2", "1000", "--rate", "5")
    shown = answered(home, "customer", "show", NAME)
    assert shown["customer"]["country"] == "DE"
    assert shown["left"]["km2"] == 1000
    party = store.party(NAME)
    assert party.contract
    assert "eula@2" in party.licences
    answered(home, "customer", "licence", NAME, "eula", "--withdraw")
    assert store.party(NAME).licences == frozenset()
    assert [one["name"] for one in answered(home, "customer", "list")["customers"]] == [NAME]
    answered(home, "customer", "revoke", made["token"]["id"])
    assert store.party_of_token(with_token) is None
    store.close()


def test_revoking_a_customer_ends_tokens_sessions_and_links(home: Path) -> None:
    store, keys = open_customers(home), LinkKeys(home)
    token, session = store.new_token(NAME, "one").token, store.new_session(NAME, "token")
    customer = store.get(NAME).id
    query = sign("/a", customer, "o-1", datetime.now(UTC) + timedelta(minutes=5), keys.current())
    assert answered(home, "customer", "revoke", NAME, "--suspend")["revoked"] == 3
    assert store.party_of_token(token) is None
    assert store.party_of_session(session) is None
    with pytest.raises(LinkRefused):
        verify("GET", "/a", query, keys, store)
    answered(home, "customer", "revoke", NAME, "--restore")
    assert store.party(NAME).name == NAME
    store.close()


def test_a_leaked_key_is_replaced_and_its_links_are_void(home: Path) -> None:
    store, keys = open_customers(home), LinkKeys(home)
    customer = store.get(NAME).id
    query = sign("/a", customer, "o-1", datetime.now(UTC) + timedelta(minutes=5), keys.current())
    answered(home, "customer", "link-key")
    assert verify("GET", "/a", query, keys, store).order == "o-1"
    leaked = sign("/a", customer, "o-1", datetime.now(UTC) + timedelta(minutes=5), keys.current())
    answered(home, "customer", "link-key", "--void")
    with pytest.raises(LinkRefused):
        verify("GET", "/a", leaked, keys, store)
    store.close()


def test_what_an_operator_does_is_on_record_without_names(home: Path) -> None:
    answered(home, "customer", "token", NAME)
    shown = answered(home, "audit", "show")["rows"]
    assert [row["action"] for row in shown] == ["customer.added", "customer.token"]
    assert shown[0]["objects"][0]["name"] == NAME, "known here, as long as it is not erased"
    assert shown[0]["who"].startswith("operator:")
    written = b"".join(path.read_bytes() for path in (home / "audit" / "rows").iterdir())
    assert NAME.encode() not in written
    report = answered(home, "audit", "verify")
    assert (report["ok"], report["rows"]) == (True, 2)
    assert answered(home, "audit", "sign")["root"]["size"] == 2
    proof = json.loads(typed(home, "audit", "proof", "1").stdout)
    assert verify_inclusion(proof).document["action"] == "customer.token"


def test_who_saw_an_item_is_told(home: Path) -> None:
    from catalogs.policy.audit import AuditLog

    customer = open_customers(home).get(NAME).id
    AuditLog.open(home).append(customer, "download", ["kz1-l1c/A/red", "kz1-l1c/AB"], "allow")
    rows = answered(home, "audit", "who", "kz1-l1c/A")["rows"]
    assert [(row["who"], row["action"]) for row in rows] == [(NAME, "download")]
    assert answered(home, "audit", "who", "A")["rows"] == rows
    assert answered(home, "audit", "who", "kz1-l1c/B")["rows"] == []
    assert answered(home, "audit", "show", "--customer", NAME)["rows"] == rows
    assert "Geo Export download allow" in typed(home, "audit", "who", "kz1-l1c/A").stdout


def test_a_tampered_log_is_exit_code_1(home: Path) -> None:
    path = home / "audit" / "rows" / "000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"export_other", b"gov_domestic"))
    result = typed(home, "audit", "verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["kind"] == "edit"


def ordered(home: Path, customer: str) -> Order:
    """An order as the shop keeps it, and what was counted of it."""
    now = datetime(2026, 11, 1, tzinfo=UTC)
    area = {"type": "Polygon", "coordinates": [[[70, 43], [71, 43], [71, 44], [70, 43]]]}
    ruling = Ruling(effect="allow", rule="R1", policy="p", policy_sha256="0" * 64)
    item = OrderedItem(collection="kz1", id="A", version="1", km2=Decimal(5), amount=Decimal(9), ruling=ruling)
    received = Event(state=OrderState.RECEIVED, time=now, reason="received", by=customer, note="for Mr Smith")
    order, _ = open_orders(home).add(
        Order(
            id="20261101-ab", customer=customer, customer_name=NAME, customer_class="export_other", region="Saxony",
            request=OrderRequest(items=("kz1/A",), clip=area, submission_key="Smith-1"), state=OrderState.RECEIVED,
            items=(item,), km2=Decimal(5), price=Price(amount=Decimal(9), currency="USD"), created=now, updated=now,
            history=(received,),
        )
    )  # fmt: skip
    open_orders(home).change(order.id, lambda same: same, usage=usage_of(order, {"kz1/A": 7}, "2026-11-01"))
    return order


def test_a_copy_and_then_nothing_but_sums(home: Path) -> None:
    customer = open_customers(home).get(NAME).id
    order = ordered(home, customer)
    copy = answered(home, "customer", "export", NAME)
    assert copy["orders"][0]["id"] == order.id
    assert copy["audit"]["rows"][0]["action"] == "customer.added"
    assert typed(home, "customer", "erase", NAME, given="n\n").exit_code == 1
    assert answered(home, "customer", "erase", NAME, "--yes")["erased"] == customer
    for folder in ("customers", "orders", "audit"):
        kept = b"".join(path.read_bytes() for path in (home / folder).rglob("*") if path.is_file())
        for word in (NAME.encode(), b"Geo GmbH", b"Saxony", b"Smith-1", b"coordinates"):
            assert word not in kept, (folder, word)
    with open_orders(home)._reading() as connection:
        assert connection.execute("SELECT customer_class, km2, amount FROM usage").fetchone() == (
            "export_other",
            "5",
            "9",
        )
        with pytest.raises(Exception, match="only ever added"):
            connection.execute("UPDATE usage SET amount = '0'")
    report = answered(home, "audit", "verify")
    assert report["ok"]
    rows = answered(home, "audit", "show")["rows"]
    assert rows[-1]["action"] == "customer.erased"
    assert all("name" not in row["objects"][0] for row in rows)


def test_accounts_of_a_provider_are_linked_to_a_customer(home: Path) -> None:
    (home / "configs").mkdir()
    (home / "configs" / "sign_in.yaml").write_text("oidc:\n  issuer: https://login.example.kz\n  client_id: qyran\n")
    done = answered(home, "customer", "link", NAME, "--subject", "p-1")
    assert done["issuer"] == "https://login.example.kz"
    store = open_customers(home)
    assert store.customer_of_identity("https://login.example.kz", "p-1") == done["customer"]
    store.close()


def test_a_password_is_read_from_standard_input(home: Path) -> None:
    answered(home, "customer", "password", NAME, given="correct horse battery\n")
    store = open_customers(home)
    assert store.check_password(NAME, "correct horse battery") is not None
    answered(home, "customer", "password", NAME, "--remove")
    assert store.check_password(NAME, "correct horse battery") is None
    store.close()


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("customer", "add", NAME, "--class", "domestic"), 1, "customer.exists"),
        (("customer", "add", "Other", "--class", "domestic", "--country", "XX"), 1, "customer.country"),
        (("customer", "add", "Other", "--class", "friend"), 2, None),
        (("customer", "show", "nobody"), 1, "customer.unknown"),
        (("customer", "revoke", "nobody"), 1, "customer.token"),
        (("customer", "token", NAME, "--days", "0"), 1, "customer.token"),
        (("customer", "licence", NAME, "eula"), 2, None),
        (("customer", "link", NAME, "--subject", "x"), 1, "sign_in.none"),
        (("customer", "revoke", NAME, "--suspend", "--restore"), 2, None),
        (("audit", "proof", "99"), 1, "audit.damaged"),
    ],
)
def test_what_goes_wrong_says_so(home: Path, words: tuple[str, ...], code: int, kind: str | None) -> None:
    result = typed(home, *words, "--json")
    assert result.exit_code == code, result.output
    if kind is not None:
        assert json.loads(result.stdout)["error"]["kind"] == kind


@pytest.mark.parametrize("group", ["customer", "audit"])
def test_every_command_has_help_with_an_example(group: str) -> None:
    from importlib import import_module

    for command in getattr(import_module(f"pipelines.cli.{group}"), group).registered_commands:
        words = str(command.callback.__doc__)
        assert f"Example: `qyran {group} " in words, words
