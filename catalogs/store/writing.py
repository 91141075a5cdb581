"""Rows into the embedded store's tables, and out of them: everything that must change together."""

import sqlite3
from collections.abc import Iterable, Sequence

from catalogs.store import extents, refusals
from catalogs.store.rows import DECADE_US, PARTS, Bounds, Row, version_of, words_of

_COLUMNS = (
    "collection", "id", "moment", "starts", "stops", "west", "south", "east", "north", "cloud", "shape", "properties",
    "rest",
)  # fmt: skip
_PLACES = ", ".join("?" * len(_COLUMNS))
_INSERT = f"INSERT INTO items ({', '.join(_COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608 - our names
_UPDATE = f"UPDATE items SET ({', '.join(_COLUMNS)}) = ({_PLACES}) WHERE key = ?"  # noqa: S608 - our names

type Old = tuple[int, bytes, bytes, int, int, float | None, float | None, float | None, float | None]
"""Key, properties, rest, starts, stops, bounds of an item that is there."""


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> int:
    """Add or replace items. Call it inside a transaction.

    Returns
    -------
    count
        How many rows there were.

    Raises
    ------
    BadInput
        ``collection.unknown`` for an item without its collection.
    """
    count, changes, beside = 0, extents.Changes(), Beside(connection)
    for count, row in enumerate(rows, 1):  # noqa: B007 - the last count is the result
        old = _old(connection, row.collection, row.id)
        if old is not None:
            beside.write()  # it may be of this very batch
            changes.take(row.collection, old[3:])
        key = _put(connection, row, old)
        beside.add(key, row.parts, (row.starts, row.stops, row.moment), row.words)
        changes.add(row.collection, (row.starts, row.stops, *row.bounds), row.slack)
    beside.write()
    changes.apply(connection)
    return count


class Beside:
    """What is indexed beside the rows of a batch: index by index, which is faster than item by item."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._boxes: list[tuple[float, ...]] = []
        self._words: list[tuple[int, str]] = []

    def add(self, key: int, parts: Sequence[Bounds], times: tuple[int, int, int], words: str) -> None:
        """An item has come; its times are start, end, moment."""
        first, last, moment = (time / DECADE_US for time in times)
        for number, (west, south, east, north) in enumerate(parts):
            self._boxes.append((key * PARTS + number, west, east, south, north, first, last, moment, moment))
        self._words.append((key, words))

    def write(self) -> None:
        """Index those that have come."""
        self._connection.executemany("INSERT INTO boxes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._boxes)
        self._connection.executemany("INSERT INTO words (rowid, spoken) VALUES (?, ?)", self._words)
        self._boxes, self._words = [], []


def remove(connection: sqlite3.Connection, collection: str, item_id: str) -> bool:
    """Remove an item with its earlier versions. Call it inside a transaction."""
    old = _old(connection, collection, item_id)
    if old is None:
        return False
    _forget(connection, collection, item_id, old)
    connection.execute("DELETE FROM items WHERE key = ?", (old[0],))
    connection.execute("DELETE FROM versions WHERE collection = ? AND id = ?", (collection, item_id))
    changes = extents.Changes()
    changes.take(collection, old[3:])
    changes.apply(connection)
    return True


def keep_version(
    connection: sqlite3.Connection, collection: str, item_id: str, *, version: str, properties: bytes, rest: bytes
) -> None:
    """Keep a document as an earlier version."""
    connection.execute(
        "INSERT OR REPLACE INTO versions (collection, id, version, properties, rest) VALUES (?, ?, ?, ?, ?)",
        (collection, item_id, version, properties, rest),
    )


def _old(connection: sqlite3.Connection, collection: str, item_id: str) -> Old | None:
    found: Old | None = connection.execute(
        "SELECT key, properties, rest, starts, stops, west, south, east, north FROM items"
        " WHERE collection = ? AND id = ?",
        (collection, item_id),
    ).fetchone()
    return found


def _put(connection: sqlite3.Connection, row: Row, old: Old | None) -> int:
    values = (
        row.collection, row.id, row.moment, row.starts, row.stops, *row.bounds, row.cloud, row.shape, row.properties,
        row.rest,
    )  # fmt: skip
    if old is not None:
        _forget(connection, row.collection, row.id, old)
        was, becomes = version_of(old[1]), version_of(row.properties)
        if was is not None and becomes is not None and was != becomes:
            keep_version(connection, row.collection, row.id, version=was, properties=old[1], rest=old[2])
        if becomes is not None:
            connection.execute(
                "DELETE FROM versions WHERE collection = ? AND id = ? AND version = ?",
                (row.collection, row.id, becomes),
            )
        connection.execute(_UPDATE, (*values, old[0]))
        doubt(connection, old[0], row.doubts)
        return old[0]
    try:
        key = connection.execute(_INSERT, values).lastrowid
    except sqlite3.IntegrityError as error:
        raise refusals.unknown_collection(row.collection, row.id) from error
    assert key is not None
    doubt(connection, key, row.doubts)
    return key


def doubt(connection: sqlite3.Connection, key: int, facts: Iterable[str]) -> None:
    """Note which properties of an item policy takes as unknown."""
    connection.executemany("INSERT INTO doubts (fact, key) VALUES (?, ?)", [(fact, key) for fact in facts])


def _forget(connection: sqlite3.Connection, collection: str, item_id: str, old: Old) -> None:
    """Take an item out of what is indexed beside its row."""
    parts = [(old[0] * PARTS + number,) for number in range(PARTS)]
    connection.executemany("DELETE FROM boxes WHERE part = ?", parts)
    connection.execute("DELETE FROM doubts WHERE key = ?", (old[0],))
    connection.execute(
        "INSERT INTO words (words, rowid, spoken) VALUES ('delete', ?, ?)",
        (old[0], words_of(collection, item_id, old[1])),
    )
