"""Faults at the boundary of the kernel: every change that a process asks of the filesystem is counted, and one fails.

A process puts a seccomp filter on itself that lets another decide about its system calls (``SECCOMP_RET_USER_NOTIF``,
Linux 5.0). It needs no privilege and no tool, holds for every library in the process (SQLite, GDAL, libc) and for every
thread and child, and costs microseconds a call: hundreds of thousands of faults where strace manages hundreds.

What can happen at the n-th call: an error instead of it; the same error from then on, as with a disk that died; half
of what was to be written; the end of the process before the call is made.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

WRITES = ("write", "pwrite64", "writev", "pwritev")
SYNCS = ("fsync", "fdatasync", "syncfs")
_NUMBERS = {
    "x86_64": {
        "write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "fsync": 74, "fdatasync": 75, "syncfs": 306,
        "open": 2, "openat": 257, "mkdir": 83, "mkdirat": 258, "rename": 82, "renameat": 264, "renameat2": 316,
        "unlink": 87, "unlinkat": 263, "rmdir": 84, "symlink": 88, "symlinkat": 266, "link": 86, "linkat": 265,
        "ftruncate": 77, "fallocate": 285, "copy_file_range": 326, "sendfile": 40,
    },
    "aarch64": {
        "write": 64, "pwrite64": 68, "writev": 66, "pwritev": 70, "fsync": 82, "fdatasync": 83, "syncfs": 267,
        "openat": 56, "mkdirat": 34, "renameat": 38, "renameat2": 276, "unlinkat": 35, "symlinkat": 36, "linkat": 37,
        "ftruncate": 46, "fallocate": 47, "copy_file_range": 285, "sendfile": 71,
    },
}  # fmt: skip
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP, _PIDFD_OPEN, _PIDFD_GETFD = {"x86_64": (317, 434, 438), "aarch64": (277, 434, 438)}.get(
    platform.machine(), (0, 0, 0)
)
_PATH_ARGUMENT = {
    "openat": 1, "mkdirat": 1, "renameat": 3, "renameat2": 3, "unlinkat": 1, "symlinkat": 2, "linkat": 3,
    "open": 0, "mkdir": 0, "rename": 1, "unlink": 0, "rmdir": 0, "symlink": 1, "link": 1,
}  # fmt: skip
_DESCRIPTOR_ARGUMENT = {"copy_file_range": 2}
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Effect = Literal["error", "dead", "short", "kill"]


def every_call() -> frozenset[str]:
    """Names of all calls that can be watched on this machine: those that change a filesystem, or open to change it."""
    return frozenset(_NUMBERS.get(platform.machine(), {}))


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which of the changes that the process asks for."""

    number: int
    """Counted from 1 over all changes under the watched folder; 0: nothing goes wrong, they are only counted."""
    effect: Effect = "error"
    error: int = errno.EIO
    among: frozenset[str] = field(default_factory=every_call)
    """Only these calls are counted."""

    @property
    def name(self) -> str:
        """``kill``, ``short``, ``EIO``, ``ENOSPC-for-good``."""
        if self.effect in ("kill", "short"):
            return self.effect
        return errno.errorcode[self.error] + ("-for-good" if self.effect == "dead" else "")


@dataclass
class Watched:
    """What a process asked for."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    """Name of each counted call, and the file it was about."""
    injected: tuple[str, str] | None = None
    """The call that the fault hit."""


def available() -> bool:
    """Whether this kernel lets one process decide about another's system calls."""
    return platform.system() == "Linux" and platform.machine() in _NUMBERS and _probe()


def _probe() -> bool:
    process = os.fork()
    if process == 0:
        try:
            install_filter(frozenset({"mkdirat"}))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(process, 0)[1] == 0


