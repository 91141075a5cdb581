"""What somebody may see: the one seam between the catalogue and the policy of the house."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A predicate on items, in words that every store can turn into a condition of its own queries.

    It is handed to every question that is asked on somebody's behalf: search, counts, aggregations, collections and
    their extents, single items, downloads. What it does not let through is to the asker as if it were not there.
    """

    collections: frozenset[str] | None = None
    """Only items of these collections; None: of all."""
    condition: Mapping[str, Any] | None = None
    """Only items for which this CQL2 JSON holds; None: all. A geometry in it may be one of shapely's."""

    def permits_collection(self, collection: str) -> bool:
        """Whether items of a collection may be seen at all."""
        return self.collections is None or collection in self.collections


EVERYTHING = Entitlement()
"""An operator's, and that of the pipelines themselves."""
NOTHING = Entitlement(collections=frozenset())
