"""The SQLite file of the embedded store: its tables, its connections, its transactions."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from catalogs.store import functions, schema
from processing.model.errors import BadInput, Defect, Retryable

_BUSY_S = 60.0
_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection on which an acknowledged write survives a power cut, and which waits for other writers."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL, not the NORMAL that WAL tempts to: with NORMAL, half of the acknowledged rows were lost in a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -16384")
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
            found = schema.version(connection)
        _sync_folder(path.parent)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise Defect(f"not a catalogue: {error}", kind="catalogue.file", where=str(path)) from error
    if found is None or found > schema.VERSION:
        raise Defect(
            f"the catalogue has schema {found}, and this Qyran knows up to {schema.VERSION}",
            kind="catalogue.version",
            where=str(path),
            remedy="Use the Qyran that wrote it, or a newer one.",
        )


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create or renew the tables once; whoever comes second finds them."""
    if schema.is_current(connection):
        return
    with transaction(connection):
        if not schema.is_current(connection):
            schema.prepare(connection)


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


@contextmanager
def bounded(connection: sqlite3.Connection, *, seconds: float, steps: int | None = None) -> Iterator[None]:
    """Stop a query that takes too long.

    Parameters
    ----------
    seconds
        The longest it may take.
    steps
        The most steps of SQLite's machine it may take: unlike time, the same on every machine and under every load.

    Raises
    ------
    BadInput
        ``search.too_broad`` when it was stopped.
    """
    deadline, left = time.monotonic() + seconds, steps

    def over() -> bool:
        nonlocal left
        if left is not None:
            left -= _STEPS
        return time.monotonic() > deadline or (left is not None and left < 0)

    connection.set_progress_handler(over, _STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise BadInput(
            "this search takes too long",
            kind="search.too_broad",
            remedy="Name collections, a smaller area or a shorter time, or sort by datetime.",
        ) from error
    finally:
        connection.set_progress_handler(None, 0)


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
