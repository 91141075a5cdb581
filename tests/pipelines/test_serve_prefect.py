"""The embedded database of Prefect's server under two writers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TWO_WRITERS = """
import asyncio, sys
import sqlalchemy as sa
from pipelines.serve_prefect import write_from_the_start
if sys.argv[1] == "mended":
    write_from_the_start()
from prefect.server.database.configurations import AioSqliteConfiguration

async def main():
    config = AioSqliteConfiguration(connection_url="sqlite+aiosqlite:///" + sys.argv[2])
    engine = await config.engine()
    async with engine.begin() as first:
        await first.execute(sa.text("CREATE TABLE runs (n INTEGER)"))
    read = asyncio.Event()

    async def reads_and_writes():
        async with await config.session(engine) as session, config.begin_transaction(session):
            await session.execute(sa.text("SELECT count(*) FROM runs"))
            read.set()
            await asyncio.sleep(0.5)
            await session.execute(sa.text("INSERT INTO runs VALUES (1)"))

    async def writes():
        await read.wait()
        async with await config.session(engine) as session, config.begin_transaction(session, with_for_update=True):
            await session.execute(sa.text("INSERT INTO runs VALUES (2)"))

    await asyncio.gather(reads_and_writes(), writes())

    async def numbers(session):
        return list((await session.execute(sa.text("SELECT n FROM runs ORDER BY n"))).scalars())

    async def within_another():
        async with await config.session(engine) as outer, config.begin_transaction(outer):
            async with await config.session(engine) as inner, config.begin_transaction(inner):
                first = await numbers(inner)
            async with await config.session(engine) as plain:
                return first, await numbers(plain), await asyncio.create_task(numbers(outer))

    print(*await asyncio.wait_for(within_another(), 20))
    await engine.dispose()

asyncio.run(main())
"""


def run(how: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    return subprocess.run(
        [sys.executable, "-c", TWO_WRITERS, how, str(folder / "prefect.db")],
        capture_output=True, text=True, check=False, timeout=180, env=environment | {"PREFECT_HOME": str(folder)},
    )  # fmt: skip


def test_who_writes_later_waits(tmp_path: Path) -> None:
    done = run("mended", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[1, 2] [1, 2] [1, 2]"


def test_left_to_itself_prefect_fails_there(tmp_path: Path) -> None:
    """What all this is for. Where it holds no more, :mod:`pipelines.serve_prefect` can go."""
    done = run("as it is", tmp_path)
    assert done.returncode != 0
    assert "database is locked" in done.stderr


@pytest.mark.services
def test_it_is_prefects_command_line() -> None:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.serve_prefect", "version"],
        capture_output=True, text=True, check=True, timeout=180, env=environment,
    )  # fmt: skip
    assert "sqlite" in done.stdout
