"""What products were made from: kept by its SHA-256, and found again by it.

``HOME/inputs/<sha256>/<name>`` holds a copy of every package, elevation tile, geoid grid and configuration that a
product was made from: the operator's own files may be moved, replaced or deleted. A copy, not a link: writing over
the original must not reach it. (A filesystem that clones files, such as XFS or Btrfs, makes one without a byte more.)
Reference images are not kept: a lineage records the tie points that they gave.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.settings import Home
from processing.archive import durable
from processing.model.errors import BadInput, QyranError
from processing.model.lineage import InputRecord, Lineage
from processing.readers.inventory import file_sha256, inventory, package_digest

FILES = ("dem", "geoid")
"""Roles of inputs that are single files."""
_RESERVE_BYTES = 256 << 20
"""Left free by what is kept: products come first."""
_FICLONE = 0x40049409
"""Linux: the file shares the blocks of another until either is written to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An input that could not be found."""

    record: InputRecord
    changed: tuple[str, ...] = ()
    """Places where something of its name has other content."""

    def __str__(self) -> str:
        named = f"{self.record.role} '{self.record.name}' with sha256 {self.record.sha256}"
        return f"{named} (other content at {', '.join(self.changed)})" if self.changed else named


def keep_inputs(home: Home, lineage: Lineage, *, package: Path, places: Sequence[Path]) -> tuple[Lost, ...]:
    """Copy what a product was made from, unless it is kept already.

    Parameters
    ----------
    package
        What was delivered, as it was handed in.
    places
        Files and folders where elevation tiles and geoid grids are.

    Returns
    -------
    lost
        What could not be kept: no room, or changed meanwhile. A product is not refused for that.
    """
    lost = []
    for record in lineage.inputs:
        if record.role == "package":
            source: Path | None = package
        elif record.role in FILES:
            source = None if _kept(home, record) else next(_named(places, record.name), None)
        else:
            continue
        if _kept(home, record) is None and (source is None or not _keep(home, record, source)):
            lost.append(Lost(record=record))
    return tuple(lost)


def keep_by_renaming(home: Home, sha256: str, package: Path) -> None:
    """Keep a package that is the installation's own by giving it another name: there may be no room for a copy.

    Called again by whoever takes up what was interrupted after that, it does nothing.
    """
    kept = home.inputs / sha256 / package.name
    if kept.exists() and not package.exists():
        return
    durable.make_folders(kept.parent)
    with contextlib.suppress(FileExistsError):
        durable.move(package, kept)


def keep_content(home: Home, record: InputRecord, content: bytes) -> None:
    """Keep a small input, such as a configuration, by its digest."""
    path = home.inputs / record.sha256 / f"{record.role}.json"
    if not path.is_file():
        durable.write_file(path, content)


def kept_content(home: Home, record: InputRecord) -> bytes | None:
    """What :func:`keep_content` kept, or None."""
    path = home.inputs / record.sha256 / f"{record.role}.json"
    return path.read_bytes() if path.is_file() else None


def find_package(home: Home, record: InputRecord, given: Path | None = None) -> Path | Lost:
    """A delivered package by its digest: where an operator says it is, else as it was kept."""
    changed = []
    for path in [given] if given is not None else _entries(home, record):
        digest = _package_digest(path)
        if digest == record.sha256:
            return path
        changed.append(f"{path} (sha256 {digest or 'cannot be read'})")
    return Lost(record=record, changed=tuple(changed))


def find_file(home: Home, record: InputRecord, places: Sequence[Path], given: Path | None = None) -> Path | Lost:
    """An elevation tile or geoid grid by its digest.

    Parameters
    ----------
    places
        Files and folders of the installation; searched by name.
    given
        What an operator names: there it may have any name.
    """
    changed = []
    kept = home.inputs / record.sha256 / record.name
    asked = [] if given is None else [given]
    for path in ([kept] if kept.is_file() else []) + list(_named([*asked, *places], record.name)):
        if (digest := file_sha256(path)) == record.sha256:
            return path
        changed.append(f"{path} (sha256 {digest})")
    for path in _all_files(asked):
        if path.name != record.name and file_sha256(path) == record.sha256:
            return path
    return Lost(record=record, changed=tuple(dict.fromkeys(changed)))


def refuse_lost(item: str, lost: Iterable[Lost]) -> None:
    """Raise if anything is lost.

    Raises
    ------
    BadInput
        ``input.missing``, which names every input that is not there, with its digest.
    """
    lost = list(lost)
    if not lost:
        return
    options = {"package": "--package PATH", "dem": "--dem PATH", "geoid": "--dem PATH"}
    hints = dict.fromkeys(options[each.record.role] for each in lost if each.record.role in options)
    raise BadInput(
        f"{item} cannot be made again, for want of: {'; '.join(map(str, lost))}",
        kind="input.missing",
        where=str(lost[0].changed[0]).partition(" (")[0] if lost[0].changed else lost[0].record.name,
        remedy=f"Give what has this content: {', '.join(hints)}." if hints else "Restore it from a backup of HOME.",
    )


def _kept(home: Home, record: InputRecord) -> Path | None:
    """The kept copy of an input, not looked into."""
    if record.role in FILES:
        path = home.inputs / record.sha256 / record.name
        return path if path.is_file() else None
    return next(_entries(home, record), None)


def _entries(home: Home, record: InputRecord) -> Iterator[Path]:
    folder = home.inputs / record.sha256
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _keep(home: Home, record: InputRecord, source: Path) -> bool:
    """Copy one input durably, and only if the copy is what was recorded."""
    partial = home.inputs / f".partial-{secrets.token_hex(8)}"
    copy = partial / source.name
    try:
        size = sum(path.stat().st_size for path in _regular_files(source))
        durable.make_folders(partial)
        if shutil.disk_usage(partial).free < size + _RESERVE_BYTES:
            return False
        for path in _regular_files(source):
            _clone(path, copy / path.relative_to(source) if source.is_dir() else copy)
        found = file_sha256(copy) if record.role in FILES else _package_digest(copy)
        if found != record.sha256:
            return False
        durable.sync_tree(partial)
        with contextlib.suppress(FileExistsError):  # another process was quicker, or the same bytes under another name
            durable.move(copy, home.inputs / record.sha256 / source.name)
    except (OSError, QyranError):
        return False
    else:
        return True
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _clone(source: Path, target: Path) -> None:
    """Copy a file; share its blocks where the filesystem can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 1 << 20)


def _package_digest(path: Path) -> str | None:
    try:
        return package_digest(inventory(path))
    except (OSError, QyranError):
        return None


def _regular_files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    for folder, _, names in os.walk(source):
        yield from (Path(folder) / name for name in sorted(names))


def _named(places: Sequence[Path], name: str) -> Iterator[Path]:
    return (path for path in _all_files(places) if path.name == name)


def _all_files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place.resolve()
        elif place.is_dir():
            yield from (path.resolve() for path in sorted(place.rglob("*")) if path.is_file())
