"""Signed links: good for what they say, for minutes, for one; anything else is refused in the same words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.customers.accounts import Details, Status
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.delivery.link_keys import LinkKeys
from catalogs.delivery.links import LONGEST, LinkRefused, is_signed, sign, verify
from catalogs.policy.terms import CustomerClass
from processing.model.errors import Defect

PATH = "/download/orders/o-1/red.tif"


@dataclass(frozen=True)
class Shop:
    home: Path
    store: CustomerStore
    keys: LinkKeys
    customer: str

    def link(self, minutes: float = 10, path: str = PATH, order: str = "o-1") -> str:
        expires = datetime.now(UTC) + timedelta(minutes=minutes)
        return sign(path, self.customer, order, expires, self.keys.current())

    def opens(self, query: str, path: str = PATH, method: str = "GET", **more: object) -> bool:
        try:
            verify(method, path, query, self.keys, self.store, **more)  # type: ignore[arg-type]
        except LinkRefused:
            return False
        return True


def make(home: Path) -> Shop:
    store = open_customers(home)
    known = [one.id for one in store.all()]
    customer = known[0] if known else store.add("Geo", Details(customer_class=CustomerClass.EXPORT_OTHER)).id
    return Shop(home, store, LinkKeys(home), customer)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = make(tmp_path)
    yield made
    made.store.close()


def test_a_link_opens_its_path_for_its_customer(shop: Shop) -> None:
    link = verify("GET", PATH, shop.link(), shop.keys, shop.store)
    assert (link.path, link.customer, link.order) == (PATH, shop.customer, "o-1")
    assert shop.opens(shop.link(), method="HEAD")
    assert is_signed(shop.link())
    assert not is_signed("a=b")


def test_other_paths_methods_and_people_are_refused(shop: Shop) -> None:
    link = shop.link()
    for path in ("/download/orders/o-1/blue.tif", PATH + "/", PATH.upper(), "", "/download/orders/o-1/../o-2/red.tif"):
        assert not shop.opens(link, path=path)
    for method in ("POST", "DELETE", "PUT", "get"):
        assert not shop.opens(link, method=method)
    assert shop.opens(link, customer=shop.customer)
    assert not shop.opens(link, customer="c_somebodyelse")


@pytest.mark.parametrize("field", ["customer", "order", "expires", "key", "signature"])
def test_any_field_altered_missing_or_twice_is_refused(shop: Shop, field: str) -> None:
    pairs = parse_qsl(shop.link())
    known = dict(pairs)
    value = str(int(known[field]) + 60) if field == "expires" else known[field][::-1]
    assert not shop.opens(urlencode({**known, field: value}))
    assert not shop.opens(urlencode([pair for pair in pairs if pair[0] != field]))
    assert not shop.opens(urlencode([*pairs, (field, known[field])]))
    assert not shop.opens(urlencode({**known, field: ""}))
    assert not shop.opens(urlencode([*pairs, ("more", "1")]))


@given(st.data())
def test_any_character_altered_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shop = make(tmp_path_factory.getbasetemp() / "links")
    query = shop.link()
    place = data.draw(st.integers(0, len(query) - 1))
    sign_ = data.draw(st.sampled_from("ABCXYZabcxyz0189-_=&%+.~"))
    changed = query[:place] + sign_ + query[place + 1 :]
    if parse_qsl(changed, keep_blank_values=True) != parse_qsl(query, keep_blank_values=True):
        assert not shop.opens(changed)
    assert not shop.opens(data.draw(st.text(max_size=200)))
    assert shop.opens(query)
    shop.store.close()


def test_the_last_letter_of_a_signature_has_one_spelling(shop: Shop) -> None:
    """Base64 of 32 bytes has two bits to spare in its last letter."""
    query = shop.link()
    accepted = [
        last
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if shop.opens(query[:-1] + last)
    ]
    assert accepted == [query[-1]]


def test_a_link_ends_and_none_lives_longer_than_a_quarter_of_an_hour(shop: Shop) -> None:
    query = shop.link(minutes=10)
    assert not shop.opens(query, now=datetime.now(UTC) + timedelta(minutes=10))
    assert not shop.opens(query, now=datetime.now(UTC) - timedelta(minutes=30)), "nor does a clock that went back help"
    with pytest.raises(ValueError, match="lives"):
        shop.link(minutes=LONGEST.total_seconds() / 60 + 1)


def test_revoked_by_order_customer_key_or_status_at_once(shop: Shop) -> None:
    query, other = shop.link(), shop.link(order="o-2")
    shop.store.revoke_links(order="o-1")
    assert not shop.opens(query)
    assert shop.opens(other)
    shop.store.revoke_links(customer=shop.customer)
    assert not shop.opens(other)
    key = shop.keys.current().id
    shop.keys.rotate()
    fresh = shop.link(order="o-3", minutes=14.99)
    shop.store.revoke_links(key=key)
    assert not shop.opens(other)
    shop.store.set_status(shop.customer, Status.SUSPENDED)
    assert not shop.opens(fresh)


def test_whoever_may_again_gets_a_new_link(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation is of the links that are open, not of those that are signed afterwards."""
    shop.store.revoke_links(customer=shop.customer)
    assert not shop.opens(shop.link(minutes=14.9))
    monkeypatch.setattr("catalogs.customers.usage._now", lambda: int(datetime.now(UTC).timestamp()) - 30)
    shop.store.revoke_links(customer=shop.customer)
    assert shop.opens(shop.link(minutes=14.9))


def test_keys_are_renewed_without_breaking_open_links(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    query, first = shop.link(), shop.keys.current()
    second = LinkKeys(shop.home).rotate()
    assert shop.keys.current() == second, "another process made it"
    assert shop.opens(query)
    path = shop.home / "secrets" / "link-keys.json"
    assert path.stat().st_mode & 0o077 == 0
    held = orjson.loads(path.read_bytes())
    for key in held["keys"]:
        key["created"] -= 3_600
    path.write_bytes(orjson.dumps(held))
    shop.keys.rotate()
    assert [key["id"] for key in orjson.loads(path.read_bytes())["keys"]][1:] == [second.id]
    assert shop.keys.find(first.id) is None
    assert not shop.opens(query)


def test_a_key_signs_for_a_month(shop: Shop) -> None:
    first = shop.keys.current()
    path = shop.home / "secrets" / "link-keys.json"
    held = orjson.loads(path.read_bytes())
    held["keys"][0]["created"] -= 31 * 86_400
    path.write_bytes(orjson.dumps(held))
    assert shop.keys.current().id != first.id
    assert shop.keys.find(first.id) is not None, "links that are open live on"


def test_keys_that_others_may_read_are_not_used(shop: Shop) -> None:
    shop.keys.current()
    path = shop.home / "secrets" / "link-keys.json"
    path.chmod(0o644)
    with pytest.raises(Defect) as caught:
        LinkKeys(shop.home).current()
    assert caught.value.kind == "secret.exposed"


def test_a_secret_is_shown_nowhere(shop: Shop) -> None:
    key = shop.keys.current()
    assert key.secret.hex() not in repr(key)
    assert key.secret.hex() not in shop.link()
