"""A composite's pixels, piece by piece: of every input only the windows beneath a piece are read, flags before bands.

No piece holds more than :data:`_PIECE_BYTES` of stacks, however many inputs there are. What a pixel becomes depends on
the inputs alone: not on pieces, shards, workers, or the order in which inputs were named.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from processing.archive.encode import decode
from processing.archive.footprint import inside
from processing.archive.layout import QA
from processing.archive.open import choose
from processing.archive.shard_read import Region
from processing.archive.source import StoredArray
from processing.archive.stack import read_plane
from processing.model.composite_layers import COUNT, DAY, LAYERS, day_of, encoding_of
from processing.model.conventions import CHUNK_PX, SHARD_PX
from processing.model.errors import BadInput
from processing.model.image import Tile
from processing.model.product import Encoding
from processing.model.qa import Qa
from processing.products.composite import (
    Flags,
    Method,
    Truth,
    chosen_of,
    count_clear,
    is_clear,
    joined_flags,
    median,
    pick,
)

_PIECE_BYTES = 96 << 20
"""Of flags and one band of all inputs, and what is made of them."""
_PIXEL_BYTES = 16
"""Of one pixel of one input: its flag, its number, its copies in order."""
_LEAST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Layer:
    """One input on the composite's grid."""

    name: str
    """``COLLECTION/ID``."""
    acquired: datetime
    view_zenith_deg: float | None
    bands: Mapping[str, StoredArray]
    flags: StoredArray
    quantity: str
    extent: Region
    """Rows and columns of the composite's grid that it reaches."""

    @classmethod
    def of(
        cls, store: Path, group: str, name: str, acquired: datetime, view_zenith_deg: float | None, extent: Region
    ) -> "Layer":
        """The finest level of a product's group.

        Raises
        ------
        BadInput
            ``composite.group`` if its numbers are no integers.
        Defect
            ``archive.corrupt`` if its metadata are damaged.
        """
        facts = choose(store, group=group, level=0).facts
        if any(band.encoding is None for band in facts.bands.values()):
            raise BadInput(f"the bands of '{group}' are not stored as integers", kind="composite.group", where=name)
        quantities = {str(band.attributes.get("quantity")) for band in facts.bands.values()}
        return cls(name, acquired, view_zenith_deg, facts.bands, facts.flags, "|".join(sorted(quantities)), extent)

    def read(self, band: str, region: Region) -> npt.NDArray[Any]:
        """Stored numbers of a band, or of the flags, in a window of the composite's grid inside the extent."""
        array = self.flags if band == QA else self.bands[band]
        rows, columns = (
            slice(part.start - own.start, part.stop - own.start) for part, own in zip(region, self.extent, strict=True)
        )
        return array.read((rows, columns))

    def encoding(self, band: str) -> Encoding | None:
        """How a band's numbers are kept."""
        return self.bands[band].encoding


