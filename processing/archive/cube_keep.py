"""Keeping cubes: which products belong in which, and one committer at a time.

A product that is to be catalogued leaves a note at each cube it belongs to, and then whoever holds the cube's lock
takes all notes at once. So twenty scenes that are finished together cost a few commits, and a process that dies
between note and commit leaves the note: the next one takes it. Nothing in a cube is needed to make it again.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from processing.archive import durable
from processing.archive.cube_grid import Footing, Tile
from processing.archive.cube_index import Wanted, commit
from processing.archive.cube_repository import open_repository
from processing.archive.cube_state import CubeState, LeftOut, Slice, Stack, check_files, read_state
from processing.archive.layout import CUBE_RECORD
from processing.archive.write import published
from processing.model.composite_layers import BESIDE
from processing.model.errors import Defect
from processing.model.product import Encoding, Product, StoredGroup

OTHER_NUMBERS = "cube.encoding"
"""Begins the reason of a product that is left out although nothing is wrong with it."""
_NOTES = "pending"
_SEPARATOR = "--"


class Kept(NamedTuple):
    """What became of one cube."""

    collection: str
    tile: str
    state: CubeState | None
    """None: no product belongs to it any more, and it was removed."""
    rebuilt: str | None
    """Why it was made from nothing; None where it was not."""


def cube_folder(home: Path, collection: str, tile: Tile) -> Path:
    """Where a cube lies."""
    return home / "cubes" / collection / tile.name


def tiles_of(product: Product) -> tuple[Tile, ...]:
    """Every tile that a product has chunks in."""
    found = {
        tile
        for group in product.groups
        if (footing := _footing(group)) is not None
        for tile in footing.tiles(group.crs)
    }
    return tuple(sorted(found))


def _footing(group: StoredGroup) -> Footing | None:
    return None if group.name in BESIDE or not group.crs.startswith("EPSG:") else Footing.of(group)


def note_product(home: Path, product: Product) -> tuple[Tile, ...]:
    """Leave a note, durably, at each cube that does not hold this revision of a product yet.

    Returns
    -------
    tiles
        Those of the cubes: :func:`keep_cube` has work there.
    """
    behind = []
    for tile in tiles_of(product):
        folder = cube_folder(home, product.collection, tile)
        try:
            state = read_state(folder)
        except Defect:
            state = None  # whoever takes the note makes the cube again
        if state is None or state.items.get(product.id) != product.revision:
            durable.write_file(folder / _NOTES / f"{product.id}{_SEPARATOR}{product.revision}", b"")
            behind.append(tile)
    return tuple(behind)


def notes_at(folder: Path) -> tuple[Path, ...]:
    """Notes of products that a cube does not hold yet."""
    place = folder / _NOTES
    return tuple(sorted(path for path in place.glob(f"*{_SEPARATOR}*") if not path.name.startswith(".")))


def keep_cube(home: Path, collection: str, tile: Tile, *, rebuild: str | None = None) -> Kept:
    """Bring one cube up to its notes; or make it again, from the products alone.

    Parameters
    ----------
    rebuild
        Why it is to be made from nothing. A cube that is found damaged is so, too.

    Raises
    ------
    Retryable
        ``disk.sync`` if the disk failed.
    """
    folder = cube_folder(home, collection, tile)
    with durable.exclusive(home / "staging" / f"cube{_SEPARATOR}{collection}{_SEPARATOR}{tile.name}.lock"):
        notes = notes_at(folder)
        known, why = (None, rebuild) if rebuild else _sound(home, folder)
        items = _all_items(home, collection)
        if known is not None:
            items = {*known.items, *(note.name.rpartition(_SEPARATOR)[0] for note in notes)}
        products = [product for item in sorted(items) if (product := published(home, collection, item)) is not None]
        wanted = wanted_of(collection, tile, products)
        if not wanted.stacks and not wanted.left_out:
            shutil.rmtree(folder, ignore_errors=True)
            return Kept(collection, tile.name, None, why)
        durable.make_folders(folder)
        state = commit(folder, home, wanted, known)
        for note in notes:
            note.unlink(missing_ok=True)
        _forget(folder, state, known)
    return Kept(collection, tile.name, state, why)


def _sound(home: Path, folder: Path) -> tuple[CubeState | None, str | None]:
    """The state of a cube, if it can be built upon; else why not."""
    try:
        known = read_state(folder)
        if known is None:
            return None, "there was none"
        check_files(folder, known)
        open_repository(folder / known.repository, home / "archive")
    except Defect as error:
        return None, str(error)
    return known, None


def _all_items(home: Path, collection: str) -> set[str]:
    place = home / "products" / collection
    return {path.name for path in place.iterdir() if path.is_dir()} if place.is_dir() else set()


def _forget(folder: Path, state: CubeState, before: CubeState | None) -> None:
    """Remove the indexes of earlier makings, but the last: somebody may be reading it."""
    if before is not None:
        return
    others = [path for path in folder.glob("*.icechunk") if path.name != state.repository]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(path, ignore_errors=True)


def collections_of(home: Path) -> tuple[str, ...]:
    """Collections that have products."""
    place = home / "products"
    return tuple(sorted(path.name for path in place.iterdir() if path.is_dir())) if place.is_dir() else ()


def tiles_with_products(home: Path, collection: str) -> dict[Tile, dict[str, str]]:
    """Every tile of a collection, with the items that belong there and their revisions, from the products' records."""
    found: dict[Tile, dict[str, str]] = {}
    for item in sorted(_all_items(home, collection)):
        product = published(home, collection, item)
        for tile in tiles_of(product) if product is not None else ():
            found.setdefault(tile, {})[item] = product.revision if product is not None else ""
    return found


