"""What an order costs: unit prices by class of customer, and how sums are rounded."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from configs.schema.values import Value

Currency = Literal["KZT", "USD"]
Money = Annotated[Decimal, Field(ge=0, max_digits=18)]
Km2 = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class UnitPrice(Value):
    """One line of the price list. The first line that fits an item and a customer is taken."""

    customer_class: Annotated[str, Field(alias="class", pattern=r"^(\*|[a-z][a-z0-9_]*)$")]
    """Class of customer, or ``*`` for all that no earlier line names."""
    collections: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.*_-]+$")], ...] = ("*",)
    """Collections; ``*`` stands for any letters."""
    finer_than_m: Annotated[float, Field(gt=0)] | None = None
    """Only images whose finest ground sampling distance is below this; unknown counts as finest."""
    per_km2: Money
    currency: Currency
    minimum_km2: Km2 = Decimal(0)
    """Less ground than this costs as much as this."""


class PricesConfig(Value):
    """The price list of an installation."""

    free: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = ("gov_domestic",)
    """Classes that are served free of charge."""
    decimals: dict[Currency, Annotated[int, Field(ge=0, le=4)]] = {"KZT": 2, "USD": 2}  # noqa: RUF012 - pydantic copies it
    """To how many decimals a sum is rounded, half up, once for each item."""
    largest_km2: Km2 = Decimal(250_000)
    """Most ground in one order: more is a matter for people."""
    largest_items: Annotated[int, Field(ge=1, le=1_000)] = 100
    quote_days: Annotated[float, Field(gt=0, le=365)] = 14
    """How long an order waits for approval or payment before it expires."""
    keep_days: Annotated[float, Field(gt=0, le=3650)] = 30
    """How long a package that is ready can be fetched."""
    prices: tuple[UnitPrice, ...]

    @model_validator(mode="after")
    def _known_decimals(self) -> Self:
        missing = {line.currency for line in self.prices} - self.decimals.keys()
        if missing:
            raise ValueError(f"decimals says nothing of {sorted(missing)}")
        return self
