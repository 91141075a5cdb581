"""Items into pgstac's tables, and what must change together with them.

Rows go straight into ``pgstac.items``, in pgstac's own form, so that its other tools read them. Its staging tables
would replace a row by deleting it, and know nothing of versions. Writers of one collection go one after the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import shapely
from psycopg import Connection, errors
from psycopg.types.json import Jsonb

from catalogs.store import refusals
from catalogs.store.protocol import Item
from catalogs.store.rows import Row, rfc3339, to_row
from processing.model.errors import BadInput

# Many rows by one statement: pgstac's triggers look at each statement.
_PUT = (
    "INSERT INTO pgstac.items (id, collection, geometry, datetime, end_datetime, content, private)"
    " SELECT n.id, n.collection, ST_GeomFromWKB(n.shape, 4326), n.starts, n.stops, n.content, n.private"
    " FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::timestamptz[], %s::timestamptz[], %s::jsonb[], %s::jsonb[])"
    " AS n (id, collection, shape, starts, stops, content, private)"
)
_CHANGE = (
    "UPDATE pgstac.items SET (geometry, datetime, end_datetime, content, private)"
    " = (ST_GeomFromWKB(%s, 4326), %s, %s, %s, %s) WHERE collection = %s AND id = %s"
)
_OLD = (
    "SELECT i.collection, i.id, i.content, i.datetime, i.end_datetime, ST_XMin(i.geometry), ST_YMin(i.geometry),"
    " ST_XMax(i.geometry), ST_YMax(i.geometry) FROM unnest(%s::text[], %s::text[]) AS n (collection, id)"
    " JOIN pgstac.items AS i ON i.collection = n.collection AND i.id = n.id"
)
_GROW = (
    "UPDATE qyran.extents SET items = items + %s, first = least(first, %s), last = greatest(last, %s),"
    " west = least(west, %s), south = least(south, %s), east = greatest(east, %s), north = greatest(north, %s)"
    " WHERE collection = %s"
)
MEASURED = (
    "SELECT count(*), min(i.datetime), max(i.end_datetime), ST_XMin(ST_Extent(i.geometry)),"
    " ST_YMin(ST_Extent(i.geometry)), ST_XMax(ST_Extent(i.geometry)), ST_YMax(ST_Extent(i.geometry))"
    " FROM pgstac.items AS i WHERE i.collection = %s"
)
_MEASURE = (
    "UPDATE qyran.extents SET (items, first, last, west, south, east, north)"  # noqa: S608 - only our own words
    f" = ({MEASURED}) WHERE collection = %s"
)
_APART = ("id", "collection", "type")
_NOWHERE = shapely.to_wkb(shapely.Point())
DUMPED = orjson.dumps


def write(connection: Connection[Any], items: Sequence[tuple[Item, Row]]) -> None:
    """Add or replace items. Call it inside a transaction.

    Raises
    ------
    BadInput
        ``collection.unknown`` for an item without its collection; ``item.json`` for text that PostgreSQL has no place
        for.
    """
    _lock(connection, items)
    part: dict[tuple[str, str], tuple[Item, Row]] = {}
    for item, row in items:
        if (row.collection, row.id) in part:  # twice in one batch: one after the other
            _write_part(connection, part)
            part = {}
        part[row.collection, row.id] = item, row
    _write_part(connection, part)


def _write_part(connection: Connection[Any], part: Mapping[tuple[str, str], tuple[Item, Row]]) -> None:
    """Write items of which each is named once."""
    names = [[name[side] for name in part] for side in (0, 1)]
    olds = {(row[0], row[1]): row[2:] for row in connection.execute(_OLD, names).fetchall()}
    added = [pair for name, pair in part.items() if name not in olds]
    if added:
        columns = zip(*((row.id, row.collection, *_values(item, row)) for item, row in added), strict=True)
        connection.execute(_PUT, [list(column) for column in columns])
    shrunk = set()
    for name, old in olds.items():
        item, row = part[name]
        _keep(connection, old[0], item)
        connection.execute(_CHANGE, (*_values(item, row), *name))
        if _at_edge(connection, row.collection, old[1:]):
            shrunk.add(row.collection)
    for collection in sorted({name[0] for name in part}):
        rows = [row for _, row in part.values() if row.collection == collection]
        count = sum(row.collection == collection for _, row in added)
        connection.execute(_GROW, (count, *_reach(rows), collection))
    for collection in sorted(shrunk):
        connection.execute(_MEASURE, (collection, collection))


def _reach(rows: Sequence[Row]) -> tuple[Any, ...]:
    """First start, last end, west, south, east, north of items."""
    bounds = [row.bounds for row in rows if row.parts]
    wests, souths, easts, norths = zip(*bounds, strict=True) if bounds else ((None,),) * 4
    ends = rfc3339(min(row.starts for row in rows)), rfc3339(max(row.stops for row in rows))
    return (*ends, min(wests), min(souths), max(easts), max(norths))


def remove(connection: Connection[Any], collection: str, item_id: str) -> bool:
    """Remove an item with its earlier versions. Call it inside a transaction."""
    connection.execute("SELECT 1 FROM qyran.extents WHERE collection = %s FOR UPDATE", (collection,))
    old = connection.execute(_OLD, ([collection], [item_id])).fetchone()
    if old is None:
        return False
    edge = _at_edge(connection, collection, old[3:])
    connection.execute("DELETE FROM pgstac.items WHERE collection = %s AND id = %s", (collection, item_id))
    connection.execute("DELETE FROM qyran.versions WHERE collection = %s AND id = %s", (collection, item_id))
    if edge:
        connection.execute(_MEASURE, (collection, collection))
    else:
        connection.execute("UPDATE qyran.extents SET items = items - 1 WHERE collection = %s", (collection,))
    return True


def keep_version(connection: Connection[Any], item: Item, version: str) -> None:
    """Keep a document as an earlier version, the last of them."""
    forget_version(connection, item["collection"], item["id"], version)
    connection.execute(
        "INSERT INTO qyran.versions (collection, id, version, item) VALUES (%s, %s, %s, %s)",
        (item["collection"], item["id"], version, Jsonb(item, dumps=DUMPED)),
    )


def forget_version(connection: Connection[Any], collection: str, item_id: str, version: str) -> bool:
    """Forget an earlier version. Returns whether it was there."""
    gone = connection.execute(
        "DELETE FROM qyran.versions WHERE collection = %s AND id = %s AND version = %s", (collection, item_id, version)
    )
    return gone.rowcount > 0


def to_item(collection: str, item_id: str, content: Item) -> Item:
    """Put an item together again."""
    return {"type": "Feature", "id": item_id, "collection": collection, **content}


def checked_row(item: Item) -> Row:
    """An item taken apart, as the embedded store does.

    Raises
    ------
    BadInput
        As :func:`catalogs.store.rows.to_row`; ``item.json`` also for a text with a NUL in it.
    """
    row = to_row(item)
    if b"\\u0000" in orjson.dumps(item):
        raise BadInput("PostgreSQL has no place for a NUL in a text", kind="item.json", where=row.id)
    return row


def version_of(item: Item) -> str | None:
    """The version an item states."""
    version = item["properties"].get("version")
    return version if isinstance(version, str) else None


def open_partitions(connection: Connection[Any], collection: str) -> None:
    """Let items of a collection have any time. pgstac narrows that when somebody has it tidy up."""
    everything = "'[-infinity, infinity]'::tstzrange"
    connection.execute(f"SELECT pgstac.check_partition(%s, {everything}, {everything})", (collection,))


def _lock(connection: Connection[Any], items: Sequence[tuple[Item, Row]]) -> None:
    """Take the collections of items, in an order in which no two writers wait for each other."""
    names = sorted({row.collection for _, row in items})
    found = connection.execute(
        "SELECT collection FROM qyran.extents WHERE collection = ANY(%s) ORDER BY collection FOR UPDATE", (names,)
    ).fetchall()
    unknown = sorted(set(names) - {row[0] for row in found})
    if unknown:
        raise refusals.unknown_collection(unknown[0], next(row.id for _, row in items if row.collection == unknown[0]))


def _values(item: Item, row: Row) -> tuple[Any, ...]:
    content = {name: part for name, part in item.items() if name not in _APART}
    private: dict[str, Any] = {"moment": row.moment, "words": row.words}
    if row.doubts:
        private["doubts"] = list(row.doubts)
    return (
        row.shape or _NOWHERE,
        rfc3339(row.starts),
        rfc3339(row.stops),
        Jsonb(content, dumps=DUMPED),
        Jsonb(private, dumps=DUMPED),
    )


def _keep(connection: Connection[Any], content: Item, item: Item) -> None:
    """What a new version does to the one that was there."""
    collection, item_id = str(item["collection"]), str(item["id"])
    was, becomes = version_of(content), version_of(item)
    if was is not None and becomes is not None and was != becomes:
        keep_version(connection, to_item(collection, item_id, content), was)
    if becomes is not None:
        forget_version(connection, collection, item_id, becomes)


def _at_edge(connection: Connection[Any], collection: str, reach: Sequence[Any]) -> bool:
    stored = connection.execute(
        "SELECT first, last, west, south, east, north FROM qyran.extents WHERE collection = %s", (collection,)
    ).fetchone()
    return stored is None or any(
        edge is None or edge == end for edge, end in zip(stored, reach, strict=True) if end is not None
    )


NARROWED = errors.CheckViolation
"""What a partition says to an item whose time it does not expect."""
