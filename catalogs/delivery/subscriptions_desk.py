"""What is done with subscriptions: looked over and taken in, paused, taken up again, ended."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from catalogs.delivery.order_area import clip_geometry
from catalogs.delivery.order_desk import HOUSE, Desk, audit_of, open_desk
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.quote import Asking, quote_order
from catalogs.delivery.subscriptions import Subscription, SubscriptionRequest, SubscriptionState, moment
from catalogs.delivery.subscriptions_store import Notice, SubscriptionStore, new_subscription_id
from catalogs.delivery.subscriptions_webhook import require_address, webhook_secret
from catalogs.policy.terms import Effect
from catalogs.store.protocol import SearchRequest
from configs.registry import load_registry
from configs.schema.subscriptions import SubscriptionsConfig
from configs.subscriptions import load_subscriptions
from processing.model.errors import BadInput, Conflict, Denied

_EXAMPLES = 5
_OF_THE_ITEM = ("order.denied", "order.item_unknown", "order.outside", "order.footprint", "order.no_price")
"""Why one item is not for a customer, while the next one may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriptions:
    """The desk of orders, and what subscriptions need besides."""

    desk: Desk
    store: SubscriptionStore
    rules: SubscriptionsConfig


@contextmanager
def open_subscriptions(home: Path) -> Iterator[Subscriptions]:
    """The subscriptions of an installation, for one piece of work."""
    with open_desk(home) as desk, opened_for(desk) as found:
        yield found


@contextmanager
def opened_for(desk: Desk) -> Iterator[Subscriptions]:
    """The subscriptions of the installation of a desk."""
    with closing(SubscriptionStore(desk.home)) as store:
        yield Subscriptions(desk=desk, store=store, rules=load_subscriptions(desk.home / "configs"))


def wanted_items(request: SubscriptionRequest, since: datetime | None = None) -> SearchRequest:
    """The search for what a subscription is about, newest first; only what was catalogued ``since``."""
    conditions: list[dict[str, Any]] = []
    if request.recipe is not None:
        conditions.append(_compare("=", "qyran:recipe", request.recipe))
    if request.cloud_cover is not None:
        conditions.append(_compare("<=", "eo:cloud_cover", request.cloud_cover))
    if request.acquired_from is not None:
        conditions.append(_compare(">=", "datetime", {"timestamp": moment(request.acquired_from)}))
    if since is not None:
        conditions.append(published_since(since))
    whole: Mapping[str, Any] | None = conditions[0] if conditions else None
    if len(conditions) > 1:
        whole = {"op": "and", "args": conditions}
    return SearchRequest(
        collections=request.collections, intersects=clip_geometry(request.area).__geo_interface__,
        filter=None if whole is None else dict(whole), limit=_EXAMPLES,
    )  # fmt: skip


def published_since(since: datetime) -> dict[str, Any]:
    """CQL2: catalogued at a moment or later, by what an item says of itself."""
    limit = {"timestamp": moment(since)}
    unsaid = {"op": "isNull", "args": [{"property": "published"}]}
    created = {"op": "and", "args": [unsaid, _compare(">=", "created", limit)]}
    return {"op": "or", "args": [_compare(">=", "published", limit), created]}


def _compare(op: str, name: str, value: Any) -> dict[str, Any]:
    return {"op": op, "args": [{"property": name}, value]}


