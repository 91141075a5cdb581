"""An empty database for Prefect, made once with the environment and copied into every new home.

Prefect makes its tables by a hundred migrations, 7 s of processor time, each time a home is new. Where the copy is not
there, or Prefect is of another version than made it, Prefect does so itself.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from processing.archive import durable
from processing.kernel_cache import choose_kernel_cache

DATABASE = "prefect.db"
"""In Prefect's home, where Prefect looks for it."""
_PREFIX = "prefect-"


def empty_database() -> Path:
    """Where the copy lies, whether it is there or not: beside the compiled kernels, named by Prefect's version."""
    return choose_kernel_cache().parent / f"{_PREFIX}{version('prefect')}.db"


def make_empty_database() -> None:
    """Let Prefect make its tables once, and keep them; copies of other versions go."""
    kept = empty_database()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="new-") as folder:
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            check=True, env=surroundings | {"PREFECT_HOME": folder, "DO_NOT_TRACK": "1"}, stdout=subprocess.DEVNULL,
            timeout=600,
        )  # fmt: skip
        whole = Path(folder) / "whole.db"
        with closing(sqlite3.connect(Path(folder) / DATABASE)) as database:
            # One file, whatever lies beside the database still.
            database.execute("VACUUM INTO ?", (str(whole),))
        whole.replace(kept)
    for old in kept.parent.glob(f"{_PREFIX}*.db"):
        if old != kept:
            old.unlink(missing_ok=True)


def place_database(prefect_home: Path) -> None:
    """Put the copy into a home that has no database yet; whoever comes first wins.

    Where that cannot be done, Prefect makes its own.
    """
    place, kept = prefect_home / DATABASE, empty_database()
    if place.exists() or not kept.is_file():
        return
    draft = prefect_home / f".{DATABASE}.{os.getpid()}"
    with suppress(OSError):
        try:
            shutil.copyfile(kept, draft)
            draft.chmod(0o600)
            durable.sync_file(draft)
            os.link(draft, place)  # not a rename: nothing that is there is replaced
        finally:
            draft.unlink(missing_ok=True)