def cubes_in(home: Path, collection: str) -> Iterator[Tile]:
    """Tiles of the cubes that are there, whole or not."""
    for path in sorted((home / "cubes" / collection).glob("*")):
        if path.is_dir() and any((path / name).exists() for name in (CUBE_RECORD, _NOTES)):
            yield Tile.of(path.name)


def wanted_of(collection: str, tile: Tile, products: Iterable[Product]) -> Wanted:
    """What a cube is to hold of these products: the latest revision of each, by time."""
    slices: dict[str, list[Slice]] = {}
    bands: dict[str, dict[str, Encoding]] = {}
    resolutions: dict[str, float] = {}
    left_out = []
    for product in sorted(products, key=lambda product: (product.acquired, product.id)):
        for group in product.groups:
            footing = _footing(group)
            if footing is None or group.crs != tile.crs:
                continue
            rows, columns = footing.within(tile)
            if not rows or not columns:
                continue
            key = f"{group.name}/{group.levels[0]}"
            own = _encodings(product, group)
            known = bands.setdefault(key, {})
            other = [band for band in own if band in known and not _same(known[band], own[band])]
            if other:
                reason = f"{OTHER_NUMBERS}: {', '.join(other)} are kept in other numbers than in earlier products"
                left_out.append(LeftOut(item=product.id, revision=product.revision, reason=reason))
                continue
            known.update({band: encoding for band, encoding in own.items() if band not in known})
            resolutions[key] = footing.grid.resolution
            slices.setdefault(key, []).append(_slice(product, group, footing, tile))
    stacks = {
        key: Stack(resolution=resolutions[key], bands=bands[key], slices=tuple(parts)) for key, parts in slices.items()
    }
    return Wanted(collection, tile, stacks, tuple(left_out))


def _slice(product: Product, group: StoredGroup, footing: Footing, tile: Tile) -> Slice:
    rows, columns = footing.within(tile)
    spans = footing.grid.tile_span(tile)
    return Slice(
        item=product.id,
        acquired=product.acquired,
        revision=product.revision,
        store=product.archive_href,
        manifest_sha256=product.manifest_sha256,
        group=group.path,
        bands=tuple(_encodings(product, group)),
        rows=(rows.start, rows.stop),
        columns=(columns.start, columns.stop),
        first=(footing.rows.start - spans[0].start, footing.columns.start - spans[1].start),
    )


def _encodings(product: Product, group: StoredGroup) -> dict[str, Encoding]:
    return {band.name: band.encoding for band in product.bands if band.group == group.name}


def _same(one: Encoding, other: Encoding) -> bool:
    """Whether the same integer means the same; what a band is called matters to nobody."""
    return one.model_dump(exclude={"title"}) == other.model_dump(exclude={"title"})


def digest_of_state(state: CubeState) -> str:
    """What a cube's lazy arrays are named after."""
    return hashlib.sha256(state.model_dump_json().encode()).hexdigest()
