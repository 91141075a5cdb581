"""Opening a cube: every scene over a tile as one lazy array of time, band, y and x. No pixel was copied to make it.

>>> cube = open_cube(home, "kazeosat-1-l1c", "epsg32643-e6-n47", mask=["cloud"])
>>> cube.pixels.sel(band="nir").mean("time")
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox

from processing.archive.cube_grid import ChunkGrid, Tile
from processing.archive.cube_keep import cube_folder, digest_of_state, notes_at
from processing.archive.cube_repository import CubeReader, slice_keys
from processing.archive.cube_state import CubeState, Slice, Stack, check_files, damaged, missing_cube, read_state
from processing.archive.encode import fill_of
from processing.archive.geozarr import map_crs
from processing.archive.open import mask_bits
from processing.archive.shard_read import ArrayLayout, Region, decode_chunk, place_chunk
from processing.archive.source import Reading
from processing.archive.stack import Moment, stacked
from processing.archive.window import Bounds, window_of
from processing.model.conventions import CHUNK_PX
from processing.model.errors import BadInput
from processing.model.product import Encoding
from processing.model.qa import Qa


def open_cube(
    home: Path,
    collection: str,
    tile: str | Tile,
    *,
    group: str | None = None,
    bounds: Bounds | GeoBox | None = None,
    crs: Any = None,
    masked: bool = True,
    mask: Sequence[str] = (),
) -> xr.Dataset:
    """Open one measurement group of a cube, at its finest level.

    Parameters
    ----------
    home
        HOME.
    collection, tile
        Whose scenes, over which square of 100 km: ``epsg32643-e6-n47``.
    group
        Measurement group, ``reflectance``, or group and level, ``reflectance/r4m``; may be left out where there is
        only one.
    bounds, crs
        As in :func:`~processing.archive.open.open_product`. Left out: the part of the tile that scenes cover.
    masked, mask
        As in :func:`~processing.archive.open.open_product`.

    Returns
    -------
    dataset
        ``pixels`` ``(time, band, y, x)`` and ``qa`` ``(time, y, x)``, lazy, sorted by time; coordinates ``time``
        (UTC), ``item``, ``revision``, ``band``, pixel centres, ``spatial_ref``. Where a scene does not reach there is
        nodata; where bytes were lost, reading raises. Attributes ``pending`` and ``left_out`` name the products that
        should be in the cube and are not: waiting for the next commit, or damaged.

    Raises
    ------
    BadInput
        ``cube.not_found``; ``cube.tile``, ``product.group``, ``product.mask``; ``window.outside``.
    Defect
        ``cube.damaged`` if the index, or what it refers to, is not what was written: now or when pixels are read.
    """
    place = Tile.of(tile)
    folder = cube_folder(home, collection, place)
    state = read_state(folder)
    if state is None:
        raise missing_cube(collection, place.name, folder)
    check_files(folder, state)
    name = _chosen(state, group, folder)
    stack = state.stacks[name]
    box = ChunkGrid(stack.resolution).geobox(place)
    window = _window(stack, box, bounds, crs)
    reader = CubeReader(folder / state.repository, home / "archive", state.snapshot)
    reading = Reading(masked, mask_bits(mask))
    moments = [
        Moment(part.acquired, part.item, part.revision, _SlicePlanes(reader, name, number, part, stack))
        for number, part in enumerate(stack.slices)
    ]
    found = stacked(moments, stack.bands, box[window], _top_left(window), reading, digest_of_state(state))
    found.attrs |= {
        "collection": collection,
        "tile": place.name,
        "group": name,
        "pending": [note.name.rpartition("--")[0] for note in notes_at(folder)],
        "left_out": [f"{part.item}: {part.reason}" for part in state.left_out],
    }
    return found


def _chosen(state: CubeState, group: str | None, folder: Path) -> str:
    names = list(state.stacks)
    matching = [name for name in names if group in (None, name, name.partition("/")[0])]
    if len(matching) == 1:
        return matching[0]
    asked = "none was named" if group is None else f"'{group}' was asked for"
    raise BadInput(f"the cube has the groups {names}, and {asked}", kind="product.group", where=str(folder))


def _top_left(window: Region) -> tuple[int, int]:
    return window[0].start, window[1].start


def _window(stack: Stack, box: GeoBox, bounds: Bounds | GeoBox | None, crs: Any) -> Region:
    """The pixels of the tile that are wanted; by default all rows and columns of chunks with one of a scene."""
    if bounds is not None:
        if isinstance(bounds, GeoBox):
            rectangle, crs = bounds.boundingbox, bounds.crs
            bounds = (rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
        transform = tuple(box.affine)[:6]
        return window_of(bounds, crs, transform, (int(box.shape[0]), int(box.shape[1])), map_crs(box))
    spans = []
    for axis in ("rows", "columns"):
        first = min(getattr(part, axis)[0] for part in stack.slices)
        last = max(getattr(part, axis)[1] for part in stack.slices)
        spans.append(slice(first * CHUNK_PX, last * CHUNK_PX))
    return spans[0], spans[1]


class _SlicePlanes:
    """The arrays of one scene in a cube, on the tile's pixels."""

    def __init__(self, reader: CubeReader, stack: str, index: int, part: Slice, how: Stack) -> None:
        self.reader, self.stack, self.index, self.part = reader, stack, index, part
        self.encodings = {band: how.bands[band] for band in part.bands}
        self.extent = (
            slice(part.rows[0] * CHUNK_PX, part.rows[1] * CHUNK_PX),
            slice(part.columns[0] * CHUNK_PX, part.columns[1] * CHUNK_PX),
        )

    def encoding(self, band: str) -> Encoding | None:
        """How a band's numbers are kept; None if the scene has no such band."""
        return self.encodings.get(band)

    def read(self, band: str, region: Region) -> npt.NDArray[Any]:
        """Pixels of a window inside the extent; every chunk of it must be there."""
        encoding = self.encodings.get(band)
        layout = ArrayLayout(
            shape=(0, 0),
            shard=(CHUNK_PX, CHUNK_PX),
            chunk=(CHUNK_PX, CHUNK_PX),
            dtype=np.dtype(encoding.dtype if encoding is not None else "uint16").newbyteorder("<"),
            fill=fill_of(encoding) if encoding is not None else int(Qa.NODATA),
        )
        rows, columns = (range(part.start // CHUNK_PX, -(-part.stop // CHUNK_PX)) for part in region)
        keys = slice_keys(f"{self.stack}/{band}", self.index, rows, columns)
        result = np.empty([part.stop - part.start for part in region], dtype=layout.dtype)
        places = [(row * CHUNK_PX, column * CHUNK_PX) for row in rows for column in columns]
        for key, first, raw in zip(keys, places, self.reader.read(keys), strict=True):
            where = f"{self.part.item} {self.part.revision}, {key}"
            if raw is None:
                raise damaged("a reference that was written is gone", where)
            place_chunk(decode_chunk(raw, layout, where), first, region, result)
        return result
