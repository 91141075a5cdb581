"""Whether two makings of one product are the same bytes; where not, which object differs, and by how much."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError

from processing.archive.cog import SAFE_ENVIRONMENT
from processing.archive.layout import CHECKSUMS, ISO, ITEM, MANIFEST
from processing.archive.manifest import fingerprint, read_manifest
from processing.archive.shards import array_at
from processing.model.errors import Defect
from processing.model.product import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the two parts of a product lie."""

    store: Path
    files: Path


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One object that is not the same in both."""

    object: str
    """Key in the store, or ``files/<name>``."""
    kind: Literal["missing", "unexpected", "bytes"]
    detail: str
    """In words: how many pixels differ, by how much at most; which entries of a document."""
    damaged: bool = False
    """The archived object is not what its own manifest or record says: it changed after it was published."""

    def __str__(self) -> str:
        return f"{self.object}: {self.detail}"


def compare_products(archived: Product, kept: Places, again: Places) -> tuple[int, list[Difference]]:
    """Compare every object of an archived product with a new making of it, byte for byte.

    Parameters
    ----------
    archived, kept
        The record, and where its parts lie.
    again
        Where the parts of the new making lie; its manifest is believed.

    Returns
    -------
    objects, differences
        How many objects were compared, and those that differ, by name. The catalogue's description of the product
        (``item.json``, ``iso19139.xml``) is no part of it.
    """
    found = [*_stores(archived, kept.store, again.store), *_files(archived, kept.files, again.files)]
    return len({*_keys(again.store)}) + len(_names(again.files)), sorted(found)


def _keys(store: Path) -> set[str]:
    return {*read_manifest(store), MANIFEST}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {ITEM, ISO} if folder.is_dir() else set()


def _stores(archived: Product, kept: Path, again: Path) -> Iterator[Difference]:
    made = {key: record.sha256 for key, record in read_manifest(again).items()}
    try:
        stated = {key: record.sha256 for key, record in read_manifest(kept).items()}
    except Defect:
        stated = {}
    made[MANIFEST], stated[MANIFEST] = fingerprint(again / MANIFEST), archived.manifest_sha256
    present = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    for key in sorted(present - made.keys()):
        yield Difference(key, "unexpected", "is in the archive, and was not made again", damaged=key not in stated)
    for key, sha256 in made.items():
        if key not in present:
            yield Difference(key, "missing", "is not in the archive", damaged=key in stated)
        elif (held := fingerprint(kept / key)) != sha256:
            damaged = key in stated and held != stated[key]
            yield Difference(key, "bytes", _object_words(kept, again, key) + _blame(damaged), damaged=damaged)


def _files(archived: Product, kept: Path, again: Path) -> Iterator[Difference]:
    stated = {Path(file.href).name: file.sha256 for file in archived.files if file.key != "zarr"} | _checksums(kept)
    present, made = _names(kept), _names(again)
    for name in sorted(present - made):
        yield Difference(
            f"files/{name}", "unexpected", "is in the archive, and was not made again", damaged=name not in stated
        )
    for name in sorted(made):
        if name not in present:
            yield Difference(f"files/{name}", "missing", "is not in the archive", damaged=True)
            continue
        held, remade = fingerprint(kept / name), fingerprint(again / name)
        if held != remade:
            damaged = name in stated and held != stated[name]
            words = _file_words(kept / name, again / name) + _blame(damaged)
            yield Difference(f"files/{name}", "bytes", words, damaged=damaged)


def _checksums(folder: Path) -> dict[str, str]:
    """What the list of checksums beside the files says, by file name; nothing where it cannot be read."""
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
        return {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return {}


def _blame(damaged: bool) -> str:
    return "; the archived one has changed since it was published" if damaged else ""


def _object_words(kept: Path, again: Path, key: str) -> str:
    path, chunk, index = key.partition("/c/")
    if not chunk or index.count("/") != 1:
        return _document_words(kept / key, again / key)
    row, column = (int(part) for part in index.split("/"))
    try:
        one, other = (_shard(store, path, row, column) for store in (kept, again))
    except Exception as error:  # noqa: BLE001 - whatever a damaged object makes a decoder say
        return f"cannot be read ({type(error).__name__}: {str(error)[:80]})"
    return _array_words(one, other)


def _shard(store: Path, path: str, row: int, column: int) -> npt.NDArray[np.generic]:
    array = array_at(store, path)
    rows, columns = array.shards or array.chunks
    return np.asarray(array[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns])


def _array_words(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> str:
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{one.shape} {one.dtype}, now {other.shape} {other.dtype}"
    was, now = one.astype(np.float64), other.astype(np.float64)
    apart = ~((was == now) | (np.isnan(was) & np.isnan(now)))
    count = int(np.count_nonzero(apart))
    if not count:
        return "the same pixels, encoded in other bytes"
    most = float(np.nanmax(np.abs(was - now)[apart], initial=0.0))
    return f"{count} of {apart.size} pixels differ, by up to {most:g} as stored"


def _file_words(kept: Path, again: Path) -> str:
    if kept.suffix == ".tif":
        return _picture_words(kept, again)
    if kept.name == CHECKSUMS:
        was, now = _checksums(kept.parent), _checksums(again.parent)
        apart = [name for name in was.keys() | now.keys() if was.get(name) != now.get(name)]
        return f"states other checksums of {_some(apart)}"
    return _document_words(kept, again)


def _picture_words(kept: Path, again: Path) -> str:
    try:
        with (
            rasterio.Env(**SAFE_ENVIRONMENT),
            rasterio.open(kept, driver="GTiff") as was,
            rasterio.open(again, driver="GTiff") as now,
        ):
            words = [_array_words(was.read(band), now.read(band)) for band in range(1, now.count + 1)]
    except (RasterioError, IndexError) as error:
        return f"cannot be read ({str(error)[:80]})"
    return next((word for word in words if "differ" in word or "now" in word), words[0])


def _document_words(kept: Path, again: Path) -> str:
    try:
        was, now = json.loads(kept.read_bytes()), json.loads(again.read_bytes())
    except ValueError:
        return f"{kept.stat().st_size} bytes, now {again.stat().st_size}, not the same"
    places = sorted(_apart(was, now))
    return f"other values of {_some(places)}" if places else "the same values, written in other bytes"


def _apart(was: Any, now: Any, place: str = "") -> Iterator[str]:
    """Where two documents differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in was.keys() | now.keys():
            yield from _apart(was.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _apart(one, other, f"{place}[{index}]")
    elif was != now:
        yield place or "all"


def _some(names: Any, most: int = 5) -> str:
    listed = sorted(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
