"""Connections to the catalogue's PostgreSQL: shared by threads, never by processes, and errors in plain words.

No message here holds the database's URL or what the server's driver says of it: a password may stand in it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import psycopg
from psycopg import Connection, errors
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from catalogs.store import pgstac_schema
from processing.model.errors import BadInput, Defect, QyranError, Retryable

_CONNECTIONS = 16
_WAIT_S = 30.0
_SESSION = (
    "SET synchronous_commit = on; SET timezone = 'UTC'; SET search_path = pgstac, public; SET jit = off;"
    " SET client_min_messages = warning; SET lock_timeout = '60s'"
)
"""``synchronous_commit``: what was acknowledged survives a power cut, whatever the server's own setting is."""
_HOW = "See that the server runs, and that the URL, user and password of the catalogue are right."


class Database:
    """One PostgreSQL database, prepared when it is first used.

    Parameters
    ----------
    url
        ``postgresql://user@host:port/name``; a password may also stand in libpq's password file.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._held: tuple[int, ConnectionPool[Connection[Any]]] | None = None
        self._closed = False
        with plain_errors(), psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            pgstac_schema.prepare(connection, url)

    @contextmanager
    def transaction(self, *, seconds: float | None = None) -> Iterator[Connection[Any]]:
        """All of it or nothing, and durable when it ends.

        Parameters
        ----------
        seconds
            The longest one statement may take; None: as long as it needs.

        Raises
        ------
        Retryable
            ``catalogue.unreachable``, ``catalogue.busy``, ``disk.full``. The change may then have been made
            nevertheless, if the server was lost while it was told of the end: doing it again does no harm.
        BadInput
            ``search.too_broad`` if a statement took too long.
        """
        with plain_errors(), self._pool().connection() as connection:
            if seconds is not None:
                connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(round(seconds * 1000)),))
            yield connection

    def close(self) -> None:
        """Give up all connections."""
        with self._lock:
            held, self._held, self._closed = self._held, None, True
        if held is not None and held[0] == os.getpid():
            held[1].close()

    def _pool(self) -> ConnectionPool[Connection[Any]]:
        """The connections of one process: one that a fork inherited is never used."""
        with self._lock:
            if self._closed:
                raise Defect("the catalogue was closed", kind="catalogue.closed")
            if self._held is None or self._held[0] != os.getpid():
                pool = ConnectionPool(
                    self._url,
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=_WAIT_S,
                    kwargs={"prepare_threshold": None, "connect_timeout": 10},
                    configure=_configure,
                    check=ConnectionPool.check_connection,
                    open=True,
                )
                self._held = (os.getpid(), pool)
            return self._held[1]


def _configure(connection: Connection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
    connection.execute(_SESSION)
    connection.commit()


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the server refuses, by what can be done about it."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, PoolClosed) as error:
        # The original may name the URL: it goes no further than here.
        raise _explained(error) from None


def _explained(error: Exception) -> QyranError:
    said = "" if not isinstance(error, psycopg.Error) else (error.diag.message_primary or "")
    if isinstance(error, errors.QueryCanceled):
        return BadInput(
            "this search takes too long",
            kind="search.too_broad",
            remedy="Name collections, a smaller area or a shorter time, or sort by datetime.",
        )
    if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected | errors.SerializationFailure):
        return Retryable("the catalogue is busy", kind="catalogue.busy", remedy="Run it again.")
    if isinstance(error, errors.DiskFull):
        return Retryable("the database's disk is full", kind="disk.full", remedy="Make room, then run it again.")
    if isinstance(error, errors.DataError | errors.InternalError_) and said != "":
        return BadInput(
            f"the catalogue cannot work with this: {said[:200]}", kind="search.value", remedy="Ask for less of it."
        )
    if isinstance(error, errors.DataError):
        return BadInput("the catalogue cannot work with such a value", kind="search.value", remedy="Write it simpler.")
    if isinstance(error, errors.InsufficientPrivilege | errors.UndefinedFile | errors.FeatureNotSupported):
        return Defect(
            f"the database refuses what the catalogue needs: {said[:200]}",
            kind="catalogue.database",
            remedy="PostGIS must be installed, and the first connection must be of a user who may create extensions.",
        )
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout | PoolClosed):
        return Retryable("the catalogue's database cannot be reached", kind="catalogue.unreachable", remedy=_HOW)
    if isinstance(error, psycopg.ProgrammingError) and not said:
        return BadInput("the catalogue's URL is none of a PostgreSQL database", kind="catalogue.url", remedy=_HOW)
    return Defect(f"the catalogue's database refused a statement: {said[:200]}", kind="catalogue.database")


@contextmanager
def savepoint(connection: Connection[Any], *, seconds: float) -> Iterator[None]:
    """Something that may be given up for taking too long, without the rest."""
    with suppress(errors.QueryCanceled), connection.transaction():
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(round(seconds * 1000)),))
        yield
