"""What is on the disk, read without a line of the code under test: files, JSON, SQLite, SHA-256.

I1  every catalogued asset exists and hashes right
I2  no row without the bytes it stands for
I3  the same revision is the same bytes, whenever and however often it was made
I4  one scene is one product
I5  nothing lies about that belongs to nobody
I8  whatever happened: nothing of a product can be seen, or all of it
"""

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numcodecs import lz4

OF_A_MOMENT = ("created", "updated", "processing:datetime", "published")
"""Fields that say when something was made, and may differ from one making to the next."""


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Reference:
    """One revision as it came out where nothing went wrong."""

    revision: str
    store: Mapping[str, str]
    """SHA-256 of every object, by key."""
    files: Mapping[str, str]
    """SHA-256 of every file beside it that holds no time of making."""
    record: Mapping[str, Any]
    """``product.json`` without its times."""


def reference(home: Path, collection: str, item: str) -> Reference:
    """What a product must look like, taken from one made in peace."""
    folder = home / "products" / collection / item
    record = json.loads((folder / "product.json").read_bytes())
    store = home / record["archive_href"]
    return Reference(
        revision=record["revision"],
        store={path.relative_to(store).as_posix(): sha256(path) for path in files_under(store)},
        files={path.name: sha256(path) for path in files_under(folder) if path.suffix in (".tif", ".webp")},
        record=timeless(record),
    )


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def timeless(document: Any) -> Any:
    """A document without what says when it was made, and what is hashed over that."""
    if isinstance(document, dict):
        return {key: timeless(value) for key, value in document.items() if key not in OF_A_MOMENT}
    return [timeless(value) for value in document] if isinstance(document, list) else document


def visible_items(home: Path) -> set[tuple[str, str]]:
    """Every product that a person, a program or the catalogue could come upon."""
    links = {(path.parent.name, path.name.removesuffix(".zarr")) for path in home.glob("archive/*/*.zarr")}
    folders = {(path.parent.name, path.name) for path in home.glob("products/*/*") if path.is_dir()}
    return links | folders | set(rows(home))


