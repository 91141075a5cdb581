"""An order: what is asked, what it costs, what became of it and why."""

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from catalogs.delivery.order_package import PackageRecord, Ruling, Value
from catalogs.delivery.order_states import OPEN, TRANSITIONS, OrderState
from catalogs.policy.terms import Purpose
from processing.model.errors import Conflict

__all__ = ["OPEN", "TRANSITIONS", "Order", "OrderRequest", "OrderState", "Quote"]
MAX_ITEMS = 1_000
_ITEM = re.compile(r"[A-Za-z0-9._-]{1,128}/[A-Za-z0-9._-]{1,256}|[A-Za-z0-9._-]{1,256}")
_CRS = re.compile(r"EPSG:\d{4,6}")


class Format(StrEnum):
    """In which files the pixels come."""

    COG = "cog"
    ZARR = "zarr"


class OrderRequest(Value):
    """What a customer asks for."""

    items: tuple[str, ...] = Field(min_length=1, max_length=MAX_ITEMS, description="COLLECTION/ID, or an ID alone")
    clip: dict[str, Any] | None = Field(default=None, description="GeoJSON polygon, longitude and latitude")
    crs: str | None = Field(default=None, description="EPSG:n to reproject to. None: as it is archived")
    format: Format = Format.COG
    bands: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=64, description="None: all")
    recipe: str | None = Field(
        default=None, max_length=64, description="The product of this recipe that derives from each item, e.g. ndvi"
    )
    licence_accepted: str | None = Field(
        default=None, max_length=512, description="Licences that are accepted herewith, with commas between them"
    )
    partial: bool = Field(default=False, description="Deliver what may be delivered, even if not all may")
    purpose: Purpose = Field(default=Purpose.ROUTINE, description="What it is for, as an officer has confirmed it")
    submission_key: str | None = Field(
        default=None, min_length=1, max_length=128, description="The same key again is the same order, not another one"
    )

    @field_validator("items")
    @classmethod
    def _named(cls, items: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [item for item in items if not _ITEM.fullmatch(item)]
        if wrong:
            raise ValueError(f"{wrong[0][:80]!r} is not written COLLECTION/ID")
        return tuple(dict.fromkeys(items))

    @field_validator("crs")
    @classmethod
    def _coded(cls, crs: str | None) -> str | None:
        if crs is not None and not _CRS.fullmatch(crs):
            raise ValueError("a CRS is named EPSG:n")
        return crs


class OrderedItem(Value):
    """One item of an order, with its price and what the policy said of it."""

    collection: str
    id: str
    version: str
    """Revision of the product that is ordered."""
    km2: Decimal
    """Ground inside the clip, on the ellipsoid."""
    amount: Decimal
    ruling: Ruling

    @property
    def name(self) -> str:
        """``COLLECTION/ID``."""
        return f"{self.collection}/{self.id}"


class LeftOut(Value):
    """An item that was asked for and is not delivered."""

    item: str
    reason: str
    """Stable code."""


class Price(Value):
    """A sum of money."""

    amount: Decimal
    currency: str


class Quote(Value):
    """What an order would cost and what would come of it, now."""

    km2: Decimal
    amount: Decimal
    currency: str
    decision: str
    """The strictest effect among its items."""
    until: AwareDatetime | None = None
    approvals: int = 0
    licences: tuple[str, ...] = ()
    """Licences that have to be accepted first."""
    items: tuple[OrderedItem, ...]
    left_out: tuple[LeftOut, ...] = ()

    def public(self, *, operator: bool = False) -> dict[str, Any]:
        """As JSON for whoever asked: why a rule is as it is, a customer is not told."""
        return {
            "km2": float(self.km2),
            "amount": str(self.amount),
            "currency": self.currency,
            "decision": self.decision,
            "until": _moment(self.until),
            "approvals": self.approvals,
            "licence": self.licences[0] if self.licences else None,
            "licences": list(self.licences),
            "items": [public_item(item, operator=operator) for item in self.items],
            "left_out": [entry.model_dump(mode="json") for entry in self.left_out],
        }


class Event(Value):
    """One step in the life of an order."""

    state: OrderState
    time: AwareDatetime
    reason: str
    """Stable code."""
    by: str
    note: str | None = None


class Approval(Value):
    """An officer's yes."""

    officer: str
    time: AwareDatetime
    policy_sha256: str
    """Of the policy whose question it answers."""
    note: str | None = None
    """Why, in the officer's words."""


class Order(Value):
    """An order as it is kept."""

    id: str
    customer: str
    customer_name: str
    customer_class: str
    country: str | None = None
    region: str | None = None
    request: OrderRequest
    state: OrderState
    items: tuple[OrderedItem, ...]
    left_out: tuple[LeftOut, ...] = ()
    km2: Decimal
    price: Price
    licences: tuple[str, ...] = ()
    """Licences accepted with it."""
    paid: bool = False
    """Paid, on account, or free of charge."""
    approvals_needed: int = 0
    approvals: tuple[Approval, ...] = ()
    until: AwareDatetime | None = None
    """Earliest delivery, where the policy delays it."""
    created: AwareDatetime
    updated: AwareDatetime
    expires: AwareDatetime | None = None
    history: tuple[Event, ...]
    package: PackageRecord | None = None
    subscription: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.history or self.history[-1].state != self.state:
            raise ValueError("an order's state is the last of its history")
        return self

    def moved(
        self, state: OrderState, reason: str, *, by: str, now: datetime, note: str | None = None, **changes: Any
    ) -> "Order":
        """The order one step further.

        Raises
        ------
        Conflict
            ``order.state`` if it cannot go there from where it is.
        """
        if state not in TRANSITIONS[self.state]:
            raise Conflict(
                f"the order is {self.state}, and cannot become {state}", kind="order.state", where=self.id,
                remedy="See its history: qyran order show.",
            )  # fmt: skip
        step = Event(state=state, time=now, reason=reason, by=by, note=note)
        return Order.model_validate(
            self.model_dump() | changes | {"state": state, "updated": now, "history": (*self.history, step)}
        )

    def public(self, *, operator: bool = False) -> dict[str, Any]:
        """As JSON for its customer, or for an operator, who sees the rules and the officers too."""
        document: dict[str, Any] = {
            "id": self.id,
            "state": str(self.state),
            "created": _moment(self.created),
            "updated": _moment(self.updated),
            "expires": _moment(self.expires),
            "until": _moment(self.until),
            "items": [public_item(item, operator=operator) for item in self.items],
            "left_out": [entry.model_dump(mode="json") for entry in self.left_out],
            "km2": float(self.km2),
            "price": {"amount": str(self.price.amount), "currency": self.price.currency},
            "paid": self.paid,
            "licences": list(self.licences),
            "approvals_needed": self.approvals_needed,
            "approvals": len(self.approvals),
            "request": self.request.model_dump(mode="json", exclude_none=True),
            "history": [_public_event(event, self.customer, operator=operator) for event in self.history],
            "links": [],
        }
        if operator:
            document |= {
                "customer": {"id": self.customer, "name": self.customer_name, "class": self.customer_class},
                "country": self.country,
                "region": self.region,
                "officers": [approval.officer for approval in self.approvals],
                "approvals_given": [
                    {"by": given.officer, "time": _moment(given.time), "note": given.note} for given in self.approvals
                ],
                "subscription": self.subscription,
            }
        if self.package is not None:
            document["size"] = self.package.size
        return document


def public_item(item: OrderedItem, *, operator: bool) -> dict[str, Any]:
    """An item of an order as JSON."""
    ruling = item.ruling
    document: dict[str, Any] = {
        "collection": item.collection,
        "id": item.id,
        "km2": float(item.km2),
        "amount": str(item.amount),
        "decision": ruling.effect,
        "until": _moment(ruling.until),
        "gsd_m": ruling.gsd_m,
        "licence": ruling.licence,
    }
    if operator:
        document |= {"rule": ruling.rule, "reasons": list(ruling.reasons), "masks": list(ruling.masks)}
    return document


def _public_event(event: Event, customer: str, *, operator: bool) -> dict[str, Any]:
    document = {"state": str(event.state), "time": _moment(event.time), "reason": event.reason}
    if operator:
        return document | {"by": event.by, "note": event.note}
    # Which officer of the house it was is the house's own matter.
    return document | {"by": "customer" if event.by == customer else "house"}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
