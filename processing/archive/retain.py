"""What may go, and letting it go: renamed into the trash first, deleted from there, so that a crash leaves no half.

Nothing that the catalogue names is ever on the list. What is on it is looked at again, under the product's lock, at
the moment it goes.
"""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.held import held_products
from processing.archive.retain_staging import TRASH, leftovers, newest_change
from processing.archive.scrub import check_unit
from processing.archive.scrub_documents import read_documents
from processing.archive.scrub_unit import Finding, Unit
from processing.archive.scrub_walk import latest_revision, orphans, revisions, superseded, units
from processing.archive.write import published
from processing.model.errors import Defect
from processing.model.product import Product

_DAY_S = 86_400.0
_UNFINISHED_UPLOADS = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".upload")

type Kind = Literal["superseded", "orphan", "staging", "quarantine", "landing", "inputs", "trash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """After how many days what may go; None: never. See ``configs/schema/keeping.py``."""

    superseded: Callable[[Product], float | None]
    """Of an earlier revision, by its record."""
    orphan: float | None
    staging: float
    quarantine: float | None
    landing: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One thing that may go."""

    kind: Kind
    paths: tuple[Path, ...]
    """Absolute; they go in this order, so that an interruption leaves nothing that looks whole and is not."""
    size: int
    """Bytes of all files in them."""
    detail: str
    item: str = ""
    """``collection/id`` of the product it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """What the catalogue names."""

    revision_of: Callable[[str, str], str | None]
    """Of ``(collection, id)``: the revision that its row names, None if it has no row."""
    folders: frozenset[Path]
    """Earlier revisions' folders of files that other rows lead to, such as a child's to its parent."""


def removals(home: Path, rules: Rules, protected: Protected | None, *, now: float | None = None) -> Iterator[Removal]:
    """All that may go.

    Parameters
    ----------
    home
        HOME.
    rules
        What may go when.
    protected
        What may not. None where the catalogue cannot be asked: then nothing of archive and products is on the list.
    now
        Seconds since 1970.
    """
    moment = time.time() if now is None else now
    for path in _inside(home / "staging" / TRASH):
        yield _removal("trash", (path,), "let go before, and not yet deleted")
    for left in leftovers(home / "staging", now=moment):
        if not left.busy and left.age_s > rules.staging * _DAY_S:
            yield _removal("staging", (left.path,), f"left by an interrupted run {_ago(left.age_s)}")
    if protected is not None:
        yield from _superseded(home, rules, protected, moment)
        if rules.orphan is not None:
            yield from _orphans(home, rules.orphan, protected, moment)
    if rules.quarantine is not None:
        for path in _older(_inside(home / "quarantine"), rules.quarantine, moment):
            yield _removal("quarantine", (path,), f"could not be processed {_ago(moment - newest_change(path))}")
    if rules.landing is not None:
        uploads = [path for path in _inside(home / "landing") if path.name.lower().endswith(_UNFINISHED_UPLOADS)]
        for path in _older(uploads, rules.landing, moment):
            yield _removal("landing", (path,), f"an upload that stopped {_ago(moment - newest_change(path))}")


def unused_inputs(home: Path, rules: Rules, *, now: float | None = None) -> Iterator[Removal]:
    """Kept inputs that no revision of any product was made from; none where a product's record cannot be read."""
    moment = time.time() if now is None else now
    if rules.orphan is None or not (home / "inputs").is_dir():
        return
    used: set[str] = set()
    for unit in units(home):
        product = read_documents(unit).product
        if product is None:
            return
        used.update(record.sha256 for record in product.lineage.inputs)
    for held in held_products(home):
        used.update(record.sha256 for record in held.product.lineage.inputs)
    for path in _older(_inside(home / "inputs"), rules.orphan, moment):
        if path.name not in used:
            yield _removal("inputs", (path,), "kept for products that are no more")


def let_go(home: Path, removal: Removal, protected: Protected | None) -> bool:
    """Remove one thing, if it still may go.

    Returns
    -------
    gone
        False if somebody works on it, or it may stay after all.

    Raises
    ------
    Retryable, Defect
        ``disk.*`` if the disk does not let it.
    """
    with disk_faults(removal.paths[0]), contextlib.ExitStack() as stack:
        lock = _lock_of(home, removal)
        if lock is not None:
            try:
                stack.enter_context(durable.exclusive(lock, wait=False))
            except BlockingIOError:
                return False
        if lock is not None and lock in removal.paths:
            return True  # a lock that nobody held: letting go of it removes it
        if removal.item and (protected is None or not _still_may(home, removal, protected)):
            return False
        if removal.kind == "trash":
            shutil.rmtree(removal.paths[0])
            return True
        bins = [_into_trash(home, path) for path in removal.paths if os.path.lexists(path)]
        for each in bins:
            shutil.rmtree(each)
        return True


def _superseded(home: Path, rules: Rules, protected: Protected, now: float) -> Iterator[Removal]:
    for place in revisions(home):
        current = latest_revision(home, place.collection, place.item_id)
        known = [(unit, read_documents(unit).product) for unit in superseded(place)]
        latest = published(home, place.collection, place.item_id) if known and current is not None else None
        for unit, product in known:
            days = rules.superseded(product) if product is not None else None
            if product is None or days is None or current is None or not _may_go(unit, current, protected):
                continue
            since = _superseded_since(unit, product, [latest, *(other for _, other in known)])
            if now - since > days * _DAY_S:
                detail = f"revision {product.revision} was superseded {_ago(now - since)}"
                # The files first: a store without them is an orphan, files without their store would be a loss.
                yield _removal("superseded", (unit.files, unit.files.with_suffix(".zarr")), detail, item=unit.item)


def _may_go(unit: Unit, current: str, protected: Protected) -> bool:
    """Whether an earlier revision is neither what the id stands for, nor what a row leads to."""
    named = protected.revision_of(unit.collection, unit.item_id)
    return unit.files.stem not in (current, named) and unit.files not in protected.folders


def _superseded_since(unit: Unit, product: Product, known: list[Product | None]) -> float:
    """When the next revision was made."""
    later = [other.created.timestamp() for other in known if other is not None and other.created > product.created]
    return min(later, default=unit.files.stat().st_ctime)


def _orphans(home: Path, days: float, protected: Protected, now: float) -> Iterator[Removal]:
    for finding in _all_orphans(home):
        path = home / finding.object
        if now - newest_change(path) <= days * _DAY_S:
            continue
        removal = _removal("orphan", (path,), finding.detail, item=finding.item)
        if not finding.item or _still_may(home, removal, protected):
            yield removal


def _all_orphans(home: Path) -> Iterator[Finding]:
    yield from orphans(home)
    for unit in units(home):
        yield from (finding for finding in check_unit(unit, deep=False).findings if finding.kind == "orphan")


def _still_may(home: Path, removal: Removal, protected: Protected) -> bool:
    """Whether what belongs to a product may go, asked again under its lock."""
    collection, _, item_id = removal.item.partition("/")
    current, named = latest_revision(home, collection, item_id), protected.revision_of(collection, item_id)
    path = removal.paths[0]
    if removal.kind == "superseded":
        unit = Unit(home=home, collection=collection, item_id=item_id, files=path, latest=False)
        return current is not None and path.is_dir() and _may_go(unit, current, protected)
    if path.suffix == ".zarr" and path.is_dir():
        # A store: of the revision that is published or listed it is the bytes, whatever became of the record.
        return path.stem not in (current, named) and not path.with_suffix(".files").exists()
    return True


def _lock_of(home: Path, removal: Removal) -> Path | None:
    staging = home / "staging"
    if removal.item:
        collection, _, item_id = removal.item.partition("/")
        return staging / f"{collection}--{item_id}.lock"
    path = removal.paths[0]
    if removal.kind == "staging" and path.parent == staging:
        return path if path.suffix == ".lock" else path.with_name(f"{path.name}.lock")
    return None


def _into_trash(home: Path, path: Path) -> Path:
    """Rename something into a bin of its own in the trash; beside itself where that is another filesystem."""
    bin_ = home / "staging" / TRASH / secrets.token_hex(8)
    durable.make_folders(bin_)
    try:
        durable.move(path, bin_ / path.name)
    except Defect as error:
        if error.kind != "disk.two_filesystems":
            raise
        bin_.rmdir()
        bin_ = path.with_name(f".{secrets.token_hex(8)}.part")
        durable.make_folders(bin_)
        durable.move(path, bin_ / path.name)
    return bin_


def _removal(kind: Kind, paths: tuple[Path, ...], detail: str, *, item: str = "") -> Removal:
    there = tuple(path for path in paths if os.path.lexists(path))
    return Removal(kind=kind, paths=there, size=sum(map(size_of, there)), detail=detail, item=item)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count for nothing."""
    if path.is_symlink() or not path.is_dir():
        return 0 if path.is_symlink() else path.lstat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(folder) / name).lstat().st_size
    return total


def _older(paths: list[Path], days: float, now: float) -> Iterator[Path]:
    return (path for path in paths if now - newest_change(path) > days * _DAY_S)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _ago(seconds: float) -> str:
    return f"{seconds / _DAY_S:.0f} days ago" if seconds >= 2 * _DAY_S else f"{seconds / 3600:.1f} hours ago"
