"""What officers of the house see: everybody's orders, what waits for them, and a month's report."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from fastapi import Path as InPath
from starlette.requests import Request
from starlette.responses import Response

from catalogs.api.answers import Json
from catalogs.api.entrance import OutOfScope
from catalogs.api.orders import at_desk, customer_of, order_of
from catalogs.api.principal import Principal
from catalogs.delivery.order import Order, OrderState
from catalogs.delivery.order_desk import HOUSE, Desk
from catalogs.delivery.report import Language, read_report, report_csv
from processing.model.errors import BadInput

router = APIRouter(prefix="/officers", tags=["Officers"])
_UNKEPT = {"Cache-Control": "no-store"}


class Form(StrEnum):
    """How a report is written."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


def officer_of(request: Request) -> Principal:
    """An officer who has signed in.

    Raises
    ------
    Unauthorised, OutOfScope
        For anybody else.
    """
    found = customer_of(request, "officers' pages")
    if not found.officer:
        raise OutOfScope(
            "this is for officers of the house", kind="officer.needed",
            remedy="An operator makes somebody one: qyran customer add NAME --class gov_domestic --officer.",
        )  # fmt: skip
    return found


@router.get("/orders", response_class=Json)
async def everybodys_orders(
    request: Request,
    state: Annotated[list[OrderState] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    oldest_first: bool = False,
) -> Json:
    """Everybody's orders, newest first unless asked otherwise, and how many there are in each state."""
    officer_of(request)

    def work(desk: Desk) -> dict[str, Any]:
        found = desk.orders.listed(states=state or (), limit=limit, offset=offset, oldest_first=oldest_first)
        return {"orders": _documents(desk, found), "counts": desk.orders.counts()}

    return Json(await at_desk(request, work), headers=_UNKEPT)


@router.get("/orders/{order_id}", response_class=Json)
async def anybodys_order(request: Request, order_id: str) -> Json:
    """One order with the rules that hold it and the officers who decided; no links to its files."""
    officer_of(request)

    def work(desk: Desk) -> dict[str, Any]:
        (found,) = _documents(desk, (order_of(desk, order_id),))
        return found

    return Json(await at_desk(request, work), headers=_UNKEPT)


@router.get(
    "/reports/{month}",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/csv": {}, "application/pdf": {}}}},
)
async def month(
    request: Request,
    month: Annotated[str, InPath(description="2026-11, UTC")],
    form: Annotated[Form, Query(alias="format")] = Form.JSON,
    language: Annotated[Language, Query(description="Of a PDF.")] = "en",
) -> Response:
    """A month's deliveries: export revenue beside domestic service free of charge; km2, scenes, bytes, sums."""
    officer_of(request)
    found = await anyio.to_thread.run_sync(read_report, request.app.state.home, month)
    name = f"qyran-{found.month}.{form}"
    headers = _UNKEPT | {"Content-Disposition": f'attachment; filename="{name}"'}
    match form:
        case Form.CSV:
            return Response(report_csv(found).encode("utf-8-sig"), media_type="text/csv", headers=headers)
        case Form.PDF:
            # Imported where one is asked for: it loads a library of its own.
            from catalogs.delivery.report_pdf import report_pdf

            content = await anyio.to_thread.run_sync(report_pdf, found, language)
            return Response(content, media_type="application/pdf", headers=headers)
        case _:
            return Json(found.model_dump(mode="json"), headers=_UNKEPT)


def _documents(desk: Desk, orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Orders as an officer sees them: with everybody's name where there is one."""
    documents = [order.public(operator=True) for order in orders]
    ids = [{step["by"] for step in (*one["approvals_given"], *one["history"])} for one in documents]
    names = _names(desk, set[str]().union(*ids))
    for document, named in zip(documents, ids, strict=True):
        document["names"] = {one: name for one, name in names.items() if one in named or one == HOUSE.id}
    return documents


def _names(desk: Desk, ids: Iterable[str]) -> dict[str, str]:
    """What those are called who have an account; the house and its operators have none."""
    names = {HOUSE.id: HOUSE.name}
    for one in sorted(ids):
        try:
            found = desk.customers.get(one)
        except BadInput:
            continue
        if found.id == one:  # accounts are found by name as well
            names[one] = found.name
    return names
