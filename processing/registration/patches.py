"""Where patches are matched: on each reference's own grid, evenly over what scene and reference share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from processing.geometry.extent import terrain_range
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.registration.correlate import edges
from processing.registration.predict import ReferenceImage

Array = npt.NDArray[np.float64]

PATCH_PX = 96
"""Measured on QuickBird-2 against aerial orthos: 64 px scatter by half as much again, 192 px by a fifth less."""
BLUR_PX = 1.0
"""Of the gradient that is correlated."""
_EXACT = 8
"""As :mod:`processing.readers.reference`: coarser means are taken in steps of this."""
_ELLIPSOID = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingGrid:
    """A reference, and the grid it is met on."""

    reference: ReferenceImage
    factor: int
    """Pixels of the reference a side of one of the grid."""
    scale: float
    """Pixels of the image a pixel of the grid."""
    pixel_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Where a patch lies: its first pixel on the grid ``factor`` times coarser than the reference."""

    grid: MatchingGrid
    row: int
    col: int
    factor: int
    scale: float

    def geobox(self, size: int) -> GeoBox:
        """The patch as a grid of its own."""
        at = self.grid.reference.transform @ Affine.translation(self.col * self.factor, self.row * self.factor)
        return GeoBox((size, size), at @ Affine.scale(self.factor), self.grid.reference.crs)


def matching_grid(
    reference: ReferenceImage, pixel_m: float, scene: Scene, model: SensorModel, height: float
) -> MatchingGrid:
    """Meet a reference at the coarser of both resolutions, on a grid whose lines are the reference's own."""
    lon, lat = model.image_to_ground(scene.shape[0] / 2, scene.shape[1] / 2, height)
    to_map = Transformer.from_crs("EPSG:4326", reference.crs, always_xy=True, allow_ballpark=False)
    x, y = to_map.transform(float(lon), float(lat))
    a, b, _, d, e, _ = tuple(reference.transform)[:6]
    corner_lon, corner_lat = to_map.transform([x, x + a, x + b], [y, y + d, y + e], direction="INVERSE")
    if not np.isfinite(corner_lon).all():
        raise BadInput(
            f"'{reference.name}' lies in a coordinate system that does not reach the scene",
            kind="reference.no_overlap",
            where=reference.name,
        )
    _, _, sides = _ELLIPSOID.inv([corner_lon[0]] * 2, [corner_lat[0]] * 2, corner_lon[1:], corner_lat[1:])
    own_m = float(np.sqrt(sides[0] * sides[1]))
    factor = max(1, round(pixel_m / own_m))
    factor = factor if factor <= _EXACT else _EXACT * round(factor / _EXACT)
    return MatchingGrid(
        reference=reference,
        factor=factor,
        scale=own_m * factor / pixel_m,
        pixel_m=own_m * factor,
    )


def patches_of(
    scene: Scene, model: SensorModel, terrain: Terrain, grid: MatchingGrid, coarser: int, most: int
) -> list[Patch]:
    """Patches spread evenly over what scene and reference share, as the model sees it."""
    factor = grid.factor * coarser
    rows, cols = (side // factor for side in grid.reference.shape)
    if min(rows, cols) < PATCH_PX:
        return []
    probe = _on_grid(scene, model, terrain, grid, factor, 64)
    inside = (probe >= 0).all(axis=0) & (probe[0] < rows) & (probe[1] < cols)
    if not inside.any():
        return []
    top, left = np.clip(np.floor(probe[:, inside].min(axis=1) - PATCH_PX / 2), 0, None)
    bottom, right = probe[:, inside].max(axis=1) + PATCH_PX / 2
    bottom, right = min(bottom, rows), min(right, cols)
    step = max(PATCH_PX / 2, np.sqrt((bottom - top) * (right - left) / most))
    starts = [
        np.unique(np.linspace(low, high - PATCH_PX, max(int((high - low - PATCH_PX) / step), 0) + 1).astype(int))
        for low, high in ((top, bottom), (left, right))
        if high - low >= PATCH_PX
    ]
    if len(starts) < 2:
        return []
    return [
        Patch(grid=grid, row=int(row), col=int(col), factor=factor, scale=grid.scale * coarser)
        for row in starts[0]
        for col in starts[1]
    ]


def _on_grid(scene: Scene, model: SensorModel, terrain: Terrain, grid: MatchingGrid, factor: int, side: int) -> Array:
    """Rows and columns on the matching grid, ``(2, points)``, that a lattice over the image sees."""
    line, sample = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, size, side) for size in scene.shape)))
    height = np.full(line.shape, sum(terrain_range(model, scene.shape, terrain)) / 2)
    for _ in range(3):
        lon, lat = model.image_to_ground(line, sample, height)
        seen = terrain.height(lon, lat)
        height = np.where(np.isfinite(seen), seen, height)
    to_map = Transformer.from_crs("EPSG:4326", grid.reference.crs, always_xy=True, allow_ballpark=False)
    x, y = to_map.transform(lon, lat)
    a, b, c, d, e, f = tuple(~grid.reference.transform)[:6]
    position = np.stack([d * x + e * y + f, a * x + b * y + c]) / factor
    return np.asarray(np.where(np.isfinite(position), position, -1.0))


def reference_patches(patches: Sequence[Patch]) -> Iterator[tuple[Patch, npt.NDArray[np.float32]]]:
    """Patches with the edges that the reference shows there, where it does; read row of patches by row of patches."""
    for (_, row, factor), group in groupby(patches, lambda patch: (id(patch.grid), patch.row, patch.factor)):
        beside = list(group)
        side = PATCH_PX * factor
        first, last = beside[0].col * factor, beside[-1].col * factor + side
        strip = beside[0].grid.reference.grey((row * factor, row * factor + side), (first, last), factor)
        for patch in beside:
            values = edges(strip[:, patch.col - beside[0].col :][:, :PATCH_PX], BLUR_PX)
            if values is not None:
                yield patch, values
