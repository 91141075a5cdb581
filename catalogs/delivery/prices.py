"""What an item costs: the first line of the price list that fits, exact, rounded once."""

from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase

from catalogs.delivery.order import Price
from configs.schema.prices import PricesConfig, UnitPrice
from processing.model.errors import BadInput

FREE_CURRENCY = "KZT"


def price_of(prices: PricesConfig, *, customer_class: str, collection: str, gsd_m: float | None, km2: Decimal) -> Price:
    """The price of so much ground of one item.

    Raises
    ------
    BadInput
        ``order.no_price`` if the list says nothing of it: nothing is given away for want of a line.
    """
    if customer_class in prices.free:
        return Price(amount=Decimal(0), currency=FREE_CURRENCY)
    line = next((line for line in prices.prices if _fits(line, customer_class, collection, gsd_m)), None)
    if line is None:
        raise BadInput(
            f"the price list says nothing of {collection} for customers of the class {customer_class}",
            kind="order.no_price",
            remedy="The house adds a line to HOME/configs/prices.yaml.",
        )
    amount = max(km2, line.minimum_km2) * line.per_km2
    step = Decimal(1).scaleb(-prices.decimals[line.currency])
    return Price(amount=amount.quantize(step, ROUND_HALF_UP), currency=line.currency)


def _fits(line: UnitPrice, customer_class: str, collection: str, gsd_m: float | None) -> bool:
    if line.customer_class not in ("*", customer_class):
        return False
    if line.finer_than_m is not None and gsd_m is not None and gsd_m >= line.finer_than_m:
        return False
    return any(fnmatchcase(collection, pattern) for pattern in line.collections)
