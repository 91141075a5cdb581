"""What SQLite and the disk below it refuse, in plain words: by what can be done about it."""

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

from processing.model.errors import Defect, QyranError, Retryable

_REBUILD = "Make it anew from the products: qyran catalogue rebuild"


def explained(error: sqlite3.Error) -> QyranError | None:
    """What an error of SQLite means for an operator; None where it is none of the machine's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Retryable("the catalogue is busy", kind="catalogue.busy", remedy="Run it again.")
    if code == sqlite3.SQLITE_FULL:
        return Retryable("the disk is full", kind="disk.full", remedy="Make room, then run it again.")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return Retryable(
            f"the disk failed below the catalogue: {error} ({getattr(error, 'sqlite_errorname', '')})",
            kind="disk.failed",
            remedy="Look at the room on the disk and at its health (dmesg, smartctl), then run it again.",
        )
    if code == sqlite3.SQLITE_READONLY:
        return Retryable(
            "the catalogue cannot be written to",
            kind="disk.read_only",
            remedy="See whether the disk is mounted read-only (dmesg), and whether this user owns HOME/catalogue.",
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return Defect(f"the catalogue is damaged: {error}", kind="catalogue.corrupt", remedy=_REBUILD)
    if code == sqlite3.SQLITE_NOTADB:
        return Defect(f"not a catalogue: {error}", kind="catalogue.file", remedy=_REBUILD)
    return None


def refused(error: OSError) -> QyranError:
    """What the filesystem refused around the database."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Retryable(
        f"the catalogue's folder could not be written: {error.strerror}",
        kind="disk.full" if full else "disk.failed",
        where=error.filename,
        remedy="Look at the room on the disk, its health (dmesg, smartctl) and its permissions, then run it again.",
    )


def _plainly[**P, T](method: Callable[P, T]) -> Callable[P, T]:
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except sqlite3.Error as error:
            plain = explained(error)
            if plain is None:
                raise
            raise plain from error

    return call


class PlainCursor(sqlite3.Cursor):
    """A cursor whose errors say what to do: a damaged page may be met at any row."""

    execute = _plainly(sqlite3.Cursor.execute)
    executemany = _plainly(sqlite3.Cursor.executemany)
    fetchone = _plainly(sqlite3.Cursor.fetchone)
    fetchmany = _plainly(sqlite3.Cursor.fetchmany)
    fetchall = _plainly(sqlite3.Cursor.fetchall)

    def __next__(self) -> Any:
        return _plainly(super().__next__)()


class PlainConnection(sqlite3.Connection):
    """A connection whose cursors are :class:`PlainCursor`."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement."""
        # Asked of the connection, which forgets dead cursors then; one that is made directly leaks a reference to it.
        cursor = self.cursor(PlainCursor)
        cursor.execute(sql, parameters)
        return cursor

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """Execute one statement for each set of parameters."""
        cursor = self.cursor(PlainCursor)
        cursor.executemany(sql, parameters)
        return cursor
