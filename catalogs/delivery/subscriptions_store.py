"""Subscriptions as they are kept, beside the orders: what each has met with, and what is still to be told to whom.

What was found out and the notice of it are written in one transaction. Both have names that are made of what they are
about, so that whoever was killed and begins again writes neither twice.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from catalogs.delivery.order_store import FOLDER
from catalogs.delivery.subscriptions import Subscription, SubscriptionState, moment
from catalogs.private_database import Connections, Schema
from processing.model.errors import BadInput

FILE = "subscriptions.db"
_TABLES = """
CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, submission_key TEXT, state TEXT NOT NULL, created TEXT NOT NULL,
    looked TEXT, looked_at_all TEXT, policy TEXT, document TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX subscriptions_by_key ON subscriptions (customer, submission_key)
    WHERE submission_key IS NOT NULL;
CREATE INDEX subscriptions_of ON subscriptions (customer, created);
CREATE TABLE met (
    subscription TEXT NOT NULL, item TEXT NOT NULL, version TEXT NOT NULL, outcome TEXT NOT NULL, since TEXT NOT NULL,
    due TEXT, order_id TEXT, told TEXT, reason TEXT, policy TEXT, km2 TEXT NOT NULL, amount TEXT NOT NULL,
    PRIMARY KEY (subscription, item, version)) STRICT, WITHOUT ROWID;
