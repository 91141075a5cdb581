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

from processing.archive.disk_faults import explained
from processing.model.errors import Retryable

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
        raise _unconfirmed(error, root) from error
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
        try:
            _confirm(place.parent)
        except BaseException:
            # Were it left, the next one would find it, and not know that its entry is not safe.
            with contextlib.suppress(OSError):
                place.rmdir()
            raise


def _confirm(*folders: Path) -> None:
    """Make the entries of folders durable, or say that the disk did not take them. Never tried twice."""
    for folder in folders:
        try:
            sync_folder(folder)
        except OSError as error:
            raise _unconfirmed(error, folder) from error


def _unconfirmed(error: OSError, where: Path) -> Retryable:
    return Retryable(
        f"the disk did not confirm what was written: {error.strerror}",
        kind="disk.sync",
        where=str(where),
        remedy="Look at the disk's health (dmesg, smartctl); what was written is thrown away and made again.",
    )


def move(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target`` durably; both parents are synced.

    What the disk did not confirm is taken back, so that nobody takes it for safe: the next attempt starts anew.

    Raises
    ------
    FileExistsError
        If ``target`` is there already (a folder that is not empty).
    Retryable
        ``disk.sync`` if the disk did not take the new name.
    Defect
        ``disk.two_filesystems`` if the two are on different filesystems, where a rename cannot be atomic.
    """
    make_folders(target.parent)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, "already there", str(target)) from error
        raise explained(error, target) from error
    try:
        _confirm(target.parent, source.parent)
    except Retryable:
        with contextlib.suppress(OSError):
            target.rename(source)
        raise


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step: no reader ever finds either of them absent (Linux ``RENAME_EXCHANGE``).

    Raises
    ------
    Retryable
        ``disk.sync`` if the disk did not take it; then they have their old names again.
    """
    try:
        _swap(one, other)
    except OSError as error:
        raise explained(error, other) from error
    try:
        _confirm(one.parent, other.parent)
    except Retryable:
        with contextlib.suppress(OSError):
            _swap(one, other)
        raise


def _swap(one: Path, other: Path) -> None:
    _call("renameat2", _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)


def point_link(link: Path, target: Path) -> None:
    """Make ``link`` a relative symbolic link to ``target``, replacing an earlier one in one step."""
    relative = os.path.relpath(target, link.parent)
    if link.is_symlink() and os.readlink(link) == relative:  # noqa: PTH115 - Path.readlink normalises
        return
    make_folders(link.parent)
    temporary = _beside(link)
    try:
        temporary.symlink_to(relative)
        temporary.replace(link)
    except BaseException:
        _forget(temporary)
        raise
    _confirm(link.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file so that it is either the old one or the new one, whole, whatever happens.

    Raises
    ------
    Retryable
        ``disk.sync`` if the disk did not take it.
    """
    make_folders(path.parent)
    temporary = _beside(path)
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            try:
                os.fsync(stream.fileno())
            except OSError as error:
                raise _unconfirmed(error, path) from error
        temporary.replace(path)
    except BaseException:
        _forget(temporary)
        raise
    _confirm(path.parent)


def _beside(path: Path) -> Path:
    """A name for a file that is to take the place of another, and is no longer there when it has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _forget(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path, name: str = "*") -> list[Path]:
    """Remove what killed runs left of files that were to take the place of others. Nobody may be at it meanwhile.

    Parameters
    ----------
    folder
        Where they lie.
    name
        Only those of the file of this name.
    """
    found = sorted(folder.glob(f".{name}.{'[0-9a-f]' * 16}"))
    for temporary in found:
        temporary.unlink(missing_ok=True)
    return found


@contextlib.contextmanager
def exclusive(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock between processes; it ends with the process, however that ends.

    The lock file is removed by its holder. A waiter that then gets a lock on the removed file notices that the
    name means another file, or none, and starts again. A file that stays behind says that its holder was killed.

    Parameters
    ----------
    wait
        Whether to wait for another holder.

    Raises
    ------
    BlockingIOError
        If another holds it and waiting is not wanted.
    """
    make_folders(lock.parent)
    descriptor = _locked(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    try:
        yield
    finally:
        # Whether its name can be removed changes nothing: the lock itself ends with the descriptor.
        _forget(lock)
        os.close(descriptor)


def is_held(lock: Path) -> bool:
    """Whether somebody holds a lock at this moment: a lock file, or a folder locked by :func:`hold_folder`."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def hold_folder(folder: Path) -> int:
    """Lock a folder for as long as the returned descriptor is open, or this process lives: no lock file is needed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _locked(lock: Path, how: int) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, how)
            if _names(lock, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
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
