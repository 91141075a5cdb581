"""A real Dask scheduler with worker processes on loopback, spoken to by TLS alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.cluster_tls import CA, CERT, KEY, make_certificates


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, and one certificate that it signed."""

    ca: Path
    cert: Path
    key: Path

    @property
    def options(self) -> list[str]:
        """For Dask's programs."""
        return [f"--tls-ca-file={self.ca}", f"--tls-cert={self.cert}", f"--tls-key={self.key}"]

    @property
    def config(self) -> dict[str, str]:
        """For ``tls:`` of compute.yaml."""
        return {"ca": str(self.ca), "cert": str(self.cert), "key": str(self.key)}


def certificates(folder: Path) -> Certificates:
    """A new authority and what it signed."""
    assert make_certificates(folder, days=1)
    return Certificates(*(folder / name for name in (CA, CERT, KEY)))


@dataclass
class DaskCluster:
    """A scheduler and its workers, each a process."""

    folder: Path
    certificates: Certificates
    port: int
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where a client finds it."""
        return f"tls://127.0.0.1:{self.port}"

    def add_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """One more, with one thread. Without a nanny: a worker that is killed is not started again."""
        command = [
            self.address, "--nthreads=1", "--no-dashboard", "--dashboard-address=127.0.0.1:0", "--no-nanny",
            "--host=127.0.0.1", f"--local-directory={self.folder}", *self.certificates.options, *options,
        ]  # fmt: skip
        self.workers.append(_start("dask_worker", command, self.folder))
        return self.workers[-1]


@contextmanager
def dask_cluster(folder: Path, *, workers: int = 2) -> Iterator[DaskCluster]:
    """Scheduler and workers for as long as the block lasts."""
    pems = certificates(folder / "tls")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    scheduler = _start(
        "dask_scheduler",
        [
            "--host=127.0.0.1",
            f"--port={port}",
            "--protocol=tls",
            "--no-dashboard",
            "--dashboard-address=127.0.0.1:0",
            *pems.options,
        ],
        folder,
    )
    cluster = DaskCluster(folder, pems, port, scheduler)
    try:
        for _ in range(workers):
            cluster.add_worker()
        _answers(cluster)
        yield cluster
    finally:
        for process in (*cluster.workers, cluster.scheduler):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def _start(module: str, options: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{module}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True,
        )  # fmt: skip


def _answers(cluster: DaskCluster) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", cluster.port), 1):
            return
        if cluster.scheduler.poll() is not None:
            break
        time.sleep(0.2)
    raise RuntimeError(f"the scheduler did not start: {(cluster.folder / 'dask_scheduler.log').read_text()[-2000:]}")
