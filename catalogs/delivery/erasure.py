"""Orders of somebody who is to be forgotten: sums stay, the name and the area do not."""

from contextlib import closing
from pathlib import Path

from catalogs.delivery.order import Order
from catalogs.delivery.order_store import FOLDER, open_orders
from catalogs.store.database import transaction

_GUARD = "usage_is_not_changed"


def orders_of(home: Path, customer: str) -> tuple[Order, ...]:
    """All orders of a customer, newest first; none where nothing was ever ordered."""
    return open_orders(home).listed(customer=customer) if (home / FOLDER).is_dir() else ()


def erase_orders(home: Path, customer: str) -> int:
    """Take a customer's name, region, areas and remarks out of its orders and out of what was counted; how many orders.

    Amounts, items, class and country stay, as accounts must.
    """
    found = orders_of(home, customer)
    if not found:
        return 0
    nobody = f"erased {customer}"
    with closing(open_orders(home).connection()) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        guard = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (_GUARD,)).fetchone()
        with transaction(connection):
            for order in found:
                plain = order.request.model_copy(update={"clip": None, "submission_key": None})
                history = tuple(event.model_copy(update={"note": None}) for event in order.history)
                bare = order.model_copy(
                    update={"customer_name": nobody, "region": None, "request": plain, "history": history}
                )
                connection.execute(
                    "UPDATE orders SET document = ?, submission_key = NULL WHERE id = ?",
                    (bare.model_dump_json(), order.id),
                )
            # What was counted is never changed but for this, in the one transaction that takes the guard away.
            connection.execute(f"DROP TRIGGER IF EXISTS {_GUARD}")
            connection.execute("UPDATE usage SET customer_name = ?, region = '' WHERE customer = ?", (nobody, customer))
            if guard is not None:
                connection.execute(guard[0])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return len(found)
