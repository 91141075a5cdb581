"""A process that has imported what flow runs need, and forks one process for each run.

Prefect, xarray, numba and the flows take 6 to 8 s of a processor to import: more than a small scene takes to process,
and each run has a process of its own. Forked from this one a run begins at once, and shares the memory of what is
imported. ``python -m pipelines.fork_server`` listens in the folder that ``QYRAN_FORK_SERVER`` names;
:mod:`pipelines.fork_client` asks, and stands for the run towards whoever started it.

What libraries read of the environment when they are imported, they have read of this process's.

Each run has a minder between it and this process, which waits for the run and tells the client how it ended, ends the
run when the client is gone, and lets it go on when this process is. So a run outlives the worker and this server as it
would had it been started by itself.
"""

import gc
import importlib
import importlib.util
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from pipelines.fork_client import COUNT_BYTES, FORWARDED, PLACE, SOCKET, STARTED, STATUS_BYTES, at
from pipelines.memory import keep_one_heap
from pipelines.prctl import call_it, end_with

IMPORTED = (
    "pipelines.deployments", "prefect.engine", "prefect.flow_engine", "distributed", "pipelines.describe",
    "processing.archive.registration", "processing.geometry.angles_stage", "mgrs", "pystac.validation.jsonschemas",
    "fastapi.encoders",
)  # fmt: skip
"""What every run needs, or every scene; most of it is imported where it is used."""
_BACKLOG = 128
_ASKING_S = 2.0
"""The longest that a client takes to say what it wants: it has it ready, and others wait."""
_PIECE = 2**16
_MOST_BYTES = 16 * 2**20
_RUN = "PREFECT__FLOW_RUN_ID"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants to be run."""

    arguments: list[str]
    """A module's name, and what ``sys.argv`` holds after it."""
    environment: dict[str, str]
    folder: str
    streams: list[int]
    """Standard input, output and errors, as this process has them open."""


def serve(place: Path) -> Asked:
    """Fork whenever asked. Returns in forks alone, each of which is to run what was asked.

    Parameters
    ----------
    place
        A folder that no other user may enter.

    Raises
    ------
    RuntimeError
        If something that was imported has started a thread: a fork would not have it.
    """
    with _listening(place) as door:
        given = dict(os.environ)
        gc.disable()
        for name in IMPORTED:
            importlib.import_module(name)
        # Not before: numba comes with it, and writes into the environment.
        from pipelines.fork_knowledge import find_out
        from pipelines.prefect_thrift import thrifty

        find_out()
        thrifty()
        # Numba and rasterio leave words for themselves there, which no import in a fork would write again.
        added = {name: value for name, value in os.environ.items() if given.get(name) != value}
        if threading.active_count() > 1:
            raise RuntimeError(f"forks would not have these threads: {threading.enumerate()}")
        # What is there now stays: the collector would touch every page of it in every fork, and so copy it.
        gc.freeze()
        signal.signal(signal.SIGCHLD, _bury)
        while True:
            connection, _ = door.accept()
            with connection:
                asked = _read(connection)
                if asked is not None and _forked(asked, connection, door):
                    return replace(asked, environment={**added, **asked.environment})


def _bury(*_: object) -> None:
    """Take leave of minders that have ended, and of the processor time of their runs."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _listening(place: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        with suppress(FileNotFoundError):
            os.unlink(SOCKET, dir_fd=folder)
        door.bind(at(folder))
        door.listen(_BACKLOG)
    finally:
        os.close(folder)
    return door


def _read(connection: socket.socket) -> Asked | None:
    """What a client asks for; None if it goes away, or says it in no way that is understood."""
    latest = time.monotonic() + _ASKING_S
    connection.settimeout(_ASKING_S)
    streams: list[int] = []
    try:
        first, streams, _, _ = socket.recv_fds(connection, COUNT_BYTES, 3)
        count, told = int.from_bytes(first), bytearray()
        while len(told) < count <= _MOST_BYTES and time.monotonic() < latest:
            more = connection.recv(min(count - len(told), _PIECE))
            if not more:
                break
            told += more
        said: dict[str, Any] = json.loads(told)
        connection.settimeout(None)
        return Asked(said["arguments"], said["environment"], said["folder"], streams)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        _close(streams)
        return None


def _forked(asked: Asked, connection: socket.socket, door: socket.socket) -> bool:
    """Fork a minder, which forks the run. True in the run alone."""
    try:
        try:
            if _fork() != 0:
                return False
        except OSError as error:  # no memory, no process left: the client may have better luck by itself
            sys.stderr.write(f"no fork could be made: {error}\n")
            return False
        door.close()
        minder = os.getpid()
        if not _prepared(asked, connection):
            os._exit(1)
        run = _fork()
        if run != 0:
            _close(asked.streams)
            _mind(run, connection)
        end_with(minder, signal.SIGKILL)
        for number, stream in enumerate(asked.streams):
            os.dup2(stream, number)
    finally:
        _close(asked.streams)
    return True


def _prepared(asked: Asked, connection: socket.socket) -> bool:
    """In a minder, before there is a run: until it is told that there is one, the client can do without."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.setsid()  # away from the group of this server, which is ended as one
        os.chdir(asked.folder)
        connection.sendall(STARTED)
    except OSError:
        return False
    return True


def _mind(run: int, connection: socket.socket) -> NoReturn:
    """Pass signals on to a run, and to the client how it ended. Without a client there is no run."""
    try:
        call_it("minder")

        def forward(sign: int, _: object) -> None:
            with suppress(ProcessLookupError):
                os.kill(run, sign)

        for sign in FORWARDED:
            signal.signal(sign, forward)
        _watch(run, connection)
        _, status = os.waitpid(run, 0)
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(STATUS_BYTES, signed=True))
    finally:
        # Whatever went wrong here, this is no second server. A run that is still there ends with its minder.
        os._exit(0)


def _watch(run: int, connection: socket.socket) -> None:
    """Until the run has ended; it is killed when its client is gone."""
    ended = os.pidfd_open(run)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(connection, select.POLLIN)
    while ended not in {number for number, _ in waiting.poll()}:
        try:
            signs = connection.recv(COUNT_BYTES)
        except OSError:
            signs = b""
        for sign in signs or (signal.SIGKILL,):
            os.kill(run, sign)
        if not signs:
            waiting.unregister(connection)


def _fork() -> int:
    with warnings.catch_warnings():
        # Those of OpenBLAS and numexpr, which see to themselves in a fork. Of Python's own there are none.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        return os.fork()


def _close(streams: list[int]) -> None:
    for stream in streams:
        os.close(stream)


def become(asked: Asked) -> None:
    """In a fork: run what was asked as ``python -m`` would."""
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging

    module, *arguments = asked.arguments
    call_it(f"run-{asked.environment.get(_RUN, module)}")
    gc.enable()
    os.environ.clear()
    os.environ.update(asked.environment)
    refresh_global_settings_context()
    setup_logging()
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{module}.__main__")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    sys.argv[1:] = arguments
    runpy.run_path(spec.origin, run_name="__main__")


if __name__ == "__main__":
    keep_one_heap()
    become(serve(Path(os.environ[PLACE])))
