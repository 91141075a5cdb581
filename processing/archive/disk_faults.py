"""What a disk refuses, in plain words: by what can be done about it."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from processing.model.errors import Defect, Retryable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BROKEN = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT)


@contextlib.contextmanager
def disk_faults(where: Path) -> Iterator[None]:
    """Say in plain words what a disk refused, by what can be done about it; any other error passes as it is.

    Raises
    ------
    Retryable
        ``disk.full``; ``disk.failed`` if it could not read or write; ``disk.read_only``; ``system.open_files``.
    Defect
        ``disk.permission`` if this user may not write there.
    """
    try:
        yield
    except OSError as error:
        plain = explained(error, where)
        if plain is error:
            raise
        raise plain from error


def explained(error: OSError, where: Path) -> Exception:
    """The same in plain words, or the error itself where there is nothing to add."""
    place = str(where)
    if error.errno == errno.EXDEV:
        return Defect(
            "staging and archive lie on different filesystems, so publishing cannot be one atomic step",
            kind="disk.two_filesystems",
            where=place,
            remedy="Keep HOME/staging, HOME/archive and HOME/products on one filesystem.",
        )
    if error.errno in _FULL:
        return Retryable("the disk ran full", kind="disk.full", where=place, remedy="Make room, then run it again.")
    if error.errno == errno.EROFS:
        return Retryable(
            "the disk can only be read now: the system does so when a disk fails",
            kind="disk.read_only",
            where=place,
            remedy="Look at dmesg; repair and mount it again, then run it again.",
        )
    if error.errno in _BROKEN:
        return Retryable(
            f"the disk failed: {error.strerror}",
            kind="disk.failed",
            where=place,
            remedy="Look at the disk's health (dmesg, smartctl), then run it again.",
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Retryable(
            f"no more files can be opened: {error.strerror}",
            kind="system.open_files",
            where=place,
            remedy="Raise the limit (ulimit -n), or run fewer scenes at once.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Defect(
            f"this user may not write there: {error.strerror}",
            kind="disk.permission",
            where=str(error.filename or where),
            remedy="Give the folder to the user that Qyran runs as.",
        )
    return error
