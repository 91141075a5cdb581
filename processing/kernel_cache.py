"""Compiled kernels are kept by what they were compiled from.

Numba keeps machine code beside a source file and looks only at that file's time stamp: a kernel that calls a function
of another module goes on with the old one after an update, silently. So the cache lies in a folder named after the
content of every module that compiles something, and of all that these import from here: any change of any line there
compiles afresh.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_ROOMS = ("archive", "geometry", "radiometry", "registration", "testing")
"""Where kernels are."""
_COMPILES = re.compile(rb"^from (numba|processing\.testing\.compiled) import", re.MULTILINE)
_IMPORTS = re.compile(rb"^from processing\.([a-z_.]+) import ([^\n(]*)", re.MULTILINE)
_PREFIX = "qyran-kernels-"


def kernel_sources() -> tuple[Path, ...]:
    """Every source file that compiles a kernel, and those it imports, directly or not, sorted."""
    found: set[Path] = set()
    waiting = [path for room in _ROOMS for path in (_ROOT / room).rglob("*.py") if _COMPILES.search(path.read_bytes())]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module, names in _IMPORTS.findall(path.read_bytes()):
            here = _ROOT.joinpath(*module.decode().split("."))
            inner = [here / f"{name.strip()}.py" for name in names.decode().split(",")]
            waiting += [file for file in (here.with_suffix(".py"), *inner) if file.is_file()]
    return tuple(sorted(found))


def sources_digest() -> str:
    """First 16 hex digits of the SHA-256 of every source file that kernels are compiled from."""
    digest = hashlib.sha256()
    for path in kernel_sources():
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
    # Bands that lie side by side are summed in one vector: twice as fast. Read when numba is imported.
    os.environ.setdefault("NUMBA_SLP_VECTORIZE", "1")
    return folder


def drop_old_kernels() -> None:
    """Remove what was compiled from other sources. Not while another version of Qyran works from the same cache."""
    current = choose_kernel_cache()
    for folder in current.parent.glob(f"{_PREFIX}*"):
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)
