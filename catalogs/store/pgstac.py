"""The catalogue in PostgreSQL with pgstac: for many machines and millions of items.

Items and collections lie in pgstac's own tables, in its own form: whatever speaks pgstac can read them. They are
searched with SQL of our own: pgstac's search orders, compares and matches differently from the embedded store, and a
catalogue must not answer differently for having been moved. What pgstac has no room for (earlier versions, extents
that are kept up) stands in a schema ``qyran`` beside it. Write through Qyran alone: rows that others write have no
words to be found by.
"""

from collections.abc import Iterable, Iterator
from itertools import batched
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from catalogs.entitlement import EVERYTHING, Entitlement
from catalogs.store import pgstac_search, pgstac_writing, refusals
from catalogs.store.filters import Sql
from catalogs.store.pgstac_aggregate import aggregated
from catalogs.store.pgstac_edges import reach_of
from catalogs.store.pgstac_outlines import let_through
from catalogs.store.pgstac_pool import Database, savepoint
from catalogs.store.protocol import ANYWHERE, Aggregation, Collection, Item, ItemPage, SearchRequest
from catalogs.store.request import read_token, write_token

_BATCH = 2_000
QUERY_S = 5.0
"""The longest one statement of a search may take."""
_COUNT_S = 0.5
"""The longest that counting may take beyond the search itself."""
_READ_S = 60.0
_ITEM = 'SELECT i.content FROM pgstac.items AS i WHERE i.collection = %s AND i.id COLLATE "C" = %s'
_APART = "item_assets"
"""What pgstac would fill items up with. It is kept beside, so that items stay as they were put."""


