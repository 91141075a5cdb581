"""New versions of what was delivered, announced once to everyone who has an earlier one, however it was ordered."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from catalogs.delivery.order_desk import HOUSE
from catalogs.delivery.subscriptions import SubscriptionState, moment
from catalogs.delivery.subscriptions_desk import Subscriptions, channels_of, published_since
from catalogs.delivery.subscriptions_scan import party_of
from catalogs.delivery.subscriptions_store import Notice
from catalogs.policy.decide import decide
from catalogs.policy.terms import Action, Effect, product_facts
from catalogs.store.protocol import Item, SearchRequest
from processing.model.errors import BadInput

COMPARED = (
    "product:timeliness_category", "product:timeliness", "processing:level", "processing:version",
    "processing:software", "eo:cloud_cover", "accuracy:geometric_rmse", "qyran:ce90_m", "gsd", "qyran:warnings",
)  # fmt: skip
"""Properties of an item whose change a customer is told."""
_BATCH = 500
_USAGE, _NEWS, _ALL = "usage", "news", "news-of-all"


def announce(place: Subscriptions, now: datetime) -> int:
    """Note what was delivered since the last time, and announce what is superseded; how many announcements are new.

    Mostly only what was catalogued lately is looked at; now and then everything that was ever delivered.
    """
    _note_received(place)
    again = timedelta(hours=place.rules.look_again_hours)
    at_all = _place(place, _ALL)
    everything = at_all is None or now >= datetime.fromisoformat(at_all) + again
    told = 0
    for item in _received(place) if everything else _lately(place, now):
        told += _announce(place, item, now)
    _set_place(place, _NEWS, str(moment(now)))
    if everything:
        _set_place(place, _ALL, str(moment(now)))
    return told


def changes(earlier: Mapping[str, Any] | None, latest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is another than it was, of what a customer is told: ``property``, ``was``, ``now``."""
    if earlier is None:
        return []
    was, now = earlier["properties"], latest["properties"]
    return [
        {"property": name, "was": was.get(name), "now": now.get(name)}
        for name in COMPARED
        if was.get(name) != now.get(name)
    ]


def _note_received(place: Subscriptions) -> None:
    """Who has which version of what: from the rows that count deliveries, which are only ever added to."""
    while True:
        after = int(_place(place, _USAGE) or 0)
        with closing(place.desk.orders.connection()) as connection:
            rows = connection.execute(
                "SELECT sequence, order_id, item, customer FROM usage WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, _BATCH),
            ).fetchall()
        if not rows:
            return
        noted = []
        for _, order_id, name, customer in rows:
            order = place.desk.orders.find(order_id)
            version = next((item.version for item in order.items if item.name == name), "")
            noted.append((customer, name, version, order_id, order.subscription))
        with place.store.db.write() as db:
            db.executemany("INSERT OR REPLACE INTO received VALUES (?, ?, ?, ?, ?)", noted)
            db.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (_USAGE, str(rows[-1][0])))


def _lately(place: Subscriptions, now: datetime) -> Iterator[Item]:
    last = _place(place, _NEWS)
    since = (now if last is None else datetime.fromisoformat(last)) - timedelta(hours=place.rules.overlap_hours)
    wanted = SearchRequest(filter=published_since(since), limit=_BATCH)
    while True:
        page = place.desk.store.search(wanted)
        yield from page.items
        if page.next is None:
            return
        wanted = wanted.model_copy(update={"token": page.next})


def _received(place: Subscriptions) -> Iterator[Item]:
    with place.store.db.read() as db:
        names = [str(row[0]) for row in db.execute("SELECT DISTINCT item FROM received")]
    for name in names:
        collection, _, item_id = name.partition("/")
        item = place.desk.store.get_item(collection, item_id)
        if item is not None:
            yield item


def _announce(place: Subscriptions, item: Item, now: datetime) -> int:
    name, version = f"{item['collection']}/{item['id']}", str(item["properties"].get("version", ""))
    with place.store.db.read() as db:
        rows = db.execute(
            "SELECT customer, version, order_id, subscription FROM received WHERE item = ?", (name,)
        ).fetchall()
    had: dict[str, list[Any]] = {}
    for row in rows:
        had.setdefault(row["customer"], []).append(row)
    told = 0
    for customer, versions in had.items():
        if any(row["version"] == version for row in versions):
            continue
        party = party_of(place, customer, now)
        if party is None or customer == HOUSE.id:
            continue
        policy = place.desk.policy
        if decide(product_facts(item), Action.DISCOVER, party, now, policy).effect is Effect.DENY:
            continue
        last = max(versions, key=lambda row: row["order_id"])
        told += place.store.tell(_notice(place, item, last), now)
    return told


def _notice(place: Subscriptions, item: Item, had: Any) -> Notice:
    name, version = f"{item['collection']}/{item['id']}", str(item["properties"].get("version", ""))
    kept = place.desk.store.versions(str(item["collection"]), str(item["id"]))
    earlier = next((one for one in kept if one["properties"].get("version") == had["version"]), None)
    body = {
        "item": name, "version": version, "earlier_version": had["version"], "earlier_order": had["order_id"],
        "changes": changes(earlier, item),
    }  # fmt: skip
    subscription, channels = _ways(place, had["customer"], had["subscription"])
    return Notice(
        key=f"superseded:{had['customer']}:{name}@{version}", customer=had["customer"], subscription=subscription,
        kind="item.superseded", item=name, body=body, channels=channels,
    )  # fmt: skip


def _ways(place: Subscriptions, customer: str, subscription: str | None) -> tuple[str | None, tuple[str, ...]]:
    """As its subscription says, while that has not ended; else by mail to the customer's own address, if any."""
    if subscription is not None:
        try:
            found = place.store.find(subscription)
        except BadInput:
            return None, ()
        if found.state != SubscriptionState.ENDED:
            return found.id, channels_of(found)
    return None, ("mail",) if place.desk.customers.get(customer).details.email else ()


def _place(place: Subscriptions, name: str) -> str | None:
    with place.store.db.read() as db:
        row = db.execute("SELECT value FROM places WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set_place(place: Subscriptions, name: str, value: str) -> None:
    with place.store.db.write() as db:
        db.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (name, value))
