"""Tiles: squares of a hundred kilometres on a map, and how a product's grid lies in one.

Every scene lies on a lattice of its zone with origin (0, 0), so its chunks are chunks of any tile too. Names are the
map's own numbers, not MGRS squares: those end at the borders of zones and latitude bands, and scenes do not.
"""

import math
import re
from dataclasses import dataclass
from typing import Self

from affine import Affine
from odc.geo.geobox import GeoBox

from processing.model.conventions import CHUNK_PX
from processing.model.errors import BadInput
from processing.model.product import StoredGroup

TILE_M = 100_000
_NAME = re.compile(r"([a-z]+)([0-9]+)-e(-?[0-9]+)-n(-?[0-9]+)")
_SLACK = 1e-6
"""Of a chunk: what rounding in a transform may come to."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A square of 100 km: ``epsg32643-e6-n47`` begins 600 km east and 4,700 km north of the map's origin."""

    crs: str
    """``EPSG:n``."""
    east: int
    north: int
    """Of the lower left corner, hundreds of kilometres."""

    @property
    def name(self) -> str:
        """As in folders and commands."""
        return f"{self.crs.replace(':', '').lower()}-e{self.east}-n{self.north}"

    @classmethod
    def of(cls, name: "str | Tile") -> "Tile":
        """A tile by its name.

        Raises
        ------
        BadInput
            ``cube.tile`` if it is none.
        """
        if isinstance(name, Tile):
            return name
        found = _NAME.fullmatch(name)
        if found is None:
            raise BadInput(
                f"'{name}' is no tile",
                kind="cube.tile",
                remedy="A tile is named like epsg32643-e6-n47: qyran cube list.",
            )
        authority, code, east, north = found.groups()
        return cls(f"{authority.upper()}:{code}", int(east), int(north))


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """A grid of whole chunks from the map's origin, at one pixel size."""

    resolution: float

    @property
    def pitch(self) -> float:
        """Side of a chunk, units of the map."""
        return self.resolution * CHUNK_PX

    def tile_span(self, tile: Tile) -> tuple[range, range]:
        """Rows (down, from the origin: negative in the north) and columns of the chunks that a tile touches."""
        top, left = -(tile.north + 1) * TILE_M, tile.east * TILE_M
        return self._chunks(top, top + TILE_M), self._chunks(left, left + TILE_M)

    def _chunks(self, first: float, last: float) -> range:
        return range(math.floor(first / self.pitch + _SLACK), math.ceil(last / self.pitch - _SLACK))

    def geobox(self, tile: Tile) -> GeoBox:
        """The pixels of a tile: all of its chunks, whole."""
        rows, columns = self.tile_span(tile)
        affine = Affine(self.resolution, 0, columns.start * self.pitch, 0, -self.resolution, -rows.start * self.pitch)
        return GeoBox((len(rows) * CHUNK_PX, len(columns) * CHUNK_PX), affine, tile.crs)


@dataclass(frozen=True, slots=True)
class Footing:
    """Where the chunks of a product's grid lie on the chunk grid of its map."""

    grid: ChunkGrid
    rows: range
    columns: range
    """Chunks from the map's origin."""

    @classmethod
    def of(cls, group: StoredGroup) -> Self | None:
        """Of a measurement group, or None if its chunks are not chunks of the lattice."""
        a, b, c, d, e, f = group.transform
        if b or d or a <= 0 or not math.isclose(a, -e, rel_tol=1e-12) or min(group.shape) < CHUNK_PX:
            return None
        grid = ChunkGrid(a)
        left, top = c / grid.pitch, -f / grid.pitch
        if abs(left - round(left)) > _SLACK or abs(top - round(top)) > _SLACK:
            return None
        rows, columns = (math.ceil(length / CHUNK_PX) for length in group.shape)
        return cls(grid, range(round(top), round(top) + rows), range(round(left), round(left) + columns))

    def tiles(self, crs: str) -> tuple[Tile, ...]:
        """Every tile that has a chunk of it."""
        per_tile = TILE_M / self.grid.pitch
        easts = range(
            math.floor(self.columns.start / per_tile + _SLACK), math.ceil(self.columns.stop / per_tile - _SLACK)
        )
        downs = range(math.floor(self.rows.start / per_tile + _SLACK), math.ceil(self.rows.stop / per_tile - _SLACK))
        return tuple(Tile(crs, east, -down - 1) for down in downs for east in easts)

    def within(self, tile: Tile) -> tuple[range, range]:
        """Its chunks that lie in a tile, counted from the tile's first; empty where they do not meet."""
        found = []
        for own, whole in zip((self.rows, self.columns), self.grid.tile_span(tile), strict=True):
            low, high = max(own.start, whole.start), min(own.stop, whole.stop)
            found.append(range(low - whole.start, max(high, low) - whole.start))
        return found[0], found[1]
