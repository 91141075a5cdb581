"""A composition as lazy images for the archive's writer, and what its inputs' flags say before anything is written."""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Literal

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import compute
from dask.delayed import Delayed, delayed
from odc.geo.xr import xr_coords

from processing.archive.composition import Composition, Survey
from processing.archive.compute import Progress, chosen_scheduler, counted, run_name, steps
from processing.model.composite_layers import LAYERS, OBSERVATIONS, encoding_of
from processing.model.conventions import SHARD_PX
from processing.model.image import LazyTiles, OrthoImage, Tile
from processing.model.qa import Qa
from processing.model.scene import Band

type Part = Literal["image", "layers"]


def survey_inputs(composition: Composition, *, progress: Progress | None = None) -> Survey:
    """Read the flags of all inputs, block by block, and count. The sums are of integers: the same in whatever order."""
    run, blocks = run_name(), composition.blocks()
    made = delayed(composition, name=f"composition-{run}", traverse=False, pure=True)
    tasks = [
        delayed(Composition.survey)(made, index, dask_key_name=f"survey-{run}-{index[0]}-{index[1]}")
        for index in blocks
    ]
    with counted(steps(progress, len(blocks)), prefix=f"survey-{run}-"):
        found: tuple[Survey, ...] = compute(*tasks, scheduler=chosen_scheduler())
    return reduce(operator.add, found)


def composed_images(
    composition: Composition, *, group: str, bands: Sequence[Band], quantity: str, token: str
) -> tuple[OrthoImage, OrthoImage]:
    """A composition as the images of a product: its bands, and what is said of them. Nothing is read.

    Parameters
    ----------
    composition
        What is composed.
    group, bands, quantity
        Of the image: as its inputs have them, in the composition's order.
    token
        Of all that the pixels depend on; goes into the names of tasks.
    """
    said = tuple(Band(name=name, label=encoding_of(name).title) for name in LAYERS if name in composition.said)
    return (
        OrthoImage(
            group=group,
            geobox=composition.geobox,
            bands=tuple(bands),
            arrays=_Arrays(composition, "image", composition.bands, token),
            quantity=quantity,
        ),
        OrthoImage(
            group=OBSERVATIONS,
            geobox=composition.geobox,
            bands=said,
            arrays=_Arrays(composition, "layers", composition.said, token),
            quantity=OBSERVATIONS,
        ),
    )


@dataclass(frozen=True, slots=True)
class PartTiles:
    """One of the images of a composition. Implements :class:`processing.model.image.TileSource`."""

    composition: Composition
    part: Part
    bands: int

    def tiles(self, index: tuple[int, int]) -> Iterator[Tile]:
        """Pieces of a block."""
        if self.part == "image":
            yield from self.composition.image_tiles(index)
        else:
            yield from self.composition.layer_tiles(index)

    def block(self, index: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        """Pixels ``(band, y, x)`` and flags ``(y, x)`` of one block."""
        shape = tuple(part.stop - part.start for part in self.composition.region(index))
        pixels = np.full((self.bands, *shape), np.nan, np.float32)
        flags = np.full(shape, int(Qa.NODATA), np.uint16)
        for tile in self.tiles(index):
            if tile.values is not None:
                pixels[:, tile.rows, tile.cols] = tile.values
            flags[tile.rows, tile.cols] = tile.qa
        return pixels, flags


class _Arrays:
    """Pixels in whatever form they are asked for. Implements :class:`processing.model.image.ImageArrays`."""

    def __init__(self, composition: Composition, part: Part, bands: tuple[str, ...], token: str) -> None:
        self._source, self._bands = PartTiles(composition, part, len(bands)), bands
        self._name = f"composite-{part}-{token}"

    @property
    def tiles(self) -> LazyTiles:
        return LazyTiles(made=self._made, block_px=SHARD_PX)

    @property
    def pixels(self) -> xr.DataArray:
        return self._labelled[0]

    @property
    def qa(self) -> xr.DataArray:
        return self._labelled[1]

    @cached_property
    def _made(self) -> Delayed:
        made: Delayed = delayed(self._source, name=self._name, traverse=False, pure=True)
        return made

    @cached_property
    def _labelled(self) -> tuple[xr.DataArray, xr.DataArray]:
        coords = xr_coords(self._source.composition.geobox, dims=("y", "x"))
        pixels = xr.DataArray(
            self._joined(0, "pixels", np.float32, (len(self._bands),)), dims=("band", "y", "x"),
            coords={"band": list(self._bands), **coords},
        )  # fmt: skip
        return pixels, xr.DataArray(self._joined(1, "qa", np.uint16, ()), dims=("y", "x"), coords=coords)

    def _joined(self, half: int, name: str, kind: Callable[..., object], first: tuple[int, ...]) -> da.Array:
        composition = self._source.composition
        rows: dict[int, list[da.Array]] = {}
        for index in composition.blocks():
            task = delayed(PartTiles.block)(self._made, index, dask_key_name=f"{self._name}-{index[0]}-{index[1]}")
            shape = tuple(part.stop - part.start for part in composition.region(index))
            part = delayed(operator.getitem)(
                task, half, dask_key_name=f"{self._name}-half-{name}-{index[0]}-{index[1]}"
            )
            block = da.from_delayed(
                part, (*first, *shape), dtype=kind, name=f"{self._name}-{name}-{index[0]}-{index[1]}"
            )
            rows.setdefault(index[0], []).append(block)
        joined: da.Array = da.concatenate([da.concatenate(row, axis=-1) for row in rows.values()], axis=-2)
        return joined
