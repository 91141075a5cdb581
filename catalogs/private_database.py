"""Small SQLite files that only their owner reads: connections and transactions that survive power cuts."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from processing.archive.durable import make_folders, sync_folder
from processing.model.errors import Defect, QyranError, Retryable

_BUSY_S = 30.0


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database is for, and what is in it."""

    name: str
    """One word, for the kinds of errors: ``customers``."""
    version: int
    tables: str
    """Statements, each ended by a semicolon at the end of its line."""


class Connections:
    """One connection that reads and one that writes, each for one thread at a time.

    Nothing is kept in memory between two questions: what another process has revoked is revoked for the next one.

    Parameters
    ----------
    path
        The database; made where there is none, readable by its owner alone.
    schema
        What is in it.

    Raises
    ------
    Defect
        ``NAME.version`` if a newer Qyran made it, ``NAME.corrupt`` if it is damaged.
    Retryable
        ``NAME.busy`` if others held it too long, ``disk.failed`` if the disk did not take it.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path, self._name = path, schema.name
        with _plain(path, schema.name):
            _create(path, schema)
            self._reader, self._writer = _connect(path), _connect(path)
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, (self._reader, self._writer))

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The reading connection, in one state of the database until the block ends."""
        with self._reading, _plain(self._path, self._name):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                with suppress(sqlite3.Error):
                    self._reader.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, durable when the block ends."""
        with self._writing, _plain(self._path, self._name):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                raise

    def forget_for_good(self) -> None:
        """Take what was deleted out of the write-ahead log too."""
        with self._writing, _plain(self._path, self._name):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close both."""
        self._finalizer()


def _close_all(connections: tuple[sqlite3.Connection, ...]) -> None:
    for connection in connections:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # A token that was revoked, a licence that was accepted: acknowledged means that a power cut does not undo it.
    connection.execute("PRAGMA synchronous = FULL")
    # What is erased is overwritten.
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def _create(path: Path, schema: Schema) -> None:
    make_folders(path.parent)
    path.parent.chmod(0o700)
    # SQLite gives its log and its index the permissions of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    with closing(_connect(path)) as connection:
        _use_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            for statement in schema.tables.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    sync_folder(path.parent)
    if found > schema.version:
        raise Defect(
            f"the database of {schema.name} has schema {found}, and this Qyran knows up to {schema.version}",
            kind=f"{schema.name}.version",
            where=str(path),
            remedy="Use the Qyran that wrote it, or a newer one.",
        )


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


@contextmanager
def _plain(path: Path, name: str) -> Iterator[None]:
    """Errors of SQLite and of the disk below it in plain words."""
    try:
        yield
    except sqlite3.Error as error:
        plain = _explained(error, path, name)
        if plain is None:
            raise
        raise plain from error


def _explained(error: sqlite3.Error, path: Path, name: str) -> QyranError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Retryable(f"the database of {name} is busy", kind=f"{name}.busy", where=str(path), remedy="Try again.")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return Retryable(
            f"the disk failed below the database of {name}: {error}",
            kind="disk.failed",
            where=str(path),
            remedy="Look at the room on the disk, its health (dmesg, smartctl) and its permissions, then try again.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Defect(
            f"the database of {name} is damaged: {error}",
            kind=f"{name}.corrupt",
            where=str(path),
            remedy="Restore it from the backup.",
        )
    return None
