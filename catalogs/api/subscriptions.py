"""Subscriptions through HTTP: a customer sees its own, and nothing tells whether another's exists."""

from collections.abc import Callable
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Query
from starlette.requests import Request

from catalogs.api import links
from catalogs.api.answers import Json
from catalogs.api.errors import NotFound
from catalogs.api.orders import asking_of, customer_of, desk_of
from catalogs.api.principal import Principal
from catalogs.delivery.order_desk import HOUSE
from catalogs.delivery.subscriptions import Subscription, SubscriptionRequest, SubscriptionState
from catalogs.delivery.subscriptions_desk import (
    Subscriptions,
    end,
    forecast,
    opened_for,
    pause,
    renew_secret,
    resume,
    secret_of,
    subscribe,
)
from catalogs.delivery.subscriptions_send import notices
from processing.model.errors import BadInput

router = APIRouter(prefix="/subscriptions", tags=["Subscriptions"])
_SHOWN = 100
_PRIVATE = {"Cache-Control": "no-store"}


async def _with[Answer](request: Request, work: Callable[[Subscriptions], Answer]) -> Answer:
    """Do something at the desk, in a thread: databases wait."""

    def at_desk() -> Answer:
        with opened_for(desk_of(request)) as place:
            return work(place)

    return await anyio.to_thread.run_sync(at_desk)


def _customer(request: Request) -> Principal:
    return customer_of(request, "subscriptions")


def _whose(principal: Principal) -> str | None:
    return None if principal.operator else principal.party.id


def _own(place: Subscriptions, principal: Principal, subscription: str) -> Subscription:
    try:
        return place.store.find(subscription, customer=_whose(principal))
    except BadInput as error:
        raise NotFound("there is no such subscription") from error


def _document(request: Request, found: Subscription, principal: Principal) -> dict[str, Any]:
    here = f"{links.origin(request)}/subscriptions/{found.id}"
    document = found.public(operator=principal.operator)
    document["links"] = [links.link("self", here), links.link("notices", f"{here}/notices")]
    return document


@router.post("", response_class=Json, status_code=201)
async def add_subscription(
    request: Request, asked: Annotated[SubscriptionRequest, Body()], dry_run: Annotated[bool, Query()] = False
) -> Json:
    """Subscribe. Answers with what to expect of it, and once with the webhook's secret.

    The same ``submission_key`` again answers with the same subscription; ``dry_run`` only says what to expect.
    """
    principal = _customer(request)
    if dry_run:
        return Json(await _with(request, lambda place: forecast(place, asking_of(place.desk, principal), asked)))
    found, expected = await _with(request, lambda place: subscribe(place, asking_of(place.desk, principal), asked))
    document = _document(request, found, principal) | {"forecast": expected}
    secret = await anyio.to_thread.run_sync(secret_of, request.app.state.home, found)
    document["secret"] = secret
    answer = Json(document, status_code=201, headers=_PRIVATE)
    answer.headers["Location"] = f"{links.origin(request)}/subscriptions/{found.id}"
    return answer


@router.get("", response_class=Json)
async def list_subscriptions(
    request: Request,
    state: Annotated[list[SubscriptionState] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Json:
    """The customer's own subscriptions, newest first; all of them for an operator."""
    principal = _customer(request)
    whose = _whose(principal)
    found = await _with(request, lambda place: place.store.listed(customer=whose, states=state or (), limit=limit))
    return Json({"subscriptions": [_document(request, one, principal) for one in found]})


@router.get("/notices", response_class=Json)
async def list_notices(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Json:
    """All that the customer was told, newest first; also of orders that no subscription made."""
    principal = _customer(request)
    whose = _whose(principal)
    found = await _with(request, lambda place: notices(place, customer=whose, limit=limit))
    return Json({"notices": found}, headers=_PRIVATE)


@router.get("/{subscription_id}", response_class=Json)
async def show_subscription(request: Request, subscription_id: str) -> Json:
    """One subscription, with the latest items that it has met with."""
    principal = _customer(request)

    def work(place: Subscriptions) -> dict[str, Any]:
        found = _own(place, principal, subscription_id)
        met = [one.public() for one in place.store.met(found.id, limit=_SHOWN) if one.is_told]
        return _document(request, found, principal) | {"items": met}

    return Json(await _with(request, work))


@router.get("/{subscription_id}/notices", response_class=Json)
async def list_notices_of(
    request: Request, subscription_id: str, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Json:
    """What was told of one subscription, newest first."""
    principal = _customer(request)

    def work(place: Subscriptions) -> list[dict[str, Any]]:
        return notices(place, subscription=_own(place, principal, subscription_id).id, limit=limit)

    return Json({"notices": await _with(request, work)}, headers=_PRIVATE)


@router.post("/{subscription_id}/pause", response_class=Json)
async def pause_subscription(request: Request, subscription_id: str) -> Json:
    """Stop for a while. What is catalogued meanwhile is not ordered, later neither."""
    return await _step(request, subscription_id, pause)


@router.post("/{subscription_id}/resume", response_class=Json)
async def resume_subscription(request: Request, subscription_id: str) -> Json:
    """Go on, with what is catalogued from now on."""
    return await _step(request, subscription_id, resume)


@router.delete("/{subscription_id}", response_class=Json)
async def end_subscription(request: Request, subscription_id: str) -> Json:
    """End it for good. What it has ordered goes on."""
    return await _step(request, subscription_id, end)


@router.post("/{subscription_id}/secret", response_class=Json)
async def new_secret(request: Request, subscription_id: str) -> Json:
    """Have notices signed with a new secret from now on. It is shown this once."""
    principal = _customer(request)

    def work(place: Subscriptions) -> str | None:
        found = _own(place, principal, subscription_id)
        return secret_of(place.desk.home, renew_secret(place, found.id, _actor(principal)))

    return Json({"id": subscription_id, "secret": await _with(request, work)}, headers=_PRIVATE)


def _actor(principal: Principal) -> str:
    return HOUSE.id if principal.operator else principal.party.id


async def _step(request: Request, subscription_id: str, act: Callable[[Subscriptions, str, str], Subscription]) -> Json:
    principal = _customer(request)

    def work(place: Subscriptions) -> Subscription:
        return act(place, _own(place, principal, subscription_id).id, _actor(principal))

    return Json(_document(request, await _with(request, work), principal))
