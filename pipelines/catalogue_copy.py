"""A catalogue moved from one store to the other, and written out as GeoParquet."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import batched
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from catalogs import open_at
from catalogs.item import with_absolute_hrefs
from catalogs.store.embedded import EmbeddedStore
from catalogs.store.protocol import CatalogueStore, Item
from configs.settings import Home
from pipelines.catalogue import store_of
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.model.errors import BadInput, Defect

_AT_ONCE = 2_000
type Report = Callable[[int, int, str], None]
"""Takes how many are done, of how many (0: unknown), and of what."""


class Moved(BaseModel):
    """What a move did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collections: int
    items: int
    """How many the catalogue holds, here as there."""
    written: int
    """Of these, how many were not there yet, or different."""
    removed: int
    """How many were there that the catalogue does not hold."""


class Exported(BaseModel):
    """What an export wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    items: int


def move_catalogue(home: Home, url: str, *, back: bool, report: Report) -> Moved:
    """Make the one store hold what the other holds: collections, items and their earlier versions.

    The store that is read stays as it is. What was copied is held against the original before this returns; a move
    that was interrupted goes on where it stopped.

    Parameters
    ----------
    home
        The installation, with the embedded store.
    url
        The PostgreSQL database.
    back
        From the database into the embedded store; else the other way.
    report
        Told of progress.

    Raises
    ------
    BadInput
        ``catalogue.missing`` if there is no embedded catalogue to move.
    Conflict, Retryable
        As the stores.
    Defect
        ``catalogue.changed`` if somebody changed the original meanwhile.
    """
    if not back and not home.catalogue.is_dir():
        raise BadInput(
            "there is no embedded catalogue to move", kind="catalogue.missing", where=str(home.catalogue),
            remedy="Process a package first, or name another --home.",
        )  # fmt: skip
    with ExitStack() as stack:
        embedded = stack.enter_context(closing(EmbeddedStore(home.catalogue)))
        server = stack.enter_context(closing(open_at(url)))
        source, target = (server, embedded) if back else (embedded, server)
        collections = source.collections()
        for collection in collections:
            target.put_collection(collection)
        items, written, removed = _made_equal(source, target, report)
        gone = {found["id"] for found in target.collections()} - {found["id"] for found in collections}
        for name in sorted(gone):
            target.delete_collection(name)
        if any(_differences(source, target)):
            raise Defect(
                "the catalogue was changed while it was moved",
                kind="catalogue.changed",
                remedy="Stop what writes to it, then run it again: it goes on where it stopped.",
            )
    return Moved(collections=len(collections), items=items, written=written, removed=removed)


def export_catalogue(home: Home, path: Path, *, collection: str | None) -> Exported:
    """Write items into one GeoParquet file, their addresses absolute.

    Columns are the properties of all items; they are in memory at once, some 20 KB each.

    Parameters
    ----------
    home
        The installation.
    path
        Of the file; one that is there is replaced when the new one is whole.
    collection
        Only its items; None: all.

    Raises
    ------
    BadInput
        ``catalogue.empty`` if there is nothing to write; ``catalogue.mixed`` if items disagree about a property's type.
    """
    # The Arrow machinery is loaded only where it is used.
    import asyncio

    from rustac import GeoparquetWriter, RustacError

    with closing(store_of(home)) as store:
        items = [with_absolute_hrefs(item, home.path) for item in store.items(collection)]
    if not items:
        raise BadInput("there are no items to export", kind="catalogue.empty", remedy="See: qyran search")

    async def write(unfinished: Path) -> None:
        await (await GeoparquetWriter.open(items, str(unfinished))).finish()

    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with disk_faults(path.parent):
            durable.make_folders(path.parent)
            asyncio.run(write(unfinished))
            durable.move(unfinished, path)
    except RustacError as error:
        raise BadInput(
            f"the items do not fit one table: {str(error)[:200]}", kind="catalogue.mixed",
            remedy="Export one collection at a time, with --collection.",
        ) from error  # fmt: skip
    finally:
        unfinished.unlink(missing_ok=True)
    return Exported(path=str(path), items=len(items))


def _made_equal(source: CatalogueStore, target: CatalogueStore, report: Report) -> tuple[int, int, int]:
    """How many items there are, were written, were removed."""
    items = written = removed = 0
    for batch in batched(_pairs(source.items(), target.items()), _AT_ONCE):
        for old in [old for new, old in batch if new is None and old is not None]:
            target.delete_item(old["collection"], old["id"])
            removed += 1
        wanted = [new for new, old in batch if new is not None and new != old]
        target.put_items(wanted)
        present = [new for new, _ in batch if new is not None]
        for item in present:
            _versions(source, target, item)
        items, written = items + len(present), written + len(wanted)
        report(items, 0, "items")
    return items, written, removed


def _versions(source: CatalogueStore, target: CatalogueStore, item: Item) -> None:
    if "version" not in item["properties"]:
        return
    wanted = source.versions(item["collection"], item["id"])
    found = target.versions(item["collection"], item["id"])
    if wanted != found:
        for version in found:
            target.delete_version(item["collection"], item["id"], version["properties"]["version"])
        for version in reversed(wanted):
            target.put_version(version)


def _differences(source: CatalogueStore, target: CatalogueStore) -> Iterator[tuple[Any, Any]]:
    if source.collections() != target.collections():
        yield source.collections(), target.collections()
    yield from (pair for pair in _pairs(source.items(), target.items()) if pair[0] != pair[1])


def _pairs(ours: Iterable[Item], theirs: Iterable[Item]) -> Iterator[tuple[Item | None, Item | None]]:
    """What both have of each item, None where one has none. Both come by collection and id."""
    left, right = iter(ours), iter(theirs)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _name(one) < _name(other)):
            yield one, None
            one = next(left, None)
        elif one is None or _name(other) < _name(one):
            yield None, other
            other = next(right, None)
        else:
            yield one, other
            one, other = next(left, None), next(right, None)


def _name(item: Item) -> tuple[str, str]:
    return item["collection"], item["id"]