def install_filter(names: frozenset[str]) -> int:
    """Hand this process's calls of these names over to whoever holds the returned descriptor. Cannot be undone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "prctl")
    program = _program(names)
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    header = Program(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    listener = libc.syscall(_SECCOMP, 1, 1 << 3, ctypes.byref(header))  # SET_MODE_FILTER, NEW_LISTENER
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def _program(names: frozenset[str]) -> bytes:
    """The filter: notify of these calls, files opened for reading only excepted; allow everything else."""

    def load(offset: int) -> tuple[int, int, int, int]:
        return 0x20, 0, 0, offset

    numbers = _NUMBERS[platform.machine()]
    lines = [load(4), (0x15, 1, 0, _ARCHITECTURES[platform.machine()]), (0x06, 0, 0, _ALLOW), load(0)]
    for name in sorted(names & numbers.keys()):
        if name in ("open", "openat"):
            flags = 16 + 8 * (1 if name == "open" else 2)
            lines += [(0x15, 0, 4, numbers[name]), load(flags), (0x45, 0, 1, _WRITING), (0x06, 0, 0, _NOTIFY)]
            lines += [(0x06, 0, 0, _ALLOW)]
        else:
            lines += [(0x15, 0, 1, numbers[name]), (0x06, 0, 0, _NOTIFY)]
    lines.append((0x06, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


class Supervisor:
    """Decides about the calls of one process and its threads and children, until they are gone.

    Parameters
    ----------
    process
        Its id; its parent must be this process.
    listener
        What its :func:`install_filter` returned, here.
    folder
        Only changes of what lies in it count: neither pipes nor caches of the interpreter.
    """

    def __init__(self, process: int, listener: int, folder: Path, fault: Fault) -> None:
        self._process, self._listener, self._fault = process, listener, fault
        self._folder = os.fsencode(folder.resolve())
        self._names = {number: name for name, number in _NUMBERS[platform.machine()].items()}
        self.watched = Watched()

    def run(self) -> Watched:
        """Serve until the process has ended."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            events = poll.poll()
            if events[0][1] & select.POLLIN:
                self._serve()
            elif events[0][1] & (select.POLLHUP | select.POLLERR):
                return self.watched

    def _serve(self) -> None:
        notice = bytearray(80)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, notice)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed meanwhile
                return
            raise
        identity, thread, _, number, _, _, *arguments = struct.unpack("=QIIiIQ6Q", notice)
        result, failure = self._decided(self._names[number], thread, arguments)
        answer = struct.pack("=QqiI", identity, result or 0, -failure, _CONTINUE if result is None else 0)
        try:
            fcntl.ioctl(self._listener, _SEND, bytearray(answer))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _decided(self, name: str, thread: int, arguments: list[int]) -> tuple[int | None, int]:
        """What the call returns and fails with; None: let the kernel do it."""
        fault, calls = self._fault, self.watched.calls
        target = self._target(name, thread, arguments) if name in fault.among else None
        if target is None:
            return None, 0
        calls.append((name, target))
        place = len(calls)
        if not fault.number or place < fault.number or (place > fault.number and fault.effect != "dead"):
            return None, 0
        if fault.effect == "short":
            written, failure = self._write_half(name, thread, arguments)
            self.watched.injected = None if written is None else (name, target)
            return written, failure
        self.watched.injected = self.watched.injected or (name, target)
        if fault.effect == "kill":
            os.kill(self._process, signal.SIGKILL)
            return 0, errno.EINTR
        return 0, fault.error

    def _target(self, name: str, thread: int, arguments: list[int]) -> str | None:
        """What the call would change, relative to the watched folder; None if it lies elsewhere."""
        try:
            if name in _PATH_ARGUMENT:
                at = _PATH_ARGUMENT[name]
                path = self._string(thread, arguments[at])
                if not path.startswith(b"/"):
                    base = arguments[at - 1] if name.endswith(("at", "at2")) else 0xFFFFFF9C
                    number = ctypes.c_int(base & 0xFFFFFFFF).value
                    place = f"/proc/{thread}/cwd" if number < 0 else f"/proc/{thread}/fd/{number}"
                    path = bytes(Path(place).readlink()) + b"/" + path
            else:
                path = bytes(Path(f"/proc/{thread}/fd/{arguments[_DESCRIPTOR_ARGUMENT.get(name, 0)]}").readlink())
        except OSError:
            return None
        if path == self._folder:
            return "."
        return os.fsdecode(path[len(self._folder) + 1 :]) if path.startswith(self._folder + b"/") else None

    @staticmethod
    def _string(thread: int, address: int) -> bytes:
        return _memory(thread, address, 4096).split(b"\0", 1)[0]

    def _write_half(self, name: str, thread: int, arguments: list[int]) -> tuple[int | None, int]:
        """Write the first half for it, and say so: what the kernel may do at any time, and hardly ever does."""
        size = arguments[2]
        if name not in ("write", "pwrite64") or size < 2:
            return None, 0
        with _borrowed(self._process, arguments[0]) as descriptor:
            part = _memory(thread, arguments[1], size // 2)
            return (os.write(descriptor, part) if name == "write" else os.pwrite(descriptor, part, arguments[3])), 0


def _memory(thread: int, address: int, size: int) -> bytes:
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        return os.pread(memory.fileno(), size, address)


@contextmanager
def _borrowed(process: int, number: int) -> Iterator[int]:
    """A descriptor of another process, here: the same open file, with the same position."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(process)
    try:
        found = libc.syscall(_PIDFD_GETFD, handle, number, 0)
        if found < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            yield found
        finally:
            os.close(found)
    finally:
        os.close(handle)
