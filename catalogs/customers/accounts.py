"""What is known of a customer, as values."""

import unicodedata
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from catalogs.customers.countries import country_code
from catalogs.policy.terms import CustomerClass, Party
from processing.model.errors import BadInput

_LONGEST = 200


class Status(StrEnum):
    """Whether somebody may come in."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASED = "erased"


class Scope(StrEnum):
    """What a token may be used for. Policy then decides what its owner gets."""

    READ = "read"
    DOWNLOAD = "download"
    ORDER = "order"


EVERY_SCOPE = frozenset(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What an operator states about a customer.

    Raises
    ------
    BadInput
        ``customer.*`` for what cannot be: a country that is none, a clearance below zero, text with line breaks.
    """

    customer_class: CustomerClass
    country: str | None = None
    """ISO 3166-1 alpha-2."""
    region: str | None = None
    """The region a domestic body answers for, as an akimat does: ISO 3166-2, such as ``KZ-75``, or its name."""
    clearance: int = 0
    legal_name: str | None = None
    tax_id: str | None = None
    email: str | None = None
    officer: bool = False
    """Whether this one may approve what policy holds."""

    def __post_init__(self) -> None:
        if self.country is not None:
            object.__setattr__(self, "country", country_code(self.country))
        if not 0 <= self.clearance <= 9:
            raise BadInput(f"a clearance is 0 to 9, not {self.clearance}", kind="customer.clearance")
        for name in ("region", "legal_name", "tax_id", "email"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, plain_text(value, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer."""

    id: str
    name: str
    details: Details
    status: Status
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """An agreement and the time it holds: from the first moment on, up to the last, exclusively."""

    number: str
    starts: datetime
    ends: datetime | None = None
    note: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it holds at a time."""
        return self.starts <= now and (self.ends is None or now < self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedLicence:
    """Terms that somebody agreed to for a customer."""

    licence: str
    version: str
    accepted: datetime
    accepted_by: str
    withdrawn: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a customer may use in a month and how fast it may ask; None: without limit, or as everybody."""

    km2_month: float | None = None
    gb_month: float | None = None
    requests_month: int | None = None
    per_second: float | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 <= value < 1e15:
                raise BadInput(f"{field.name} cannot be {value}", kind="customer.quota")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A customer's key to the API, without its secret, which nobody keeps."""

    id: str
    customer: str
    label: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Who came in by what, and how fast that one may ask."""

    party: Party | None
    """None for an operator's session."""
    id: str
    """The token's id, or the session's."""
    scopes: frozenset[Scope] = EVERY_SCOPE
    officer: bool = False
    operator: bytes | None = None
    """For an operator's session: digest of the operators' token by which it was begun."""
    per_second: float | None = None
    burst: int | None = None
    expires: datetime | None = None


def plain_text(text: str, name: str) -> str:
    """Text of one line, in one form of writing (NFC).

    Raises
    ------
    BadInput
        ``customer.text`` if it is empty, long, or has control characters in it.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if not text or len(text) > _LONGEST or any(unicodedata.category(sign)[0] == "C" for sign in text):
        raise BadInput(
            f"{name} must be 1 to {_LONGEST} characters on one line", kind="customer.text", where=name,
            remedy="Leave out line breaks and control characters.",
        )  # fmt: skip
    return text


def moment(seconds: int | None) -> datetime | None:
    """A time as it is kept."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def seconds(time: datetime | None) -> int | None:
    """A time to be kept. Times without a zone are refused: nobody knows when they are."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise BadInput(f"{time.isoformat()} has no time zone", kind="customer.time", remedy="Add Z for UTC.")
    return int(time.timestamp())


def as_json(value: Any) -> Any:
    """A value of this module for the command line and for a customer's own copy."""
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case frozenset() | set():
            return sorted(as_json(one) for one in value)
        case list() | tuple():
            return [as_json(one) for one in value]
        case dict():
            return {key: as_json(one) for key, one in value.items()}
        case Account():
            own = {"id": value.id, "name": value.name, "status": str(value.status), "created": as_json(value.created)}
            details = as_json(value.details)
            return {**own, "class": details.pop("customer_class"), **details}
        case _ if hasattr(value, "__dataclass_fields__"):
            return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
