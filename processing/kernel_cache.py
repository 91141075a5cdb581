"""Compiled kernels are kept by what they were compiled from.

Numba keeps machine code beside a source file and looks only at that file's time stamp: a kernel that calls a function
of another module goes on with the old one after an update, silently. So the cache lies in a folder named after the
content of all of Qyran's mathematics: any change of any line there compiles afresh.
"""

import hashlib
import os
import shutil
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_ROOMS = ("geometry", "radiometry", "testing")
"""Where kernels are."""
_PREFIX = "qyran-kernels-"


def sources_digest() -> str:
    """First 16 hex digits of the SHA-256 of every source file that kernels are compiled from."""
    digest = hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (_ROOT / room).rglob("*.py")):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def choose_kernel_cache() -> Path:
    """Tell numba where to keep compiled kernels; to be called before numba is imported.

    Under ``$NUMBA_CACHE_DIR`` where the operator set one, else beside the sources, else (an installation that its user
    may not write to) in the user's own cache.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        base = Path(given)
        base = base.parent if base.name.startswith(_PREFIX) else base
    elif os.access(_ROOT, os.W_OK):
        base = _ROOT / "__pycache__"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qyran"
    folder = base / f"{_PREFIX}{sources_digest()}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder


def drop_old_kernels() -> None:
    """Remove what was compiled from other sources. Not while another version of Qyran works from the same cache."""
    current = choose_kernel_cache()
    for folder in current.parent.glob(f"{_PREFIX}*"):
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)
