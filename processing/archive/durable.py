"""Bytes that survive a power cut, and names that change all at once.

A file is safe only when its own bytes and the folder entry that names it have both reached the disk. zarr-python's
local store promises neither: after a simulated power cut its acknowledged arrays could not be opened.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from processing.model.errors import Defect, Retryable

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable; its folder entry is another matter."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make every file under ``root``, and every folder entry, durable.

    One ``syncfs`` where the system has it (Linux; from 5.8 on it reports write errors of the whole filesystem),
    else one ``fsync`` per file and folder. A failed sync is never retried: the kernel may have dropped the pages.

    Raises
    ------
    Retryable
        ``disk.sync`` if the disk did not take the bytes: what was written must be thrown away and made again.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if sys.platform == "linux" and _libc_has("syncfs"):
            _call("syncfs", descriptor)
        else:
            _sync_each(root)
    except OSError as error:
        raise Retryable(
            f"the disk did not confirm what was written: {error.strerror}", kind="disk.sync", where=str(root)
        ) from error
    finally:
        os.close(descriptor)


def _sync_each(root: Path) -> None:
    for folder, _, files in os.walk(root):
        for name in files:
            sync_file(Path(folder) / name)
        sync_folder(Path(folder))


def make_folders(folder: Path) -> None:
    """Create a folder and its parents, each entry durable."""
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        sync_folder(place.parent)


def move(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target`` durably; both parents are synced.

    Raises
    ------
    FileExistsError
        If ``target`` is there already (a folder that is not empty).
    Defect
        ``disk.two_filesystems`` if the two are on different filesystems, where a rename cannot be atomic.
    """
    make_folders(target.parent)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, "already there", str(target)) from error
        raise _explained(error, target) from error
    sync_folder(target.parent)
    sync_folder(source.parent)


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step: no reader ever finds either of them absent (Linux ``RENAME_EXCHANGE``)."""
    try:
        _call("renameat2", _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    except OSError as error:
        raise _explained(error, other) from error
    sync_folder(one.parent)
    sync_folder(other.parent)


def point_link(link: Path, target: Path) -> None:
    """Make ``link`` a relative symbolic link to ``target``, replacing an earlier one in one step."""
    relative = os.path.relpath(target, link.parent)
    if link.is_symlink() and os.readlink(link) == relative:  # noqa: PTH115 - Path.readlink normalises
        return
    make_folders(link.parent)
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(8)}")
    temporary.symlink_to(relative)
    temporary.replace(link)
    sync_folder(link.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file so that it is either the old one or the new one, whole, whatever happens."""
    make_folders(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a lock between processes; it ends with the process, however that ends.

    The lock file is removed by its holder. A waiter that then gets a lock on the removed file notices that the
    name means another file, or none, and starts again.
    """
    make_folders(lock.parent)
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _names(lock, descriptor):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _names(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)


def _libc_has(name: str) -> bool:
    return hasattr(ctypes.CDLL(None), name)


def _call(name: str, *arguments: int | bytes) -> None:
    """Call a libc function that returns 0, or -1 with errno set."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _explained(error: OSError, target: Path) -> Exception:
    if error.errno == errno.EXDEV:
        return Defect(
            "staging and archive lie on different filesystems, so publishing cannot be one atomic step",
            kind="disk.two_filesystems",
            where=str(target),
            remedy="Keep HOME/staging, HOME/archive and HOME/products on one filesystem.",
        )
    return error
