"""What time does to orders: what waited for a moment goes on, what waited or lay ready too long expires."""

import shutil
from datetime import datetime
from pathlib import Path

from catalogs.delivery.order import Order
from catalogs.delivery.order_desk import HOUSE, Desk, settled, waits_for
from catalogs.delivery.order_states import TRANSITIONS, OrderState
from catalogs.delivery.order_store import now_utc
from processing.archive import durable


def tend(desk: Desk) -> tuple[Order, ...]:
    """Let go on what waited for a moment that has come, and let expire what waited, or lay ready, too long.

    Returns
    -------
    due
        Orders that are to be delivered, the oldest first.
    """
    now = now_utc()
    for order in desk.orders.listed(states=TENDED):
        if _tended(order, now) is order:
            continue
        changed = desk.orders.change(order.id, lambda found: _tended(found, now))
        if changed.state == OrderState.EXPIRED:
            discard_package(desk.home, order.id)
    due = desk.orders.listed(states=(OrderState.ACCEPTED, OrderState.IN_PROGRESS))
    return tuple(reversed(due))


TENDED = (OrderState.RECEIVED, OrderState.HELD, OrderState.FAILED, OrderState.READY, OrderState.DELIVERED)
"""States that time alone may end."""


def is_changed_by_time(order: Order, now: datetime) -> bool:
    """Whether :func:`tend` would change an order at some moment: its moment has come, or its time is over."""
    return _tended(order, now) is not order


def _tended(order: Order, now: datetime) -> Order:
    if order.state not in TENDED:
        return order
    if order.expires is not None and now >= order.expires and OrderState.EXPIRED in TRANSITIONS[order.state]:
        return order.moved(OrderState.EXPIRED, "order.expired", by=HOUSE.id, now=now)
    if order.state in (OrderState.HELD, OrderState.RECEIVED) and waits_for(order, now) is None:
        return settled(order, now, by=HOUSE.id)
    return order


def package_folder(home: Path, order_id: str) -> Path:
    """Where an order's package lies."""
    return home / "orders" / "packages" / order_id


def discard_package(home: Path, order_id: str) -> None:
    """Remove a package: out of sight in one step, then for good."""
    folder = package_folder(home, order_id)
    gone = home / "staging" / "trash" / f"order-{order_id}"
    if folder.exists():
        durable.move(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


def making_lock(home: Path, order_id: str) -> Path:
    """The lock that is held while an order's package is made."""
    return home / "staging" / f"order-{order_id}.lock"


def is_being_made(home: Path, order_id: str) -> bool:
    """Whether some process makes an order's package at this moment."""
    return durable.is_held(making_lock(home, order_id))
