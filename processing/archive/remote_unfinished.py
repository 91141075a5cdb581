"""What publications left at a place that were never finished: objects that no reader can find."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from processing.archive.layout import PRODUCT_RECORD, ProductPaths
from processing.archive.objects import Place
from processing.archive.remote_layout import RemotePaths
from processing.archive.remote_objects import Room
from processing.model.product import Product

_PRODUCTS = "products"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What was sent of a revision that was never committed."""

    name: str
    """``collection/id@revision``."""
    prefix: str
    """Where its record lies."""
    keys: tuple[str, ...]
    """Objects, sorted."""
    size: int
    """Bytes of all of them."""


def unfinished(
    target: str | Path | Place, collection: str | None = None, *, older_than: timedelta
) -> Iterator[Unfinished]:
    """Find what publications left at a place that were never finished.

    Parameters
    ----------
    target
        The place.
    collection
        Whose products to look through; None: all.
    older_than
        Only what nothing was sent of for so long: longer than any publication takes, for one under way would lose
        what it has sent. A publication that is repeated goes on from it, and needs no removal.

    Raises
    ------
    Retryable, BadInput
        If the place does not answer.
    """
    room = Room(Place.of(target))
    limit = datetime.now(UTC) - older_than
    for name in [collection] if collection else room.folders(_PRODUCTS):
        for item_id in room.folders(f"{_PRODUCTS}/{name}"):
            for revision in room.folders(f"{_PRODUCTS}/{name}/{item_id}"):
                prefix = f"{_PRODUCTS}/{name}/{item_id}/{revision}"
                keys, size = _left(room, prefix, limit)
                if keys:
                    yield Unfinished(name=f"{name}/{item_id}@{revision}", prefix=prefix, keys=keys, size=size)


def remove_unfinished(target: str | Path | Place, left: Unfinished, *, older_than: timedelta) -> bool:
    """Remove it, unless it has been finished or gone on with since it was found.

    Returns
    -------
    bool
        Whether it went.
    """
    room = Room(Place.of(target))
    if _left(room, left.prefix, datetime.now(UTC) - older_than)[0] != left.keys:
        return False
    # The intent goes last: were this cut short, the rest would still be found by it.
    room.delete([key for key in left.keys if not key.endswith(f"/{PRODUCT_RECORD}")])
    room.delete([f"{left.prefix}/{PRODUCT_RECORD}"])
    return True


def _left(room: Room, prefix: str, limit: datetime) -> tuple[tuple[str, ...], int]:
    """Keys and bytes of a revision that was never committed, if the youngest of its objects is older than the limit."""
    try:
        product = Product.model_validate_json(room.read(f"{prefix}/{PRODUCT_RECORD}")[0])
    except (FileNotFoundError, ValueError):
        return (), 0
    paths = RemotePaths.of(product)
    # A record that names other objects than its own was tampered with: by it, nothing is removed.
    own = ProductPaths.of(Path(), product).store.as_posix() == paths.store and paths.files == prefix
    if not own or room.exists(paths.manifest):
        return (), 0
    times = room.times(paths.store) | room.times(paths.files)
    if max(times.values()) >= limit:
        return (), 0
    return tuple(sorted(times)), sum((room.sizes(paths.store) | room.sizes(paths.files)).values())
