"""Of a lock file with hashes, the part that a list of names asks for: ``runtime_lock.py LOCK NAMES``."""

import re
import sys
from pathlib import Path

_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")


def blocks(lock: str) -> dict[str, str]:
    """Lines of every package of a lock file, by ``name==version``."""
    found: dict[str, str] = {}
    current = ""
    for line in lock.splitlines():
        start = _PACKAGE.match(line)
        if start:
            current = f"{start[1]}=={start[2]}"
            found[current] = ""
        if current and not line.lstrip().startswith("#"):
            found[current] += f"{line}\n"
    return found


def chosen(lock: str, names: str) -> str:
    """The blocks that are named.

    Raises
    ------
    SystemExit
        If a package is named that the lock does not hold in that version.
    """
    known = blocks(lock)
    wanted = [f"{found[1]}=={found[2]}" for line in names.splitlines() if (found := _PACKAGE.match(line))]
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise SystemExit(f"not in the lock: {', '.join(missing) or 'nothing was named'}")
    return "".join(known[name] for name in wanted)


if __name__ == "__main__":
    sys.stdout.write(chosen(*(Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3])))