def forecast(place: Subscriptions, asking: Asking, request: SubscriptionRequest) -> dict[str, Any]:
    """What would come of a subscription, judged by what is in the catalogue now. Nothing is kept.

    Raises
    ------
    BadInput
        ``subscription.*``, ``order.*`` for what cannot be subscribed to so, by anybody.
    """
    _require_sound(place, asking, request)
    found = asking.store.search(wanted_items(request).model_copy(update={"count": True}), asking.entitlement)
    trial = Subscription(
        id="sub", customer=asking.party.id, request=request, created=asking.now, updated=asking.now, since=asking.now
    )
    examples, effects, licences = list[dict[str, Any]](), list[Effect](), set[str]()
    for item in found.items:
        name = f"{item['collection']}/{item['id']}"
        try:
            quote = quote_order(asking, trial.order_request(name, "forecast"))
        except (BadInput, Denied) as error:
            if error.kind not in _OF_THE_ITEM:
                raise
            if error.kind != "order.item_unknown":  # one that is hidden from this customer is not spoken of
                examples.append({"item": name, "decision": "deny", "reason": error.kind})
                effects.append(Effect.DENY)
            continue
        effects.append(Effect(quote.decision))
        licences.update(quote.licences)
        examples.append({
            "item": name, "decision": quote.decision, "until": moment(quote.until), "km2": float(quote.km2),
            "amount": str(quote.amount), "currency": quote.currency,
        })  # fmt: skip
    strictest = max(effects, key=lambda effect: effect.rank, default=None)
    return {
        "matching": found.matched, "examples": examples, "licences": sorted(licences),
        "decision": None if strictest is None else str(strictest), "words": _words(found.matched or 0, effects),
    }  # fmt: skip


def _require_sound(place: Subscriptions, asking: Asking, request: SubscriptionRequest) -> None:
    clip_geometry(request.area)
    if request.ends is not None and request.ends <= asking.now:
        raise BadInput("it would have ended already", kind="subscription.ends", remedy="Name a later moment.")
    for name in request.collections:
        if asking.store.get_collection(name, asking.entitlement) is None:
            raise BadInput(f"there is no collection '{name}'", kind="subscription.collection",
                           remedy="GET /stac/collections lists them.")  # fmt: skip
    if request.recipe is not None and request.recipe not in load_registry(place.desk.home / "configs").recipes:
        raise BadInput(f"there is no recipe '{request.recipe}'", kind="subscription.recipe")
    if request.notify.webhook is not None:
        require_address(request.notify.webhook, place.rules.webhooks)


def _require_licences(asking: Asking, request: SubscriptionRequest, needed: set[str]) -> None:
    given = {name.strip() for name in (request.order.licence_accepted or "").split(",")}
    missing = sorted(needed - given)
    if missing and asking.party.id != HOUSE.id:
        raise BadInput(
            f"the licence '{missing[0]}' has to be accepted first", kind="order.licence",
            remedy=f"Read it, then subscribe again with order.licence_accepted = {missing[0]} (--accept-licence).",
        )  # fmt: skip


_SAID = {
    Effect.ALLOW: "delivered as they are",
    Effect.DEGRADE: "delivered with less than they hold: coarser, or with parts left out",
    Effect.DELAY: "ordered when a delay has passed",
    Effect.HOLD: "delivered when officers of the house have approved it",
    Effect.DENY: "not delivered to you",
}


def _words(matching: int, effects: list[Effect]) -> list[str]:
    if not effects:
        return ["Nothing in the catalogue matches yet. What comes is decided when it comes."]
    told = [f"{matching} images in the catalogue match; of the {len(effects)} newest, as things stand today:"]
    told += [f"{effects.count(effect)} would be {words}." for effect, words in _SAID.items() if effect in effects]
    return [*told, "Every new one is decided anew when it comes."]


def subscribe(
    place: Subscriptions, asking: Asking, request: SubscriptionRequest, *, by: str | None = None
) -> tuple[Subscription, dict[str, Any]]:
    """Take a subscription in. The same submission key again is the same subscription.

    Parameters
    ----------
    by
        Who subscribes, if not the customer.

    Returns
    -------
    subscription, forecast
        As it is kept, and what to expect of it.

    Raises
    ------
    BadInput
        As :func:`forecast`; ``order.licence`` if a licence has to be accepted first; ``subscription.too_many``.
    Conflict
        ``subscription.key`` if the key was used for another one.
    """
    expected = forecast(place, asking, request)
    _require_licences(asking, request, set(expected["licences"]))
    party, now = asking.party, asking.now
    new = Subscription(
        id=new_subscription_id(now), customer=party.id, request=request, created=now, updated=now, since=now
    )
    audit_of(place.desk.home).append(by or party.id, "subscription.add", request_id=new.id)
    kept, added = place.store.add(new, place.rules.most)
    if not added and kept.request != request:
        raise Conflict("this submission key stands for another subscription", kind="subscription.key", where=kept.id,
                       remedy="Take a new key for a new one.")  # fmt: skip
    accepted = {name.strip() for name in (request.order.licence_accepted or "").split(",")}
    for licence in expected["licences"]:
        if party.id != HOUSE.id and licence in accepted:
            place.desk.customers.accept_licence(party.id, licence, asking.policy.name, by or party.id)
    return kept, expected


