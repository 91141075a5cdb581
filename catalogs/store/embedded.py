"""The catalogue in one SQLite file: several processes, no server, and what was acknowledged survives a power cut."""

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from itertools import batched
from pathlib import Path

import orjson

from catalogs.entitlement import EVERYTHING, Entitlement
from catalogs.store import database, refusals, writing
from catalogs.store.aggregate import aggregated
from catalogs.store.edges import reach_of
from catalogs.store.filters import Sql
from catalogs.store.outlines import let_through
from catalogs.store.pages import QUERY_S, find_page
from catalogs.store.plan import keyed, make_plan, sort_keys
from catalogs.store.protocol import (
    ANYWHERE,
    Aggregation,
    Collection,
    Item,
    ItemPage,
    SearchRequest,
)
from catalogs.store.request import read_token, write_token
from catalogs.store.rows import rfc3339, to_item, to_row, to_rows, version_of
from catalogs.turns import Turns
from processing.model.errors import Defect

_FILE = "catalogue.sqlite"
_BATCH = 2_000
_ITEM = "SELECT i.properties, i.rest FROM items AS i WHERE i.collection = ? AND i.id = ?"


class EmbeddedStore:
    """Implements :class:`~catalogs.store.protocol.CatalogueStore` on SQLite with R*Tree and FTS5.

    Parameters
    ----------
    folder
        Where the database lies; created when it is not there.

    Raises
    ------
    Defect
        ``catalogue.version`` if the database was made by a newer Qyran.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._turns = Turns()
        self._finalizer = weakref.finalize(self, _close_all, self._open)
        database.create(self._path)

    def put_collection(self, collection: Collection) -> None:
        """Add or replace a collection."""
        with database.transaction(self._connection) as connection:
            connection.execute(
                "INSERT INTO collections (id, document) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (str(collection["id"]), orjson.dumps(collection).decode()),
            )

    def get_collection(self, collection: str, entitlement: Entitlement = EVERYTHING) -> Collection | None:
        """One collection with the extent of its items."""
        if not entitlement.permits_collection(collection):
            return None
        found = self._connection.execute("SELECT document FROM collections WHERE id = ?", (collection,)).fetchone()
        return None if found is None else self._with_extent(orjson.loads(found[0]), entitlement)

    def collections(self, entitlement: Entitlement = EVERYTHING) -> tuple[Collection, ...]:
        """All collections."""
        rows = self._connection.execute("SELECT id, document FROM collections ORDER BY id").fetchall()
        return tuple(
            self._with_extent(orjson.loads(document), entitlement)
            for name, document in rows
            if entitlement.permits_collection(name)
        )

    def delete_collection(self, collection: str) -> bool:
        """Remove an empty collection."""
        with database.transaction(self._connection) as connection:
            if connection.execute("SELECT 1 FROM items WHERE collection = ? LIMIT 1", (collection,)).fetchone():
                raise refusals.not_empty(collection)
            return connection.execute("DELETE FROM collections WHERE id = ?", (collection,)).rowcount > 0

    def put_item(self, item: Item) -> None:
        """Add or replace an item."""
        row = to_row(item)
        with database.transaction(self._connection) as connection:
            writing.write(connection, [row])

    def put_items(self, items: Iterable[Item]) -> int:
        """Add or replace many items."""
        count = 0
        with database.many_writes(self._connection) as connection:
            for batch in batched(items, _BATCH):
                rows = to_rows(batch)
                with database.transaction(connection):
                    count += writing.write(connection, rows)
        return count

    def get_item(self, collection: str, item_id: str, entitlement: Entitlement = EVERYTHING) -> Item | None:
        """One item."""
        if not entitlement.permits_collection(collection):
            return None
        question = Sql(_ITEM, (collection, item_id))
        limits = let_through(entitlement)
        question = Sql.join("{}" + " AND ({})" * len(limits), question, *limits)
        found = self._connection.execute(question.text, question.values).fetchone()
        return None if found is None else to_item(*found)

    def find_item(self, reference: str) -> Item | None:
        """The item of ``COLLECTION/ID`` or of an unambiguous ``ID``."""
        collection, slash, item_id = reference.rpartition("/")
        if slash:
            return self.get_item(collection, item_id)
        rows = self._connection.execute(
            "SELECT collection, properties, rest FROM items WHERE id = ? ORDER BY collection", (item_id,)
        ).fetchall()
        if len(rows) > 1:
            raise refusals.ambiguous(item_id, [row[0] for row in rows])
        return to_item(*rows[0][1:]) if rows else None

    def delete_item(self, collection: str, item_id: str) -> bool:
        """Remove an item and its earlier versions."""
        with database.transaction(self._connection) as connection:
            return writing.remove(connection, collection, item_id)

    def items(self, collection: str | None = None) -> Iterator[Item]:
        """All items by collection and id, read as they are asked for."""
        known = self._connection.execute("SELECT id FROM collections ORDER BY id").fetchall()
        for (name,) in known if collection is None else [(collection,)]:
            yield from self._items_of(name)

    def versions(self, collection: str, item_id: str, entitlement: Entitlement = EVERYTHING) -> tuple[Item, ...]:
        """Earlier versions of an item, the last superseded first."""
        if self.get_item(collection, item_id, entitlement) is None:
            return ()
        rows = self._connection.execute(
            "SELECT properties, rest FROM versions WHERE collection = ? AND id = ? ORDER BY number DESC",
            (collection, item_id),
        ).fetchall()
        return tuple(to_item(*row) for row in rows)

    def put_version(self, item: Item) -> None:
        """Keep a document as an earlier version of its item."""
        row = to_row(item)
        version = version_of(row.properties)
        if version is None or self.get_item(row.collection, row.id) is None:
            raise refusals.unknown_version(row.id, row.collection)
        with database.transaction(self._connection) as connection:
            writing.keep_version(
                connection, row.collection, row.id, version=version, properties=row.properties, rest=row.rest
            )

    def delete_version(self, collection: str, item_id: str, version: str) -> bool:
        """Forget an earlier version."""
        with database.transaction(self._connection) as connection:
            gone = connection.execute(
                "DELETE FROM versions WHERE collection = ? AND id = ? AND version = ?", (collection, item_id, version)
            )
            return gone.rowcount > 0

    def search(self, request: SearchRequest, entitlement: Entitlement = EVERYTHING) -> ItemPage:
        """One page of what matches."""
        connection = self._connection
        place = read_token(request, len(sort_keys(request)))
        with self._turns.taken():
            page = find_page(connection, request, entitlement, place)
            items = _fetched(connection, page.keys)
        token = write_token(request, page.values, page.matched) if page.values else None
        return ItemPage(items=items, next=token, matched=page.matched)

    def aggregate(
        self, request: SearchRequest, names: tuple[str, ...], entitlement: Entitlement = EVERYTHING
    ) -> tuple[Aggregation, ...]:
        """Figures about all items that match."""
        connection = self._connection
        with database.bounded(connection, seconds=QUERY_S):
            return aggregated(connection, make_plan(connection, request, entitlement), names)

    def close(self) -> None:
        """Close every connection."""
        self._finalizer()

    def _items_of(self, collection: str) -> Iterator[Item]:
        question = "SELECT id, properties, rest FROM items WHERE id > ? AND collection = ? ORDER BY id LIMIT ?"
        place, more = "", True
        while more:
            rows = self._connection.execute(question, (place, collection, _BATCH)).fetchall()
            for place, properties, rest in rows:  # noqa: B007 - the next page begins behind the last
                yield to_item(properties, rest)
            more = len(rows) == _BATCH

    @property
    def _connection(self) -> sqlite3.Connection:
        """Connection of the calling thread; one that a fork inherited is never used."""
        if not self._finalizer.alive:
            raise Defect("the catalogue was closed", kind="catalogue.closed", where=str(self._path))
        held = getattr(self._local, "held", None)
        if held is None or held[0] != os.getpid():
            held = (os.getpid(), database.connect(self._path))
            self._local.held = held
            self._open.append(held[1])
        connection: sqlite3.Connection = held[1]
        return connection

    def _with_extent(self, collection: Collection, entitlement: Entitlement) -> Collection:
        """What the items cover that may be seen, in the place of what the collection was put with."""
        first, last, west, south, east, north = reach_of(self._connection, str(collection["id"]), entitlement)
        if first is None or last is None:
            # What a collection was put with may tell of items.
            return collection if entitlement.unlimited else collection | {"extent": ANYWHERE}
        spatial = {"bbox": [[west, south, east, north]]} if west is not None else collection["extent"]["spatial"]
        temporal = {"interval": [[rfc3339(first), rfc3339(last)]]}
        return collection | {"extent": {"spatial": spatial, "temporal": temporal}}


def _fetched(connection: sqlite3.Connection, keys: list[int]) -> tuple[Item, ...]:
    """Items by their keys, in that order; without those that somebody has removed meanwhile."""
    named = keyed(keys)
    question = f"SELECT key, properties, rest FROM items WHERE key IN ({named.text})"  # noqa: S608 - our own words
    found = {key: row for key, *row in connection.execute(question, named.values)}
    return tuple(to_item(*found[key]) for key in keys if key in found)


def _close_all(connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
    connections.clear()
