"""The tables of the embedded store, and how those of an earlier Qyran become today's."""

import json
import sqlite3
from collections.abc import Iterator

import shapely
from numcodecs import zstd

from catalogs.policy.terms import doubts
from catalogs.store import writing
from catalogs.store.rows import Row, packed, part_bounds, to_item, to_row, words_of

VERSION = 5
_BATCH = 2_000
_BOXES = "CREATE VIRTUAL TABLE boxes USING rtree (part, west, east, south, north, first, last, early, late)"
# Properties that policy takes as unknown; of hardly any item.
_DOUBTS = "CREATE TABLE doubts (fact TEXT, key INTEGER, PRIMARY KEY (fact, key)) WITHOUT ROWID"
_DOUBTS_BY_KEY = "CREATE INDEX doubts_by_key ON doubts (key)"
_SCHEMA = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    "CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    # What every question needs stands in front: a row's rear, which may lie on pages of its own, is read only for
    # items that are found. cloud is repeated from properties, for its index; it has no type, as JSON's values have.
    (
        "CREATE TABLE items (key INTEGER PRIMARY KEY, collection TEXT NOT NULL REFERENCES collections (id),"
        " id TEXT NOT NULL, moment INTEGER NOT NULL, starts INTEGER NOT NULL, stops INTEGER NOT NULL,"
        " west REAL, south REAL, east REAL, north REAL, cloud, shape BLOB, properties TEXT NOT NULL,"
        " rest BLOB NOT NULL, UNIQUE (id, collection))"
    ),
    "CREATE INDEX items_by_moment ON items (moment DESC, collection, id)",
    "CREATE INDEX items_by_collection_and_moment ON items (collection, moment DESC, id)",
    "CREATE INDEX items_by_cloud ON items (cloud, collection, id)",
    # Place and time together: decades since 1970, rounded outwards to 32 bits as degrees are: nothing is missed.
    # From first to last goes what the item covers; early and late are the moment by which it is sorted.
    _BOXES,
    # Words are folded before they come here; the full stop stands between fields.
    (
        "CREATE VIRTUAL TABLE words USING fts5"
        " (spoken, content='', tokenize=\"unicode61 remove_diacritics 0 tokenchars '.'\")"
    ),
    # What all items of a collection make up, kept up with every change.
    (
        "CREATE TABLE extents (collection TEXT PRIMARY KEY REFERENCES collections (id) ON DELETE CASCADE,"
        " items INTEGER NOT NULL, first INTEGER, last INTEGER, west REAL, south REAL, east REAL, north REAL,"
        " slack INTEGER NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE versions (number INTEGER PRIMARY KEY, collection TEXT NOT NULL, id TEXT NOT NULL,"
        " version TEXT NOT NULL, properties TEXT NOT NULL, rest BLOB NOT NULL, UNIQUE (collection, id, version))"
    ),
    _DOUBTS,
    _DOUBTS_BY_KEY,
)


def version(connection: sqlite3.Connection) -> int | None:
    """Version of the tables that are there; None where there are none."""
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    return None if exists is None else int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether nothing is to be made: the tables are of today, or of a Qyran that is newer than this."""
    found = version(connection)
    return found is not None and found >= VERSION


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, with what earlier ones hold. Call it inside a transaction."""
    found = version(connection)
    if found in (2, 3, 4):
        _pack_anew(connection)
        if found == 2:
            _say_anew(connection)
        if found in (2, 3):
            _doubt_anew(connection)
        connection.execute("UPDATE schema_version SET version = ?", (VERSION,))
        return
    renewed = found is not None
    if renewed:
        _lay_aside(connection)
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO schema_version VALUES (?)", (VERSION,))
    if renewed:
        connection.execute("INSERT INTO collections SELECT id, document FROM old_collections")
        writing.write(connection, _laid_aside(connection))
        connection.execute("DROP TABLE old_items")
        connection.execute("DROP TABLE old_collections")


def _say_anew(connection: sqlite3.Connection) -> None:
    """Version 2 knew titles in one language only, and boxes without the moment by which items are sorted."""
    connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
    connection.execute("DROP TABLE boxes")
    connection.execute(_BOXES)
    beside = writing.Beside(connection)
    rows = connection.execute("SELECT key, collection, id, moment, starts, stops, shape, properties FROM items")
    for key, collection, item_id, moment, starts, stops, shape, properties in rows:
        parts = part_bounds(None if shape is None else shapely.from_wkb(shape))
        beside.add(key, parts, (starts, stops, moment), words_of(collection, item_id, properties))
        if key % _BATCH == 0:
            beside.write()
    beside.write()


def _doubt_anew(connection: sqlite3.Connection) -> None:
    """Version 3 believed what items say of themselves."""
    connection.execute(_DOUBTS)
    connection.execute(_DOUBTS_BY_KEY)
    for key, properties, rest in connection.execute("SELECT key, properties, rest FROM items"):
        writing.doubt(connection, key, doubts(to_item(properties, rest)))


def _pack_anew(connection: sqlite3.Connection) -> None:
    """Version 4 packed by Zstandard. A damaged row stays as it is: whoever reads it is told."""

    def anew(rest: bytes) -> bytes:
        try:
            return packed(zstd.decompress(rest))
        except RuntimeError:
            return rest

    connection.create_function("packed_anew", 1, anew, deterministic=True)
    for table in ("items", "versions"):
        connection.execute(f"UPDATE {table} SET rest = packed_anew(rest)")  # noqa: S608 - our own names


def _lay_aside(connection: sqlite3.Connection) -> None:
    for table in ("boxes", "parts", "schema_version"):
        connection.execute(f"DROP TABLE {table}")
    for index in ("items_by_id", "items_by_moment", "items_by_collection_and_moment"):
        connection.execute(f"DROP INDEX {index}")
    for table in ("items", "collections"):
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")


def _laid_aside(connection: sqlite3.Connection) -> Iterator[Row]:
    for (document,) in connection.execute("SELECT document FROM old_items ORDER BY key"):
        yield to_row(json.loads(document))
