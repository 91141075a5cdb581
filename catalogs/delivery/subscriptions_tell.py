"""What subscribers are told: notices as they are kept, read and sent. Never a rule, a reason of policy, or a pixel."""

from typing import Any, Final
from urllib.parse import quote

from catalogs.delivery.order import Order
from catalogs.delivery.order_states import OrderState
from catalogs.delivery.subscriptions import Subscription, moment
from catalogs.delivery.subscriptions_desk import channels_of
from catalogs.delivery.subscriptions_store import DELAYED, DENIED, LICENCE, LIMIT, QUOTA, REFUSED, Met, Notice

KINDS: Final = {
    "order.placed": "A new image has been ordered for you",
    "order.ready": "An image is ready to be downloaded",
    "order.rejected": "An order was rejected",
    "order.failed": "An order could not be made yet; it will be tried again",
    "order.cancelled": "An order was called off",
    "order.expired": "An order has expired",
    "item.delayed": "A new image will be ordered when a delay has passed",
    "item.denied": "A new image may not be delivered to you",
    "item.limit": "A new image was left out: it would be more than the limit of your subscription for this month",
    "item.quota": "A new image waits: it would be more than your quota of this month",
    "item.licence": "A new image waits: its licence has to be accepted first",
    "item.refused": "A new image could not be ordered",
    "item.superseded": "There is a newer version of an image that you received",
    "subscription.ended": "A subscription has ended",
}
"""Every kind of notice, in words."""
_OF_STATE = {
    OrderState.READY: "order.ready",
    OrderState.DELIVERED: "order.ready",
    OrderState.REJECTED: "order.rejected",
    OrderState.FAILED: "order.failed",
    OrderState.CANCELLED: "order.cancelled",
    OrderState.EXPIRED: "order.expired",
}
_OF_OUTCOME = {
    DELAYED: "item.delayed", DENIED: "item.denied", LIMIT: "item.limit", QUOTA: "item.quota", LICENCE: "item.licence",
    REFUSED: "item.refused",
}  # fmt: skip


def of_item(subscription: Subscription, met: Met) -> Notice:
    """That an item was not ordered, or not yet."""
    kind = _OF_OUTCOME[met.outcome]
    body: dict[str, Any] = {"item": met.item, "version": met.version}
    if met.outcome == DELAYED:
        body["until"] = met.due
    if met.outcome in (LICENCE, REFUSED):
        body["reason"] = met.reason
    return Notice(
        key=f"{kind}:{subscription.id}:{met.item}@{met.version}", customer=subscription.customer,
        subscription=subscription.id, kind=kind, item=met.item, body=body, channels=channels_of(subscription),
    )  # fmt: skip


def of_order(subscription: Subscription, met: Met, order: Order, *, placed: bool = False) -> Notice | None:
    """What became of an order; None of a state that nobody is told of."""
    kind = "order.placed" if placed else _OF_STATE.get(order.state)
    if kind is None:
        return None
    body = {
        "item": met.item, "version": met.version, "order": order.id, "state": str(order.state),
        "reason": order.history[-1].reason, "until": moment(order.until), "km2": float(order.km2),
        "price": {"amount": str(order.price.amount), "currency": order.price.currency},
    }  # fmt: skip
    return Notice(
        key=f"{kind}:{order.id}", customer=subscription.customer, subscription=subscription.id, kind=kind,
        item=met.item, body=body, channels=channels_of(subscription),
    )  # fmt: skip


def as_json(
    notice: str, kind: str, created: str, subscription: str | None, body: dict[str, Any], origin: str
) -> dict[str, Any]:
    """A notice as it is read and posted, with links that need the customer's own token."""
    links = []
    if "item" in body:
        collection, _, item = str(body["item"]).partition("/")
        href = f"{origin}/stac/collections/{quote(collection, safe='')}/items/{quote(item, safe='')}"
        links.append({"rel": "item", "type": "application/geo+json", "href": href})
    if "order" in body:
        links.append({"rel": "order", "type": "application/json", "href": f"{origin}/orders/{body['order']}"})
    if subscription is not None:
        href = f"{origin}/subscriptions/{subscription}"
        links.append({"rel": "subscription", "type": "application/json", "href": href})
    data = {"subscription": subscription, **body, "links": links}
    return {"id": notice, "type": kind, "timestamp": created, "message": KINDS[kind], "data": data}
