"""Customers on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from catalogs.customers.accounts import Account
from pipelines.cli.output import out


def print_accounts(accounts: Sequence[Account]) -> None:
    """Customers as a table."""
    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "class", "country", "region", "status"):
        table.add_column(title)
    for one in accounts:
        stated = one.details
        table.add_row(
            one.id,
            escape(one.name),
            stated.customer_class,
            stated.country or "",
            escape(stated.region or ""),
            one.status,
        )
    out.print(table)


def print_account(known: Mapping[str, Any]) -> None:
    """Everything about one customer."""
    for name, value in known["customer"].items():
        if value not in (None, False):
            out.print(f"{name}: {escape(str(value))}")
    for title in ("contracts", "licences", "tokens", "sessions", "identities", "usage"):
        for row in known[title]:
            words = ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
            out.print(f"{title}: {escape(words)}")
    for name, value in known["quota"].items():
        if value is not None:
            out.print(f"quota: {name} {value:g}")
    for name, value in known["left"].items():
        out.print(f"left this month: {name} {'no limit' if value is None else f'{value:g}'}")
