"""What somebody may see: the one seam between the catalogue and the policy of the house."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

type Condition = Mapping[str, Any] | bool
"""CQL2 JSON on items. A geometry in it may be one of shapely's, and ``{"fact": NAME, "is": "number" | "text"}``
is a property as policy reads it: unknown where it is of another kind or in doubt (``catalogs.policy.terms.doubts``);
``{"op": "flagged", "args": [NAME, ...]}``: one of these is in doubt."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Ground that is as if some items did not show it."""

    shape: BaseGeometry
    """Degrees of WGS 84."""
    where: Condition = True
    """Of which items: it must hold for certain."""
    unless: Condition = False
    """Of which of these not: this, too, must hold for certain."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A predicate on items, in words that every store can turn into a condition of its own queries.

    It is handed to every question that is asked on somebody's behalf: search, counts, aggregations, collections and
    their extents, single items, downloads. What it does not let through is to the asker as if it were not there.
    """

    collections: frozenset[str] | None = None
    """Only items of these collections; None: of all."""
    condition: Mapping[str, Any] | None = None
    """Only items for which this holds; None: all."""
    hidden: tuple[Hidden, ...] = ()
    """Ground that is not shown: whoever asks for places, and every extent, goes by what is left of an item's outline.
    Items of which nothing is left are not let through."""

    @property
    def unlimited(self) -> bool:
        """Whether every item of the collections is let through, with all of its outline."""
        return self.condition is None and not self.hidden

    def permits_collection(self, collection: str) -> bool:
        """Whether items of a collection may be seen at all."""
        return self.collections is None or collection in self.collections


EVERYTHING = Entitlement()
"""An operator's, and that of the pipelines themselves."""
NOTHING = Entitlement(collections=frozenset())