def by_preference(layers: Sequence[Layer], method: Method) -> tuple[Layer, ...]:
    """Inputs so that of equally good observations the first is taken.

    ``clearest`` prefers the steeper view; then, as ``latest``, the later one; then the name decides.
    """
    ordered = sorted(sorted(layers, key=lambda layer: layer.name), key=lambda layer: layer.acquired, reverse=True)
    if method is Method.CLEAREST:
        ordered.sort(key=lambda layer: 90.0 if layer.view_zenith_deg is None else layer.view_zenith_deg)
    return tuple(ordered)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the flags of all inputs say of an area, in pixels."""

    covered: int
    """Pixels that the composite has a value for."""
    observations: int
    """Clear observations of those, together."""
    most: int
    """The most of one pixel."""
    clear: tuple[int, ...]
    """Clear pixels of each input."""
    used: tuple[int, ...]
    """Pixels that each input had a part in."""

    def __add__(self, other: "Survey") -> "Survey":
        return Survey(
            self.covered + other.covered,
            self.observations + other.observations,
            max(self.most, other.most),
            tuple(one + two for one, two in zip(self.clear, other.clear, strict=True)),
            tuple(one + two for one, two in zip(self.used, other.used, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """What the flags say of a piece of a block."""

    region: Region
    """In the composite's grid."""
    layers: tuple[int, ...]
    """Places of the inputs that reach it."""
    flags: Flags
    clear: Truth
    """``(input, y, x)``."""
    count: npt.NDArray[np.uint16]
    """Clear observations, 0 where they are too few."""
    chosen: npt.NDArray[np.intp] | None
    """Place of the input taken, -1 where there is none; None of a method that takes no single one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """All that decides a composite's pixels."""

    geobox: GeoBox
    layers: tuple[Layer, ...]
    """In order of preference; see :func:`by_preference`."""
    bands: tuple[str, ...]
    method: Method
    minimum: int
    """Clear observations that a pixel needs, or it has no value."""
    rings: tuple[Polygon, ...]
    """Of the area, as :func:`processing.archive.composed_area.rings_on` gives them."""

    @property
    def area(self) -> float:
        """Of what is asked for, wherever there are observations, in squares of the map's unit."""
        whole: BaseGeometry = Polygon()
        for ring in self.rings:
            # A ring around a pole touches itself, where it comes and where it goes.
            whole = shapely.symmetric_difference(whole, shapely.make_valid(ring, method="structure"))
        return float(whole.area)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.geobox.shape[0]), int(self.geobox.shape[1])

    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Indices of all blocks: the shards of the archive."""
        rows, columns = (-(-length // SHARD_PX) for length in self.shape)
        return tuple((row, column) for row in range(rows) for column in range(columns))

    def region(self, index: tuple[int, int]) -> Region:
        """Pixels of a block."""
        rows, columns = (
            slice(number * SHARD_PX, min((number + 1) * SHARD_PX, length))
            for number, length in zip(index, self.shape, strict=True)
        )
        return rows, columns

    def survey(self, index: tuple[int, int]) -> Survey:
        """What flags say of a block; no band is read."""
        nothing = (0,) * len(self.layers)
        total = Survey(0, 0, 0, nothing, nothing)
        for piece in self._pieces(index):
            clear, used = [0] * len(self.layers), [0] * len(self.layers)
            enough = piece.count > 0
            for number, place in enumerate(piece.layers):
                clear[place] = int(np.count_nonzero(piece.clear[number]))
                part = piece.clear[number] & enough if piece.chosen is None else (piece.chosen == number) & enough
                used[place] = int(np.count_nonzero(part))
            total += Survey(
                int(np.count_nonzero(enough)), int(piece.count.sum(dtype=np.int64)), int(piece.count.max(initial=0)),
                tuple(clear), tuple(used),
            )  # fmt: skip
        return total

    def image_tiles(self, index: tuple[int, int]) -> Iterator[Tile]:
        """Bands of a block, piece by piece."""
        for piece in self._pieces(index):
            values = None
            if piece.count.any():
                values = np.stack([self._band(piece, band) for band in self.bands])
            yield self._tile(piece, index, values)

    def layer_tiles(self, index: tuple[int, int]) -> Iterator[Tile]:
        """What is said of a block's pixels: observations, and the day where one of them was taken."""
        days = np.array([day_of(layer.acquired) for layer in self.layers], np.uint16)
        for piece in self._pieces(index):
            said = {COUNT: piece.count}
            if piece.chosen is not None:
                taken = days[list(piece.layers)] if piece.layers else days[:0]
                day = np.zeros(piece.count.shape, np.uint16)
                enough = piece.count > 0
                day[enough] = taken[piece.chosen[enough]]
                said[DAY] = day
            values = np.stack([decode(said[name], encoding_of(name)) for name in self.said])
            yield self._tile(piece, index, values)

    @property
    def said(self) -> tuple[str, ...]:
        """Names of the layers beside the image."""
        return LAYERS[:1] if self.method is Method.MEDIAN else LAYERS

    def _band(self, piece: _Piece, band: str) -> npt.NDArray[np.float32]:
        layers = [self.layers[place] for place in piece.layers]
        encoding = layers[0].encoding(band)
        assert encoding is not None
        kind, nodata = np.dtype(encoding.dtype), encoding.nodata
        stack = np.full(piece.clear.shape, nodata, kind)
        for number, layer in enumerate(layers):
            needed = piece.clear[number] if piece.chosen is None else piece.chosen == number
            if needed.any():
                stack[number] = read_plane(layer, band, piece.region, nodata, kind)
        found = median(stack, piece.clear, nodata) if piece.chosen is None else pick(stack, piece.chosen, nodata)
        return decode(np.where(piece.count > 0, found, kind.type(nodata)), encoding)

    def _tile(self, piece: _Piece, index: tuple[int, int], values: npt.NDArray[np.float32] | None) -> Tile:
        if piece.chosen is None:
            flags = joined_flags(piece.flags, piece.clear)
        else:
            flags = pick(piece.flags, piece.chosen, int(Qa.NODATA))
        flags = np.where(piece.count > 0, flags, np.uint16(Qa.NODATA))
        block = self.region(index)
        rows, columns = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(piece.region, block, strict=True)
        )
        return Tile(rows, columns, values, flags)

    def _pieces(self, index: tuple[int, int]) -> Iterator[_Piece]:
        """Pieces of a block from top to bottom, no wider than a chunk, and as high as memory allows."""
        rows, columns = self.region(index)
        height = max(_LEAST_ROWS, min(CHUNK_PX, _PIECE_BYTES // (_PIXEL_BYTES * CHUNK_PX * max(len(self.layers), 1))))
        for top in range(rows.start, rows.stop, height):
            for left in range(columns.start, columns.stop, CHUNK_PX):
                yield self._piece(
                    (slice(top, min(top + height, rows.stop)), slice(left, min(left + CHUNK_PX, columns.stop)))
                )

    def _piece(self, region: Region) -> _Piece:
        shape = (region[0].stop - region[0].start, region[1].stop - region[1].start)
        within = np.zeros(shape, np.bool_)
        for ring in self.rings:
            within ^= inside(ring, self.geobox, region)
        reaching = tuple(
            place for place, layer in enumerate(self.layers) if within.any() and _meet(layer.extent, region)
        )
        absent = int(Qa.NODATA)
        flags = np.empty((len(reaching), *shape), np.uint16)
        for number, place in enumerate(reaching):
            flags[number] = read_plane(self.layers[place], QA, region, absent, np.dtype(np.uint16))
        clear = is_clear(flags) & within
        count = count_clear(clear)
        count[count < self.minimum] = 0
        chosen = None if self.method is Method.MEDIAN else chosen_of(flags, clear, self.method)
        return _Piece(region, reaching, flags, clear, count, chosen)


def _meet(one: Region, two: Region) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, two, strict=True))
