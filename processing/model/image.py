"""An image on a map."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.delayed import Delayed
from odc.geo.geobox import GeoBox

from processing.model.levels import Quantity
from processing.model.scene import Band


class Tile(NamedTuple):
    """A piece of one block of an image."""

    rows: slice
    """Within the block."""
    cols: slice
    values: npt.NDArray[np.float32] | None
    """``(band, y, x)``; None where no band has a value."""
    qa: npt.NDArray[np.uint16]


class TileSource(Protocol):
    """Makes a block of an image piece by piece, for a writer that takes each piece while it is in the cache."""

    def tiles(self, index: tuple[int, int]) -> Iterator[Tile]:
        """Pieces of a block by its row and column; what no piece covers has neither value nor flag but NODATA."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyTiles:
    """A tile source as a task, and which lazy arrays hold the same pixels."""

    made: Delayed
    """Becomes a :class:`TileSource`."""
    names: tuple[str, str]
    """Dask names of the pixels and the qa that it stands for."""
    block_px: int
    """Pixels a side of a whole block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an image was delivered as."""

    dtype: str
    nodata: int | None
    """Count that stood for no value; None where none was stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoImage:
    """Bands of one group, orthorectified onto one grid, lazy.

    ``pixels``: float32 ``(band, y, x)`` in physical units, NaN where nodata.
    ``qa``: uint16 ``(y, x)``, the bits of :class:`processing.model.qa.Qa`.
    Both are chunked by whole shards of the archive, so that one task makes and writes one shard.
    """

    group: str
    """Measurement group of the product: ``reflectance``, ``pan``, ``index``."""
    geobox: GeoBox
    bands: tuple[Band, ...]
    pixels: xr.DataArray
    qa: xr.DataArray
    quantity: Quantity | str
    warnings: tuple[str, ...] = ()
    """What a careful reader should know, from the delivery to here."""
    counts: Counts | None = None
    """Where the values are delivered counts: of what kind."""
    pieces: LazyTiles | None = None
    """The same pixels piece by piece, where a stage can make them so."""

    @property
    def tiles(self) -> LazyTiles | None:
        """The pieces, if they still stand for the pixels and the qa: not when a later stage has changed one."""
        if self.pieces is None or self.pieces.names != (self.pixels.data.name, self.qa.data.name):
            return None
        return self.pieces
