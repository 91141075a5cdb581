"""``qyran up`` as an operator starts it, driven through Prefect's REST API."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipelines.prefect_http import prefect_client

QYRAN = str(Path(sys.executable).with_name("qyran"))
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, each another."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port() -> int:
    """A port that nobody listens at."""
    return free_ports(1)[0]


@dataclass
class House:
    """One installation, and the processes that work for it."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    prefect_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    said: str = ""

    def start(self) -> None:
        """Start it and wait until everything answers."""
        inherited = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
        command = [
            QYRAN, "up", "--home", str(self.home), "--port", str(self.port), "--prefect-port", str(self.prefect_port),
            "--json",
        ]  # fmt: skip
        errors = (self.home.parent / "up.err").open("a")
        with errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=inherited | dict(self.environment),
                start_new_session=True,
            )  # fmt: skip
        text = ""
        assert self.process.stdout is not None
        while not text.endswith("\n}\n"):
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"it ended: {text}\n{self.complaints()}")
            text += line
        if "error" in json.loads(text):
            raise RuntimeError(f"{text}\n{self.complaints()}")
        self.said = text

    def complaints(self) -> str:
        """The last that it and its programs said."""
        logs = [self.home.parent / "up.err", *(self.home / "logs").glob("*.log")]
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in logs if path.exists())

    @property
    def addresses(self) -> dict[str, Any]:
        """What ``qyran up --json`` said."""
        return dict(json.loads(self.said))

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with self.process:
                self.process.wait(120)
            self.process = None

    def kill(self) -> None:
        """As a power cut does: every process of it at once, without a word to any."""
        assert self.process is not None
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with self.process:
            self.process.wait(30)
        self.process = None
        until(lambda: not self.processes(), 30, "its processes outlived SIGKILL")

    def processes(self, word: bytes = b"") -> list[int]:
        """Processes that work for this installation and have a word in their command line."""
        mine = {self.process.pid} if self.process is not None else set()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    told = f"QYRAN_HOME={self.home}\0".encode() in (entry / "environ").read_bytes()
                    if (told or int(entry.name) in mine) and word in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def processes_of_runs(self, runs: Collection[str]) -> list[int]:
        """Processes that work at these runs, and those that stand for them towards the worker."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                told = (Path("/proc") / str(pid) / "environ").read_bytes()
                name = (Path("/proc") / str(pid) / "comm").read_text().strip()
                if any(f"PREFECT__FLOW_RUN_ID={run}\0".encode() in told or name == f"run-{run[:11]}" for run in runs):
                    found.append(pid)
        return found

    @contextlib.contextmanager
    def prefect(self) -> Iterator[httpx.Client]:
        """A client of its Prefect server."""
        server = {
            "PREFECT_API_URL": f"http://127.0.0.1:{self.prefect_port}/api",
            "PREFECT_API_AUTH_STRING": (self.home / "prefect" / "auth").read_text().strip(),
        }
        with prefect_client(server, timeout_s=60) as client:
            yield client

    def begin(self, flow: str, request: Mapping[str, Any], **more: Any) -> str:
        """Create a run of a deployment; gives its id."""
        with self.prefect() as client:
            found = client.get(f"/deployments/name/{flow}/{flow}")
            found.raise_for_status()
            asked = {"parameters": {"request": {"home": str(self.home), **request}}, **more}
            made = client.post(f"/deployments/{found.json()['id']}/create_flow_run", json=asked)
            made.raise_for_status()
            return str(made.json()["id"])

    def state(self, run: str) -> dict[str, Any]:
        """A run's state; of an unknown type while the server does not answer."""
        try:
            with self.prefect() as client:
                return dict(client.get(f"/flow_runs/{run}").json()["state"])
        except (httpx.HTTPError, KeyError, ValueError):
            return {"type": "UNKNOWN", "name": "", "message": ""}

    def wait(self, runs: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
        """The states of runs once all have ended."""
        states: dict[str, dict[str, Any]] = {}

        def ended() -> bool:
            states.update({run: self.state(run) for run in runs})
            return all(state["type"] in FINAL for state in states.values())

        until(ended, seconds, f"runs did not end: {states}")
        return states


def until(holds: Any, seconds: float, what: str) -> None:
    """Wait until something holds.

    Raises
    ------
    AssertionError
        ``what`` if it does not in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.3)
    raise AssertionError(what() if callable(what) else what)