CREATE INDEX met_by_outcome ON met (outcome, due);
CREATE TABLE notices (
    id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, customer TEXT NOT NULL, subscription TEXT, kind TEXT NOT NULL,
    item TEXT, created TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX notices_of ON notices (customer, created);
CREATE TABLE sendings (
    notice TEXT NOT NULL REFERENCES notices (id) ON DELETE CASCADE, channel TEXT NOT NULL, state TEXT NOT NULL,
    tries INTEGER NOT NULL, next_try TEXT NOT NULL, fault TEXT, PRIMARY KEY (notice, channel)) STRICT, WITHOUT ROWID;
CREATE INDEX sendings_due ON sendings (state, next_try);
CREATE TABLE received (
    customer TEXT NOT NULL, item TEXT NOT NULL, version TEXT NOT NULL, order_id TEXT NOT NULL, subscription TEXT,
    PRIMARY KEY (item, customer, version)) STRICT, WITHOUT ROWID;
CREATE TABLE places (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
SCHEMA = Schema("subscriptions", 1, _TABLES)
PLACING, ORDERED, DELIVERED, OVER = "placing", "ordered", "delivered", "over"
DELAYED, DENIED, LIMIT, QUOTA, LICENCE = "delayed", "denied", "limit", "quota", "licence"
REFUSED, OLDER, SUPERSEDED, ANNOUNCED = "refused", "older", "superseded", "announced"
TRIED_AGAIN = (DELAYED, QUOTA, LICENCE, PLACING)
"""Outcomes after which an item is tried again when its moment has come."""
_PAID_FOR = (PLACING, ORDERED, DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What became of one version of an item for one subscription."""

    subscription: str
    item: str
    """``COLLECTION/ID``."""
    version: str
    outcome: str
    since: str
    """RFC 3339, UTC: when it was met with."""
    due: str | None = None
    """When it is tried again."""
    order_id: str | None = None
    told: str | None = None
    """The last state of its order that was told."""
    reason: str | None = None
    policy: str | None = None
    """SHA-256 of the policy that decided."""
    km2: str = "0"
    amount: str = "0"

    @property
    def is_told(self) -> bool:
        """Whether its customer is shown it: not what was there before, nor what is merely announced."""
        return self.outcome not in (OLDER, ANNOUNCED)

    def public(self) -> dict[str, Any]:
        """As JSON for its customer."""
        return {
            "item": self.item, "version": self.version, "outcome": self.outcome, "since": self.since,
            "until": self.due if self.outcome == DELAYED else None, "order": self.order_id, "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a customer is told, once."""

    key: str
    """What it is about: the same thing is not told twice."""
    customer: str
    subscription: str | None
    kind: str
    item: str | None
    body: dict[str, Any]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A notice on its way by one channel."""

    notice: str
    channel: str
    tries: int
    customer: str
    subscription: str | None
    kind: str
    item: str | None
    created: str
    body: dict[str, Any]


_MET = tuple(field.name for field in fields(Met))


def new_subscription_id(now: datetime) -> str:
    """An id that nobody guesses."""
    return f"sub-{now:%Y%m%d}-{secrets.token_hex(16)}"


class SubscriptionStore:
    """The subscriptions of an installation, safe between threads and processes.

    Parameters
    ----------
    home
        The installation; the database is ``HOME/orders/subscriptions.db``.
    """

    def __init__(self, home: Path) -> None:
        self.db = Connections(home / FOLDER / FILE, SCHEMA)

    def close(self) -> None:
        """Close it."""
        self.db.close()

    def add(self, subscription: Subscription, most: int) -> tuple[Subscription, bool]:
        """Keep a new one; where its customer has one of the same submission key, that one is it.

        Raises
        ------
        BadInput
            ``subscription.too_many`` if its customer has so many already.
        """
        key = subscription.request.submission_key
        with self.db.write() as db:
            if key is not None:
                sql = "SELECT document FROM subscriptions WHERE customer = ? AND submission_key = ?"
                row = db.execute(sql, (subscription.customer, key)).fetchone()
                if row is not None:
                    return _subscription(row), False
            sql = "SELECT count(*) FROM subscriptions WHERE customer = ? AND state != ?"
            if db.execute(sql, (subscription.customer, SubscriptionState.ENDED)).fetchone()[0] >= most:
                raise BadInput(f"one customer may have {most} subscriptions", kind="subscription.too_many",
                               remedy="End one that is not needed any more, or ask the house.")  # fmt: skip
            db.execute(
                "INSERT INTO subscriptions (id, customer, submission_key, state, created, document)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (subscription.id, subscription.customer, key, subscription.state, moment(subscription.created),
                 subscription.model_dump_json()),
            )  # fmt: skip
        return subscription, True

    def find(self, subscription: str, *, customer: str | None = None) -> Subscription:
        """A subscription; to others than its customer, where one is named, it is not there.

        Raises
        ------
        BadInput
            ``subscription.unknown``.
        """
        with self.db.read() as db:
            row = db.execute("SELECT document FROM subscriptions WHERE id = ?", (subscription,)).fetchone()
        found = None if row is None else _subscription(row)
        if found is None or (customer is not None and found.customer != customer):
            raise _unknown(subscription)
        return found

    def listed(
        self, *, customer: str | None = None, states: Iterable[SubscriptionState] = (), limit: int | None = None
    ) -> tuple[Subscription, ...]:
        """Subscriptions, newest first; of all customers and in all states where none is named."""
        wanted = sorted(states) or sorted(SubscriptionState)
        sql = f"SELECT document FROM subscriptions WHERE state IN ({', '.join('?' * len(wanted))})"  # noqa: S608
        values: list[str | int] = [*wanted]
        if customer is not None:
            sql += " AND customer = ?"
            values.append(customer)
        values.append(-1 if limit is None else limit)
        with self.db.read() as db:
            rows = db.execute(f"{sql} ORDER BY created DESC, id DESC LIMIT ?", values).fetchall()
        return tuple(_subscription(row) for row in rows)

    def change(
        self, subscription: str, step: Callable[[Subscription], Subscription], notices: Iterable[Notice] = ()
    ) -> Subscription:
        """Replace a subscription by what ``step`` makes of it; what it raises leaves everything as it was."""
        with self.db.write() as db:
            row = db.execute("SELECT document FROM subscriptions WHERE id = ?", (subscription,)).fetchone()
            if row is None:
                raise _unknown(subscription)
            was = _subscription(row)
            now = step(was)
            db.execute(
                "UPDATE subscriptions SET state = ?, document = ? WHERE id = ?",
                (now.state, now.model_dump_json(), was.id),
            )
            _tell(db, notices, now.updated)
        return now

    def looked(self, subscription: str) -> tuple[str | None, str | None, str | None]:
        """When it was last looked for new items, when for all of them, and under which policy."""
        with self.db.read() as db:
            sql = "SELECT looked, looked_at_all, policy FROM subscriptions WHERE id = ?"
            found = db.execute(sql, (subscription,)).fetchone()
        return found[0], found[1], found[2]

    def set_looked(self, subscription: str, now: datetime, policy: str, *, at_all: bool) -> None:
        """Say that all that was catalogued by then has been seen to."""
        with self.db.write() as db:
            db.execute(
                "UPDATE subscriptions SET looked = ?, policy = ?, looked_at_all = iif(?, ?, looked_at_all)"
                " WHERE id = ?",
                (moment(now), policy, at_all, moment(now), subscription),
            )

    def met(self, subscription: str, item: str | None = None, limit: int | None = None) -> tuple[Met, ...]:
        """What a subscription has met with, the latest first; only versions of one item where that is named."""
        sql = f"SELECT {', '.join(_MET)} FROM met WHERE subscription = ?"  # noqa: S608 - words of ours
        values: list[str | int] = [subscription]
        if item is not None:
            sql += " AND item = ?"
            values.append(item)
        values.append(-1 if limit is None else limit)
        with self.db.read() as db:
            rows = db.execute(f"{sql} ORDER BY since DESC, item LIMIT ?", values).fetchall()
        return tuple(Met(**dict(row)) for row in rows)

    def met_with(self, *outcomes: str, due: datetime | None = None) -> tuple[Met, ...]:
        """Everything with one of these outcomes, of all subscriptions; where ``due`` is given, that is due by then."""
        marks = ", ".join("?" * len(outcomes))
        sql = f"SELECT {', '.join(_MET)} FROM met WHERE outcome IN ({marks})"  # noqa: S608 - words of ours
        values: list[str | None] = list(outcomes)
        if due is not None:
            sql += " AND (due IS NULL OR due <= ?)"
            values.append(moment(due))
        with self.db.read() as db:
            rows = db.execute(f"{sql} ORDER BY since, item", values).fetchall()
        return tuple(Met(**dict(row)) for row in rows)

    def put(self, met: Met, notices: Iterable[Notice] = (), *, now: datetime | None = None) -> None:
        """Write what became of an item, and what is told of it; told ``now``, else when it was met with."""
        with self.db.write() as db:
            _put(db, met)
            _tell(db, notices, now or datetime.fromisoformat(met.since))

    def reserve(self, met: Met, *, km2: Decimal | None, amount: Decimal | None) -> bool:
        """Write that an item is about to be ordered, unless that would be more than this month may have.

        Parameters
        ----------
        km2, amount
            The limits; None: without.
        """
        with self.db.write() as db:
            marks = ", ".join("?" * len(_PAID_FOR))
            rows = db.execute(
                f"SELECT km2, amount FROM met WHERE subscription = ? AND outcome IN ({marks})"  # noqa: S608
                " AND substr(since, 1, 7) = ? AND NOT (item = ? AND version = ?)",
                (met.subscription, *_PAID_FOR, met.since[:7], met.item, met.version),
            ).fetchall()
            ground = sum((Decimal(row[0]) for row in rows), Decimal(met.km2))
            money = sum((Decimal(row[1]) for row in rows), Decimal(met.amount))
            if (km2 is not None and ground > km2) or (amount is not None and money > amount):
                return False
            _put(db, met)
        return True

    def tell(self, notice: Notice, now: datetime) -> bool:
        """Keep a notice and what is to be sent of it; whether it is new."""
        with self.db.write() as db:
            return _tell(db, [notice], now) > 0


def _put(db: sqlite3.Connection, met: Met) -> None:
    marks = ", ".join("?" * len(_MET))
    values = tuple(getattr(met, name) for name in _MET)
    db.execute(f"INSERT OR REPLACE INTO met ({', '.join(_MET)}) VALUES ({marks})", values)  # noqa: S608


def _tell(db: sqlite3.Connection, notices: Iterable[Notice], now: datetime) -> int:
    new = 0
    for one in notices:
        identifier = f"notice-{secrets.token_hex(16)}"
        added = db.execute(
            "INSERT INTO notices (id, key, customer, subscription, kind, item, created, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (identifier, one.key, one.customer, one.subscription, one.kind, one.item, moment(now),
             json.dumps(one.body, ensure_ascii=False)),
        ).rowcount  # fmt: skip
        for channel in one.channels if added else ():
            db.execute("INSERT INTO sendings VALUES (?, ?, 'due', 0, ?, NULL)", (identifier, channel, moment(now)))
        new += added
    return new


def _unknown(subscription: str) -> BadInput:
    return BadInput("there is no such subscription", kind="subscription.unknown", where=subscription[:80])


def _subscription(row: sqlite3.Row) -> Subscription:
    return Subscription.model_validate_json(row[0])
