"""Orders from the command line: placed and delivered here and now, in this process."""

from pathlib import Path
from typing import Any

from catalogs.delivery.order import Order, OrderRequest, OrderState, Quote
from catalogs.delivery.order_desk import HOUSE, Desk, note, open_desk, submit
from catalogs.delivery.order_standing import require_standing
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.order_tending import package_folder
from catalogs.delivery.package import DELIVERY, open_delivery, require_sound
from catalogs.delivery.package_keys import PublicKey, public_key, signing_key
from catalogs.delivery.quote import quote_order
from configs.settings import Home
from pipelines.deliver_requests import DeliverRequest
from pipelines.deliver_send import send_package
from pipelines.observe import Report, reporting_to
from pipelines.prefect_env import flows_in_this_process, prepare_prefect, server_starting
from processing.model.errors import BadInput


def place_order(desk: Desk, customer: str | None, request: OrderRequest) -> Order:
    """Order for a customer, by id or name, or for the house itself."""
    if customer is None:
        return submit(desk, desk.asking(HOUSE), request)
    return submit(desk, desk.asking(desk.customers.party(customer)), request, by=HOUSE.id)


def ask_price(desk: Desk, customer: str | None, request: OrderRequest) -> Quote:
    """What it would come to; nothing is kept."""
    return quote_order(desk.asking(HOUSE if customer is None else desk.customers.party(customer)), request)


def require_officer(desk: Desk, name: str) -> str:
    """Id of an officer of the house.

    Raises
    ------
    BadInput
        ``officer.unknown`` if that account may not approve.
    """
    account = desk.customers.get(name)
    if not account.details.officer:
        raise BadInput(f"{name} is no officer", kind="officer.unknown",
                       remedy="An officer's account is added with: qyran customer add NAME --officer.")  # fmt: skip
    return account.id


def deliver_now(request: DeliverRequest, *, report: Report | None) -> list[dict[str, Any]]:
    """Run ``deliver-order`` in this process. Returns its outcomes."""
    prepare_prefect(Home.resolve(request.home_path).prefect)
    if report is not None:
        report(0, 1, "starting Prefect")
    with server_starting():
        from pipelines.deliver import deliver_order
    with flows_in_this_process(), reporting_to(report):
        state: Any = deliver_order(request, return_state=True)
        record: Any = state.result(raise_on_failure=False)
    if isinstance(record, Exception):
        raise record
    return list(record["orders"])


def copy_package(home: Path | None, order_id: str, to: Path) -> dict[str, Any]:
    """Copy a package out of HOME, with all that a download through the API is held to.

    Raises
    ------
    BadInput
        ``order.unknown``, ``order.not_ready``.
    Denied
        ``order.denied`` if the policy has changed.
    """
    place = Home.resolve(home)
    with open_desk(place.path) as desk:
        order, folder = desk.orders.find(order_id), package_folder(place.path, order_id)
        if order.package is None or order.state not in (OrderState.READY, OrderState.DELIVERED):
            raise BadInput(f"the order is {order.state}: there is nothing to fetch", kind="order.not_ready",
                           where=order_id, remedy="See: qyran order show.")  # fmt: skip
        require_standing(desk, order, now_utc())
        opened = open_delivery((folder / DELIVERY).read_bytes(), signing_key(place.path).public)
        note(desk, order, "order.download", HOUSE.id)
        target = Path(send_package(folder, order_id, str(to.expanduser().absolute()), opened))
        require_sound(target, opened)
    return {
        "order": order_id, "folder": str(target), "files": len(opened.delivered.files), "bytes": order.package.size,
        "received": 0, "resumed": 0, "key": str(opened.key), "verified": True,
    }  # fmt: skip


def house_key(home: Path | None) -> PublicKey | None:
    """The public key of the installation here; None where it has delivered nothing."""
    return public_key(Home.resolve(home).path)
