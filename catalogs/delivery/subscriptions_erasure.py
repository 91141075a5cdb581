"""Subscriptions of somebody who is to be forgotten, and a copy of them for whoever they are about."""

from contextlib import closing
from pathlib import Path
from typing import Any

from catalogs.delivery.order_store import FOLDER
from catalogs.delivery.subscriptions_send import mail_folder
from catalogs.delivery.subscriptions_store import FILE, SubscriptionStore


def subscriptions_of(home: Path, customer: str) -> list[dict[str, Any]]:
    """All subscriptions of a customer as they are kept, newest first; none where nobody ever subscribed."""
    if not (home / FOLDER / FILE).is_file():
        return []
    with closing(SubscriptionStore(home)) as store:
        return [found.model_dump(mode="json") for found in store.listed(customer=customer)]


def erase_subscriptions(home: Path, customer: str) -> int:
    """Remove a customer's subscriptions, notices and letters that were not sent yet; how many subscriptions.

    What was ordered is another store's matter, and the audit log holds no names.
    """
    if not (home / FOLDER / FILE).is_file():
        return 0
    with closing(SubscriptionStore(home)) as store:
        with store.db.write() as db:
            named = db.execute("SELECT id FROM notices WHERE customer = ?", (customer,)).fetchall()
            db.execute("DELETE FROM notices WHERE customer = ?", (customer,))
            db.execute("DELETE FROM received WHERE customer = ?", (customer,))
            db.execute(
                "DELETE FROM met WHERE subscription IN (SELECT id FROM subscriptions WHERE customer = ?)", (customer,)
            )
            gone = db.execute("DELETE FROM subscriptions WHERE customer = ?", (customer,)).rowcount
        for (notice,) in named:
            (mail_folder(home) / f"{notice}.eml").unlink(missing_ok=True)
        store.db.forget_for_good()
    return gone
