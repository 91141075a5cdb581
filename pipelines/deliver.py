"""The flow ``deliver-order``: an order becomes a package, and the package goes where it is wanted.

The policy is asked again before anything is computed, and the delivery stands in the audit log before anything can be
had. Without an order it does what is due: lets go on what waited for a moment that has come, lets expire what waited
too long, and delivers what is accepted. So it runs by itself as soon as an order is due, again every two minutes while
one is, and every twenty minutes without a reason.
"""

import logging
import time
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict

from catalogs.delivery.order import Order, OrderState
from catalogs.delivery.order_desk import HOUSE, note, open_desk
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.order_tending import is_being_made, package_folder, tend
from catalogs.delivery.package import DELIVERY, open_delivery, require_sound
from catalogs.delivery.package_keys import signing_key
from pipelines.deliver_requests import DeliverRequest
from pipelines.deliver_send import send_package
from pipelines.observe import report_progress
from pipelines.tasks import RETRIES, Record, installation
from processing.model.errors import QyranError

log = logging.getLogger(__name__)


class DeliverOutcome(BaseModel):
    """What became of one order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: str
    state: OrderState
    reasons: tuple[str, ...] = ()
    message: str | None = None
    package: str | None = None
    """Its folder in HOME."""
    delivered_to: str | None = None
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, order: Order, home: Path, *, to: str | None = None) -> "DeliverOutcome":
        """The outcome that an order's state tells."""
        last, package = order.history[-1], order.package
        open_ = package is not None and order.state in (OrderState.READY, OrderState.DELIVERED)
        return cls(
            order=order.id, state=order.state, reasons=(last.reason,), message=last.note,
            package=str(package_folder(home, order.id)) if open_ else None, delivered_to=to,
            files=len(package.files) if package and open_ else 0, bytes=package.size if package and open_ else 0,
        )  # fmt: skip


@flow(name="deliver-order", description=__doc__, persist_result=False)
def deliver_order(request: DeliverRequest) -> State[Record]:
    """Deliver an order, or all that are due. Returns ``orders``, a :class:`DeliverOutcome` for each."""
    wanted = [request.order] if request.order else due(request)["orders"]
    outcomes = []
    for order_id in wanted:
        started = time.monotonic()
        try:
            made = DeliverOutcome.model_validate(make(request, order_id))
            if request.to and made.package is not None:
                made = DeliverOutcome.model_validate(hand_out(request, order_id))
        except QyranError:
            if request.order:
                raise
            # One that fails stops no other; its task says why, and the next run takes it up again.
            log.exception("order %s was not delivered", order_id)
            continue
        outcomes.append(made.model_copy(update={"seconds": round(time.monotonic() - started, 3)}))
    if outcomes:
        create_markdown_artifact(key="orders-delivered", markdown=outcome_table(outcomes), description="Orders")
    record = {"orders": [outcome.model_dump(mode="json") for outcome in outcomes]}
    if request.order and outcomes[0].state == OrderState.FAILED:
        return Failed(message=outcomes[0].message or "failed", data=record)
    return Completed(message=f"{len(outcomes)} orders", data=record)


@task(name="due", task_run_name="what is due", persist_result=False, **RETRIES)
def due(request: DeliverRequest) -> Record:
    """Tend the orders. Returns ``orders``, the ids of those to deliver."""
    home, _ = installation(request)
    if not (home.path / "orders").is_dir():
        return {"orders": []}
    with open_desk(home.path) as desk:
        # One that another run is making would only keep this one waiting.
        return {"orders": [order.id for order in tend(desk) if not is_being_made(home.path, order.id)]}


@task(name="make", task_run_name="make {order_id}", persist_result=False, **RETRIES)
def make(request: DeliverRequest, order_id: str) -> Record:
    """Make an order's package. Returns a :class:`DeliverOutcome`."""
    # Imported where an order is made: most runs only look whether any is due.
    from pipelines.deliver_package import Workplace, make_package

    home, registry = installation(request)
    with open_desk(home.path) as desk:
        place = Workplace(home=home, registry=registry, desk=desk)
        order = make_package(place, order_id, again=request.again)
    return DeliverOutcome.of(order, home.path).model_dump(mode="json")


@task(name="hand-out", task_run_name="hand out {order_id}", persist_result=False, **RETRIES)
def hand_out(request: DeliverRequest, order_id: str) -> Record:
    """Bring a package to a folder or a bucket: on record first. Returns a :class:`DeliverOutcome`."""
    home, _ = installation(request)
    report_progress(0, 1, f"handing out to {request.to}")
    with open_desk(home.path) as desk:
        order, folder = desk.orders.find(order_id), package_folder(home.path, order_id)
        opened = open_delivery((folder / DELIVERY).read_bytes(), signing_key(home.path).public)
        require_sound(folder, opened)
        note(desk, order, "order.hand_out", HOUSE.id)
        address = send_package(folder, order.id, request.to, opened)
        now = now_utc()
        order = desk.orders.change(
            order.id,
            lambda found: (
                found
                if found.state == OrderState.DELIVERED
                else found.moved(OrderState.DELIVERED, "order.handed_out", by=HOUSE.id, now=now)
            ),
        )
    return DeliverOutcome.of(order, home.path, to=address).model_dump(mode="json")


def outcome_table(outcomes: list[DeliverOutcome]) -> str:
    """Markdown: what became of each order."""
    rows = [
        f"| `{one.order}` | {one.state} | {', '.join(one.reasons)} | {one.files} | {one.bytes / 1e6:.3g} |"
        for one in outcomes
    ]
    return "\n".join(["| order | state | why | files | MB |", "|---|---|---|---:|---:|", *rows])
