"""Prefect's server on its embedded database: ``python -m pipelines.serve_prefect`` is ``prefect`` that never upgrades.

Prefect 3.8 begins most transactions as readers and upgrades them at their first write. SQLite refuses that at once,
with "database is locked" and whatever the timeout, where another connection has written in between: a run's change of
state is then aborted, and the run hangs. Begun as a writer, a transaction waits its turn instead. Prefect 3.9 does so
itself; it asks for a newer certifi than some indexes have.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


def write_from_the_start() -> None:
    """Have every outermost transaction of Prefect's on SQLite take the write lock when it begins.

    What is opened inside another by the same task, or by one that it starts, begins as a reader: Prefect hands the
    outer one's mode on to it, and as a writer it would wait for the outer one for ever.
    """
    from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration

    @asynccontextmanager
    async def begin_as_writer(
        self: AioSqliteConfiguration,  # noqa: ARG001 - in place of a method
        session: "AsyncSession",
        with_for_update: bool = False,
    ) -> "AsyncGenerator[AsyncSessionTransaction, None]":
        writes = with_for_update or SQLITE_BEGIN_MODE.get() is None
        token = SQLITE_BEGIN_MODE.set("IMMEDIATE" if writes else "DEFERRED")
        try:
            async with session.begin() as transaction:
                # Now, and not with its first statement.
                await session.connection()
                SQLITE_BEGIN_MODE.set("DEFERRED")
                yield transaction
        finally:
            SQLITE_BEGIN_MODE.reset(token)

    AioSqliteConfiguration.begin_transaction = begin_as_writer  # type: ignore[method-assign]


def main() -> None:
    """Prefect's own command line, with the arguments given."""
    write_from_the_start()
    from prefect.cli import app

    sys.argv[0] = "prefect"
    app()


if __name__ == "__main__":
    main()
