"""Prefect, told before it is imported how to behave inside Qyran: its own home, nothing sent anywhere, few words."""

import atexit
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.new_database import place_database
from processing.model.errors import Defect

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

WORK_POOL = "qyran"
"""Where deployments send their runs."""
SERVER_FILE = "server.json"
"""In Prefect's home: where the server of ``qyran up`` answers, and its process."""
LOOPBACK = "127.0.0.1,localhost,::1"
_PREPARED = "QYRAN_PREFECT_PREPARED"
"""Set in the environment of a process, and of its children, whose Prefect was told how to behave."""

_WATCH = 'while read -r server; do servers="$servers $server"; done; [ -z "$servers" ] || kill $servers 2>/dev/null'
"""A shell that is told servers until the pipe to it closes, and then stops them."""


def prefect_environment(prefect_home: Path) -> dict[str, str]:
    """Environment variables of every process that runs Prefect for this installation.

    Both telemetry switches are needed: the server's own, and the one of the libraries below it. The version check
    would ask an outside host. Results are JSON, never pickle: whoever can write a pickle can run code.
    """
    return {
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_PROFILES_PATH": str(prefect_home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The newer pages call an outside analytics host from the operator's browser, whatever is set.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # Twice as long each time, from 2 s: a run waits out a server that is started again, some minutes if need be.
        "PREFECT_CLIENT_MAX_RETRIES": "7",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "processing,catalogs,pipelines",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def prepare_prefect(prefect_home: Path) -> None:
    """Set this process up to run flows with no server of its own running. Call it before anything imports Prefect.

    Prefect starts a temporary server on loopback at the first flow (some 10 to 20 s) and stops it when the process
    ends; its database stays in ``prefect_home``, so that the history of runs does too. A random password keeps
    other users of the machine away from it. Where ``PREFECT_API_URL`` names a running server, that one is used; and so
    is the one of ``qyran up`` on this home: two servers on one database would lock each other out.

    Prefect reads its settings once: a process that works for a second installation keeps its records with the first.

    Raises
    ------
    Defect
        ``prefect.imported_before`` if something imported Prefect before this was called.
    """
    if _PREPARED in os.environ and "prefect" in sys.modules:
        return
    if "prefect" in sys.modules:
        raise Defect("Prefect was imported before it was told how to behave", kind="prefect.imported_before")
    # The folder, not the umask, keeps others out of the database: archive and products stay as the operator set them.
    prefect_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    prefect_home.chmod(0o700)
    settings = prefect_environment(prefect_home) | {"PREFECT_LOGGING_LEVEL": "WARNING"}
    running = running_server(prefect_home)
    if "PREFECT_API_URL" not in os.environ and running is not None:
        settings |= running
    elif "PREFECT_API_URL" not in os.environ:
        place_database(prefect_home)
        password = f"qyran:{secrets.token_urlsafe(24)}"
        settings |= {
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
            "PREFECT_SERVER_API_AUTH_STRING": password,
            "PREFECT_API_AUTH_STRING": password,
        }
    os.environ.update(settings, **{_PREPARED: str(os.getpid())})
    beyond = os.environ.get("NO_PROXY", "")
    os.environ["NO_PROXY"] = f"{beyond},{LOOPBACK}" if beyond else LOOPBACK


def announce_server(prefect_home: Path, url: str, process: int) -> None:
    """Leave word of a server that runs, for those who come later."""
    draft = prefect_home / f".{SERVER_FILE}.{process}"
    draft.write_text(json.dumps({"url": url, "pid": process}))
    draft.replace(prefect_home / SERVER_FILE)


def running_server(prefect_home: Path) -> dict[str, str] | None:
    """What a client of the server that runs on this home must know; None where none runs."""
    try:
        told = json.loads((prefect_home / SERVER_FILE).read_bytes())
        if b"prefect" not in Path(f"/proc/{int(told['pid'])}/cmdline").read_bytes():
            return None
        auth = (prefect_home / "auth").read_text().strip()
        return {"PREFECT_API_URL": str(told["url"]), "PREFECT_API_AUTH_STRING": auth}
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def server_starting() -> Iterator[None]:
    """Start the temporary server in the background, do something else meanwhile, and leave when it is ready.

    It takes 10 s of another core. Where ``PREFECT_API_URL`` names a running server there is nothing to start. If it
    does not start, the first flow tries again, and says why it cannot.
    """
    if "PREFECT_API_URL" in os.environ:
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    if server.server_process is None:
        _end_with_us(server)

    def start() -> None:
        with suppress(Exception):
            server.start()

    starting = threading.Thread(target=start, name="prefect-server", daemon=True)
    starting.start()
    try:
        yield
    finally:
        # Prefect itself would not wait for a server that is starting already.
        starting.join()


def stop_server() -> None:
    """Stop the temporary server of this process, if it has one."""
    if "prefect" in sys.modules:
        from prefect.server.api.server import SubprocessASGIServer

        SubprocessASGIServer().stop()


def _end_with_us(server: "SubprocessASGIServer") -> None:
    """Have the temporary server stopped when this process ends, however it ends: Prefect forgets it on SIGKILL.

    A shell waits on a pipe whose other end only this process holds; the system closes it when the process is gone. It
    is there before the server, and told of it at the moment of its launch: a start takes 10 s, and may be killed too.
    """
    # Nothing in the command comes from outside.
    guard = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _WATCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    launch = server._run_uvicorn_command

    def launch_watched() -> subprocess.Popen[Any]:
        process = launch()
        assert guard.stdin is not None
        guard.stdin.write(f"{process.pid}\n".encode())
        guard.stdin.flush()
        return process

    def dismiss() -> None:
        with suppress(OSError, subprocess.TimeoutExpired):
            guard.communicate(timeout=5)

    server._run_uvicorn_command = launch_watched  # type: ignore[method-assign]
    # What is registered first is called last: Prefect will have stopped its server by then.
    atexit.register(dismiss)


@contextmanager
def flows_in_this_process() -> Iterator[None]:
    """Run flows in this very process, without the heartbeat that a server would watch: it costs 1 s a run."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    if not logging.getLogger("pipelines").isEnabledFor(logging.DEBUG):
        # What fails is told in plain words by the outcome; its traceback stays in the run's own log.
        for handler in logging.getLogger("prefect").handlers:
            handler.setLevel(logging.CRITICAL)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
