"""Orders through HTTP: a customer sees its own, and nothing tells whether another's exists."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from catalogs.api import links
from catalogs.api.answers import Json
from catalogs.api.entrance import OutOfScope
from catalogs.api.errors import NotFound
from catalogs.api.principal import Principal, Unauthorised, principal_of
from catalogs.customers.accounts import Scope
from catalogs.delivery.link_keys import LinkKeys
from catalogs.delivery.links import LONGEST, sign
from catalogs.delivery.order import Order, OrderRequest, OrderState
from catalogs.delivery.order_decisions import approve, cancel, mark_paid, reject
from catalogs.delivery.order_desk import HOUSE, Desk, submit
from catalogs.delivery.order_store import open_orders
from catalogs.delivery.package import DELIVERY, media_type_of
from catalogs.delivery.package_keys import public_key
from catalogs.delivery.quote import Asking, quote_order
from catalogs.policy.terms import PUBLIC_PARTY, Purpose
from processing.model.errors import BadInput

router = APIRouter(prefix="/orders", tags=["Orders"])
DOWNLOADS = f"{links.DOWNLOAD}/orders"
_SHOWN_FILES = 200
"""More files than this are listed by ``/orders/{id}/files`` alone."""
_LINK_LIFE = LONGEST - timedelta(seconds=30)


def desk_of(request: Request) -> Desk:
    """The desk, with what the application holds open and the policy that is in force."""
    state = request.app.state
    return Desk(
        home=state.home, orders=open_orders(state.home), customers=state.customers, store=state.store,
        rules=state.gate.policy.current,
    )  # fmt: skip


async def at_desk[Answer](request: Request, work: Callable[[Desk], Answer]) -> Answer:
    """Do something at the desk, in a thread: databases wait."""
    return await anyio.to_thread.run_sync(lambda: work(desk_of(request)))


def customer_of(request: Request, what: str = "orders") -> Principal:
    """Whoever has signed in, by a token that is for orders.

    Parameters
    ----------
    what
        Is asked for; told to whoever may not have it.

    Raises
    ------
    Unauthorised
        ``token.needed`` for anybody else.
    OutOfScope
        For a token that is for other things.
    """
    found = principal_of(request)
    if not found.operator and found.party is PUBLIC_PARTY:
        raise Unauthorised(f"{what} are for customers who have signed in", kind="token.needed",
                           remedy="Send the token as Authorization: Bearer, or sign in.")  # fmt: skip
    if Scope.ORDER not in found.scopes:
        raise OutOfScope("this token is not for orders", remedy="Ask for one with the scope 'order'.")
    return found


def asking_of(desk: Desk, principal: Principal) -> Asking:
    """Who asks at the desk: a customer, or the house itself."""
    if principal.operator:
        return desk.asking(HOUSE)
    return desk.asking(principal.party, entitlement=principal.entitlement)


def order_of(desk: Desk, order_id: str, customer: str | None = None) -> Order:
    """An order; a customer's own where one is named.

    Raises
    ------
    NotFound
        Where there is none.
    """
    try:
        return desk.orders.find(order_id, customer=customer)
    except BadInput as error:
        raise NotFound("there is no such order") from error


def _own(desk: Desk, principal: Principal, order_id: str) -> Order:
    return order_of(desk, order_id, None if principal.operator else principal.party.id)


def _require_plain(principal: Principal, asked: OrderRequest) -> None:
    if asked.purpose != Purpose.ROUTINE and not principal.operator:
        raise BadInput("what an order is for, an officer confirms", kind="order.purpose",
                       remedy="Leave purpose out, and write to the house.")  # fmt: skip


@router.post("/quote", response_class=Json)
async def ask_quote(request: Request, asked: Annotated[OrderRequest, Body()]) -> Json:
    """What an order would come to: ground, price, decision, licence. Nothing is kept."""
    principal = customer_of(request)
    _require_plain(principal, asked)
    found = await at_desk(request, lambda desk: quote_order(asking_of(desk, principal), asked))
    return Json(found.public(operator=principal.operator))


@router.post("", response_class=Json, status_code=201)
async def place_order(
    request: Request, asked: Annotated[OrderRequest, Body()], dry_run: Annotated[bool, Query()] = False
) -> Json:
    """Order. The same ``submission_key`` again answers with the same order; ``dry_run`` answers with a quote."""
    if dry_run:
        return await ask_quote(request, asked)
    principal = customer_of(request)
    _require_plain(principal, asked)
    order = await at_desk(request, lambda desk: submit(desk, asking_of(desk, principal), asked))
    answer = Json(await _document(request, order, principal), status_code=201)
    answer.headers["Location"] = f"{links.origin(request)}/orders/{order.id}"
    return answer


@router.get("", response_class=Json)
async def list_orders(
    request: Request,
    state: Annotated[list[OrderState] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Json:
    """The customer's own orders, newest first; all of them for an operator."""
    principal = customer_of(request)
    customer = None if principal.operator else principal.party.id
    found = await at_desk(request, lambda desk: desk.orders.listed(customer=customer, states=state or (), limit=limit))
    documents = []
    for order in found:
        document = order.public(operator=principal.operator)
        document["links"] = [links.link("self", f"{links.origin(request)}/orders/{order.id}")]
        documents.append(document)
    return Json({"orders": documents})


