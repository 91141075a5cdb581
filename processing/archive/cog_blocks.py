"""A GeoTIFF's image block by block, its overviews from the halves that each block leaves behind."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from processing.archive.cog_file import TILE_PX, CogFile
from processing.archive.pyramid import halve
from processing.archive.store import Level

BLOCK_PX = 4 * TILE_PX
"""Pixels a side of what one task makes: whole tiles of the image and of its first two overviews."""
_GATHERED = 3
"""From this level on a block has less than a tile, and all of them are gathered: a sixty-fourth of the image."""

Array = npt.NDArray[np.generic]


class BlockLevel(Level):
    """A grid in blocks of a GeoTIFF."""

    @property
    def shard(self) -> tuple[int, int]:
        """Rows and columns of a whole block."""
        return BLOCK_PX, BLOCK_PX


class CogBlocks:
    """Takes blocks, in any order and from any number of threads.

    Parameters
    ----------
    file
        Where the tiles go; it is closed by whoever opened it.
    """

    def __init__(self, file: CogFile) -> None:
        self._file = file
        raster, coarse = file.raster, file.shapes[_GATHERED : _GATHERED + 1]
        self._gathered = [np.empty((raster.bands, *shape), dtype=raster.dtype) for shape in coarse]

    def put(self, at: tuple[int, int], rows: Iterable[tuple[int, tuple[Array, ...]]]) -> None:
        """Take one block.

        Parameters
        ----------
        at
            Its first row and column in the image.
        rows
            From top to bottom, as many at a time as a tile has: the first of them, counted from the block's, and an
            array for each band. More arrays than bands are passed over.
        """
        file, fill = self._file, self._file.raster.fill
        parts: list[list[Array]] = [[] for _ in range(file.raster.bands)]
        for first, arrays in rows:
            for band, (kept, array) in enumerate(zip(parts, arrays, strict=False)):
                file.put(0, band, (at[0] + first, at[1]), array)
                kept.append(halve(array, fill))
        halves = [np.concatenate(kept) for kept in parts]
        for level in range(1, len(file.shapes)):
            top, left = at[0] >> level, at[1] >> level
            if level == _GATHERED:
                rows_of, columns_of = halves[0].shape
                self._gathered[0][:, top : top + rows_of, left : left + columns_of] = halves
                break
            for band, half in enumerate(halves):
                file.put(level, band, (top, left), half)
            halves = [halve(half, fill) for half in halves]

    def finish(self) -> None:
        """Make the coarsest overviews, when all blocks were put."""
        file = self._file
        for gathered in self._gathered:
            bands = list(gathered)
            for level in range(_GATHERED, len(file.shapes)):
                for band, array in enumerate(bands):
                    file.put(level, band, (0, 0), array)
                bands = [halve(array, file.raster.fill) for array in bands]
