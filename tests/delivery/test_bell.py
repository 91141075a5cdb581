"""What the bell hears of orders and subscriptions: each thing that is to be done, once; else nothing."""

import copy
import time
from datetime import timedelta

import pytest

from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.order_due import Changes, due_orders
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.order_tending import making_lock
from catalogs.delivery.subscriptions import SubscriptionRequest
from catalogs.delivery.subscriptions_desk import open_subscriptions, subscribe
from configs.settings import Home
from pipelines import bell_ears
from pipelines.bell_ears import OrderEar, SubscriptionEar
from pipelines.deliver import due
from pipelines.deliver_requests import DeliverRequest
from pipelines.subscriptions_serve import serve
from processing.archive import durable


@pytest.fixture
def passes(monkeypatch):
    """Time as the ears know it."""
    now = [time.monotonic()]
    monkeypatch.setattr(bell_ears.time, "monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def test_an_order_is_heard_until_it_is_made(house, passes):
    ear = OrderEar(Home(house.home))
    assert ear.sounds() == frozenset(), "nobody has ordered anything"
    order = house.order("akimat")
    (first,) = ear.sounds()
    assert order.id in first
    assert ear.sounds() == {first}
    passes(121)
    (again,) = ear.sounds()
    assert again != first, "nobody saw to it: its run may have died"
    house.make(order.id)
    assert ear.sounds() == frozenset()


def test_an_order_that_is_being_made_needs_nobody_else(house, passes):
    ear = OrderEar(Home(house.home))
    order = house.order("akimat")
    with durable.exclusive(making_lock(house.home, order.id)):
        assert ear.sounds() == frozenset()
        assert due.fn(DeliverRequest(home=str(house.home))) == {"orders": []}
    passes(61)
    assert len(ear.sounds()) == 1, "its run has died"
    assert due.fn(DeliverRequest(home=str(house.home))) == {"orders": [order.id]}
    for _ in range(2):
        house.make(order.id)
    events = (house.home / "logs" / "events.jsonl").read_text()
    assert events.count('"order.delivered"') == 1


def test_what_time_alone_makes_due_is_heard_within_a_minute(house, passes, monkeypatch):
    order = house.order("akimat")
    house.make(order.id)
    ear = OrderEar(Home(house.home))
    assert ear.sounds() == frozenset()
    expires = house.find(order.id).expires
    assert due_orders(house.home, expires - timedelta(seconds=1)) == frozenset()
    assert due_orders(house.home, expires) == {order.id}
    monkeypatch.setattr("catalogs.delivery.order_due.is_changed_by_time", lambda found, now: found.id == order.id)
    assert ear.sounds() == frozenset(), "the file has not changed"
    passes(61)
    assert len(ear.sounds()) == 1


def test_subscriptions_are_heard_when_there_is_something_new_and_come_to_rest(house):
    home, collection = Home(house.home), house.product.collection
    ear = SubscriptionEar(home)
    assert ear.sounds() == frozenset(), "nobody has ordered or subscribed"
    house.order()
    heard = ear.sounds()
    assert settled(home, ear)[0] <= heard
    asked = SubscriptionRequest.model_validate({"area": house.inner(0, 0, 1, 1), "collections": (collection,)})
    with open_subscriptions(home.path) as place:
        asking = place.desk.asking(place.desk.customers.party(house.ids["akimat"]), now=now_utc() - timedelta(hours=1))
        subscribe(place, asking, asked)
    assert len(ear.sounds() - heard) == 1
    heard, _ = settled(home, ear)
    item = copy.deepcopy(house.item) | {"id": "NEW"}
    item["properties"] |= {"published": now_utc().isoformat().replace("+00:00", "Z"), "version": "1"}
    with open_desk(home.path) as desk:
        desk.store.put_item(item)
    assert ear.sounds() - heard
    heard, record = settled(home, ear)
    assert record["orders"] == 1
    with open_desk(home.path) as desk:
        mine = [one for one in desk.orders.listed() if one.subscription and one.items[0].name == house.name]
    house.make(mine[0].id)
    assert [line for line in ear.sounds() - heard if line.startswith("tell: ")]
    heard, _ = settled(home, ear)
    (home.path / "configs").mkdir(exist_ok=True)
    (home.path / "configs" / "subscriptions.yaml").write_text("most: 7\n")
    assert ear.sounds() - heard, "other rules may let through what others held back"


def settled(home, ear):
    """See to all subscriptions until nothing new is heard; what there is to hear then, and what the first run did."""
    first = serve(home.path)
    for _ in range(2):
        heard = ear.sounds()
        serve(home.path)
        if ear.sounds() <= heard:
            return ear.sounds(), first
    raise AssertionError("each run gives a reason for the next one")


def test_changes_are_those_of_others_and_outlive_another_file(house, tmp_path):
    path = house.home / "catalogue" / "catalogue.sqlite"
    changes = Changes(path)
    before = changes.count()
    assert before == changes.count() != ""
    with open_desk(house.home) as desk:
        desk.store.put_item(house.item)
    after = changes.count()
    assert after != before
    copied = tmp_path / "copy"
    copied.write_bytes(path.read_bytes())
    copied.replace(path)
    assert changes.count() not in (before, after)
    path.unlink()
    assert changes.count() == ""
