"""Writing a cube's index: what is wanted against what is there, one commit, made durable, then written down."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import icechunk
import numpy as np
import zarr
from zarr.codecs import BytesCodec

from processing.archive import durable, geozarr
from processing.archive.codecs import zarr_codecs
from processing.archive.cube_grid import ChunkGrid, Tile
from processing.archive.cube_refs import ReferencedProduct, References
from processing.archive.cube_repository import (
    begin,
    clear_slice,
    create_repository,
    files_under,
    open_repository,
    refer,
    resize,
    snapshot_files,
    told_plainly,
)
from processing.archive.cube_state import CubeState, LeftOut, Slice, Stack, check_files, write_state
from processing.archive.encode import fill_of
from processing.archive.layout import GRID_MAPPING, QA
from processing.model.conventions import CHUNK_PX
from processing.model.errors import QyranError
from processing.model.product import Encoding
from processing.model.qa import Qa

_TIMES_IN_CHUNK = 4096


class Wanted(NamedTuple):
    """What a cube is to hold."""

    collection: str
    tile: Tile
    stacks: dict[str, Stack]
    left_out: tuple[LeftOut, ...]


def commit(folder: Path, home: Path, wanted: Wanted, known: CubeState | None) -> CubeState:
    """Bring a cube to what is wanted: all of it, or none.

    Parameters
    ----------
    folder
        Of the cube. The caller holds its lock.
    home
        HOME, whose archive is referred to.
    wanted
        A product in it that proves damaged is left out, and named so.
    known
        What the cube holds now, already found to be whole; None: begin with nothing, in a new repository.

    Returns
    -------
    state
        As written down. From then on readers find it; those that read the one before go on undisturbed.
    """
    archive = home / "archive"
    name = known.repository if known is not None else f"{uuid4().hex[:16]}.icechunk"
    place = folder / name
    before = files_under(place)
    with told_plainly(place):
        repository = open_repository(place, archive) if known is not None else create_repository(place, archive)
        snapshot, stacks, damaged = _committed(repository, home, wanted, known)
        _sync(place, before)
        files = snapshot_files(place, repository, snapshot)
    state = CubeState(
        collection=wanted.collection,
        tile=wanted.tile.name,
        repository=name,
        snapshot=snapshot,
        files=files,
        stacks=stacks,
        left_out=tuple(sorted((*wanted.left_out, *damaged), key=lambda part: part.item)),
    )
    check_files(folder, state)
    write_state(folder, state)
    return state


def _committed(
    repository: icechunk.Repository, home: Path, wanted: Wanted, known: CubeState | None
) -> tuple[str, dict[str, Stack], list[LeftOut]]:
    """The snapshot that holds what is wanted, what that is, and what was left out as damaged."""
    session = begin(repository, known.snapshot if known is not None else None)
    held = known.stacks if known is not None else {}
    left_out: list[LeftOut] = []
    stacks: dict[str, Stack] = {}
    for path, stack in sorted(wanted.stacks.items()):
        whole, found = _referred(home, stack, held.get(path))
        left_out += found
        if not whole:
            continue
        stacks[path] = stack.model_copy(update={"slices": tuple(part for part, _ in whole)})
        _write_stack(session, path, wanted.tile, stacks[path], held.get(path), [given for _, given in whole])
    for path in held.keys() - stacks.keys():
        del zarr.open_group(session.store)[path]
    if session.has_uncommitted_changes:
        return session.commit(f"{sum(len(stack.slices) for stack in stacks.values())} slices"), stacks, left_out
    return session.snapshot_id, stacks, left_out


def _referred(
    home: Path, stack: Stack, before: Stack | None
) -> tuple[list[tuple[Slice, dict[str, References] | None]], list[LeftOut]]:
    """Every slice with its references, None where the cube has them already at that place; and what is damaged."""
    held = set(before.slices) if before is not None else set()
    good: list[Slice] = []
    given: dict[Slice, dict[str, References]] = {}
    left_out = []
    for part in stack.slices:
        if part not in held:
            try:
                given[part] = _references(home, part)
            except QyranError as error:
                left_out.append(LeftOut(item=part.item, revision=part.revision, reason=f"{error.kind}: {error}"))
                continue
        good.append(part)
    whole: list[tuple[Slice, dict[str, References] | None]] = []
    for number, part in enumerate(good):
        stays = before is not None and number < len(before.slices) and before.slices[number] == part
        whole.append((part, None if stays else given.get(part) or _references(home, part)))
    return whole, left_out


def _references(home: Path, part: Slice) -> dict[str, References]:
    product = ReferencedProduct(home, part)
    return {band: product.references(band) for band in (*part.bands, QA)}


def _write_stack(
    session: icechunk.Session,
    path: str,
    tile: Tile,
    stack: Stack,
    before: Stack | None,
    given: list[dict[str, References] | None],
) -> None:
    """One group of arrays ``(time, y, x)``."""
    if before is not None and before.slices == stack.slices and before.bands == stack.bands:
        return
    root = zarr.open_group(session.store) if _has_root(session) else zarr.create_group(session.store)
    place = root[path] if before is not None else _create_group(root, path, tile, stack)
    assert isinstance(place, zarr.Group)
    for band in stack.bands.keys() - (before.bands.keys() if before is not None else stack.bands.keys()):
        _create_array(place, band, tile, stack.resolution, stack.bands[band])
    count = len(stack.slices)
    for band in (*stack.bands, QA):
        array = place[band]
        assert isinstance(array, zarr.Array)
        resize(array, count)
        for number, references in enumerate(given):
            if references is None:
                continue
            if before is not None and number < len(before.slices):
                clear_slice(session, f"{path}/{band}", number)
            if band in references:
                part = stack.slices[number]
                refer(session, f"{path}/{band}", number, (part.rows[0], part.columns[0]), references[band])
    times = place["time"]
    assert isinstance(times, zarr.Array)
    resize(times, count)
    times[:] = np.array([part.acquired.timestamp() * 1e6 for part in stack.slices]).round().astype("int64")
    place.attrs["items"] = [part.item for part in stack.slices]
    place.attrs["revisions"] = [part.revision for part in stack.slices]


def _has_root(session: icechunk.Session) -> bool:
    try:
        zarr.open_group(session.store, mode="r")
    except FileNotFoundError:
        return False
    return True


def _create_group(root: zarr.Group, path: str, tile: Tile, stack: Stack) -> zarr.Group:
    box = ChunkGrid(stack.resolution).geobox(tile)
    place = root.require_group(path)
    place.attrs.put({"Conventions": "CF-1.11", "bands": list(stack.bands), **geozarr.grid_attributes(box)})
    for band, encoding in stack.bands.items():
        _create_array(place, band, tile, stack.resolution, encoding)
    _create_array(place, QA, tile, stack.resolution, None)
    place.create_array(
        "time",
        shape=(0,),
        chunks=(_TIMES_IN_CHUNK,),
        dtype="int64",
        fill_value=0,
        compressors=None,
        dimension_names=("time",),
        attributes={
            "standard_name": "time",
            "long_name": "acquisition",
            "units": "microseconds since 1970-01-01 00:00:00",
            "calendar": "proleptic_gregorian",
        },
    )
    for axis in ("y", "x"):
        values = np.asarray(box.coordinates[axis].values, np.float64)
        array = place.create_array(
            axis,
            shape=values.shape,
            chunks=values.shape,
            dtype="float64",
            fill_value=np.nan,
            dimension_names=(axis,),
            attributes=geozarr.axis_attributes(geozarr.map_crs(box), axis),
        )
        array[:] = values
    mapping = place.create_array(
        GRID_MAPPING,
        shape=(),
        dtype="int32",
        fill_value=-1,
        compressors=None,
        dimension_names=(),
        attributes=geozarr.grid_mapping_attributes(box),
    )
    mapping[...] = 0
    return place


def _create_array(place: zarr.Group, name: str, tile: Tile, resolution: float, encoding: Encoding | None) -> None:
    """An array without a chunk; what is referred to nowhere reads as nodata."""
    box = ChunkGrid(resolution).geobox(tile)
    count = place["time"].shape[0] if "time" in place else 0  # type: ignore[union-attr]
    attributes: dict[str, Any] = {"long_name": "quality flags", "standard_name": "quality_flag"}
    fill: float = int(Qa.NODATA)
    if encoding is not None:
        fill = fill_of(encoding)
        attributes = {"long_name": encoding.title, "units": encoding.units}
        if np.dtype(encoding.dtype).kind != "f":
            attributes |= {
                "_FillValue": encoding.nodata,
                "scale_factor": encoding.scale,
                "add_offset": encoding.offset,
            }
    place.create_array(
        name,
        shape=(count, *box.shape),
        chunks=(1, CHUNK_PX, CHUNK_PX),
        dtype=encoding.dtype if encoding is not None else "uint16",
        fill_value=fill,
        serializer=BytesCodec(),
        compressors=zarr_codecs(),
        dimension_names=("time", "y", "x"),
        attributes=geozarr.linked_to_grid(attributes, box),
    )


def _sync(place: Path, before: Iterable[Path]) -> None:
    """Make what a commit wrote durable: Icechunk asks nothing of the disk."""
    written = files_under(place) - set(before) | {place / "repo"}
    for path in written:
        durable.sync_file(path)
    for folder in {path.parent for path in written} | {place, place.parent}:
        durable.sync_folder(folder)
