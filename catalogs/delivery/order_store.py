"""Orders as they are kept: one SQLite file, safe between processes, nothing acknowledged that a power cut takes away.

An order changes only from what was read within the same transaction, so two who act on it at once cannot both win.
What is counted of a delivery is written in the transaction that says it is ready.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from catalogs.delivery.metering import TABLE as USAGE_TABLE
from catalogs.delivery.metering import UsageRow, insert_usage
from catalogs.delivery.order import Order, OrderState
from catalogs.store.database import connect, transaction
from processing.archive import durable
from processing.model.errors import BadInput, Defect

FOLDER = "orders"
DATABASE = "orders.db"
"""In :data:`FOLDER`."""
_VERSION = 1
_ID_BYTES = 16
_TABLES = f"""
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, submission_key TEXT, state TEXT NOT NULL, created TEXT NOT NULL,
    subscription TEXT, document TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS orders_by_key ON orders (customer, submission_key) WHERE submission_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (customer, created);
CREATE INDEX IF NOT EXISTS orders_by_state ON orders (state);
{USAGE_TABLE}
"""


def new_order_id(now: datetime) -> str:
    """An id that nobody guesses, and that still sorts by day."""
    return f"{now:%Y%m%d}-{secrets.token_hex(_ID_BYTES)}"


class OrderStore:
    """The orders of an installation.

    Parameters
    ----------
    folder
        ``HOME/orders``; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / DATABASE
        if not path.exists():
            _create(path)
        self._path = path
        with closing(connect(path)) as connection:
            if int(connection.execute("PRAGMA user_version").fetchone()[0]) < _VERSION:
                _prepare(connection)
            elif int(connection.execute("PRAGMA user_version").fetchone()[0]) > _VERSION:
                raise Defect("a newer Qyran wrote these orders", kind="orders.version", where=str(path),
                             remedy="Use that one.")  # fmt: skip

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(connect(self._path)) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(connect(self._path)) as connection, transaction(connection):
            yield connection

    def add(self, order: Order) -> tuple[Order, bool]:
        """Keep a new order; where its customer has one of the same submission key, that one is it.

        Returns
        -------
        order, added
            The order that is kept, and whether it is this one.
        """
        key = order.request.submission_key
        with self._writing() as connection:
            if key is not None:
                row = connection.execute(
                    "SELECT document FROM orders WHERE customer = ? AND submission_key = ?", (order.customer, key)
                ).fetchone()
                if row is not None:
                    return _order(row), False
            connection.execute(
                "INSERT INTO orders (id, customer, submission_key, state, created, subscription, document) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (order.id, order.customer, key, order.state, order.created.isoformat(), order.subscription,
                 order.model_dump_json()),
            )  # fmt: skip
        return order, True

    def by_key(self, customer: str, key: str) -> Order | None:
        """A customer's order by the key it was submitted with."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT document FROM orders WHERE customer = ? AND submission_key = ?", (customer, key)
            ).fetchone()
        return None if row is None else _order(row)

    def find(self, order_id: str, *, customer: str | None = None) -> Order:
        """An order.

        Parameters
        ----------
        customer
            Only if it is this one's: to others it is not there.

        Raises
        ------
        BadInput
            ``order.unknown``.
        """
        with self._reading() as connection:
            row = connection.execute("SELECT document FROM orders WHERE id = ?", (order_id,)).fetchone()
        found = None if row is None else _order(row)
        if found is None or (customer is not None and found.customer != customer):
            raise BadInput("there is no such order", kind="order.unknown", where=order_id[:80])
        return found

    def listed(
        self,
        *,
        customer: str | None = None,
        states: Iterable[OrderState] = (),
        limit: int | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> tuple[Order, ...]:
        """Orders, newest first or oldest first.

        Parameters
        ----------
        customer
            Only this one's.
        states
            Only in one of these; none: in any.
        limit, offset
            At most so many, beyond the first ``offset``.
        """
        wanted = sorted(states)
        where, values = ["1"], list[str | int]()
        if customer is not None:
            where.append("customer = ?")
            values.append(customer)
        if wanted:
            where.append(f"state IN ({', '.join('?' * len(wanted))})")
            values += wanted
        values += [-1 if limit is None else limit, offset]
        way = "ASC" if oldest_first else "DESC"
        # What is put into the text is our own words; what comes from outside is bound.
        sql = (
            f"SELECT document FROM orders WHERE {' AND '.join(where)} "  # noqa: S608
            f"ORDER BY created {way}, id {way} LIMIT ? OFFSET ?"
        )
        with self._reading() as connection:
            return tuple(_order(row) for row in connection.execute(sql, values))

    def counts(self) -> dict[str, int]:
        """How many orders are in each state, by the states that there are."""
        with self._reading() as connection:
            return dict(connection.execute("SELECT state, count(*) FROM orders GROUP BY state ORDER BY state"))

    def change(self, order_id: str, step: Callable[[Order], Order], *, usage: Iterable[UsageRow] = ()) -> Order:
        """Replace an order by what ``step`` makes of it; what it raises leaves the order as it was.

        Parameters
        ----------
        usage
            Rows to count in the same transaction.
        """
        with self._writing() as connection:
            row = connection.execute("SELECT document FROM orders WHERE id = ?", (order_id,)).fetchone()
            if row is None:
                raise BadInput("there is no such order", kind="order.unknown", where=order_id[:80])
            was = _order(row)
            now = step(was)
            if now is not was:
                connection.execute(
                    "UPDATE orders SET state = ?, document = ? WHERE id = ?", (now.state, now.model_dump_json(), was.id)
                )
            insert_usage(connection, usage)
        return now

    def connection(self) -> sqlite3.Connection:
        """A connection of its own, for reports."""
        return connect(self._path)


def open_orders(home: Path) -> OrderStore:
    """The orders of an installation: ``HOME/orders/orders.db``."""
    return OrderStore(home / FOLDER)


def now_utc() -> datetime:
    """The time, to the second before a moment: what orders are dated with."""
    return datetime.now(UTC).replace(microsecond=0)


def _order(row: tuple[str, ...]) -> Order:
    return Order.model_validate_json(row[0])


def _create(path: Path) -> None:
    """An empty file that only its owner reads, before anything is in it."""
    durable.make_folders(path.parent)
    path.parent.chmod(0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.fsync(descriptor)
    os.close(descriptor)
    durable.sync_folder(path.parent)


def _prepare(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
