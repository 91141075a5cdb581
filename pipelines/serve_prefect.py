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

    One that is opened inside another of the same task is left as it was: it would wait for the outer one for ever.
    """
    from prefect.server.database import configurations
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction

    @asynccontextmanager
    async def begin_as_writer(
        self: AioSqliteConfiguration, session: "AsyncSession", with_for_update: bool = False
    ) -> "AsyncGenerator[AsyncSessionTransaction, None]":
        outermost = configurations.SQLITE_BEGIN_MODE.get() is None
        async with begin(self, session, with_for_update=with_for_update or outermost) as transaction:
            yield transaction

    AioSqliteConfiguration.begin_transaction = begin_as_writer  # type: ignore[method-assign]


def main() -> None:
    """Prefect's own command line, with the arguments given."""
    write_from_the_start()
    from prefect.cli import app

    sys.argv[0] = "prefect"
    app()


if __name__ == "__main__":
    main()
