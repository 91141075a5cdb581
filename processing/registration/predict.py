"""What a scene would look like on a reference's grid: small orthoimages, made where they are asked for."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from processing.geometry.mapping import map_pixels
from processing.geometry.resample import Resampling, resample
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel

Grey = npt.NDArray[np.float32]

_VISIBLE = ("red", "green", "blue")


class ReferenceImage(Protocol):
    """An image on a map, by windows. :class:`processing.readers.reference.ReferenceRaster` is one."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def crs(self) -> str:
        """Anything pyproj reads."""
        ...

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) corners to map."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        ...

    def grey(self, rows: tuple[int, int], cols: tuple[int, int], factor: int = 1) -> Grey:
        """Grey values of a window as means over ``factor`` pixels a side; NaN where no value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyScene:
    """One grey image of a scene: its panchromatic band, the mean of its visible ones, or its first."""

    scene: Scene
    bands: tuple[int, ...]

    @classmethod
    def of(cls, scene: Scene) -> "GreyScene":
        """The grey image that looks most like other images of the same ground.

        Raises
        ------
        BadInput
            ``scene.no_pixels``.
        """
        if scene.source is None:
            raise BadInput(f"scene '{scene.scene_id}' holds no pixels to match", kind="scene.no_pixels")
        names = scene.band_names
        visible = tuple(names.index(name) for name in _VISIBLE if name in names)
        return cls(scene=scene, bands=(names.index("pan"),) if "pan" in names else visible or (0,))

    def window(self, lines: tuple[int, int], samples: tuple[int, int]) -> Grey:
        """Counts ``(1, lines, samples)``; NaN where any band has no value."""
        # All bands at once: where a file holds them pixel by pixel, each would decode the others too.
        first, last = min(self.bands), max(self.bands) + 1
        assert self.scene.source is not None
        values = self.scene.source[slice(first, last), slice(*lines), slice(*samples)]
        values = values[[band - first for band in self.bands]]
        grey = values.astype(np.float32)
        if self.scene.nodata is not None:
            grey[values == self.scene.nodata] = np.nan
        return np.mean(grey, axis=0, keepdims=True).astype(np.float32)


def predict(image: GreyScene, model: SensorModel, terrain: Terrain, geobox: GeoBox, *, scale: float = 1.0) -> Grey:
    """The scene on a small grid, through a model and the terrain.

    Parameters
    ----------
    image
        What to sample.
    model
        Sensor model; need not be the scene's own.
    terrain
        Heights above the ellipsoid.
    geobox
        Grid of the result.
    scale
        Pixels of the image a pixel of the grid; above 1 the kernel is widened by it, so that nothing aliases.

    Returns
    -------
    ndarray
        float32, shape of the grid, units of the image (cubic convolution); NaN where image or terrain has no value.
    """
    lines, samples = image.scene.shape
    mapping = map_pixels(geobox, (0, geobox.shape[0]), (0, geobox.shape[1]), model, terrain, (lines, samples), 0.0)
    line, sample = mapping.line.ravel(), mapping.sample.ravel()
    inside = (line >= 0) & (line < lines) & (sample >= 0) & (sample < samples)
    result = np.full((1, line.size), np.nan, dtype=np.float32)
    if inside.any():
        wide = max(scale, 1.0)
        margin = int(np.ceil(2 * wide)) + 2
        line0, line1 = _reach(line[inside], lines, margin)
        sample0, sample1 = _reach(sample[inside], samples, margin)
        source = image.window((line0, line1), (sample0, sample1))
        origin = (line0, sample0)
        resample(source, origin, (lines, samples), line, sample, Resampling.CUBIC.taps, result, (wide, wide))
    return result.reshape(geobox.shape)


def closed(terrain: Terrain, cells: int = 4) -> Terrain:
    """Terrain whose small holes are closed with the mean of the heights beside them, for measuring only.

    A surface model from image matching is riddled with holes of one cell, and a patch with a hole in every corner
    could not be correlated. No product is ever made with these heights.

    Parameters
    ----------
    terrain
        Heights with voids.
    cells
        What lies so many cells from a known height, or nearer, is closed.
    """
    heights = np.pad(terrain.heights, 1, constant_values=np.nan)
    for _ in range(cells):
        row, col = np.nonzero(np.isnan(heights[1:-1, 1:-1]))
        around = np.stack(
            [heights[row + 1 + down, col + 1 + right] for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
        )
        known = np.isfinite(around)
        count = known.sum(axis=0)
        reached = count > 0
        if not reached.any():
            break
        mean = np.where(known, around, 0.0).sum(axis=0)[reached] / count[reached]
        heights[row[reached] + 1, col[reached] + 1] = mean
    return replace(terrain, heights=heights[1:-1, 1:-1])


def _reach(position: npt.NDArray[np.float64], size: int, margin: int) -> tuple[int, int]:
    """First and last (excluded) pixel that the kernel at these positions touches."""
    return max(int(position.min()) - margin, 0), min(int(position.max()) + margin + 1, size)
