"""The flow ``serve-subscriptions``: what is new is ordered for whoever subscribed to it, and told.

It runs as soon as there is a reason to (a new item or version, an order that has come on, a notice to be sent), once a
minute at the most, and every twenty minutes without one; `deliver-order` delivers what is ordered here. Each run orders
every newly catalogued item that matches a subscription, once, as the policy of this moment decides; announces new
versions of what was delivered; and sends what is to be told: to webhooks, and as mail files into `HOME/mail/outgoing`.

*A customer says that nothing came?* `qyran subscription show` lists what a subscription has met with, and why an item
was not ordered; `qyran subscription notices` what was told, and which webhook did not answer.
"""

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import deployment
from prefect.states import Completed

from catalogs import catalogue_exists
from catalogs.delivery.order_store import FOLDER
from configs.settings import Home
from pipelines.landing_runs import skip_missed
from pipelines.requests import Request
from pipelines.subscriptions_serve import serve
from processing.archive import durable

LOCK = "subscriptions.lock"
"""In staging: held by the run that is at it."""


class ServeRequest(Request):
    """See to all subscriptions once, by the rules of HOME/configs/subscriptions.yaml."""


@flow(name="serve-subscriptions", flow_run_name="see to subscriptions", description=__doc__, persist_result=False)
def serve_subscriptions(request: ServeRequest) -> State[dict[str, Any]]:
    """See to all subscriptions once. Returns what :func:`~pipelines.subscriptions_serve.serve` did."""
    home = Home.resolve(request.home_path)
    skip_missed(deployment.id)
    if not (home.path / FOLDER).is_dir() or not catalogue_exists(home.catalogue):
        return Completed(message="nobody has ordered or subscribed here yet", data=None)
    durable.make_folders(home.staging)
    try:
        with durable.exclusive(home.staging / LOCK, wait=False):
            record = serve(home.path)
    except BlockingIOError:
        return Completed(name="Busy", message="another run is at it", data=None)
    if record["outcomes"] or record["announced"] or record["notices"]["sent"] or record["faults"]:
        create_markdown_artifact(key="subscriptions", markdown=served_table(record), description="Subscriptions")
    message = f"{record['subscriptions']} subscriptions, {record['orders']} orders, {record['notices']['sent']} notices"
    return Completed(message=message, data=record)


def served_table(record: dict[str, Any]) -> str:
    """Markdown: what one run did."""
    rows = [
        *((f"items {outcome}", count) for outcome, count in sorted(record["outcomes"].items())),
        ("new versions announced", record["announced"]),
        *((f"notices {word.replace('_', ' ')}", count) for word, count in record["notices"].items()),
        *(("not seen to", fault) for fault in record["faults"]),
    ]
    return "\n".join(["| | |", "|---|---:|", *(f"| {what} | {count} |" for what, count in rows)])