def rows(home: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The catalogue's rows, read by SQLite alone."""
    return {(row["collection"], row["id"]): row for row in _documents(home, "items")}


def _documents(home: Path, table: str) -> list[dict[str, Any]]:
    if not (home / "catalogue" / "catalogue.sqlite").exists():
        return []
    with tempfile.TemporaryDirectory() as copy:  # looking changes nothing, and needs no room on a full disk
        for path in home.glob("catalogue/catalogue.sqlite*"):
            shutil.copyfile(path, Path(copy, path.name))
        with closing(sqlite3.connect(Path(copy, "catalogue.sqlite"))) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                return []
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            found = connection.execute(f"SELECT properties, rest FROM {table}").fetchall()
    return [json.loads(lz4.decompress(rest)) | {"properties": json.loads(properties)} for properties, rest in found]


def faults_of(home: Path, known: Mapping[str, Reference] | None, *, at_rest: bool) -> list[str]:
    """Every way in which a home breaks a promise; empty if it keeps them all.

    Parameters
    ----------
    known
        The revisions that may be there, by revision; None: any, and each is held against its own manifest alone.
    at_rest
        Whether a restart has been through: then all that can be seen is catalogued, and nothing lies about. Until
        then a row may still be that of the revision before, whose files have just been replaced.
    """
    found = []
    catalogued = rows(home)
    for collection, item in sorted(visible_items(home)):
        name = f"{collection}/{item}"
        problems = list(_product_faults(home, collection, item, known))
        found += [f"{name}: {problem}" for problem in problems]
        row = catalogued.get((collection, item))
        if row is not None and not problems:
            found += [f"row of {name}: {problem}" for problem in _row_faults(home, row, at_rest=at_rest)]
        if row is None and at_rest:
            found.append(f"{name}: not catalogued")
    return found + (list(_leftovers(home)) if at_rest else [])


def _product_faults(home: Path, collection: str, item: str, known: Mapping[str, Reference] | None) -> Iterator[str]:
    folder = home / "products" / collection / item
    if not (folder / "product.json").is_file():
        yield "seen, without a record"
        return
    record = json.loads((folder / "product.json").read_bytes())
    store = home / record["archive_href"]
    objects = {path.relative_to(store).as_posix(): sha256(path) for path in files_under(store)}
    if objects.pop("manifest.json", None) != record["manifest_sha256"]:
        yield "the store's manifest is not the one of the record"
        return
    listed = json.loads((store / "manifest.json").read_bytes())["objects"]
    if objects != {key: entry["sha256"] for key, entry in listed.items()}:
        yield "the store's bytes are not those of its manifest"
    if known is not None:
        yield from _differences(folder, record, objects, known)
    for line in (folder / "manifest.sha256").read_text().splitlines():
        digest, _, name = line.partition("  ")
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            yield f"{name} is not what manifest.sha256 says"
    link = home / "archive" / collection / f"{item}.zarr"
    if link.is_symlink() and link.resolve().parent != store.resolve().parent:
        yield "the link leads to another product"


def _differences(
    folder: Path, record: Mapping[str, Any], objects: Mapping[str, str], known: Mapping[str, Reference]
) -> Iterator[str]:
    """What is not as in an undisturbed run."""
    expected = known.get(record["revision"])
    if expected is None:
        yield f"revision {record['revision']} was never asked for"
        return
    if timeless(record) != expected.record:
        yield "the record differs from that of an undisturbed run"
    if objects != {key: digest for key, digest in expected.store.items() if key != "manifest.json"}:
        yield "the store's bytes differ from those of an undisturbed run"
    present = {path.name: sha256(path) for path in files_under(folder) if path.name in expected.files}
    if present != expected.files:
        yield "the files' bytes differ from those of an undisturbed run"


def _row_faults(home: Path, row: Mapping[str, Any], *, at_rest: bool) -> Iterator[str]:
    """I1 and I2, from what the row says of itself."""
    folder = home / "products" / row["collection"] / row["id"]
    record = json.loads((folder / "product.json").read_bytes())
    hashes = {file["key"]: file["sha256"] for file in record["files"]}
    current = row["properties"]["version"] == record["revision"]
    if not current and at_rest:
        yield "of a revision that was replaced"
    for key, asset in row["assets"].items():
        path = (folder / asset["href"]).resolve()
        if not path.exists():
            yield f"asset {key} is missing"
            continue
        digest = sha256(path / "manifest.json" if path.is_dir() else path)
        if current and asset.get("file:checksum", f"1220{digest}") != f"1220{digest}":
            yield f"asset {key} hashes wrong"
        if current and hashes.get(key, digest) != digest:
            yield f"asset {key} is not what the record says"
    if at_rest and not (folder.parent / "collection.json").is_file():
        yield "its collection's file is missing"


def _leftovers(home: Path) -> Iterator[str]:
    for path in sorted((home / "staging").rglob("*")) if (home / "staging").exists() else []:
        if path != home / "staging" / "unpacked":
            yield f"left over: {path.relative_to(home)}"
    for part in ("archive", "products", "quarantine"):
        for path in sorted((home / part).rglob("*")):
            if path.name.startswith(".") or ".partial" in path.name or ".plain" in path.name:
                yield f"left over: {path.relative_to(home)}"
    for store in home.glob("archive/*/*/*/*/*/*.zarr"):
        item, collection = store.parent.name, store.relative_to(home).parts[1]
        record = json.loads((home / "products" / collection / item / "product.json").read_bytes())
        if store.stem != record["revision"] and not store.with_suffix(".files").is_dir():
            yield f"a store that no record names: {store.relative_to(home)}"
    for shelf in home.glob("archive/*/*/*/*/*/*.files"):
        if json.loads((shelf / "product.json").read_bytes())["revision"] != shelf.stem:
            yield f"files under another revision's name: {shelf.relative_to(home)}"
    for link in home.glob("archive/*/*.zarr"):
        record = json.loads((home / "products" / link.parent.name / link.stem / "product.json").read_bytes())
        if link.resolve() != (home / record["archive_href"]).resolve():
            yield f"{link.name} does not lead to the latest revision"
