"""What a scrub looks at, and how it says what it found: units, findings, plain words."""

import contextlib
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from processing.archive.manifest import Fault

UNFINISHED = re.compile(r"\..+\.[0-9a-f]{16}")
"""What :func:`processing.archive.durable.write_file` leaves behind if it is killed."""
_NO_HASH = {"size": "is not as long as it was written", "unreadable": "cannot be read: the disk reports an error"}

REPAIR = "qyran verify --repair fetches it from the second location, if there is one"
CLEAN = "qyran clean removes it"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Finding:
    """One object that is not as it should be, in plain words."""

    object: str
    """Path relative to HOME."""
    kind: Literal["missing", "corrupt", "orphan", "unlisted"]
    item: str = ""
    """``collection/id`` of the product it belongs to, where it belongs to one."""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is checked at a time: one revision of one product."""

    home: Path
    collection: str
    item_id: str
    files: Path
    """Its folder of files: under ``products`` for the latest revision, else beside its store."""
    latest: bool

    @property
    def item(self) -> str:
        """``collection/id``."""
        return f"{self.collection}/{self.item_id}"

    @property
    def published_files(self) -> Path:
        """Where the files lie, or lay, while the revision was the latest: what their checksums are relative to."""
        return self.home / "products" / self.collection / self.item_id


def bytes_of(path: Path) -> bytes | OSError | None:
    """What a regular file holds; None where there is none; the error where the disk does not give it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        try:
            return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            return error
    return None


def name_of(unit: Unit, path: Path) -> str:
    """Path relative to HOME."""
    return path.relative_to(unit.home).as_posix()


def corrupt(unit: Unit, path: Path, detail: str) -> Finding:
    """A file of a unit that is there, but not as it was written."""
    return Finding(object=name_of(unit, path), kind="corrupt", item=unit.item, detail=detail, remedy=REPAIR)


def absent(unit: Unit, path: Path, error: bytes | OSError | None) -> Finding:
    """A file of a unit that is not there, or that the disk does not give."""
    if isinstance(error, OSError):
        return corrupt(unit, path, f"{_NO_HASH['unreadable']} ({error.strerror})")
    return Finding(object=name_of(unit, path), kind="missing", item=unit.item, detail="is not there", remedy=REPAIR)


def of_fault(unit: Unit, folder: Path, fault: Fault) -> Finding:
    """A fault of an object, told of the object."""
    found = Finding(object=name_of(unit, folder / fault.key), kind="corrupt", item=unit.item, remedy=REPAIR)
    if fault.kind == "missing" or (fault.kind, fault.detail) == ("manifest", "missing"):
        return replace(found, kind="missing", detail="is not there")
    if fault.kind == "unexpected":
        return replace(found, kind="orphan", detail=fault.detail or "no manifest names it", remedy=CLEAN)
    if fault.kind == "sha256":
        return replace(found, detail=f"its bytes are not what was written: SHA-256 {fault.detail}")
    return replace(
        found, detail=_NO_HASH.get(fault.kind, "is damaged") + (f" ({fault.detail})" if fault.detail else "")
    )
