"""Cubes of an installation: brought up to date as scenes are published, listed, and made again from nothing.

A cube is an index and holds no pixel: losing it loses nothing, and nothing is published later because of it.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from configs.settings import Home
from processing.model.errors import BadInput, Defect, QyranError
from processing.model.product import Product

_LOG = logging.getLogger(__name__)

type Progress = Any
"""Called with (done, total, what)."""


class CubeReport(BaseModel):
    """One cube, as it was found or made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str
    tile: str
    status: Literal["whole", "behind", "damaged", "missing", "removed", "made again", "brought up"]
    groups: dict[str, int]
    """Scenes by ``group/level``."""
    first: str | None = None
    last: str | None = None
    """Acquisition of the first and last scene, RFC 3339."""
    chunks: int = 0
    """References to bytes of products."""
    bytes: int = 0
    """Of the index itself."""
    waiting: tuple[str, ...] = ()
    """Items that belong in it and are not in it, or not in their latest revision."""
    left_out: dict[str, str] = {}
    """Items that cannot be in it, and why."""
    detail: str | None = None


def note_in_cubes(home: Home, product: Product) -> tuple[str, ...]:
    """Leave a durable note at each cube that a product belongs to, before the catalogue names it.

    Returns
    -------
    tiles
        Names of those that do not hold this revision yet: for :func:`bring_up`.
    """
    from processing.archive.cube_keep import note_product

    return tuple(tile.name for tile in note_product(home.path, product))


def bring_up(home: Home, collection: str, tiles: Iterable[str]) -> None:
    """Take the notes at some cubes; what cannot be done now stays noted, and the product is none the worse."""
    from processing.archive.cube_grid import Tile
    from processing.archive.cube_keep import keep_cube

    for name in tiles:
        try:
            keep_cube(home.path, collection, Tile.of(name))
        except (QyranError, OSError) as error:
            _LOG.warning("the cube %s/%s is behind: %s", collection, name, error)


def build_cubes(
    home: Home,
    *,
    collection: str | None = None,
    tile: str | None = None,
    only_behind: bool = False,
    progress: Progress = None,
) -> list[CubeReport]:
    """Make cubes again from the products alone, or those only that are not as they should be.

    Parameters
    ----------
    collection, tile
        Only of these; None is all.
    only_behind
        Leave those alone that hold what they should, and bring the others up; else make each from nothing.

    Raises
    ------
    BadInput
        ``cube.tile`` if it is no tile; ``cube.not_found`` if no product lies there.
    """
    from processing.archive.cube_keep import keep_cube

    found = list(_found(home, collection, tile))
    made = []
    for number, (name, place, items) in enumerate(found):
        if progress is not None:
            progress(number, len(found), f"{name} {place.name}")
        before = _report(home, name, place, items)
        if only_behind and before.status == "whole":
            made.append(before)
            continue
        # What nobody left a note of is found by looking at all products; the rest the cube's record leads to.
        fresh = not only_behind or set(before.waiting) - _noted(home, name, place) - before.left_out.keys()
        kept = keep_cube(home.path, name, place, rebuild="asked for" if fresh else None)
        after = _report(home, name, place, items)
        status: Any = "removed" if kept.state is None else "made again" if kept.rebuilt else "brought up"
        made.append(after.model_copy(update={"status": status, "detail": kept.rebuilt}))
    return made


def list_cubes(home: Home, *, collection: str | None = None, tile: str | None = None) -> list[CubeReport]:
    """Every cube that is there or should be, held to its record and to the products."""
    return [_report(home, name, place, items) for name, place, items in _found(home, collection, tile)]


def _found(home: Home, collection: str | None, tile: str | None) -> Iterable[tuple[str, Any, dict[str, str]]]:
    """Collection, tile, and the items that belong there with their revisions."""
    from processing.archive.cube_grid import Tile
    from processing.archive.cube_keep import collections_of, cubes_in, tiles_with_products

    wanted = Tile.of(tile) if tile is not None else None
    none = True
    for name in collections_of(home.path) if collection is None else (collection,):
        belonging = tiles_with_products(home.path, name)
        for place in sorted({*belonging, *cubes_in(home.path, name)}):
            if wanted in (None, place):
                none = False
                yield name, place, belonging.get(place, {})
    if none and (collection or tile):
        raise BadInput(
            f"no product of {collection or 'any collection'} lies {f'in {tile}' if tile else 'on the lattice'}",
            kind="cube.not_found",
            remedy="See: qyran cube list",
        )


def _noted(home: Home, collection: str, tile: Any) -> set[str]:
    from processing.archive.cube_keep import cube_folder, notes_at

    return {note.name.rpartition("--")[0] for note in notes_at(cube_folder(home.path, collection, tile))}


def _report(home: Home, collection: str, tile: Any, items: dict[str, str]) -> CubeReport:
    from processing.archive.cube_keep import OTHER_NUMBERS, cube_folder
    from processing.archive.cube_state import check_files, read_state

    folder = cube_folder(home.path, collection, tile)
    try:
        state = read_state(folder)
        if state is not None:
            check_files(folder, state)
    except Defect as error:
        return CubeReport(
            collection=collection, tile=tile.name, status="damaged", groups={}, waiting=tuple(items), detail=str(error)
        )
    if state is None:
        return CubeReport(collection=collection, tile=tile.name, status="missing", groups={}, waiting=tuple(items))
    slices = [part for stack in state.stacks.values() for part in stack.slices]
    times = sorted(part.acquired.isoformat() for part in slices)
    waiting = {item for item, revision in items.items() if state.items.get(item) != revision}
    waiting |= {part.item for part in state.left_out if not part.reason.startswith(OTHER_NUMBERS)}  # until repaired
    gone = state.items.keys() - items.keys()
    return CubeReport(
        collection=collection,
        tile=tile.name,
        status="behind" if waiting or gone else "whole",
        groups={name: len(stack.slices) for name, stack in state.stacks.items()},
        first=times[0] if times else None,
        last=times[-1] if times else None,
        chunks=sum(part.chunk_count * (len(part.bands) + 1) for part in slices),
        bytes=_size(folder / state.repository),
        waiting=tuple(sorted(waiting)),
        left_out={part.item: part.reason for part in state.left_out},
        detail=f"{len(gone)} items in it are no longer published" if gone else None,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def scenes_found(home: Home, **search: Any) -> Sequence[Path]:
    """Stores of the products that a search finds: for :func:`~processing.archive.scenes.open_scenes`.

    Parameters
    ----------
    search
        ``collection, bbox, datetime, cql2, limit``, as :func:`~pipelines.catalogue.search_items` takes them.
    """
    from pipelines.catalogue import search_items
    from processing.archive.write import published

    asked = {"collection": None, "bbox": None, "datetime": None, "cql2": None, "limit": 10_000} | search
    features = search_items(home.path, **asked)["features"]
    products = [published(home.path, feature["collection"], feature["id"]) for feature in features]
    return [home.path / product.archive_href for product in products if product is not None]
