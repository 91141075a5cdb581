"""A PostgreSQL of one's own on loopback, with PostGIS, for as long as it is measured."""

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from processing.model.errors import Defect

_INSTALLED, _SHARED = Path("/usr/lib/postgresql"), Path("/usr/share/postgresql")
_STARTS_S, _STOPS_S = 60.0, 60.0
INSTALL = "apt-get install postgresql-15-postgis-3"


@dataclass
class Cluster:
    """A server that runs."""

    folder: Path
    port: int
    settings: Sequence[str]
    password: str = field(repr=False)
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Where one of its databases is."""
        return f"postgresql://qyran:{self.password}@127.0.0.1:{self.port}/{database}"

    def fresh(self, name: str) -> str:
        """URL of a new database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises
        ------
        Defect
            ``postgres.start`` if it does not.
        """
        options = [part for setting in self.settings for part in ("-c", setting)]
        command = [
            str(_binaries() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1",
            "-k", str(self.folder), *options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
                command, stdout=log, stderr=log, cwd=self.folder, **_as_postgres()
            )
        deadline = time.monotonic() + _STARTS_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "log").read_text(errors="replace")[-1000:]
                    raise Defect(f"PostgreSQL did not start: {said}", kind="postgres.start") from error
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """End it as a power cut does: without a word to anybody. Its children end when they see it gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(2)  # fast shutdown
            self.process.wait(_STOPS_S)

    def cpu_s(self) -> float:
        """User and system time of it and all its children, those that ended among them."""
        assert self.process is not None
        ticks, family = 0, {self.process.pid}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if int(entry.name) in family or int(fields[1]) in family:
                # Those that the first process has waited for stand in its own record.
                ended = int(fields[13]) + int(fields[14]) if int(entry.name) in family else 0
                ticks += int(fields[11]) + int(fields[12]) + ended
        return ticks / os.sysconf("SC_CLK_TCK")


def why_not() -> str | None:
    """Why no server can be started here, or None."""
    return None if _versions() else f"PostgreSQL with PostGIS is not installed: {INSTALL}"


@contextmanager
def running(name: str, *, settings: Sequence[str] = ()) -> Iterator[Cluster]:
    """A new cluster, which is stopped and removed at the end.

    Parameters
    ----------
    name
        Tells its folder, ``/var/tmp/qyran-postgres-<process>-<name>``, from others: the server's user must reach it.
    settings
        ``name=value``.
    """
    folder = Path("/var/tmp") / f"qyran-postgres-{os.getpid()}-{name}"  # noqa: S108 - made for its owner alone
    folder.mkdir(mode=0o700)
    try:
        password = secrets.token_urlsafe(12)
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        (folder / "password").write_text(password)
        (folder / "password").chmod(0o644)  # in a folder that only the server's user enters
        subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [_binaries() / "initdb", "-D", folder / "data", "-U", "qyran", "-A", "scram-sha-256", "--pwfile",
             folder / "password", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **_as_postgres(),
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        cluster = Cluster(folder=folder, port=port, settings=settings, password=password)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


def _versions() -> list[str]:
    """Versions that are whole, the newest last."""
    found = [
        folder.name
        for folder in (_INSTALLED.iterdir() if _INSTALLED.is_dir() else ())
        if re.fullmatch(r"\d+", folder.name)
        and (folder / "bin" / "initdb").is_file()
        and (_SHARED / folder.name / "extension" / "postgis.control").is_file()
    ]
    return sorted(found, key=int)


def _binaries() -> Path:
    return _INSTALLED / _versions()[-1] / "bin"


def _as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    who = pwd.getpwnam("postgres")
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
