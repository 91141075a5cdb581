"""compose.yaml without containers: every service's own command and environment, as processes on loopback."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?:(:-|:\?)([^}]*))?\}")


def settings(**given: str) -> dict[str, str]:
    """env.example as an operator fills it in."""
    found = dict(
        line.split("=", 1)
        for line in (DOCKER / "env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    unknown = set(given) - set(found)
    assert not unknown, f"env.example does not know {unknown}"
    return found | given


def composed(values: Mapping[str, str]) -> dict[str, Any]:
    """compose.yaml, merged and interpolated as Compose does it."""
    document = YAML(typ="safe").load(DOCKER / "compose.yaml")
    return _filled(document, values)


def variables() -> set[str]:
    """Names of all variables that compose.yaml asks for."""
    return {found[1] for found in _VARIABLE.finditer((DOCKER / "compose.yaml").read_text())}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(below, values) for key, below in value.items()}
    if isinstance(value, list):
        return [_filled(below, values) for below in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        name, how, other = found[1], found[2], found[3]
        told = values.get(name, "")
        if not told and how == ":?":
            raise ValueError(f"{name}: {other}")
        return told or (other if how == ":-" else "")

    return _VARIABLE.sub(fill, value)


class Services:
    """Services as processes of this machine.

    Parameters
    ----------
    places
        What stands in the file, and what stands for it on loopback: hosts, ports, folders.
    """

    def __init__(self, document: Mapping[str, Any], places: Mapping[str, str], folder: Path) -> None:
        self._services, self._places, self._folder = document["services"], places, folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """What a service's processes see, and nothing of this one's but where programs are."""
        own = {key: self._here(str(value)) for key, value in self._services[name].get("environment", {}).items()}
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return kept | {"NO_PROXY": "127.0.0.1,localhost"} | own

    def command(self, name: str) -> list[str]:
        """A service's command, here."""
        programs = Path(sys.executable).parent
        first, *rest = [self._here(str(part)) for part in self._services[name]["command"]]
        return [str(programs / first) if (programs / first).exists() else first, *rest]

    def start(self, name: str, *more: str, program: str = "", copy: int = 1) -> subprocess.Popen[bytes]:
        """Start a service; ``program`` where its image has an entry point of its own."""
        entry = [str(Path(sys.executable).with_name(program))] if program else []
        command = entry + self.command(name) + list(more)
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environment(name), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        self.running[f"{name}-{copy}"] = process
        return process

    def log(self, name: str) -> str:
        """What a service has said."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def ended(self) -> dict[str, int]:
        """Services that ended by themselves, and how."""
        return {name: code for name, process in self.running.items() if (code := process.poll()) is not None}

    def _here(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text


@contextmanager
def services(document: Mapping[str, Any], places: Mapping[str, str], folder: Path) -> Iterator[Services]:
    """Services that are ended at the end, the last started first."""
    started = Services(document, places, folder)
    try:
        yield started
    finally:
        for process in reversed(started.running.values()):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
