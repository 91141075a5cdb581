"""New items found and ordered for whoever subscribed to them: each version once, decided by the policy of the moment.

A look may be repeated, killed at any point and begun again: what was met with stands in the database, and an order's
submission key is made of the subscription and the version of the item, so that the same order is never there twice.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from catalogs.customers.register import UnknownCustomer
from catalogs.customers.usage import QuotaExhausted
from catalogs.delivery.order import Order
from catalogs.delivery.order_desk import HOUSE, submit
from catalogs.delivery.order_states import OrderState
from catalogs.delivery.quote import Asking, quote_order
from catalogs.delivery.subscriptions import NewVersions, Subscription, SubscriptionState, moment
from catalogs.delivery.subscriptions_desk import Subscriptions, end, wanted_items
from catalogs.delivery.subscriptions_store import (
    ANNOUNCED,
    DELAYED,
    DELIVERED,
    DENIED,
    LICENCE,
    LIMIT,
    OLDER,
    ORDERED,
    OVER,
    PLACING,
    QUOTA,
    REFUSED,
    SUPERSEDED,
    TRIED_AGAIN,
    Met,
)
from catalogs.delivery.subscriptions_tell import of_item, of_order
from catalogs.policy.decide import decide
from catalogs.policy.terms import Action, Effect, Party, product_facts
from catalogs.store.protocol import Item
from processing.archive import durable
from processing.model.errors import BadInput, Conflict, Denied, QyranError

log = logging.getLogger(__name__)
_PAGE = 100
_TRIED_AGAIN_AFTER = timedelta(hours=6)
_HAD = (PLACING, ORDERED, DELIVERED)
_UNTOLD = ("order.outside", "order.footprint")
"""It touches the area, and shows nothing of it: no news."""
_ENDS = (OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED)
LOCK = "orders/subscriptions.lock"


@dataclass(slots=True)
class Looked:
    """What one look came to."""

    subscriptions: int = 0
    orders: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """Subscriptions that could not be seen to; they are tried again with the next look."""

    def count(self, outcome: str) -> None:
        """One more item with this outcome."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.orders += outcome == ORDERED


def look(place: Subscriptions, now: datetime) -> Looked:
    """Order what is new for every subscription that goes on, and follow what was ordered. One look at a time."""
    found = Looked()
    with durable.exclusive(place.desk.home / LOCK):
        for subscription in reversed(place.store.listed(states=(SubscriptionState.ACTIVE,))):
            try:
                _Look(place, subscription, now, found).go()
            except QyranError as error:
                # One that fails stops no other.
                log.exception("subscription %s could not be seen to", subscription.id)
                found.faults.append(f"{subscription.id}: {error.kind}")
        _follow(place, now)
    return found


def party_of(place: Subscriptions, customer: str, now: datetime) -> Party | None:
    """A customer as policy sees it now; None if it may not come in."""
    if customer == HOUSE.id:
        return HOUSE
    try:
        return place.desk.customers.party(customer, now)
    except UnknownCustomer:
        return None


def order_key(subscription: str, item: str, version: str) -> str:
    """The submission key of the one order of a version of an item for a subscription."""
    return f"{subscription}:{hashlib.sha256(f'{item}@{version}'.encode()).hexdigest()[:32]}"


