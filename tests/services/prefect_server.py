"""A real Prefect server on loopback, with a password as in operation, and a worker that takes its runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.prefect_env import WORK_POOL, prefect_environment

USER, PASSWORD = "qyran", "test-only"


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def prefect_server(home: Path) -> Iterator[dict[str, str]]:
    """Environment of a client of a server that runs until the block ends."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    environment |= prefect_environment(home) | {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_UI_ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
    }
    command = [
        sys.executable,
        "-m",
        "pipelines.serve_prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with _program(command, environment, home / "server.log") as process:
        _wait_until_ready(process, environment["PREFECT_API_URL"], home / "server.log")
        yield environment


@contextmanager
def prefect_worker(server: dict[str, str], folder: Path) -> Iterator[None]:
    """A worker of the pool until the block ends; what it says goes to ``worker.log``."""
    environment = server | {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_WORKER_PREFETCH_SECONDS": "1"}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
    with _program(command, environment, folder / "worker.log"):
        yield


@contextmanager
def _program(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=subprocess.STDOUT, cwd=log.parent, start_new_session=True
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=10)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(480):
        if process.poll() is not None:
            pytest.fail(f"the server ended:\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the server did not get ready:\n{log.read_text()[-3000:]}")


def ask(server: dict[str, str], path: str, body: dict[str, Any]) -> Any:
    """What the server answers to a POST."""
    url = server["PREFECT_API_URL"]
    with httpx.Client(auth=(USER, PASSWORD), timeout=60, trust_env=False) as client:
        proof = client.get(f"{url}/csrf-token", params={"client": "tests"})
        headers = {"Prefect-Csrf-Token": proof.json()["token"], "Prefect-Csrf-Client": "tests"}
        answer = client.post(f"{url}{path}", json=body, headers=headers)
    answer.raise_for_status()
    return answer.json() if answer.content else None
