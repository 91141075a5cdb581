"""Degraded copies of images, made when the first is looked at, and kept for as long as there is room."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from catalogs.api.rights import Reduced
from processing.archive.layout import MANIFEST, BandPlace

FOLDER = "cache/degraded"
MAX_BYTES = 2_000_000_000
_FORMAT = "1"
"""Of the copies: those of another way to make them are not taken."""
_locks: dict[str, threading.Lock] = {}
_counting = threading.Lock()


def reduced_file(
    home: Path, place: Path | BandPlace, digest: str, reduced: Reduced, *, flags: bool
) -> tuple[Path | BandPlace, str]:
    """What somebody may look at instead of an image, and its digest: a copy with less in it, or the image itself."""
    if not reduced.pixels:
        return place, digest
    # Imported with the first: it loads GDAL.
    from processing.archive.degraded_copy import Less, degraded_copy

    stat = (place.store / MANIFEST if isinstance(place, BandPlace) else place).stat()
    told = f"{_FORMAT}\0{place}\0{digest}\0{stat.st_mtime_ns}\0{stat.st_size}\0{reduced.digest}"
    name = hashlib.sha256(told.encode()).hexdigest()
    target = home.resolve() / FOLDER / f"{name}.tif"
    if target.is_file():
        os.utime(target)
    else:
        with _one_at_a_time(name):
            if not target.is_file():
                degraded_copy(place, target, Less(reduced.gsd_m, reduced.mask, flags))
                _make_room(target.parent)
    return target, name


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    with _counting:
        lock = _locks.setdefault(name, threading.Lock())
    try:
        with lock:
            yield
    finally:
        with _counting:
            _locks.pop(name, None)


def _make_room(folder: Path) -> None:
    """Forget those that were not looked at for longest. Others make copies and room meanwhile."""
    kept = []
    for path in folder.glob("[!.]*.tif"):  # what begins with a dot is being made
        with suppress(FileNotFoundError):
            stat = path.stat()
            kept.append((stat.st_mtime, stat.st_size, path))
    total = 0
    for _, size, path in sorted(kept, reverse=True):
        total += size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