class PgstacStore:
    """Implements :class:`~catalogs.store.protocol.CatalogueStore` on PostgreSQL 15 with PostGIS 3.3 and pgstac 0.10.

    Parameters
    ----------
    url
        ``postgresql://user@host:port/name``. The database must be there; what is needed in it is created.

    Raises
    ------
    Retryable
        ``catalogue.unreachable`` if no server answers.
    Defect
        ``catalogue.version`` if the database was made by a newer Qyran; ``catalogue.database`` if it has no PostGIS.
    BadInput
        ``catalogue.url`` if the URL is none.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def put_collection(self, collection: Collection) -> None:
        """Add or replace a collection."""
        name = str(collection["id"])
        content = {key: part for key, part in collection.items() if key != _APART}
        private = {key: part for key, part in collection.items() if key == _APART}
        with self._database.transaction() as connection:
            added = connection.execute(
                "INSERT INTO pgstac.collections (content, private) VALUES (%(content)s, %(private)s)"
                " ON CONFLICT (id) DO UPDATE SET content = excluded.content, private = excluded.private"
                " RETURNING xmax = 0",
                {key: Jsonb(part, dumps=pgstac_writing.DUMPED) for key, part in
                 (("content", content), ("private", private))},
            ).fetchone()  # fmt: skip
            if added is not None and added[0]:
                connection.execute("INSERT INTO qyran.extents (collection) VALUES (%s)", (name,))
                pgstac_writing.open_partitions(connection, name)

    def get_collection(self, collection: str, entitlement: Entitlement = EVERYTHING) -> Collection | None:
        """One collection with the extent of its items."""
        found = self._collections(entitlement, collection)
        return found[0] if found else None

    def collections(self, entitlement: Entitlement = EVERYTHING) -> tuple[Collection, ...]:
        """All collections."""
        return self._collections(entitlement, None)

    def delete_collection(self, collection: str) -> bool:
        """Remove an empty collection."""
        with self._database.transaction() as connection:
            connection.execute("SELECT 1 FROM qyran.extents WHERE collection = %s FOR UPDATE", (collection,))
            if connection.execute("SELECT 1 FROM pgstac.items WHERE collection = %s LIMIT 1", (collection,)).fetchone():
                raise refusals.not_empty(collection)
            return connection.execute("DELETE FROM pgstac.collections WHERE id = %s", (collection,)).rowcount > 0

    def put_item(self, item: Item) -> None:
        """Add or replace an item."""
        self.put_items((item,))

    def put_items(self, items: Iterable[Item]) -> int:
        """Add or replace many items."""
        count = 0
        for batch in batched(items, _BATCH):
            rows = [(item, pgstac_writing.checked_row(item)) for item in batch]
            with self._database.transaction() as connection:
                self._write(connection, rows)
            count += len(rows)
        return count

    def get_item(self, collection: str, item_id: str, entitlement: Entitlement = EVERYTHING) -> Item | None:
        """One item."""
        if not entitlement.permits_collection(collection):
            return None
        question = Sql(_ITEM, (collection, item_id))
        limits = let_through(entitlement)
        question = Sql.join("{}" + " AND ({})" * len(limits), question, *limits)
        with self._database.transaction(seconds=_READ_S) as connection:
            found = connection.execute(question.text.encode(), question.values).fetchone()
        return None if found is None else pgstac_writing.to_item(collection, item_id, found[0])

    def find_item(self, reference: str) -> Item | None:
        """The item of ``COLLECTION/ID`` or of an unambiguous ``ID``."""
        collection, slash, item_id = reference.rpartition("/")
        if slash:
            return self.get_item(collection, item_id)
        with self._database.transaction(seconds=_READ_S) as connection:
            rows = connection.execute(
                "SELECT i.collection, i.id, i.content FROM pgstac.items AS i"
                ' WHERE i.id COLLATE "C" = %s ORDER BY i.collection COLLATE "C"',
                (item_id,),
            ).fetchall()
        if len(rows) > 1:
            raise refusals.ambiguous(item_id, [row[0] for row in rows])
        return pgstac_writing.to_item(*rows[0]) if rows else None

    def delete_item(self, collection: str, item_id: str) -> bool:
        """Remove an item and its earlier versions."""
        with self._database.transaction() as connection:
            return pgstac_writing.remove(connection, collection, item_id)

    def items(self, collection: str | None = None) -> Iterator[Item]:
        """All items by collection and id, read as they are asked for."""
        place = ("", "") if collection is None else (collection, "")
        within = "" if collection is None else " AND i.collection = %s"
        question = (
            "SELECT i.collection, i.id, i.content FROM pgstac.items AS i"  # noqa: S608 - only placeholders
            f' WHERE (i.collection COLLATE "C", i.id COLLATE "C") > (%s, %s){within}'
            ' ORDER BY i.collection COLLATE "C", i.id COLLATE "C" LIMIT %s'
        )
        while True:
            values = (*place, *(() if collection is None else (collection,)), _BATCH)
            with self._database.transaction() as connection:
                rows = connection.execute(question.encode(), values).fetchall()
            for row in rows:
                yield pgstac_writing.to_item(*row)
            if len(rows) < _BATCH:
                return
            place = rows[-1][:2]

    def versions(self, collection: str, item_id: str, entitlement: Entitlement = EVERYTHING) -> tuple[Item, ...]:
        """Earlier versions of an item, the last superseded first."""
        if self.get_item(collection, item_id, entitlement) is None:
            return ()
        with self._database.transaction(seconds=_READ_S) as connection:
            rows = connection.execute(
                "SELECT item FROM qyran.versions WHERE collection = %s AND id = %s ORDER BY number DESC",
                (collection, item_id),
            ).fetchall()
        return tuple(row[0] for row in rows)

    def put_version(self, item: Item) -> None:
        """Keep a document as an earlier version of its item."""
        row, version = pgstac_writing.checked_row(item), pgstac_writing.version_of(item)
        with self._database.transaction() as connection:
            connection.execute("SELECT 1 FROM qyran.extents WHERE collection = %s FOR UPDATE", (row.collection,))
            there = connection.execute(_ITEM, (row.collection, row.id)).fetchone()
            if version is None or there is None:
                raise refusals.unknown_version(row.id, row.collection)
            pgstac_writing.keep_version(connection, item, version)

    def delete_version(self, collection: str, item_id: str, version: str) -> bool:
        """Forget an earlier version."""
        with self._database.transaction() as connection:
            return pgstac_writing.forget_version(connection, collection, item_id, version)

    def search(self, request: SearchRequest, entitlement: Entitlement = EVERYTHING) -> ItemPage:
        """One page of what matches."""
        keys = pgstac_search.sort_keys(request)
        place = read_token(request, len(keys))
        if place is not None:
            pgstac_search.check_place(keys, place.values)
        condition = pgstac_search.conditions(request, entitlement)
        matched = None if place is None or not request.count else place.matched
        with self._database.transaction(seconds=QUERY_S) as connection:
            behind = None if place is None else place.values
            rows = pgstac_search.page(connection, request, condition, keys, behind)
            more, rows = len(rows) > request.limit, rows[: request.limit]
            if request.count and place is None:
                matched = _counted(connection, condition) if more else len(rows)
        token = write_token(request, rows[-1][1], matched) if more else None
        return ItemPage(items=tuple(item for item, _ in rows), next=token, matched=matched)

    def aggregate(
        self, request: SearchRequest, names: tuple[str, ...], entitlement: Entitlement = EVERYTHING
    ) -> tuple[Aggregation, ...]:
        """Figures about all items that match."""
        condition = pgstac_search.conditions(request, entitlement)
        with self._database.transaction(seconds=QUERY_S) as connection:
            return aggregated(connection, condition, names)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def _write(self, connection: Connection[Any], rows: list[tuple[Item, Any]]) -> None:
        try:
            with connection.transaction():
                pgstac_writing.write(connection, rows)
        except pgstac_writing.NARROWED:
            for name in sorted({row.collection for _, row in rows}):
                pgstac_writing.open_partitions(connection, name)
            pgstac_writing.write(connection, rows)

    def _collections(self, entitlement: Entitlement, only: str | None) -> tuple[Collection, ...]:
        question = (
            "SELECT c.id, c.content || coalesce(c.private, '{}'), e.items, e.first, e.last, e.west, e.south, e.east,"
            " e.north FROM pgstac.collections AS c JOIN qyran.extents AS e ON e.collection = c.id"
            ' WHERE coalesce(c.id = %s, TRUE) ORDER BY c.id COLLATE "C"'
        )
        with self._database.transaction(seconds=_READ_S) as connection:
            rows = connection.execute(question.encode(), (only,)).fetchall()
            found = []
            for name, document, count, *reach in rows:
                if entitlement.permits_collection(name):
                    seen = reach
                    if not entitlement.unlimited:
                        seen = reach_of(connection, name, count, reach, entitlement)
                    # What a collection was put with may tell of items.
                    plain = document if entitlement.unlimited else document | {"extent": ANYWHERE}
                    found.append(_with_extent(plain, seen))
        return tuple(found)


def _counted(connection: Connection[Any], condition: Sql) -> int | None:
    """How many match, if that can be said without much ado."""
    with savepoint(connection, seconds=_COUNT_S):
        query = f"SELECT count(*) FROM pgstac.items AS i WHERE {condition.text}"  # noqa: S608 - only placeholders
        row = connection.execute(query.encode(), condition.values).fetchone()
        return None if row is None else int(row[0])
    return None


def _with_extent(document: Collection, reach: list[Any]) -> Collection:
    first, last, *bounds = reach
    if first is None or last is None:
        return document
    spatial = {"bbox": [bounds]} if bounds[0] is not None else document["extent"]["spatial"]
    temporal = {"interval": [[end.isoformat().replace("+00:00", "Z") for end in (first, last)]]}
    return document | {"extent": {"spatial": spatial, "temporal": temporal}}
