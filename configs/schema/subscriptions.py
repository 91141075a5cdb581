"""What an operator sets about subscriptions and notices, in ``HOME/configs/subscriptions.yaml``."""

from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork, PositiveFloat, PositiveInt

from configs.schema.values import Days, Value

Minutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]


class WebhookRules(Value):
    """Where notices may be posted to, and how often that is tried."""

    networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="networks of the operator's own that customers' webhooks may be in, although they are private, "
        "loopback or link-local; plain http is allowed there too. Empty: only public addresses, by https",
    )
    ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = Field(
        default=(443, 8443), description="ports of public addresses that may be posted to"
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="how long one webhook may take, all in all")
    retry_minutes: tuple[Minutes, ...] = Field(
        default=(1, 5, 30, 120, 480, 1_440),
        description="waits from one try to the next; after the last one a notice is given up",
    )


class MailRules(Value):
    """Who mail files come from."""

    sender: str = Field(
        default="qyran@localhost", pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}$",
        description="address in From",
    )  # fmt: skip


class SubscriptionsConfig(Value):
    """Everything has a default: the file need not be there."""

    webhooks: WebhookRules = WebhookRules()
    mail: MailRules = MailRules()
    most: PositiveInt = Field(default=20, description="subscriptions that one customer may have at a time")
    overlap_hours: PositiveFloat = Field(
        default=6.0, description="how far back every look goes: from an item's date to its row in the catalogue"
    )
    look_again_hours: PositiveFloat = Field(
        default=6.0, description="from one look at everything since a subscription began to the next"
    )
    orders_a_run: PositiveInt = Field(default=200, description="orders that one run makes at most")
    notices_a_run: PositiveInt = Field(default=200, description="notices that one run sends at most")
    keep_notices_days: Days = Field(default=90.0, description="how long notices can be read afterwards")
    origin: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\[\]:-]+$")] = Field(
        default="http://127.0.0.1:8480",
        description="beginning of links in notices, where catalogue.yaml has no public_url",
    )


Language = Literal["en", "kk", "ru"]
"""In which notices are written."""
