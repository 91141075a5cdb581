"""Files that only their owner reads: keys and secrets."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from processing.archive.durable import make_folders, sync_folder
from processing.model.errors import Defect


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """What a file holds; where there is none, it is made.

    Raises
    ------
    Defect
        ``secret.exposed`` if others than its owner may read it: what they have read is no secret any more.
    """
    make_once(path, make)
    return read(path)


def make_once(path: Path, make: Callable[[], bytes]) -> None:
    """Make a file where there is none, whole or not at all: two who come at once agree."""
    if not path.exists():
        draft = _draft(path, make())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        sync_folder(path.parent)


def read(path: Path) -> bytes:
    """What a file holds, if nobody else may read it."""
    if path.stat().st_mode & 0o077:
        raise Defect(
            "others may read this secret",
            kind="secret.exposed",
            where=str(path),
            remedy="Take their rights away (chmod 600), and make a new one if somebody may have read it.",
        )
    return path.read_bytes()


def replace(path: Path, content: bytes) -> None:
    """Put a file in the place of another: the old one or the new one, whole, whatever happens."""
    _draft(path, content).replace(path)
    sync_folder(path.parent)


def _draft(path: Path, content: bytes) -> Path:
    make_folders(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
