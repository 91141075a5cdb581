"""A real PostgreSQL with PostGIS on loopback, with a data folder and a port of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

BINARIES = Path("/usr/lib/postgresql/15/bin")
_EXTENSION = Path("/usr/share/postgresql/15/extension/postgis.control")


def why_not() -> str | None:
    """Why no server can be started here, or None."""
    if not (BINARIES / "initdb").is_file() or not _EXTENSION.is_file():
        return "PostgreSQL with PostGIS is not installed: apt-get install postgresql-15-postgis-3"
    return None


def refuse(reason: str) -> NoReturn:
    """Skip, with a notice; fail where servers were declared required."""
    if "services" in os.environ.get("QYRAN_REQUIRE", ""):
        pytest.fail(reason)
    pytest.skip(reason)


def _as_postgres() -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    who = pwd.getpwnam("postgres")
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


@dataclass
class Server:
    """A server that runs."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://qyran:a-secret@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        command = [
            BINARIES / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-h", "127.0.0.1",
            "-k", self.folder, "-c", "shared_buffers=64MB", "-c", "max_connections=60",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **_as_postgres())
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((self.folder / "log").read_text()[-2000:])
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """As a power cut ends it: without a word to anybody. Its own children end when they see it gone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(2)  # fast shutdown
            self.process.wait(60)

    def fresh(self, name: str) -> str:
        """URL of a new database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A new cluster that is stopped and removed at the end."""
    # The server's user must reach its folder, and pytest's are for their owner alone.
    folder = Path("/var/tmp") / f"qyran-postgres-{os.getpid()}-{folder.name}"
    folder.mkdir(mode=0o700)
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        (folder / "password").write_text("a-secret")
        (folder / "password").chmod(0o644)
        subprocess.run(
            [BINARIES / "initdb", "-D", folder / "data", "-U", "qyran", "-A", "scram-sha-256", "--pwfile",
             folder / "password", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **_as_postgres(),
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(folder=folder, port=port, process=None)  # type: ignore[arg-type]
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
