"""What every catalogue store can do, in words that know no database."""

from typing import Any, Literal, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

Item = dict[str, Any]
"""A STAC Item as JSON."""
Collection = dict[str, Any]
"""A STAC Collection as JSON."""

MAX_LIMIT = 10_000


class SortKey(BaseModel):
    """One field to sort by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(min_length=1, max_length=200)
    """``id``, ``collection``, ``datetime``, or the name of a property, with or without ``properties.``."""
    direction: Literal["asc", "desc"] = "asc"


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
    sortby: tuple[SortKey, ...] = ()
    """Empty: newest first."""
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
    """How many match in all, where it was asked."""


@runtime_checkable
class CatalogueStore(Protocol):
    """A catalogue. Safe to use from several threads, and from several processes on one catalogue.

    What a method returned from is durable. Errors: BadInput ``search.*`` for a request that means nothing,
    ``collection.unknown`` for an item without its collection.
    """

    def put_collection(self, collection: Collection) -> None:
        """Add a collection, or replace the one of the same id. Its items stay."""
        ...

    def get_collection(self, collection: str) -> Collection | None:
        """One collection, its extent being that of its items; None if there is none of this id."""
        ...

    def collections(self) -> tuple[Collection, ...]:
        """All collections by id, each with the extent of its items."""
        ...

    def put_item(self, item: Item) -> None:
        """Add an item, or replace the one of the same collection and id."""
        ...

    def get_item(self, collection: str, item_id: str) -> Item | None:
        """One item; None if there is none."""
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
        """Remove an item. Returns whether it was there."""
        ...

    def search(self, request: SearchRequest) -> ItemPage:
        """Items that match, sorted, one page."""
        ...

    def close(self) -> None:
        """Give up what is held open. The store may not be used afterwards."""
        ...
