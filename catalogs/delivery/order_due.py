"""What of orders and subscriptions is waiting for somebody to see to it, read without changing anything.

The process that rings for the flows asks this every few seconds. Each answer is a set of short lines, one for each
thing to be done: a new line is a reason to ring, and what was seen to gives no line any more.
"""

import hashlib
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from catalogs.delivery.order_states import OrderState
from catalogs.delivery.order_store import DATABASE, FOLDER, open_orders
from catalogs.delivery.order_tending import TENDED, is_being_made, is_changed_by_time
from catalogs.delivery.subscriptions import SubscriptionState, moment
from catalogs.delivery.subscriptions_send import DUE
from catalogs.delivery.subscriptions_store import FILE, ORDERED, TRIED_AGAIN

_QUESTIONS = (
    # One that was never looked at, or was changed.
    ("subscription", "SELECT id, state, document FROM subscriptions WHERE state = :active"),
    (
        "try again",
        """SELECT subscription, item, due FROM met WHERE outcome IN ({tried}) AND (due IS NULL OR due <= :now)""",
    ),
    ("send", "SELECT notice, channel, next_try FROM sendings WHERE state = :due AND next_try <= :now"),
    (
        "tell",
        """SELECT o.id, o.state FROM met AS m JOIN orders.orders AS o ON o.id = m.order_id
        WHERE m.outcome = :ordered AND o.state IS NOT m.told""",
    ),
)


def due_orders(home: Path, now: datetime) -> frozenset[str]:
    """Ids of orders that are to be delivered, and of those that time has changed: released, or expired.

    One that somebody is making needs nobody else.
    """
    if not (home / FOLDER / DATABASE).is_file():
        return frozenset()
    orders = open_orders(home)
    open_ = orders.listed(states=(OrderState.ACCEPTED, OrderState.IN_PROGRESS))
    ready = {order.id for order in open_ if not is_being_made(home, order.id)}
    return frozenset(ready | {order.id for order in orders.listed(states=TENDED) if is_changed_by_time(order, now)})


def due_subscriptions(home: Path, now: datetime) -> frozenset[str]:
    """What subscriptions and notices wait for, but for new items: those the catalogue has to be asked about."""
    path, orders = home / FOLDER / FILE, home / FOLDER / DATABASE
    if not path.is_file() or not orders.is_file():
        return frozenset()
    asked = {"active": SubscriptionState.ACTIVE, "now": str(moment(now)), "due": DUE, "ordered": ORDERED}
    tried = {f"t{number}": outcome for number, outcome in enumerate(TRIED_AGAIN)}
    marks = ", ".join(f":{name}" for name in tried)
    found = set()
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        connection.execute("ATTACH DATABASE ? AS orders", (f"{orders.resolve().as_uri()}?mode=ro",))
        for what, sql in _QUESTIONS:
            for row in connection.execute(sql.format(tried=marks), {**asked, **tried}):
                told = hashlib.sha256(repr(row).encode()).hexdigest()[:16]
                found.add(f"{what}: {row[0]} {told}")
    return frozenset(found)


class Changes:
    """Whether somebody wrote to an SQLite database, by its own count of that; it is kept open, and only read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = 0

    def count(self) -> str:
        """Another text whenever another connection has changed something; empty while there is no database."""
        try:
            file = self._path.stat().st_ino
            if self._connection is None or file != self._file:
                self.close()
                uri = f"{self._path.resolve().as_uri()}?mode=ro"
                self._connection, self._file = sqlite3.connect(uri, uri=True, timeout=5), file
            return f"{file} {self._connection.execute('PRAGMA data_version').fetchone()[0]}"
        except (OSError, sqlite3.Error):
            self.close()
            return ""

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
