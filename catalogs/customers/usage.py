"""What a customer has used this month, and what is left."""

import sqlite3
from datetime import UTC, datetime
from enum import StrEnum

from catalogs.customers.accounts import Quota
from catalogs.customers.register import account_of, quota_of
from catalogs.private_database import Connections
from processing.model.errors import QyranError

LONGEST_LINK_S = 900
"""No signed link lives longer: what was revoked this long ago has no link left."""


class Measure(StrEnum):
    """What is counted."""

    KM2 = "km2"
    GB = "gb"
    REQUESTS = "requests"


class QuotaExhausted(QyranError):
    """It would be more than a customer may use this month."""

    default_kind = "quota.exhausted"


class Usage:
    """Counts that are durable when they are acknowledged, and counted once under a key however often they are told.

    Parameters
    ----------
    connections
        The customers' database.
    """

    def __init__(self, connections: Connections) -> None:
        self._db = connections

    def count_use(
        self, customer: str, uses: dict[Measure, float], *, key: str | None = None, now: datetime | None = None
    ) -> bool:
        """Count what was used.

        Parameters
        ----------
        uses
            How much, by measure.
        key
            Names the use, such as an order's id: told again under the same key it counts no second time.
        now
            When; the month is that of UTC.

        Returns
        -------
        bool
            Whether it was new.
        """
        with self._db.write() as db:
            return _count(db, account_of(db, customer).id, uses, key, month_of(now))

    def take(
        self, customer: str, uses: dict[Measure, float], *, key: str | None = None, now: datetime | None = None
    ) -> bool:
        """Count what is about to be used, unless the quota is too small for it: then nothing is counted.

        Returns
        -------
        bool
            Whether it was new.

        Raises
        ------
        QuotaExhausted
            If it is more than what is left.
        """
        month = month_of(now)
        with self._db.write() as db:
            found = account_of(db, customer).id
            left = _left(quota_of(db, found), _used(db, found, month))
            if not _count(db, found, uses, key, month):
                return False
            for measure, amount in uses.items():
                rest = left[measure]
                if rest is not None and amount > rest:
                    raise QuotaExhausted(
                        f"this needs {amount:g} {measure}, and {max(rest, 0):g} are left of this month's quota",
                        remedy="Wait for the next month, or ask the operator for more.",
                    )
            return True

    def used(self, customer: str, now: datetime | None = None) -> dict[Measure, float]:
        """What was used in the month of ``now``."""
        with self._db.read() as db:
            return _used(db, account_of(db, customer).id, month_of(now))

    def quota_left(self, customer: str, now: datetime | None = None) -> dict[Measure, float | None]:
        """What is left of the month of ``now``, by measure; None: without limit. Never below zero."""
        with self._db.read() as db:
            found = account_of(db, customer).id
            left = _left(quota_of(db, found), _used(db, found, month_of(now)))
        return {measure: None if rest is None else max(rest, 0.0) for measure, rest in left.items()}

    def revoke_links(self, *, key: str | None = None, customer: str | None = None, order: str | None = None) -> None:
        """Make open links void: those signed with a key, of a customer, of an order."""
        named = {"key": key, "customer": customer, "order": order}
        now = _now()
        with self._db.write() as db:
            db.execute("DELETE FROM link_revocations WHERE kind != 'key' AND revoked < ?", (now - LONGEST_LINK_S - 60,))
            for kind, value in named.items():
                if value is not None:
                    db.execute("INSERT OR REPLACE INTO link_revocations VALUES (?, ?, ?)", (kind, value, now))

    def links_revoked(self, *, key: str, customer: str, order: str, expires: int) -> bool:
        """Whether a link has been made void since it was signed, or its customer is shut out.

        When it was signed does not stand in a link. It lives 15 minutes at most, so one that ends more than that after
        the revocation was signed later. A revoked key signs nothing any more, whenever.
        """
        with self._db.read() as db:
            active = db.execute("SELECT status = 'active' FROM customers WHERE id = ?", (customer,)).fetchone()
            rows = db.execute(
                "SELECT kind, revoked FROM link_revocations WHERE (kind, value) IN (('key', ?), ('customer', ?),"
                " ('order', ?))",
                (key, customer, order),
            ).fetchall()
        if active is None or not active[0]:
            return True
        return any(row["kind"] == "key" or expires <= row["revoked"] + LONGEST_LINK_S for row in rows)


def month_of(now: datetime | None = None) -> str:
    """The month that a use counts for, ``2026-11``."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m")


def usage_of(db: sqlite3.Connection, customer: str) -> list[dict[str, object]]:
    """All counts of a customer, month by month."""
    rows = db.execute(
        "SELECT month, measure, amount FROM usage WHERE customer = ? ORDER BY month, measure", (customer,)
    )
    return [dict(row) for row in rows]


def _count(db: sqlite3.Connection, customer: str, uses: dict[Measure, float], key: str | None, month: str) -> bool:
    for measure, amount in uses.items():
        if not 0 <= amount < 1e15:
            raise ValueError(f"{amount} {measure} cannot have been used")
        if key is not None:
            row = (customer, key, str(measure), month, amount)
            if not db.execute("INSERT OR IGNORE INTO counted VALUES (?, ?, ?, ?, ?)", row).rowcount:
                return False
        db.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (customer, month, str(measure), amount),
        )
    return True


def _used(db: sqlite3.Connection, customer: str, month: str) -> dict[Measure, float]:
    rows = db.execute("SELECT measure, amount FROM usage WHERE customer = ? AND month = ?", (customer, month))
    found = {Measure(row["measure"]): float(row["amount"]) for row in rows}
    return {measure: found.get(measure, 0.0) for measure in Measure}


def _left(quota: Quota, used: dict[Measure, float]) -> dict[Measure, float | None]:
    limits = {Measure.KM2: quota.km2_month, Measure.GB: quota.gb_month, Measure.REQUESTS: quota.requests_month}
    return {measure: None if limit is None else limit - used[measure] for measure, limit in limits.items()}


def _now() -> int:
    found = datetime.now(UTC)
    return int(found.timestamp())