def secret_of(home: Path, subscription: Subscription) -> str | None:
    """What a subscription's webhook checks signatures with; None where it has none."""
    if subscription.request.notify.webhook is None:
        return None
    return webhook_secret(home, subscription.id, subscription.generation)


def pause(place: Subscriptions, subscription: str, by: str) -> Subscription:
    """Stop for a while.

    Raises
    ------
    Conflict
        ``subscription.state`` if it is not active.
    """
    return _moved(place, subscription, by, "subscription.pause", SubscriptionState.ACTIVE, SubscriptionState.PAUSED)


def resume(place: Subscriptions, subscription: str, by: str) -> Subscription:
    """Go on, with what is catalogued from now on.

    Raises
    ------
    Conflict
        ``subscription.state`` if it is not paused.
    """
    return _moved(place, subscription, by, "subscription.resume", SubscriptionState.PAUSED, SubscriptionState.ACTIVE)


def _moved(
    place: Subscriptions, subscription: str, by: str, action: str, was: SubscriptionState, becomes: SubscriptionState
) -> Subscription:
    now = now_utc()
    audit_of(place.desk.home).append(by, action, request_id=subscription)

    def step(found: Subscription) -> Subscription:
        if found.state != was:
            raise Conflict(f"the subscription is {found.state}", kind="subscription.state", where=found.id)
        since = {"since": now} if becomes == SubscriptionState.ACTIVE else {}
        return found.moved(becomes, now, **since)

    return place.store.change(subscription, step)


def end(place: Subscriptions, subscription: str, by: str, *, reason: str = "subscription.ended") -> Subscription:
    """End it, for good; its orders go on. One that has ended stays as it is."""
    now = now_utc()
    known = place.store.find(subscription)
    if known.state == SubscriptionState.ENDED:
        return known
    audit_of(place.desk.home).append(by, "subscription.end", request_id=subscription)

    def step(found: Subscription) -> Subscription:
        if found.state == SubscriptionState.ENDED:
            return found
        return found.moved(SubscriptionState.ENDED, now, reason=reason)

    told = Notice(
        key=f"ended:{known.id}", customer=known.customer, subscription=known.id, kind="subscription.ended", item=None,
        body={"reason": reason}, channels=channels_of(known),
    )  # fmt: skip
    return place.store.change(subscription, step, [told])


def renew_secret(place: Subscriptions, subscription: str, by: str) -> Subscription:
    """Have notices signed with a new secret from now on.

    Raises
    ------
    Conflict
        ``subscription.webhook`` if it has no webhook.
    """
    audit_of(place.desk.home).append(by, "subscription.secret", request_id=subscription)

    def step(found: Subscription) -> Subscription:
        if found.request.notify.webhook is None:
            raise Conflict("this subscription has no webhook", kind="subscription.webhook", where=found.id)
        return found.moved(found.state, now_utc(), generation=found.generation + 1)

    return place.store.change(subscription, step)


def channels_of(subscription: Subscription) -> tuple[str, ...]:
    """By which ways a subscription's news go; none: they wait to be read."""
    notify = subscription.request.notify
    ways = {"webhook": notify.webhook, "mail": notify.mail}
    return tuple(name for name, address in ways.items() if address is not None)
