"""What every store refuses, in the same words."""

from collections.abc import Sequence

from processing.model.errors import BadInput, Conflict


def ambiguous(item_id: str, collections: Sequence[str]) -> BadInput:
    """Several collections have an item of this id."""
    return BadInput(
        f"'{item_id}' is in several collections: {', '.join(collections)}",
        kind="item.ambiguous",
        remedy="Write COLLECTION/ID.",
    )


def not_empty(collection: str) -> Conflict:
    """A collection that holds items cannot go."""
    return Conflict(
        f"the collection '{collection}' holds items", kind="collection.not_empty", remedy="Delete them first."
    )


def unknown_collection(collection: str, item_id: str) -> BadInput:
    """An item needs its collection."""
    return BadInput(
        f"there is no collection '{collection}'",
        kind="collection.unknown",
        where=item_id,
        remedy="Put the collection first.",
    )


def unknown_version(item_id: str, collection: str) -> BadInput:
    """An earlier version needs a later one, and a name."""
    return BadInput(f"'{item_id}' states no version, or has no later one", kind="version.unknown", where=collection)
