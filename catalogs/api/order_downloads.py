"""Files of ordered packages, by signed link or by their customer's token. The policy is asked again for every one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from catalogs.api import links
from catalogs.api.answers import matches
from catalogs.api.entrance import OutOfScope
from catalogs.api.errors import NotFound, refusal
from catalogs.api.kept import Kept
from catalogs.api.orders import desk_of, is_open
from catalogs.api.principal import principal_of
from catalogs.customers.accounts import Scope
from catalogs.delivery.link_keys import LinkKeys
from catalogs.delivery.links import is_signed, verify
from catalogs.delivery.order import Order, OrderState
from catalogs.delivery.order_desk import Desk, audit_of
from catalogs.delivery.order_standing import require_standing
from catalogs.delivery.order_store import now_utc
from catalogs.delivery.order_tending import package_folder
from catalogs.delivery.package import DELIVERY, media_type_of
from processing.model.errors import BadInput, Denied

router = APIRouter(tags=["Orders"])
_ROUTE = f"{links.DOWNLOAD}/orders/{{order_id}}/{{path:path}}"
_MAX_RANGES = 16
STANDS_S = 30.0
"""So long the answer of the policy about an order holds, where neither order nor policy has changed."""
_KEPT = 256
_CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox; frame-ancestors 'none'"


class _File(NamedTuple):
    path: Path
    media: str
    sha256: str | None
    size: int | None


@router.head(_ROUTE, include_in_schema=False)
@router.get(
    _ROUTE,
    response_class=Response,
    responses={200: {"description": "The file"}, 206: {"description": "Parts of it"}, 304: {"description": "Unchanged"},
               403: {"description": "The link is altered, over, revoked, or overruled"},
               404: {"description": "Not there"}, 416: {"description": "Ranges that it does not have"}},
)  # fmt: skip
async def download_ordered(request: Request, order_id: str, path: str) -> Response:
    """A file of an order's package, whole or in ranges."""
    if request.headers.get("range", "").count(",") >= _MAX_RANGES:
        return refusal(416, "range", f"At most {_MAX_RANGES} ranges at once.")
    found = await anyio.to_thread.run_sync(_permitted, request, order_id, path)
    return _answer(request, found)


def _permitted(request: Request, order_id: str, path: str) -> _File:
    """The file, if whoever asks may have it now, and it stands in the audit log that it was given.

    Raises
    ------
    LinkRefused
        For a link that opens nothing.
    NotFound
        If there is no such order or file, or not for this asker.
    Denied
        ``order.denied`` if the policy says no by now.
    """
    home: Path = request.app.state.home
    asked = f"{links.DOWNLOAD}/orders/{order_id}/{path}"
    desk = desk_of(request)
    customer = _whose(request, desk, asked, order_id)
    try:
        order = desk.orders.find(order_id, customer=customer)
    except BadInput as error:
        raise NotFound("there is no such file") from error
    found = _file_of(home, order, path)
    _stands(desk, order)
    audit_of(home).append(
        order.customer, "order.download", [(f"{order.id}/{path}", found.sha256)], "allow", request_id=order.id,
        facts={"range": request.headers.get("range", "")[:80]},
    )  # fmt: skip
    if order.state == OrderState.READY and path != DELIVERY:
        _first_fetched(desk, order)
    return found


def _whose(request: Request, desk: Desk, asked: str, order_id: str) -> str | None:
    """Id of the customer whose orders may be looked at: by a link's right, or a token's; None for an operator."""
    if is_signed(request.url.query):
        link = verify(request.method, asked, request.url.query, LinkKeys(desk.home), desk.customers)
        if link.order != order_id:
            raise NotFound("there is no such file")
        return link.customer
    principal = principal_of(request)
    if Scope.DOWNLOAD not in principal.scopes:
        raise OutOfScope("this token is not for downloads", remedy="Ask for one with the scope 'download'.")
    return None if principal.operator else principal.party.id


def _file_of(home: Path, order: Order, path: str) -> _File:
    if order.package is None or not is_open(order):
        raise NotFound("there is no such file")
    folder = package_folder(home, order.id)
    if path == DELIVERY:
        return _File(folder / DELIVERY, media_type_of(DELIVERY), None, None)
    listed = order.package.file(path)
    if listed is None:
        raise NotFound("there is no such file")
    return _File(folder / path, listed.media_type, listed.sha256, listed.size)


_standings: Kept[tuple[str, str, str], None] = Kept(_KEPT, STANDS_S)
"""Orders that were found to stand: asking about a hundred ranges is asking once."""


def _stands(desk: Desk, order: Order) -> None:
    """Ask the policy about an order again, unless it was asked a moment ago under the same policy."""
    key = (order.id, order.updated.isoformat(), desk.policy.sha256)
    _standings.get(key, lambda: require_standing(desk, order, datetime.now(UTC)))


def _first_fetched(desk: Desk, order: Order) -> None:
    now = now_utc()
    desk.orders.change(
        order.id,
        lambda found: found if found.state != OrderState.READY
        else found.moved(OrderState.DELIVERED, "order.fetched", by=found.customer, now=now),
    )  # fmt: skip


def _answer(request: Request, found: _File) -> Response:
    try:
        stat = found.path.stat()
    except OSError as error:
        raise NotFound("there is no such file") from error
    if found.size is not None and stat.st_size != found.size:
        raise Denied("the package is not what was signed", kind="delivery.damaged", where=found.path.name)
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": _CSP,
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(found.path.name)}",
    }
    if found.sha256 is not None:
        headers["ETag"] = f'"{found.sha256}"'
    answer = FileResponse(found.path, headers=headers, media_type=found.media, stat_result=stat)
    if matches(request.headers.get("if-none-match"), answer.headers["etag"]):
        kept = {name: answer.headers[name] for name in ("etag", "cache-control")}
        return Response(status_code=304, headers=kept)
    return answer
