"""What Linux can be told about a process and its children, and Python has no words for."""

import ctypes
import os
from contextlib import suppress

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36


def end_with(parent: int, sign: int) -> None:
    """Have this process sent a signal when its parent ends. Call it in a child that was just made.

    Parameters
    ----------
    parent
        Process id; where that is the parent no more, this process ends at once.
    """
    _prctl(_PR_SET_PDEATHSIG, sign)
    if os.getppid() != parent:
        os._exit(1)


def call_it(name: str) -> None:
    """What ``ps`` and ``top`` call this process; 15 bytes of it are kept."""
    _prctl(_PR_SET_NAME, name.encode())


def adopt_orphans(*, adopted: bool) -> None:
    """Whether children of children of this process become its own when their parents end."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopted))


def _prctl(option: int, value: int | bytes) -> None:
    # Where the system has no such call, all goes on without.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