@router.get("/key", response_class=Json)
async def delivery_key(request: Request) -> Json:
    """The public key that deliveries are signed with. Pin it when you first see it."""
    found = await anyio.to_thread.run_sync(public_key, request.app.state.home)
    if found is None:
        raise NotFound("nothing was delivered from here yet")
    return Json({"algorithm": "ed25519", "key": str(found), "id": found.id})


@router.get("/{order_id}", response_class=Json)
async def show_order(request: Request, order_id: str) -> Json:
    """One order with its history; where its package is ready, with fresh links to every file."""
    principal = customer_of(request)
    order = await at_desk(request, lambda desk: _own(desk, principal, order_id))
    return Json(await _document(request, order, principal), headers={"Cache-Control": "no-store"})


@router.get("/{order_id}/files", response_class=Json)
async def list_files(request: Request, order_id: str) -> Json:
    """All files of a package, each with a fresh link."""
    principal = customer_of(request)
    order = await at_desk(request, lambda desk: _own(desk, principal, order_id))
    files = await anyio.to_thread.run_sync(_files, request, order)
    return Json({"order": order.id, "files": files}, headers={"Cache-Control": "no-store"})


@router.delete("/{order_id}", response_class=Json)
async def cancel_order(request: Request, order_id: str) -> Json:
    """Call an order off, as long as nothing of it was handed out."""
    principal = customer_of(request)

    def work(desk: Desk) -> Order:
        order = _own(desk, principal, order_id)
        return cancel(desk, order.id, HOUSE.id if principal.operator else order.customer)

    return Json(await _document(request, await at_desk(request, work), principal))


class OfficersWords(BaseModel):
    """Why an officer decides so."""

    model_config = ConfigDict(extra="forbid")

    note: str | None = Field(default=None, max_length=1000, description="Stays with the order, for the house alone.")


@router.post("/{order_id}/approve", response_class=Json)
async def approve_order(request: Request, order_id: str, words: Annotated[OfficersWords | None, Body()] = None) -> Json:
    """An officer's yes. Where the policy wants two, they are different ones."""
    note = _note(words)
    return await _officers(request, order_id, lambda desk, order, by: approve(desk, order, by, note))


@router.post("/{order_id}/paid", response_class=Json)
async def order_paid(request: Request, order_id: str) -> Json:
    """The house has the money."""
    return await _officers(request, order_id, mark_paid)


@router.post("/{order_id}/reject", response_class=Json)
async def reject_order(request: Request, order_id: str, words: Annotated[OfficersWords | None, Body()] = None) -> Json:
    """An officer's no."""
    note = _note(words)
    return await _officers(request, order_id, lambda desk, order, by: reject(desk, order, by, "officer.rejected", note))


def _note(words: OfficersWords | None) -> str | None:
    return None if words is None or words.note is None else words.note.strip() or None


async def _officers(request: Request, order_id: str, act: Callable[[Desk, str, str], Order]) -> Json:
    principal = customer_of(request)
    if not principal.officer:
        raise NotFound("there is no such order")

    def work(desk: Desk) -> Order:
        order_of(desk, order_id)
        return act(desk, order_id, principal.party.id)

    order = await at_desk(request, work)
    return Json(order.public(operator=True))


async def _document(request: Request, order: Order, principal: Principal) -> dict[str, Any]:
    here = f"{links.origin(request)}/orders/{order.id}"
    document = order.public(operator=principal.operator)
    document["links"] = [links.link("self", here)]
    if is_open(order):
        document["links"].append(links.link("files", f"{here}/files"))
        files = await anyio.to_thread.run_sync(_files, request, order)
        document["links"] += [
            links.link("delivery" if file["path"] == DELIVERY else "enclosure", file["href"], file["media_type"],
                       title=file["path"], length=file["size"])
            for file in files[:_SHOWN_FILES]
        ]  # fmt: skip
    return document


def is_open(order: Order) -> bool:
    """Whether an order's package can be fetched."""
    return order.package is not None and order.state in (OrderState.READY, OrderState.DELIVERED)


def _files(request: Request, order: Order) -> list[dict[str, Any]]:
    if order.package is None or not is_open(order):
        return []
    home = request.app.state.home
    key, ends = LinkKeys(home).current(), datetime.now(UTC) + _LINK_LIFE
    delivery = home / "orders" / "packages" / order.id / DELIVERY
    size = delivery.stat().st_size if delivery.is_file() else None
    entries: list[dict[str, Any]] = [
        {"path": DELIVERY, "size": size, "sha256": None, "media_type": media_type_of(DELIVERY)}
    ]
    entries += [file.model_dump() for file in order.package.files]
    for entry in entries:
        path = f"{DOWNLOADS}/{order.id}/{entry['path']}"
        entry["href"] = f"{links.origin(request)}{quote(path)}"
        if order.customer != HOUSE.id:  # the house's own are fetched with an operator's token
            entry["href"] += f"?{sign(path, order.customer, order.id, ends, key)}"
    return entries
