"""The SQLite file of the embedded store: its tables, its connections, its transactions."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from catalogs.store import functions
from processing.model.errors import Defect, Retryable

SCHEMA_VERSION = 1
_BUSY_S = 60.0
_SCHEMA = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    "CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    # Times are microseconds since 1970; moment is the item's datetime, or its start where it has none. west to north
    # span the geometry, which is kept as WKB.
    (
        "CREATE TABLE items (key INTEGER PRIMARY KEY, collection TEXT NOT NULL REFERENCES collections (id),"
        " id TEXT NOT NULL, moment INTEGER NOT NULL, starts INTEGER NOT NULL, stops INTEGER NOT NULL,"
        " west REAL, south REAL, east REAL, north REAL, shape BLOB, document TEXT NOT NULL, UNIQUE (collection, id))"
    ),
    "CREATE INDEX items_by_id ON items (id)",
    "CREATE INDEX items_by_moment ON items (moment DESC, collection, id)",
    "CREATE INDEX items_by_collection_and_moment ON items (collection, moment DESC, id)",
    # One box for each part of a geometry: one that crosses the antimeridian has parts on both sides of the map.
    "CREATE VIRTUAL TABLE boxes USING rtree (part, west, east, south, north)",
    "CREATE TABLE parts (part INTEGER PRIMARY KEY, item INTEGER NOT NULL REFERENCES items (key) ON DELETE CASCADE)",
    "CREATE INDEX parts_by_item ON parts (item)",
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection on which an acknowledged write survives a power cut, and which waits for other writers."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL, not the NORMAL that WAL tempts to: with NORMAL, half of the acknowledged rows were lost in a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    functions.register(connection)
    return connection


def create(path: Path) -> None:
    """Create the database where there is none; check that it is one we can read where there is.

    Raises
    ------
    Defect
        ``catalogue.version`` if a newer Qyran made it; ``catalogue.file`` if it is no catalogue.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(connect(path)) as connection:
            _use_wal(connection)
            _create_tables(connection)
            found = _version(connection)
        _sync_folder(path.parent)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise Defect(f"not a catalogue: {error}", kind="catalogue.file", where=str(path)) from error
    if found is None or found > SCHEMA_VERSION:
        raise Defect(
            f"the catalogue has schema {found}, and this Qyran knows up to {SCHEMA_VERSION}",
            kind="catalogue.version",
            where=str(path),
            remedy="Use the Qyran that wrote it, or a newer one.",
        )


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables once; whoever comes second finds them."""
    if _version(connection) is not None:
        return
    with transaction(connection):
        if _version(connection) is None:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?)", (SCHEMA_VERSION,))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing, and durable when it ends.

    Raises
    ------
    Retryable
        ``catalogue.busy`` if other writers held the database for a minute; ``disk.full`` if it cannot grow.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Retryable("the catalogue is busy", kind="catalogue.busy", remedy="Run it again.") from error
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise Retryable("the disk is full", kind="disk.full", remedy="Make room, then run it again.") from error
        raise


def _version(connection: sqlite3.Connection) -> int | None:
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    return None if exists is None else int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, which lasts. The switch, alone of all, does not wait for other connections."""
    deadline = time.monotonic() + _BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
