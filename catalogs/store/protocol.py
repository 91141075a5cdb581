"""What every catalogue store can do, in words that know no database."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from catalogs.entitlement import EVERYTHING, Entitlement

Item = dict[str, Any]
"""A STAC Item as JSON."""
Collection = dict[str, Any]
"""A STAC Collection as JSON."""

ANYWHERE: dict[str, Any] = {
    "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]}, "temporal": {"interval": [[None, None]]}
}  # fmt: skip
"""Extent of a collection of which somebody may see nothing."""
MAX_LIMIT = 10_000
AGGREGATIONS = (
    "total_count",
    "datetime_min",
    "datetime_max",
    "collection_frequency",
    "platform_frequency",
    "datetime_frequency",
    "cloud_cover_frequency",
)
"""What can be asked about all items that match: numbers, ends of time, and how often each value occurs."""


class SortKey(BaseModel):
    """One field to sort by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(min_length=1, max_length=200)
    """``id``, ``collection``, ``datetime``, or the name of a property, with or without ``properties.``."""
    direction: Literal["asc", "desc"] = "asc"


NEWEST_FIRST = (SortKey(field="datetime", direction="desc"),)
"""The order of a search that states none."""


class SearchRequest(BaseModel):
    """What to find. Everything given must hold; what is left out does not limit.

    Semantics are those of STAC API 1.0 Item Search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    collections: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    bbox: tuple[float, ...] | None = None
    """West, south, east, north, degrees (or six numbers: heights are ignored). West > east crosses the antimeridian."""
    intersects: dict[str, Any] | None = None
    """GeoJSON geometry, lon, lat. Not together with ``bbox``."""
    datetime: str | None = None
    """RFC 3339 instant, or ``A/B`` with either end open (``..`` or empty); both ends belong to it."""
    filter: str | dict[str, Any] | None = None
    """CQL2 as text or as JSON."""
    text: tuple[str, ...] = ()
    """Free text: items that hold at least one of these terms; see :mod:`catalogs.store.words` for what that means."""
    sortby: tuple[SortKey, ...] = ()
    """Empty: newest first. Ties go by collection, then id; items without the field come last in either direction."""
    limit: int = Field(default=10, ge=1, le=MAX_LIMIT)
    token: str | None = None
    """``next`` of the page before, with everything else unchanged."""
    count: bool = False
    """Also count all that match."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.bbox is not None and self.intersects is not None:
            raise ValueError("give bbox or intersects, not both")
        return self


class ItemPage(BaseModel):
    """A page of results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[Item, ...]
    next: str | None = None
    """Token of the next page; None on the last."""
    matched: int | None = None
    """How many match in all, where it was asked. None where there are so many that to count them would cost much more
    than to find a page of them. Every page of a search states the number of its first page."""


class Bucket(BaseModel):
    """How many of the matching items share a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    frequency: int
    start: float | None = None
    """Of a range of numbers: its lower end, which belongs to it."""
    stop: float | None = None
    """Of a range of numbers: its upper end, which does not; None: open."""


class Aggregation(BaseModel):
    """One figure about all items that match, or one table of frequencies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    data_type: Literal["integer", "datetime", "frequency_distribution"]
    value: int | str | None = None
    buckets: tuple[Bucket, ...] = ()
    """By key; ranges and months by their order."""


@runtime_checkable
class CatalogueStore(Protocol):
    """A catalogue. Safe to use from several threads, and from several processes on one catalogue.

    What a method returned from is durable. Errors: BadInput ``search.*`` for a request that means nothing,
    ``collection.unknown`` for an item without its collection. Whoever asks for somebody else passes that one's
    entitlement: what it does not cover is as if it were not there, in counts and extents too.
    """

    def put_collection(self, collection: Collection) -> None:
        """Add a collection, or replace the one of the same id. Its items stay."""
        ...

    def get_collection(self, collection: str, entitlement: Entitlement = EVERYTHING) -> Collection | None:
        """One collection, its extent being that of its items; None if there is none of this id."""
        ...

    def collections(self, entitlement: Entitlement = EVERYTHING) -> tuple[Collection, ...]:
        """All collections by id, each with the extent of its items."""
        ...

    def delete_collection(self, collection: str) -> bool:
        """Remove a collection that holds no items. Returns whether it was there.

        Raises
        ------
        Conflict
            ``collection.not_empty`` if it holds items.
        """
        ...

    def put_item(self, item: Item) -> None:
        """Add an item, or replace the one of the same collection and id.

        Where both state a ``version`` and the two differ, the one that was there is kept as an earlier version.
        """
        ...

    def put_items(self, items: Iterable[Item]) -> int:
        """As :meth:`put_item` one after the other, but faster. Returns how many.

        Items become durable in batches; if one is refused, whole batches before it stay.
        """
        ...

    def get_item(self, collection: str, item_id: str, entitlement: Entitlement = EVERYTHING) -> Item | None:
        """One item, in its latest version; None if there is none."""
        ...

    def find_item(self, reference: str) -> Item | None:
        """The item ``COLLECTION/ID``, or ``ID`` alone where only one collection has it.

        Raises
        ------
        BadInput
            ``item.ambiguous`` if several collections have an item of this id.
        """
        ...

    def delete_item(self, collection: str, item_id: str) -> bool:
        """Remove an item and its earlier versions. Returns whether it was there."""
        ...

    def items(self, collection: str | None = None) -> Iterator[Item]:
        """All items, or those of one collection, one after the other by collection and id: for copies and exports."""
        ...

    def versions(self, collection: str, item_id: str, entitlement: Entitlement = EVERYTHING) -> tuple[Item, ...]:
        """Earlier versions of an item, the last superseded first; none where the item itself may not be seen."""
        ...

    def put_version(self, item: Item) -> None:
        """Keep a document as an earlier version of its item, which must be there; one of that version is replaced."""
        ...

    def delete_version(self, collection: str, item_id: str, version: str) -> bool:
        """Forget an earlier version. Returns whether it was there."""
        ...

    def search(self, request: SearchRequest, entitlement: Entitlement = EVERYTHING) -> ItemPage:
        """Items that match, sorted, one page."""
        ...

    def aggregate(
        self, request: SearchRequest, names: tuple[str, ...], entitlement: Entitlement = EVERYTHING
    ) -> tuple[Aggregation, ...]:
        """Figures about all items that match, in the order they were asked for.

        Parameters
        ----------
        request
            Its sorting, page and limit mean nothing here.
        names
            Of ``AGGREGATIONS``.

        Raises
        ------
        BadInput
            ``search.aggregation`` for a name that is none of them.
        """
        ...

    def close(self) -> None:
        """Give up what is held open. The store may not be used afterwards."""
        ...
