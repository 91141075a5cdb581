"""A subscription: which new images of which ground somebody wants, in which form, up to what cost, told where."""

import json
import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from catalogs.delivery.order import Format, OrderRequest
from configs.schema.subscriptions import Language

_COLLECTION = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_LONGEST_URL = 500
_LARGEST_AREA = 524_288


class SubscriptionState(StrEnum):
    """Whether a subscription goes on."""

    ACTIVE = "active"
    PAUSED = "paused"
    """What is catalogued meanwhile is not ordered, later neither."""
    ENDED = "ended"


class NewVersions(StrEnum):
    """What is done when an item that was delivered has a new version."""

    ANNOUNCE = "announce"
    DELIVER = "deliver"
    """Announced, and ordered as well."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderOptions(_Value):
    """In which form images come: as of an order."""

    clip: bool = Field(default=True, description="Cut to the area. Otherwise whole images")
    crs: str | None = Field(default=None, description="EPSG:n to reproject to. None: as it is archived")
    format: Format = Format.COG
    bands: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=64, description="None: all")
    licence_accepted: str | None = Field(
        default=None, max_length=512, description="Licences that are accepted for all that comes, commas between them"
    )


class Limits(_Value):
    """How much a subscription may order in a calendar month of UTC, besides the customer's own quota."""

    km2_month: Annotated[Decimal, Field(gt=0, max_digits=18)] | None = None
    amount_month: Annotated[Decimal, Field(gt=0, max_digits=18)] | None = Field(
        default=None, description="In the currency of the customer's prices"
    )


class Notify(_Value):
    """Where news go. With neither, they are read through the API."""

    webhook: str | None = Field(default=None, description="https:// address that notices are posted to")
    mail: str | None = Field(default=None, max_length=254, description="E-mail address")
    language: Language = "en"

    @field_validator("webhook")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and (wrong := _wrong_url(url)) is not None:
            raise ValueError(wrong)
        return url

    @field_validator("mail")
    @classmethod
    def _mailbox(cls, mail: str | None) -> str | None:
        if mail is not None and not _MAIL.fullmatch(mail):
            raise ValueError("that is no e-mail address: write name@host")
        return mail


def _wrong_url(url: str) -> str | None:
    """What is wrong with the address of a webhook, whoever's it is."""
    if len(url) > _LONGEST_URL or not url.isascii() or any(sign.isspace() or not sign.isprintable() for sign in url):
        return f"an address has at most {_LONGEST_URL} plain characters"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "that is no address"
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
        return "the address of a webhook begins with https://"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "the address of a webhook has no user, password or fragment: notices are signed instead"
    return None


class SubscriptionRequest(_Value):
    """What a customer subscribes to."""

    title: str | None = Field(default=None, min_length=1, max_length=120, description="For the customer alone")
    area: dict[str, Any] = Field(description="GeoJSON polygon, longitude and latitude")
    collections: tuple[str, ...] = Field(default=(), max_length=32, description="Images of one of these")
    recipe: str | None = Field(default=None, max_length=64, description="Products of this recipe, e.g. ndvi")
    cloud_cover: float | None = Field(
        default=None, ge=0, le=100, description="At most so many percent of cloud. What was not tested does not match"
    )
    acquired_from: AwareDatetime | None = Field(
        default=None, description="Only what was taken since. None: all that is newly catalogued"
    )
    ends: AwareDatetime | None = Field(default=None, description="When it ends by itself")
    order: OrderOptions = OrderOptions()
    new_versions: NewVersions = NewVersions.ANNOUNCE
    limits: Limits = Limits()
    notify: Notify = Notify()
    submission_key: str | None = Field(
        default=None, min_length=1, max_length=128, description="The same key again is the same subscription"
    )

    @field_validator("area")
    @classmethod
    def _plain(cls, area: dict[str, Any]) -> dict[str, Any]:
        # Of what can be kept; and as it is read again, so that the same request is the same.
        text = json.dumps(area, ensure_ascii=False, allow_nan=False).encode()
        if len(text) > _LARGEST_AREA:
            raise ValueError(f"an area has at most {_LARGEST_AREA} bytes")
        return dict(json.loads(text))

    @field_validator("collections")
    @classmethod
    def _named(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in names if not _COLLECTION.fullmatch(name)]
        if wrong:
            raise ValueError(f"{wrong[0][:80]!r} is no collection")
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if not self.collections and self.recipe is None:
            raise ValueError("say of what: collections, a recipe, or both")
        return self


class Subscription(_Value):
    """A subscription as it is kept."""

    id: str
    customer: str
    request: SubscriptionRequest
    state: SubscriptionState = SubscriptionState.ACTIVE
    created: AwareDatetime
    updated: AwareDatetime
    since: AwareDatetime
    """What was catalogued earlier is not new: when it began, or was last taken up again."""
    reason: str | None = None
    """Why it ended, as a stable code."""
    generation: int = 1
    """Of the secret that its notices are signed with."""

    def order_request(self, item: str, key: str) -> OrderRequest:
        """What is ordered when an item comes."""
        options = self.request.order
        return OrderRequest(
            items=(item,), clip=self.request.area if options.clip else None, crs=options.crs, format=options.format,
            bands=options.bands, licence_accepted=options.licence_accepted, submission_key=key,
        )  # fmt: skip

    def moved(self, state: SubscriptionState, now: datetime, **changes: Any) -> "Subscription":
        """The subscription in another state."""
        return Subscription.model_validate(self.model_dump() | changes | {"state": state, "updated": now})

    def public(self, *, operator: bool = False) -> dict[str, Any]:
        """As JSON for its customer, or for an operator."""
        document: dict[str, Any] = {
            "id": self.id,
            "state": str(self.state),
            "reason": self.reason,
            "created": moment(self.created),
            "updated": moment(self.updated),
            "since": moment(self.since),
            "ends": moment(self.request.ends),
            "request": self.request.model_dump(mode="json", exclude_none=True),
        }
        return document | ({"customer": self.customer} if operator else {})


def moment(value: datetime | None) -> str | None:
    """A moment as JSON tells it."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")
