"""What was delivered, counted: rows that are only ever added, and sums of them by month."""

import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict

from catalogs.delivery.order import Order

TABLE: Final = """
CREATE TABLE IF NOT EXISTS usage (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT NOT NULL, item TEXT NOT NULL, month TEXT NOT NULL,
    day TEXT NOT NULL, customer TEXT NOT NULL, customer_name TEXT NOT NULL, customer_class TEXT NOT NULL,
    country TEXT NOT NULL, region TEXT NOT NULL, km2 TEXT NOT NULL, bytes INTEGER NOT NULL, amount TEXT NOT NULL,
    currency TEXT NOT NULL, UNIQUE (order_id, item)
) STRICT;
CREATE INDEX IF NOT EXISTS usage_by_month ON usage (month);
CREATE TRIGGER IF NOT EXISTS usage_is_not_changed BEFORE UPDATE ON usage
BEGIN SELECT RAISE(ABORT, 'usage is only ever added to'); END;
CREATE TRIGGER IF NOT EXISTS usage_is_not_removed BEFORE DELETE ON usage
BEGIN SELECT RAISE(ABORT, 'usage is only ever added to'); END;
"""
EXPORT_CLASSES: Final = frozenset({"export_ally", "export_other"})
_COLUMNS = (
    "order_id", "item", "month", "day", "customer", "customer_name", "customer_class", "country", "region", "km2",
    "bytes", "amount", "currency",
)  # fmt: skip


class UsageRow(BaseModel):
    """One item of one order, delivered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: str
    item: str
    month: str
    """``2026-11``, UTC."""
    day: str
    customer: str
    customer_name: str
    customer_class: str
    country: str = ""
    region: str = ""
    """Ministry, akimat or region of the customer."""
    km2: Decimal
    bytes: int
    amount: Decimal
    currency: str


def usage_of(order: Order, sizes: dict[str, int], day: str) -> tuple[UsageRow, ...]:
    """Rows of an order.

    Parameters
    ----------
    sizes
        Bytes delivered by ``COLLECTION/ID``: only these count.
    day
        ``2026-11-22``.
    """
    return tuple(
        UsageRow(
            order_id=order.id, item=item.name, month=day[:7], day=day, customer=order.customer,
            customer_name=order.customer_name, customer_class=order.customer_class, country=order.country or "",
            region=order.region or "", km2=item.km2, bytes=sizes[item.name], amount=item.amount,
            currency=order.price.currency,
        )
        for item in order.items
        if item.name in sizes
    )  # fmt: skip


def insert_usage(connection: sqlite3.Connection, rows: Iterable[UsageRow]) -> None:
    """Add rows; one of the same order and item counts once, however often it is delivered."""
    marks = ", ".join("?" * len(_COLUMNS))
    statement = f"INSERT INTO usage ({', '.join(_COLUMNS)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    for row in rows:
        values = row.model_dump(mode="json")
        connection.execute(statement, tuple(values[name] for name in _COLUMNS))


class Line(BaseModel):
    """Sums over rows that share what ``by`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    orders: int
    scenes: int
    km2: Decimal
    gigabytes: Decimal
    amounts: dict[str, Decimal]
    """By currency."""


class MonthReport(BaseModel):
    """A month's deliveries: what was sold abroad beside what the house did for its own country."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    month: str
    export: Line
    domestic: Line
    domestic_free: Line
    """The part of ``domestic`` that cost nothing."""
    total: Line
    by_class: tuple[Line, ...]
    by_customer: tuple[Line, ...]
    by_country: tuple[Line, ...]
    by_region: tuple[Line, ...]
    rows: tuple[UsageRow, ...]


def month_report(connection: sqlite3.Connection, month: str) -> MonthReport:
    """The report of a month, ``2026-11``; exact sums."""
    cursor = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM usage WHERE month = ? ORDER BY sequence",  # noqa: S608
        (month,),
    )
    rows = tuple(UsageRow.model_validate(dict(zip(_COLUMNS, row, strict=True))) for row in cursor)
    export = [row for row in rows if row.customer_class in EXPORT_CLASSES]
    domestic = [row for row in rows if row.customer_class not in EXPORT_CLASSES]
    return MonthReport(
        month=month,
        export=line("export", export),
        domestic=line("domestic", domestic),
        domestic_free=line("domestic, free of charge", [row for row in domestic if row.amount == 0]),
        total=line("total", rows),
        by_class=_grouped(rows, "customer_class"),
        by_customer=_grouped(rows, "customer_name"),
        by_country=_grouped(rows, "country"),
        by_region=_grouped(rows, "region"),
        rows=rows,
    )


def _grouped(rows: Sequence[UsageRow], field: str) -> tuple[Line, ...]:
    keys = sorted({str(getattr(row, field)) for row in rows})
    return tuple(line(key or "(not stated)", [row for row in rows if getattr(row, field) == key]) for key in keys)


def line(key: str, rows: Sequence[UsageRow]) -> Line:
    """Sums over rows."""
    amounts: dict[str, Decimal] = {}
    for row in rows:
        amounts[row.currency] = amounts.get(row.currency, Decimal(0)) + row.amount
    return Line(
        key=key,
        orders=len({row.order_id for row in rows}),
        scenes=len({row.item for row in rows}),
        km2=sum((row.km2 for row in rows), Decimal(0)),
        gigabytes=(Decimal(sum(row.bytes for row in rows)) / Decimal(10**9)).quantize(Decimal("0.000001")),
        amounts=dict(sorted(amounts.items())),
    )
