"""What an item says that was composed of several: when, how, how well located, and what it inherits from them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from processing.model.composite_layers import COVERAGE, ITEMS, METHOD, OBSERVED_FROM, OBSERVED_UNTIL, UNSURE
from processing.model.product import Product

NOT_STATED = "not stated for all inputs"
"""In the place of a number: policy then takes the accuracy as unknown, and that gives least."""
_NAMESPACES = (
    "accuracy:", "classification:", "eo:", "file:", "grid:", "order:", "processing:", "product:", "proj:", "qyran:",
    "raster:", "sat:", "storage:", "view:",
)  # fmt: skip
_PLAIN = frozenset({
    "constellation", "created", "datetime", "deprecated", "description", "end_datetime", "experimental", "gsd",
    "instruments", "keywords", "language", "languages", "license", "mission", "platform", "providers", "published",
    "renders", "roles", "start_datetime", "title", "unpublished", "updated", "version",
})  # fmt: skip
"""Properties of which an item's own product decides."""


def span_of(product: Product) -> tuple[datetime, datetime]:
    """The first and last moment at which a product was taken, UTC: one and the same, but for a composite."""
    ends = (product.facts.get(name) for name in (OBSERVED_FROM, OBSERVED_UNTIL))
    first, last = (product.acquired if end is None else datetime.fromisoformat(str(end)) for end in ends)
    return first.astimezone(UTC), last.astimezone(UTC)


def composed_properties(product: Product) -> dict[str, Any]:
    """Properties of a composite's item; none of any other's."""
    if OBSERVED_FROM not in product.facts:
        return {}
    first, last = (moment.isoformat().replace("+00:00", "Z") for moment in span_of(product))
    found: dict[str, Any] = {
        "start_datetime": first,
        "end_datetime": last,
        "qyran:composite_method": product.facts[METHOD],
        "qyran:composite_items": product.facts[ITEMS],
        "qyran:coverage_percent": product.facts[COVERAGE],
    }
    if UNSURE in product.facts:
        found["qyran:ce90_m"] = NOT_STATED
    return found


def inherited(properties: Mapping[str, Any], parents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Properties of a derived item with the marks of those that it derives from.

    A mark is what somebody has written into an item besides what its product says: a policy may go by it. One on which
    all parents agree is the child's too. One on which they do not is not stated: policy takes what is unknown as
    whatever gives least, so no child is given more freely than the strictest of its parents.

    Parameters
    ----------
    properties
        Of the child.
    parents
        Items of all its parents.
    """
    marks = [{name: value for name, value in parent["properties"].items() if _is_mark(name)} for parent in parents]
    carried = {name for each in marks for name in each}
    agreed = {
        name: marks[0][name]
        for name in sorted(carried)
        if all(name in each and each[name] == marks[0].get(name) for each in marks)
    }
    return {name: value for name, value in properties.items() if name not in carried} | agreed


def _is_mark(name: str) -> bool:
    return name not in _PLAIN and not name.startswith(_NAMESPACES)
