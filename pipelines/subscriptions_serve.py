"""One round through all subscriptions: what is new is ordered, what is superseded announced, all of it told."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalogs.delivery.subscriptions_desk import open_subscriptions
from catalogs.delivery.subscriptions_news import announce
from catalogs.delivery.subscriptions_scan import look
from catalogs.delivery.subscriptions_send import send
from configs.settings import Home
from pipelines.journal import record_event


def serve(home: Path, now: datetime | None = None) -> dict[str, Any]:
    """Order what is new, announce what is superseded, send what is to be told.

    Returns
    -------
    dict
        ``subscriptions, orders, announced``, ``outcomes`` by name, ``notices`` by what became of them, ``faults``.
    """
    now = now or datetime.now(UTC).replace(microsecond=0)
    with open_subscriptions(home) as place:
        looked = look(place, now)
        announced = announce(place, now)
        sent = send(place, now)
    if looked.orders or announced or sent.given_up:
        record_event(
            Home(home), "subscriptions.served", orders=looked.orders, announced=announced, sent=sent.sent,
            given_up=sent.given_up,
        )  # fmt: skip
    return {
        "subscriptions": looked.subscriptions, "orders": looked.orders, "outcomes": looked.outcomes,
        "announced": announced, "faults": looked.faults,
        "notices": {
            "sent": sent.sent, "later": sent.later, "given_up": sent.given_up, "withheld": sent.withheld,
        },
    }  # fmt: skip
