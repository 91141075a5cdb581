"""Run a module in a fork of the process that has everything imported; without one, in a process as ever.

``python -I -S fork_client.py MODULE [ARGUMENT ...]`` does what ``python -m MODULE [ARGUMENT ...]`` does, and ends as it
ends. Everything that a process is given, the fork is given: environment, folder, standard streams, signals. Whoever
kills this process kills the fork. See :mod:`pipelines.fork_server`.

This file is run by its path and imports next to nothing: it starts in a fiftieth of a second.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from typing import NoReturn

PLACE = "QYRAN_FORK_SERVER"
"""Environment variable: the folder that :data:`SOCKET` is in."""
SOCKET = "fork.sock"
COUNT_BYTES = 4
"""Of the number that comes before what is asked, and counts its bytes; big-endian, as is the status."""
STARTED = b"+"
STATUS_BYTES = 4
"""How the fork ended, as :func:`os.waitstatus_to_exitcode` says it: below zero, by that signal."""
_ANSWER_S = 300.0
"""The longest that imports take on a machine that has much else to do; then this process does without."""
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def at(folder: int) -> str:
    """Name of the socket in an open folder: its path from the root may be longer than a socket's name can be."""
    return f"/proc/self/fd/{folder}/{SOCKET}"


def command(*module: str) -> list[str]:
    """The command that runs a module, with its arguments, in a fork."""
    return [sys.executable, "-I", "-S", __file__, *module]


def _connected() -> socket.socket | None:
    """Connected with the server; None where there is none, or it has just ended."""
    place = os.environ.get(PLACE)
    if not place:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = os.open(place, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(at(folder))
        finally:
            os.close(folder)
    except OSError:
        connection.close()
        return None
    return connection


def _started(connection: socket.socket, asked: list[str]) -> bool:
    """Ask for the fork. The answer may take as long as imports take: the server may have just been started."""
    here = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all else here
    told = json.dumps({"arguments": asked, "environment": dict(os.environ), "folder": here}).encode()
    connection.settimeout(_ANSWER_S)
    try:
        socket.send_fds(connection, [len(told).to_bytes(COUNT_BYTES)], [0, 1, 2])
        connection.sendall(told)
        started = connection.recv(1) == STARTED
    except OSError:
        return False
    connection.settimeout(None)
    return started


def _ended(connection: socket.socket) -> int:
    """How the fork ended. Where nobody says so, it was killed together with the one who minds it."""
    told = b""
    while len(told) < STATUS_BYTES:
        try:
            more = connection.recv(STATUS_BYTES - len(told))
        except OSError:
            more = b""
        if not more:
            return -signal.SIGKILL
        told += more
    return int.from_bytes(told, signed=True)


def main() -> NoReturn:
    """Be the fork, for whoever started this process."""
    asked = sys.argv[1:]
    connection = _connected()
    if connection is None or not _started(connection, asked):
        os.execv(sys.executable, [sys.executable, "-m", *asked])  # noqa: S606 - our own command

    def forward(sign: int, _: object) -> None:
        with contextlib.suppress(OSError):
            connection.send(bytes([sign]))

    for sign in FORWARDED:
        signal.signal(sign, forward)
    code = _ended(connection)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
