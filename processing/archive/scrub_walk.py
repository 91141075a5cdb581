"""All that lies in an archive, unit by unit, and what lies there that nothing names. Memory: one folder's names."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processing.archive.layout import COLLECTION, PRODUCT_RECORD
from processing.archive.scrub_unit import CLEAN, UNFINISHED, Finding, Unit

_YEAR, _TWO = re.compile(r"\d{4}"), re.compile(r"\d{2}")
_STORE, _SHELF = ".zarr", ".files"
HISTORY = "versions.json"
"""In a folder of revisions: what links them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """The folder of all revisions of one product."""

    home: Path
    folder: Path
    collection: str

    @property
    def item_id(self) -> str:
        """The product's id."""
        return self.folder.name


def count_units(home: Path) -> int:
    """How many units :func:`units` will give, unless they change."""
    latest = sum(1 for collection in _folders(home / "products") for _ in _folders(collection))
    return latest + sum(1 for place in revisions(home) for _ in superseded(place))


def units(home: Path) -> Iterator[Unit]:
    """Every published product's latest revision, then every superseded one, in a fixed order."""
    for collection in _folders(home / "products"):
        for folder in _folders(collection):
            yield Unit(home=home, collection=collection.name, item_id=folder.name, files=folder, latest=True)
    for place in revisions(home):
        yield from superseded(place)


def revisions(home: Path) -> Iterator[Revisions]:
    """The folder of revisions of every product that ever had a store."""
    for collection in _folders(home / "archive"):
        for year in _folders(collection, _YEAR):
            for month in _folders(year, _TWO):
                for day in _folders(month, _TWO):
                    for folder in _folders(day):
                        yield Revisions(home=home, folder=folder, collection=collection.name)


def revisions_of(home: Path, collection: str, item_id: str) -> Iterator[Revisions]:
    """The folder of revisions of one product, if it has any."""
    for folder in sorted((home / "archive" / collection).glob(f"[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]/{item_id}")):
        yield Revisions(home=home, folder=folder, collection=collection)


def superseded(place: Revisions) -> Iterator[Unit]:
    """The earlier revisions of one product: those whose files lie beside their store."""
    for folder in _folders(place.folder):
        if folder.suffix == _SHELF:
            yield Unit(home=place.home, collection=place.collection, item_id=place.item_id, files=folder, latest=False)


def find_unit(home: Path, collection: str, item_id: str, revision: str) -> Unit | None:
    """One revision of a product, wherever it lies now; None if it is gone."""
    published = home / "products" / collection / item_id
    if latest_revision(home, collection, item_id) == revision and published.is_dir():
        return Unit(home=home, collection=collection, item_id=item_id, files=published, latest=True)
    shelves = (home / "archive" / collection).glob(f"*/*/*/{item_id}/{revision}{_SHELF}")
    shelf = next(shelves, None)
    if shelf is None:
        return None
    return Unit(home=home, collection=collection, item_id=item_id, files=shelf, latest=False)


def latest_revision(home: Path, collection: str, item_id: str) -> str | None:
    """The revision that is published under an id: by its record, else by its link; None if neither says."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = (home / "products" / collection / item_id / PRODUCT_RECORD).read_bytes()
        return str(json.loads(content)["revision"])
    with contextlib.suppress(OSError):
        return (home / "archive" / collection / f"{item_id}{_STORE}").readlink().stem
    return None


def orphans(home: Path) -> Iterator[Finding]:
    """What lies in ``archive`` and ``products`` and belongs to no product that is published, or ever was."""
    yield from _strangers_in_products(home)
    for entry in _entries(home / "archive"):
        if not entry.is_dir(follow_symlinks=False):
            yield _orphan(home, Path(entry.path), _STRANGER)
    for collection in _folders(home / "archive"):
        yield from _strangers_in_collection(home, collection)
    for place in revisions(home):
        current = latest_revision(home, place.collection, place.item_id)
        for entry in _entries(place.folder):
            path = Path(entry.path)
            if path.suffix == _SHELF and entry.is_dir(follow_symlinks=False):
                continue
            if entry.name == HISTORY and current is not None:
                continue
            whole = path.suffix == _STORE and entry.is_dir(follow_symlinks=False)
            if whole and (path.stem == current or path.with_suffix(_SHELF).is_dir()):
                continue
            what = "a store that no product names; publishing its revision again adopts it" if whole else _STRANGER
            yield _orphan(home, path, what, item=f"{place.collection}/{place.item_id}")


_STRANGER = "nothing of ours is called so"


def _strangers_in_products(home: Path) -> Iterator[Finding]:
    for entry in _entries(home / "products"):
        if not entry.is_dir(follow_symlinks=False):
            yield _orphan(home, Path(entry.path), _STRANGER)
    for collection in _folders(home / "products"):
        for entry in _entries(collection):
            if not entry.is_dir(follow_symlinks=False) and entry.name != COLLECTION:
                what = "an unfinished write" if UNFINISHED.fullmatch(entry.name) else _STRANGER
                yield _orphan(home, Path(entry.path), what)


def _strangers_in_collection(home: Path, collection: Path) -> Iterator[Finding]:
    for entry in _entries(collection):
        path = Path(entry.path)
        if entry.is_symlink() and path.suffix == _STORE:
            if UNFINISHED.fullmatch(entry.name):
                yield _orphan(home, path, "an unfinished write")
            elif not (home / "products" / collection.name / path.stem).is_dir():
                yield _orphan(home, path, "a link for which no product is published")
        elif not (entry.is_dir(follow_symlinks=False) and _YEAR.fullmatch(entry.name)):
            yield _orphan(home, path, "an unfinished write" if UNFINISHED.fullmatch(entry.name) else _STRANGER)


def _orphan(home: Path, path: Path, detail: str, *, item: str = "") -> Finding:
    return Finding(object=path.relative_to(home).as_posix(), kind="orphan", item=item, detail=detail, remedy=CLEAN)


def _folders(folder: Path, name: re.Pattern[str] | None = None) -> Iterator[Path]:
    """Folders in a folder, by name; none where there is no such folder."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False) and (name is None or name.fullmatch(entry.name)):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
