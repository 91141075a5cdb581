"""One shard of an orthoimage, all bands: map, read, calibrate, resample and flag, tile by tile, in one pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from processing.geometry.lattice import Lattice, Nodes, lattice_nodes
from processing.geometry.layered import ground_of, map_window
from processing.geometry.mapping import Mapping
from processing.geometry.occlusion import Visibility
from processing.geometry.pixel_kernel import Figures, calibrate_tile, interleave, reach_of_tile
from processing.geometry.plan import OrthoBlock, Window, enclosing
from processing.geometry.resample import any_tap
from processing.geometry.tap_kernel import resample_tile
from processing.geometry.terrain import Terrain
from processing.geometry.tile_kernel import negative_clearance
from processing.model.calibration import Calibration
from processing.model.errors import Defect
from processing.model.image import Tile
from processing.model.qa import Qa
from processing.model.scene import PixelSource
from processing.model.sensor_model import SensorModel

TILE_PX = 125
"""Pixels a side of what is mapped and resampled at a time: its source, positions and values stay in the second cache
(1 MB for four bands), and it fits into the archive's chunks."""
READ_PX = 4 * TILE_PX
"""Rows of output for which the image is read at a time: more would hold more memory, fewer read more twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoJob:
    """What every block's task must know."""

    geobox: GeoBox
    lattice: Lattice
    model: SensorModel
    image: tuple[int, int]
    """Lines and samples."""
    bands: int
    taps: int
    scale: tuple[float, float]
    """Source pixels a step of the output, by line and sample; 1 where the kernel is not to be widened."""
    calibration: Calibration
    flags: int = 0
    """Bits of :class:`processing.model.qa.Qa` to raise on every pixel that has a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoBlocks:
    """All blocks of an orthoimage, to be made where and when they are needed.

    Implements :class:`processing.model.image.TileSource`.
    """

    job: OrthoJob
    terrain: Terrain
    pixels: PixelSource
    blocks: tuple[OrthoBlock, ...]
    columns: int
    """Blocks side by side."""
    visibility: Visibility | None = None

    def tiles(self, index: tuple[int, int]) -> Iterator[Tile]:
        """Tiles of one block that the image may reach; nothing outside the block's source window is read.

        Raises
        ------
        Defect
            ``geometry.plan`` if a tap lies outside the window that the plan foresaw.
        """
        block, job = self.blocks[index[0] * self.columns + index[1]], self.job
        if not block.strips:
            return
        edges = (block.window.row0, block.window.row1, block.window.col0, block.window.col1)
        nodes = lattice_nodes(job.lattice, job.geobox, edges, job.model, self.terrain)
        for read, tiles in _readings(block):
            counts = np.asarray(
                self.pixels[slice(0, job.bands), slice(read.row0, read.row1), slice(read.col0, read.col1)]
            )
            for tile in tiles:
                rows, cols = (tile.row0, tile.row1), (tile.col0, tile.col1)
                mapping = map_window(nodes, job.lattice, job.geobox, rows, cols, job.model, self.terrain, job.image)
                values, bits, missed = _tile(job, mapping, counts, read)
                if missed:
                    raise Defect(
                        f"the plan of block {index} missed source pixels of {missed} output pixels",
                        kind="geometry.plan",
                    )
                if self.visibility is not None:
                    hidden = _hidden(job, self.terrain, nodes, tile, self.visibility)
                    # Ground that the image does not show is not hidden in it.
                    hidden[(bits & np.uint16(Qa.NODATA)) != 0] = 0
                    bits |= hidden
                yield Tile(
                    slice(tile.row0 - block.window.row0, tile.row1 - block.window.row0),
                    slice(tile.col0 - block.window.col0, tile.col1 - block.window.col0),
                    values,
                    bits,
                )
            del counts  # before the next ones are read: two windows would be held at a time

    def block(self, index: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        """Pixels ``(band, y, x)`` and flags ``(y, x)`` of one block."""
        shape = self.blocks[index[0] * self.columns + index[1]].window.shape
        pixels = np.full((self.job.bands, *shape), np.nan, dtype=np.float32)
        qa = np.full(shape, Qa.NODATA, dtype=np.uint16)
        for rows, cols, values, bits in self.tiles(index):
            if values is not None:
                pixels[:, rows, cols] = values
            qa[rows, cols] = bits
        return pixels, qa


def _readings(block: OrthoBlock) -> Iterator[tuple[Window, list[Window]]]:
    """What to read of the image at a time, and the tiles to make of that: all that the image may reach, in order."""
    for first in range(block.window.row0, block.window.row1, READ_PX):
        last = min(first + READ_PX, block.window.row1)
        tiles = [
            tile for row in range(first, last, TILE_PX) for tile in _tile_row(block, row, min(row + TILE_PX, last))
        ]
        sources = [
            source
            for strip, source in zip(block.strips, block.sources, strict=True)
            if strip.row0 < last and strip.row1 > first
        ]
        if tiles:
            yield enclosing(sources), tiles


def _tile_row(block: OrthoBlock, first: int, last: int) -> Iterator[Window]:
    """Tiles of a range of rows."""
    strips = [strip for strip in block.strips if strip.row0 < last and strip.row1 > first]
    if strips:
        left, right = min(strip.col0 for strip in strips), max(strip.col1 for strip in strips)
        for col in range(left, right, TILE_PX):
            yield Window(row0=first, row1=last, col0=col, col1=min(col + TILE_PX, right))


def _tile(
    job: OrthoJob, mapping: Mapping, counts: npt.NDArray[Any], read: Window
) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.uint16], int]:
    """Values ``(band, y, x)`` (None for none), flags, and how many pixels the window's pixels did not suffice for."""
    shape = mapping.line.shape
    bits = np.where(mapping.void, np.uint16(Qa.NO_TERRAIN | Qa.NODATA), np.uint16(0))
    line, sample = mapping.line.ravel(), mapping.sample.ravel()
    low_line, high_line, low_sample, high_sample = reach_of_tile(line, sample, job.image)
    if high_line < 0:
        return None, bits | np.uint16(Qa.NODATA), 0
    reach = [int(np.ceil(job.taps / 2 * max(factor, 1.0))) + 1 for factor in job.scale]
    rows = slice(max(low_line - reach[0], read.row0) - read.row0, min(high_line + reach[0] + 1, read.row1) - read.row0)
    cols = slice(
        max(low_sample - reach[1], read.col0) - read.col0, min(high_sample + reach[1] + 1, read.col1) - read.col0
    )
    part = counts[:, rows, cols]
    origin = (rows.start + read.row0, cols.start + read.col0)
    calibration = job.calibration
    pixels = np.empty((*part.shape[1:], job.bands), dtype=np.float32)
    nodata = np.nan if calibration.nodata is None else float(calibration.nodata)
    threshold = np.inf if calibration.saturated is None else float(calibration.saturated)
    saturated = interleave(part, nodata, threshold, pixels)
    values = np.empty((job.bands, line.size), dtype=np.float32)
    missed = resample_tile(pixels, origin, job.image, line, sample, job.taps, job.scale, values)
    if saturated:
        touched = np.empty(line.size, dtype=np.bool_)
        any_tap((pixels >= threshold).any(axis=2), origin, job.image, line, sample, job.taps, job.scale, touched)
        touched &= ~np.isnan(values).all(axis=0)
        bits[touched.reshape(shape)] |= np.uint16(Qa.SATURATED)
    calibrate_tile(
        values,
        line,
        sample,
        job.image,
        Figures(np.array(calibration.gains), np.array(calibration.offsets), np.array(calibration.illumination)),
        bits.reshape(-1),
        int(Qa.NODATA),
    )
    if job.flags:
        bits[bits & np.uint16(Qa.NODATA) == 0] |= np.uint16(job.flags)
    return values.reshape(job.bands, *shape), bits, missed


def _hidden(
    job: OrthoJob, terrain: Terrain, nodes: Nodes, tile: Window, visibility: Visibility
) -> npt.NDArray[np.uint16]:
    """OCCLUDED and TERRAIN_SHADOW of a tile's pixels."""
    bits = np.zeros(tile.shape, dtype=np.uint16)
    for clearance, flag in ((visibility.view, Qa.OCCLUDED), (visibility.sun, Qa.TERRAIN_SHADOW)):
        if clearance is not None:
            hidden = np.empty(tile.shape, dtype=np.bool_)
            negative_clearance(ground_of(nodes, job.lattice, terrain), clearance, (tile.row0, tile.col0), hidden)
            bits[hidden] |= np.uint16(flag)
    return bits