class _Look:
    """One look for one subscription."""

    def __init__(self, place: Subscriptions, subscription: Subscription, now: datetime, found: Looked) -> None:
        self.place, self.subscription, self.now, self.found = place, subscription, now, found
        self.store = place.store

    def go(self) -> None:
        """Try again what is due, then see to what is new."""
        ends = self.subscription.request.ends
        if ends is not None and self.now >= ends:
            end(self.place, self.subscription.id, HOUSE.id, reason="subscription.over")
            return
        party = party_of(self.place, self.subscription.customer, self.now)
        if party is None:
            return
        self.found.subscriptions += 1
        asking = self.place.desk.asking(party, now=self.now)
        for met in self.store.met_with(*TRIED_AGAIN, due=self.now):
            if met.subscription == self.subscription.id and self._room():
                self._again(asking, met)
        since, at_all = self._since(asking)
        for item in self._matching(asking, since):
            if not self._room():
                return  # the rest with the next look: this one is not noted as done
            self._meet(asking, item)
        self.store.set_looked(self.subscription.id, self.now, asking.policy.sha256, at_all=at_all)

    def _room(self) -> bool:
        return self.found.orders < self.place.rules.orders_a_run

    def _since(self, asking: Asking) -> tuple[datetime, bool]:
        """From which moment on to look; and whether that is all since it began."""
        looked, looked_at_all, policy = self.store.looked(self.subscription.id)
        if looked is None or looked_at_all is None or policy != asking.policy.sha256:
            return self.subscription.since, True  # another policy may show what was hidden
        again = datetime.fromisoformat(looked_at_all) + timedelta(hours=self.place.rules.look_again_hours)
        if self.now >= again:
            return self.subscription.since, True
        overlap = timedelta(hours=self.place.rules.overlap_hours)
        return max(self.subscription.since, datetime.fromisoformat(looked) - overlap), False

    def _matching(self, asking: Asking, since: datetime) -> Iterator[Item]:
        wanted = wanted_items(self.subscription.request, since).model_copy(update={"limit": _PAGE})
        while True:
            page = asking.store.search(wanted, asking.entitlement)
            for item in page.items:
                seen = decide(product_facts(item), Action.DISCOVER, asking.party, self.now, asking.policy)
                if seen.effect is not Effect.DENY:
                    yield item
            if page.next is None:
                return
            wanted = wanted.model_copy(update={"token": page.next})

    def _meet(self, asking: Asking, item: Item) -> None:
        name, version = _named(item)
        rows = self.store.met(self.subscription.id, name)
        known = next((met for met in rows if met.version == version), None)
        if known is not None:
            if known.outcome == DENIED and known.policy != asking.policy.sha256:
                self._order(asking, known)
            return
        met = self._new(name, version)
        if any(row.outcome in _HAD for row in rows):
            if self.subscription.request.new_versions is NewVersions.ANNOUNCE:
                self.store.put(replace(met, outcome=ANNOUNCED))
                return
        elif any(row.outcome == OLDER for row in rows) or self._was_there(asking, item):
            self.store.put(replace(met, outcome=OLDER))
            return
        for row in rows:
            if row.outcome not in (*_HAD, OVER):
                self.store.put(replace(row, outcome=SUPERSEDED, due=None))
        self._order(asking, met)

    def _was_there(self, asking: Asking, item: Item) -> bool:
        """Whether it is an old item made anew: an earlier version was catalogued before the subscription began."""
        for earlier in asking.store.versions(str(item["collection"]), str(item["id"])):
            said = earlier["properties"].get("published") or earlier["properties"].get("created")
            if said is not None and datetime.fromisoformat(str(said)) < self.subscription.since:
                return True
        return False

    def _again(self, asking: Asking, met: Met) -> None:
        """Try once more what waited, or what was interrupted."""
        party = asking.party.id
        placed = self.place.desk.orders.by_key(party, order_key(met.subscription, met.item, met.version))
        if placed is not None:
            self._ordered(met, placed)
            return
        collection, _, item_id = met.item.partition("/")
        item = asking.store.get_item(collection, item_id, asking.entitlement)
        if item is None:
            self.store.put(replace(met, outcome=REFUSED, reason="order.item_unknown", due=None))
        elif _named(item)[1] != met.version:
            self.store.put(replace(met, outcome=SUPERSEDED, due=None))
            self._meet(asking, item)
        else:
            self._order(asking, met)

    def _order(self, asking: Asking, met: Met) -> None:
        """Decide now, and order if that is the answer."""
        met = replace(met, policy=asking.policy.sha256, reason=None, due=None, since=str(moment(self.now)))
        limits = self.subscription.request.limits
        request = self.subscription.order_request(met.item, order_key(met.subscription, met.item, met.version))
        later = moment(self.now + _TRIED_AGAIN_AFTER)
        try:
            quote = quote_order(asking, request)
            if quote.until is not None and quote.until > self.now:
                self._told(replace(met, outcome=DELAYED, due=moment(quote.until)))
                return
            met = replace(met, outcome=PLACING, km2=str(quote.km2), amount=str(quote.amount))
            if not self.store.reserve(met, km2=limits.km2_month, amount=limits.amount_month):
                self._told(_unpaid(replace(met, outcome=LIMIT)))
                return
            order = submit(self.place.desk, asking, request, subscription=self.subscription.id)
        except QuotaExhausted:
            self._told(_unpaid(replace(met, outcome=QUOTA, due=later)))
        except (BadInput, Denied, Conflict) as error:
            if error.kind == "order.licence":
                self._told(_unpaid(replace(met, outcome=LICENCE, due=later, reason=error.kind)))
            elif error.kind == "order.denied":
                self._told(_unpaid(replace(met, outcome=DENIED)))
            else:
                refused = _unpaid(replace(met, outcome=REFUSED, reason=error.kind))
                self._told(refused, tell=error.kind not in _UNTOLD)
        else:
            self._ordered(met, order)

    def _ordered(self, met: Met, order: Order) -> None:
        ordered = replace(
            met, outcome=ORDERED, order_id=order.id, told=str(order.state), due=None, km2=str(order.km2),
            amount=str(order.price.amount),
        )  # fmt: skip
        notice = of_order(self.subscription, met, order, placed=True)
        self.store.put(ordered, [notice] if notice is not None else [])
        version = order.items[0].version
        if version != met.version:  # another version came between the look and the order: that one is had
            self.store.put(replace(self._new(met.item, version), outcome=ANNOUNCED))
        self.found.count(ORDERED)

    def _told(self, met: Met, *, tell: bool = True) -> None:
        self.store.put(met, [of_item(self.subscription, met)] if tell else [])
        self.found.count(met.outcome)

    def _new(self, item: str, version: str) -> Met:
        return Met(
            subscription=self.subscription.id, item=item, version=version, outcome=PLACING, since=str(moment(self.now))
        )


def _named(item: Item) -> tuple[str, str]:
    return f"{item['collection']}/{item['id']}", str(item["properties"].get("version", ""))


def _unpaid(met: Met) -> Met:
    return replace(met, km2="0", amount="0")


def _follow(place: Subscriptions, now: datetime) -> None:
    """Tell what became of orders that were made for subscriptions."""
    for met in place.store.met_with(ORDERED):
        assert met.order_id is not None
        order = place.desk.orders.find(met.order_id)
        if str(order.state) == met.told and order.state not in _ENDS:
            continue
        notice = of_order(place.store.find(met.subscription), met, order)
        told = replace(met, told=str(order.state))
        if order.state in (OrderState.READY, OrderState.DELIVERED):
            told = replace(told, outcome=DELIVERED)
        elif order.state in _ENDS:
            told = replace(told, outcome=OVER) if order.package is not None else _unpaid(replace(told, outcome=OVER))
        place.store.put(told, [notice] if notice is not None else [], now=now)
