"""An image on a map."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from dask.delayed import Delayed
from odc.geo.geobox import GeoBox

from processing.model.levels import Quantity
from processing.model.scene import Band

if TYPE_CHECKING:
    import xarray as xr


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
    """A tile source as a task."""

    made: Delayed
    """Becomes a :class:`TileSource`."""
    block_px: int
    """Pixels a side of a whole block."""


class ImageArrays(Protocol):
    """An image's pixels, in whatever form its maker has them."""

    @property
    def pixels(self) -> "xr.DataArray":
        """As :attr:`OrthoImage.pixels`."""
        ...

    @property
    def qa(self) -> "xr.DataArray":
        """As :attr:`OrthoImage.qa`."""
        ...

    @property
    def tiles(self) -> LazyTiles | None:
        """The same pixels piece by piece, where a stage can make them so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """Pixels and qa as lazy arrays, and nothing else."""

    pixels: "xr.DataArray"
    qa: "xr.DataArray"

    @property
    def tiles(self) -> None:
        """There are none."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an image was delivered as."""

    dtype: str
    nodata: int | None
    """Count that stood for no value; None where none was stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoImage:
    """Bands of one group, orthorectified onto one grid, lazy."""

    group: str
    """Measurement group of the product: ``reflectance``, ``pan``, ``index``."""
    geobox: GeoBox
    bands: tuple[Band, ...]
    arrays: ImageArrays
    quantity: Quantity | str
    warnings: tuple[str, ...] = ()
    """What a careful reader should know, from the delivery to here."""
    counts: Counts | None = None
    """Where the values are delivered counts: of what kind."""

    @property
    def pixels(self) -> "xr.DataArray":
        """float32 ``(band, y, x)`` in physical units, NaN where nodata.

        Chunked by whole shards of the archive, so that one task makes and writes one shard.
        """
        return self.arrays.pixels

    @property
    def qa(self) -> "xr.DataArray":
        """uint16 ``(y, x)``, the bits of :class:`processing.model.qa.Qa`, chunked as the pixels."""
        return self.arrays.qa

    @property
    def tiles(self) -> LazyTiles | None:
        """The same pixels piece by piece, where a stage can make them so: not when a later one has changed them."""
        return self.arrays.tiles
