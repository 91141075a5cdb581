"""What goes wrong, in plain words and the right status; what was not foreseen says nothing of its inside."""

import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from catalogs.api.answers import Json
from catalogs.api.entrance import OutOfScope, WrongOrigin
from catalogs.api.refused import NotFound, Unauthorised
from catalogs.customers.usage import QuotaExhausted
from catalogs.delivery.links import LinkRefused
from processing.model.errors import BadInput, Conflict, Denied, QyranError, Retryable

__all__ = ["NotFound", "add_handlers", "refusal", "status_of"]
log = logging.getLogger(__name__)

_UNPROCESSABLE = (
    "search.filter", "search.geometry", "search.text", "search.too_broad", "search.too_large", "stac.", "tiles.",
    "order.", "subscription.",
)  # fmt: skip
"""Kinds of requests that can be read, and are refused for what they ask; the others cannot be read."""


def status_of(error: QyranError) -> int:
    """HTTP status of an error."""
    match error:
        case Unauthorised():
            return 401
        case WrongOrigin() | OutOfScope() | LinkRefused() | QuotaExhausted():
            return 403
        case Denied() if error.kind.startswith("order."):
            return 403  # of what is the customer's own, or may be known of
        case NotFound() | Denied():
            return 404
        case Conflict():
            return 409
        case BadInput():
            return 422 if error.kind.startswith(_UNPROCESSABLE) else 400
        case Retryable():
            return 503
        case _:
            return 500


def add_handlers(app: FastAPI) -> None:
    """Answer every error in the words of the STAC API: ``code`` and ``description``."""
    app.add_exception_handler(QyranError, _handled(_of_ours))
    app.add_exception_handler(RequestValidationError, _handled(_of_request))
    app.add_exception_handler(HTTPException, _handled(_of_http))
    app.add_exception_handler(Exception, _handled(_unforeseen))


def refusal(status: int, code: str, description: str, headers: dict[str, str] | None = None) -> Json:
    """An error as an answer."""
    return Json({"code": code, "description": description}, status_code=status, headers=headers)


def _handled[Error: Exception](
    answer: Callable[[Request, Error], Response],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(request: Request, error: Exception) -> Response:
        return answer(request, error)  # type: ignore[arg-type]

    return handler


def _of_ours(request: Request, error: QyranError) -> Response:
    status = status_of(error)
    if status == 500:
        log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
        return refusal(500, error.kind, "The catalogue is damaged here; its operator finds the reason in the log.")
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}.get(status)
    words = " ".join(part for part in (f"{error.message}.", error.remedy) if part)
    return refusal(status, error.kind, words, headers)


def _of_request(_: Request, error: RequestValidationError) -> Response:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][1:]) or 'the request'}: {fault['msg']}"
        for fault in error.errors()[:10]
    ]
    return refusal(400, "request.invalid", "; ".join(faults))


def _of_http(_: Request, error: HTTPException) -> Response:
    return refusal(error.status_code, "not_found" if error.status_code == 404 else "http", str(error.detail))


def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(500, "internal", "Something unforeseen went wrong; the operator finds the reason in the log.")
