"""What interrupted runs left in ``HOME/staging``, and which of it nobody works on any more."""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processing.archive.durable import is_held

TRASH = "trash"
"""In ``staging``: what was let go and only waits to be deleted."""
UNPACKED = "unpacked"
"""In ``staging``: packages taken out of their archives, each under its digest and the process that did it."""
_OF_PROCESS = re.compile(r".+-(\d+)")
_LONGEST_RUN_S = 14 * 86_400.0
"""A process of the same number after this time is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One thing in staging."""

    path: Path
    age_s: float
    """Since anything directly in it changed."""
    busy: bool
    """Somebody works on it."""


def leftovers(staging: Path, *, now: float | None = None) -> Iterator[Leftover]:
    """Everything in staging, by name; what waits in the trash is not told of."""
    moment = time.time() if now is None else now
    for path in _inside(staging):
        if path.name == UNPACKED:
            for unpacked in _inside(path):
                age = max(0.0, moment - newest_change(unpacked))
                yield Leftover(path=unpacked, age_s=age, busy=_process_lives(unpacked.name) and age < _LONGEST_RUN_S)
        elif path.name != TRASH:
            lock = path if path.suffix == ".lock" else path.with_name(f"{path.name}.lock")
            yield Leftover(path=path, age_s=max(0.0, moment - newest_change(path)), busy=is_held(lock))


def is_published_now(home: Path, collection: str, item_id: str) -> bool:
    """Whether a process is publishing a product at this moment."""
    return is_held(home / "staging" / f"{collection}--{item_id}.lock")


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def newest_change(path: Path) -> float:
    """When a path or, if it is a folder, anything directly in it last changed, s since 1970; now if it is gone."""
    try:
        newest = path.lstat().st_mtime
        if path.is_dir() and not path.is_symlink():
            newest = max([newest, *(entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path))])
    except FileNotFoundError:
        return time.time()
    return newest


def _process_lives(name: str) -> bool:
    match = _OF_PROCESS.fullmatch(name)
    if match is None:
        return False
    try:
        os.kill(int(match[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
