"""Subscriptions: each new item ordered once, as policy decides then; told once, to whom it may be told."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from catalogs.customers.accounts import Details, Quota, Status
from catalogs.delivery import subscriptions_scan
from catalogs.delivery.order import OrderState
from catalogs.delivery.order_decisions import cancel
from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.subscriptions import SubscriptionRequest, SubscriptionState
from catalogs.delivery.subscriptions_desk import end, open_subscriptions, pause, resume, subscribe
from catalogs.delivery.subscriptions_erasure import erase_subscriptions, subscriptions_of
from catalogs.delivery.subscriptions_send import MAIL, notices
from catalogs.policy.audit import AuditLog
from catalogs.policy.terms import CustomerClass
from pipelines.subscriptions import ServeRequest, serve_subscriptions
from pipelines.subscriptions_serve import serve
from processing.model.errors import BadInput, Conflict
from tests.delivery.conftest import House

LICENCE = "kz-export-eula-2"
LONG_AGO = timedelta(days=400)
LOOK = """
import sys
from pathlib import Path
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.subscriptions_desk import open_subscriptions
from catalogs.delivery.subscriptions_scan import look

with open_subscriptions(Path(sys.argv[1])) as place:
    look(place, now_utc())
"""


class Subscribed:
    """A house with subscribers."""

    def __init__(self, house: House) -> None:
        self.house, self.home = house, house.home

    def add(self, customer: str = "buyer", *, ago: timedelta = timedelta(minutes=1), **asked):
        """Subscribe, some time ago."""
        facts = {"area": self.house.inner(0, 0, 1, 1), "collections": (self.house.product.collection,)}
        if customer in ("buyer", "rival", "unpaid"):
            facts["order"] = {"licence_accepted": LICENCE}
        with open_subscriptions(self.home) as place:
            asking = place.desk.asking(place.desk.customers.party(self.house.ids[customer]), now=now_utc() - ago)
            return subscribe(place, asking, SubscriptionRequest.model_validate(facts | asked))[0]

    def catalogue(
        self, name: str, *, acquired: datetime | None = None, published: datetime | None = None, **properties
    ):
        """A new item, or a new version of it."""
        item = copy.deepcopy(self.house.item) | {"id": name}
        item["properties"] |= {"published": rfc(published or now_utc()), "version": "1"} | properties
        if acquired is not None:
            item["properties"]["datetime"] = rfc(acquired)
        with open_desk(self.home) as desk:
            desk.store.put_item(item)
        return f"{item['collection']}/{name}"

    def serve(self, after: timedelta = timedelta(0)):
        return serve(self.home, now_utc() + after)

    def orders(self, subscription):
        with open_desk(self.home) as desk:
            return [order for order in desk.orders.listed() if order.subscription == subscription.id]

    def met(self, subscription):
        with open_subscriptions(self.home) as place:
            return {one.item.rpartition("/")[2]: one for one in place.store.met(subscription.id)}

    def told(self, customer: str = "buyer"):
        with open_subscriptions(self.home) as place:
            return notices(place, customer=self.house.ids[customer])


def rfc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def subscribed(house):
    (house.home / "configs").mkdir(exist_ok=True)
    (house.home / "configs" / "catalogue.yaml").write_text("public_url: https://data.example\n")
    house = replace(house, item=copy.deepcopy(house.item), ids=dict(house.ids))  # other tests use the same
    house.item["properties"]["published"] = rfc(now_utc() - timedelta(days=300))
    with open_desk(house.home) as desk:
        desk.store.put_item(house.item)
    return Subscribed(house)


def test_each_new_item_is_ordered_once_however_often_and_by_how_many_it_is_looked_for(subscribed):
    subscription = subscribed.add()
    for name in ("A", "B", "C"):
        subscribed.catalogue(name)
    running = [subprocess.Popen([sys.executable, "-c", LOOK, str(subscribed.home)]) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    assert subscribed.serve()["orders"] == 0
    orders = subscribed.orders(subscription)
    assert sorted(order.items[0].name.rpartition("/")[2] for order in orders) == ["A", "B", "C"]
    assert {order.state for order in orders} == {OrderState.ACCEPTED}
    assert {order.customer for order in orders} == {subscribed.house.ids["buyer"]}
    with open_desk(subscribed.home) as desk:
        used = desk.customers.used("buyer")["km2"]
    assert used == pytest.approx(float(sum(order.km2 for order in orders)))
    assert [one["type"] for one in subscribed.told()] == ["order.placed"] * 3


def test_a_look_that_is_killed_at_any_point_is_made_up_for(subscribed, monkeypatch):
    subscription = subscribed.add()
    subscribed.catalogue("A")
    real = subscriptions_scan.submit

    def before(*_, **__):
        raise KeyboardInterrupt

    def behind(*given, **named):
        real(*given, **named)
        raise KeyboardInterrupt

    for killed in (before, behind):
        monkeypatch.setattr(subscriptions_scan, "submit", killed)
        with pytest.raises(KeyboardInterrupt), open_subscriptions(subscribed.home) as place:
            subscriptions_scan.look(place, now_utc())
        assert subscribed.met(subscription)["A"].outcome == "placing"
    monkeypatch.setattr(subscriptions_scan, "submit", real)
    subscribed.serve()
    (order,) = subscribed.orders(subscription)
    assert subscribed.met(subscription)["A"].order_id == order.id
    with open_desk(subscribed.home) as desk:
        assert desk.customers.used("buyer")["km2"] == pytest.approx(float(order.km2))


def test_only_what_matches_and_is_newly_catalogued_is_ordered(subscribed):
    now = now_utc()
    subscribed.catalogue("earlier", published=now - timedelta(days=3))
    cloudless = subscribed.add(cloud_cover=20.0, acquired_from=rfc(now - timedelta(days=100)))
    elsewhere = subscribed.add(area={"type": "Polygon", "coordinates": [[[60, 45], [61, 45], [61, 46], [60, 45]]]})
    taken = {"acquired": now - timedelta(days=30)}
    subscribed.catalogue("clear", **taken, **{"eo:cloud_cover": 5.0})
    subscribed.catalogue("cloudy", **taken, **{"eo:cloud_cover": 60.0})
    subscribed.catalogue("untested", **taken)
    subscribed.catalogue("old", acquired=now - timedelta(days=200), **{"eo:cloud_cover": 5.0})
    # An old item that is made anew is no new pass.
    subscribed.catalogue("earlier", version="2", **taken, **{"eo:cloud_cover": 5.0})
    assert subscribed.serve()["orders"] == 1
    assert set(subscribed.met(cloudless)) == {"clear", "earlier"}
    assert subscribed.met(cloudless)["earlier"].outcome == "older"
    assert subscribed.orders(elsewhere) == []
    # One that waited for somebody, and is older than the last looks reach back, is found with the next full one.
    subscribed.catalogue("late", published=now - timedelta(seconds=30), **taken, **{"eo:cloud_cover": 5.0})
    assert subscribed.serve(timedelta(hours=30))["orders"] == 1


def test_policy_decides_when_an_item_comes_and_says_no_more_than_it_may(subscribed):
    house, now = subscribed.house, now_utc()
    state, abroad = subscribed.add("akimat"), subscribed.add("buyer")
    subscribed.catalogue("fresh", acquired=now - timedelta(hours=100))
    assert subscribed.serve()["outcomes"] == {"ordered": 1, "delayed": 1}
    assert [order.items[0].ruling.effect for order in subscribed.orders(state)] == ["allow"]
    assert subscribed.orders(abroad) == []
    (told,) = subscribed.told()
    assert (told["type"], told["data"]["until"]) == ("item.delayed", rfc(now + timedelta(hours=20)))
    assert "R05" not in json.dumps(told)
    assert subscribed.serve(timedelta(hours=19))["orders"] == 0
    assert subscribed.serve(timedelta(hours=20, minutes=1))["orders"] == 1
    (order,) = subscribed.orders(abroad)
    # All of it becomes excluded: nobody hears of what comes then, until another policy shows it.
    heard = subscribed.told()
    house.excluded(house.inner(-1, -1, 2, 2))
    subscribed.catalogue("excluded", acquired=now - LONG_AGO)
    assert subscribed.serve()["outcomes"] == {}
    assert subscribed.told() == heard
    house.excluded(house.inner(5, 5, 6, 6))
    assert subscribed.serve()["outcomes"] == {"ordered": 2}
    assert order.id in {found.id for found in subscribed.orders(abroad)}


def test_what_may_be_known_of_and_not_had_is_denied_in_plain_words(subscribed):
    """To whoever is no customer in particular, fine images are shown in the catalogue, and never delivered."""
    with open_desk(subscribed.home) as desk:
        subscribed.house.ids["guest"] = desk.customers.add("guest", Details(customer_class=CustomerClass.PUBLIC)).id
    subscription = subscribed.add("guest")
    subscribed.catalogue("A")
    assert subscribed.serve()["outcomes"] == {"denied": 1}
    (told,) = subscribed.told("guest")
    assert told["type"] == "item.denied"
    assert set(told["data"]) == {"subscription", "item", "version", "links"}
    assert subscribed.serve(timedelta(hours=30))["outcomes"] == {}
    assert subscribed.met(subscription)["A"].public()["outcome"] == "denied"
    # Another policy is asked again; told is what is new.
    (subscribed.home / "configs" / "catalogue.yaml").write_text("policy: open-data\n")
    assert subscribed.serve()["outcomes"] == {"ordered": 1}
    assert [one["type"] for one in subscribed.told("guest")] == ["order.placed", "item.denied"]


def test_held_unpaid_and_limited_are_results(subscribed):
    held, unpaid = subscribed.add("rival"), subscribed.add("unpaid")
    limited = subscribed.add("buyer", limits={"km2_month": "2"})
    area = float(subscribed.house.order().km2)
    assert 1 < area < 2
    for name in ("A", "B"):
        subscribed.catalogue(name, **{"qyran:ce90_m": 5.0})
    assert subscribed.serve()["outcomes"] == {"ordered": 5, "limit": 1}
    assert {order.history[-1].reason for order in subscribed.orders(held)} == {"approval.needed"}
    assert {order.history[-1].reason for order in subscribed.orders(unpaid)} == {"payment.due"}
    (order,) = subscribed.orders(limited)
    assert sorted(one["type"] for one in subscribed.told()) == ["item.limit", "order.placed"]
    # What was called off makes room again, and is told.
    with open_desk(subscribed.home) as desk:
        cancel(desk, order.id, order.customer)
    subscribed.serve()
    assert subscribed.told()[0]["type"] == "order.cancelled"
    subscribed.catalogue("C")
    subscribed.serve()
    assert len(subscribed.orders(limited)) == 2


def test_quotas_suspension_pauses_and_ends_hold(subscribed):
    now = now_utc()
    scarce, ending = subscribed.add("buyer"), subscribed.add("akimat", ends=rfc(now + timedelta(hours=1)))
    with open_desk(subscribed.home) as desk:
        desk.customers.set_quota("buyer", Quota(km2_month=0.5))
    subscribed.catalogue("A")
    assert subscribed.serve()["outcomes"] == {"quota": 1, "ordered": 1}
    assert subscribed.told()[0]["type"] == "item.quota"
    with open_desk(subscribed.home) as desk:
        desk.customers.set_quota("buyer", Quota(km2_month=50.0))
        desk.customers.set_status("buyer", Status.SUSPENDED)
    assert subscribed.serve(timedelta(hours=7))["orders"] == 0
    with open_desk(subscribed.home) as desk:
        desk.customers.set_status("buyer", Status.ACTIVE)
    assert subscribed.serve(timedelta(hours=7))["orders"] == 1
    with open_subscriptions(subscribed.home) as place:
        assert place.store.find(ending.id).state == SubscriptionState.ENDED
        assert pause(place, scarce.id, "c").state == SubscriptionState.PAUSED
        with pytest.raises(Conflict):
            pause(place, scarce.id, "c")
    assert subscribed.told("akimat")[0]["data"]["reason"] == "subscription.over"
    subscribed.catalogue("meanwhile", published=now - timedelta(seconds=20))
    assert subscribed.serve()["orders"] == 0
    with open_subscriptions(subscribed.home) as place:
        resume(place, scarce.id, "c")
    subscribed.catalogue("after", published=now_utc() + timedelta(hours=7))
    assert subscribed.serve(timedelta(hours=7))["outcomes"] == {"ordered": 1}
    assert "meanwhile" not in subscribed.met(scarce)
    with open_subscriptions(subscribed.home) as place:
        assert end(place, scarce.id, "c").state == end(place, scarce.id, "c").state == SubscriptionState.ENDED
    subscribed.catalogue("too late")
    assert subscribed.serve()["subscriptions"] == 0


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"collections": ("no-such",)}, "subscription.collection"),
        ({"recipe": "no-such"}, "subscription.recipe"),
        ({"area": {"type": "Point", "coordinates": [1, 2]}}, "order.clip"),
        ({"ends": "2020-01-01T00:00:00Z"}, "subscription.ends"),
        ({"order": {}}, "order.licence"),
        ({"order": {"licence_accepted": LICENCE, "bands": ["violet"]}}, "order.bands"),
        ({"order": {"licence_accepted": LICENCE, "crs": "EPSG:26910"}}, "order.crs"),
        ({"notify": {"webhook": "http://hooks.example/x"}}, "subscription.webhook"),
        ({"notify": {"webhook": "https://127.0.0.1/x"}}, "subscription.webhook"),
    ],
)
def test_what_cannot_be_is_refused_in_plain_words(subscribed, asked, kind):
    with pytest.raises(BadInput) as caught:
        subscribed.add(**asked)
    assert caught.value.kind == kind


def test_keys_and_numbers_of_subscriptions(subscribed):
    first = subscribed.add(submission_key="k")
    assert subscribed.add(submission_key="k").id == first.id
    with pytest.raises(Conflict):
        subscribed.add(submission_key="k", cloud_cover=10.0)
    (subscribed.home / "configs" / "subscriptions.yaml").write_text("most: 1\n")
    with pytest.raises(BadInput, match="may have 1"):
        subscribed.add()


def test_a_new_version_is_announced_once_to_all_who_have_an_earlier_one(subscribed):
    house = subscribed.house
    subscription = subscribed.add("buyer", ago=LONG_AGO, notify={"mail": "eo@buyer.example", "language": "ru"})
    with open_desk(house.home) as desk:
        details = Details(customer_class=CustomerClass.GOV_DOMESTIC, country="KZ", email="gis@akimat.example")
        desk.customers.change("akimat", details)
    subscribed.serve()
    (order,) = subscribed.orders(subscription)
    by_hand = house.order("akimat")
    for one in (order, by_hand):
        assert house.make(one.id).state == OrderState.READY
    subscribed.serve()
    assert [one["type"] for one in subscribed.told()] == ["order.ready", "order.placed"]
    assert subscribed.told("akimat") == subscribed.told("rival") == []
    mails = subscribed.home / MAIL
    for path in mails.glob("*.eml"):
        path.unlink()
    subscribed.catalogue(
        house.product.id, version="f" * 12, published=now_utc(),
        **{"accuracy:geometric_rmse": 2.5, "product:timeliness_category": "NTC"},
    )  # fmt: skip
    assert subscribed.serve()["announced"] == 2
    assert subscribed.serve(timedelta(hours=12))["announced"] == 0
    told = subscribed.told()[0]["data"]
    assert (told["version"], told["earlier_order"]) == ("f" * 12, order.id)
    assert told["earlier_version"] == house.product.revision
    assert told["changes"] == [
        {"property": "product:timeliness_category", "was": None, "now": "NTC"},
        {"property": "accuracy:geometric_rmse", "was": None, "now": 2.5},
    ]
    assert {"rel": "item", "type": "application/geo+json",
            "href": f"https://data.example/stac/collections/{house.product.collection}/items/{house.product.id}"
            } in told["links"]  # fmt: skip
    letters = sorted(path.read_text() for path in mails.glob("*.eml"))
    assert len(letters) == 2
    assert sum("To: eo@buyer.example" in text and "Что изменилось" in text for text in letters) == 1
    assert sum("To: gis@akimat.example" in text and "What changed" in text for text in letters) == 1
    # It is announced, not ordered: that is for those who ask for it.
    assert len(subscribed.orders(subscription)) == 1


def test_new_versions_are_delivered_to_whoever_wants_them(subscribed):
    subscription = subscribed.add(new_versions="deliver")
    subscribed.catalogue("A")
    subscribed.serve()
    subscribed.catalogue("A", version="2")
    subscribed.serve()
    subscribed.serve()
    assert sorted(order.items[0].version for order in subscribed.orders(subscription)) == ["1", "2"]


def test_mail_files_hold_one_letter_each_and_stand_on_record_before(subscribed):
    subscription = subscribed.add(notify={"mail": "eo@buyer.example"})
    subscribed.catalogue("A")
    subscribed.serve()
    subscribed.serve()
    (path,) = (subscribed.home / MAIL).glob("*.eml")
    text = path.read_text()
    assert text.startswith("From: qyran@localhost\n")
    assert f"https://data.example/orders/{subscribed.orders(subscription)[0].id}" in text
    rows = [entry.document for entry in AuditLog.open(subscribed.home).entries()]
    assert [row["request_id"] for row in rows if row["action"] == "notice.send"] == [path.stem]
    with pytest.raises(ValueError, match="e-mail"):
        subscribed.add(notify={"mail": "a@b.example\nBcc: everybody@else.example"})


def test_what_is_hidden_by_now_is_not_told_any_more(subscribed):
    (subscribed.home / "configs" / "subscriptions.yaml").write_text("notices_a_run: 1\n")
    subscribed.add(notify={"mail": "eo@buyer.example"})
    subscribed.catalogue("A")
    subscribed.catalogue("B")
    assert subscribed.serve()["notices"]["sent"] == 1
    subscribed.house.excluded(subscribed.house.inner(-1, -1, 2, 2))
    assert subscribed.serve()["notices"] == {"sent": 0, "later": 0, "given_up": 0, "withheld": 1}
    assert len(list((subscribed.home / MAIL).glob("*.eml"))) == 1


def test_who_is_forgotten_has_no_subscription_and_no_notice(subscribed):
    subscription = subscribed.add(notify={"mail": "eo@buyer.example"})
    other = subscribed.add("akimat", notify={"mail": "gis@akimat.example"})
    subscribed.catalogue("A")
    subscribed.serve()
    customer = subscribed.house.ids["buyer"]
    assert [one["id"] for one in subscriptions_of(subscribed.home, customer)] == [subscription.id]
    assert erase_subscriptions(subscribed.home, customer) == 1
    assert subscriptions_of(subscribed.home, customer) == []
    assert subscribed.told() == []
    with open_subscriptions(subscribed.home) as place:
        with pytest.raises(BadInput):
            place.store.find(subscription.id)
        assert place.store.find(other.id).request.notify.mail == "gis@akimat.example"
    assert ["gis@" in path.read_text() for path in (subscribed.home / MAIL).glob("*.eml")] == [True]
    stored = b"".join(path.read_bytes() for path in (subscribed.home / "orders").glob("subscriptions.db*"))
    assert b"eo@buyer" not in stored


def test_the_flow_sees_to_all(subscribed, prefect):
    subscription = subscribed.add(limits={"amount_month": str(Decimal(100_000))})
    subscribed.catalogue("A")
    state = serve_subscriptions(ServeRequest(home=str(subscribed.home)), return_state=True)
    assert state.is_completed()
    assert state.message == "1 subscriptions, 1 orders, 0 notices"
    assert state.result()["outcomes"] == {"ordered": 1}
    assert len(subscribed.orders(subscription)) == 1
