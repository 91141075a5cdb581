"""The SQLite file of the embedded store: its tables, its connections, its transactions."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from catalogs.store import functions, schema
from catalogs.store.faults import PlainConnection, explained, refused
from processing.model.errors import BadInput, Defect, QyranError, Retryable

_BUSY_S = 60.0
_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection on which an acknowledged write survives a power cut, and which waits for other writers."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, factory=PlainConnection
    )
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL, not the NORMAL that WAL tempts to: with NORMAL, half of the acknowledged rows were lost in a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    # Searches read rows here and there: out of the system's file cache without copying, as far as that is mapped.
    connection.execute("PRAGMA mmap_size = 268435456")
    functions.register(connection)
    return connection


def create(path: Path) -> None:
    """Create the database where there is none; check that it is one we can read where there is.

    Raises
    ------
    Defect
        ``catalogue.version`` if a newer Qyran made it; ``catalogue.file`` if it is no catalogue,
        ``catalogue.corrupt`` if it is a damaged one.
    """
    try:
        _make_folder(path.parent)
        with closing(connect(path)) as connection:
            _use_wal(connection)
            _create_tables(connection)
            found = schema.version(connection)
        _sync_folder(path.parent)
    except sqlite3.Error as error:
        raise explained(error) or error from error
    except OSError as error:
        raise refused(error) from error
    except QyranError as error:
        error.where = error.where or str(path)
        raise
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
        ``catalogue.busy`` if other writers held the database for a minute; ``disk.full`` if it cannot grow;
        ``disk.failed`` if the disk did not take it. Then nothing of it is there.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A commit that failed is never tried again: what the disk did not confirm is written anew, in another one.
        with suppress(sqlite3.Error, QyranError):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


@contextmanager
def many_writes(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Prepare a connection for many transactions: pages that change again and again are written home less often.

    Each transaction is durable all the same, in the write-ahead log.
    """
    wanted = {"cache_size": -131_072, "wal_autocheckpoint": 4_096, "mmap_size": 0}
    usual = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted}
    for name, value in wanted.items():
        connection.execute(f"PRAGMA {name} = {value}")
    try:
        yield connection
    finally:
        for name, value in usual.items():
            connection.execute(f"PRAGMA {name} = {value}")


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
        except Retryable as error:
            if error.kind != "catalogue.busy" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, each entry durable: a database is as safe as the names that lead to it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
