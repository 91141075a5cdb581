"""From the map to the image: which line and sample each output pixel shows. Exact, pixel by pixel.

What is exact here is the reference that a faster mapping must stay within a stated bound of.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from processing.geometry.terrain import Terrain
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Image positions of output pixels."""

    line: Array
    sample: Array
    """Corner-zero positions; NaN where terrain is void or the model does not reach."""
    void: npt.NDArray[np.bool_]
    """Terrain is void here, and at the stand-in height the image would have reached it."""


def lonlat_of_map(geobox: GeoBox, row: Array, col: Array) -> tuple[Array, Array]:
    """Degrees WGS 84 of continuous grid positions, (0, 0) = outer corner of the first pixel."""
    affine = geobox.affine
    x = affine.a * col + affine.b * row + affine.c
    y = affine.d * col + affine.e * row + affine.f
    lon, lat = _to_lonlat(str(geobox.crs)).transform(x, y)
    return np.where(np.isfinite(lon), lon, np.nan), np.where(np.isfinite(lat), lat, np.nan)


def map_pixels(
    geobox: GeoBox,
    rows: tuple[int, int],
    cols: tuple[int, int],
    model: SensorModel,
    terrain: Terrain,
    image_shape: tuple[int, int],
    stand_in_m: float,
) -> Mapping:
    """Image positions of the centres of a rectangle of output pixels.

    Each centre goes through the projection, the terrain (bilinear in its own CRS) and the model, in float64, on its
    own: the result does not depend on how the output is cut.

    Parameters
    ----------
    geobox
        Output grid.
    rows, cols
        First and last (excluded) output row and column.
    model
        Sensor model.
    terrain
        Heights above the ellipsoid.
    image_shape
        Lines and samples of the image.
    stand_in_m
        Height at which it is decided whether the image would have reached a pixel whose terrain is void.
    """
    row, col = np.meshgrid(np.arange(*rows) + 0.5, np.arange(*cols) + 0.5, indexing="ij")
    return map_points(geobox, row, col, model, terrain, image_shape, stand_in_m)


def map_points(
    geobox: GeoBox,
    row: Array,
    col: Array,
    model: SensorModel,
    terrain: Terrain,
    image_shape: tuple[int, int],
    stand_in_m: float,
) -> Mapping:
    """The same for continuous output positions of any shape, (0, 0) = outer corner of the first pixel."""
    lon, lat = lonlat_of_map(geobox, row, col)
    height = terrain.height(lon, lat)
    line, sample = model.ground_to_image(lon, lat, height)
    void = np.isnan(height)
    if void.any():
        at_line, at_sample = model.ground_to_image(lon[void], lat[void], stand_in_m)
        inside = (at_line >= 0) & (at_line < image_shape[0]) & (at_sample >= 0) & (at_sample < image_shape[1])
        void[void] = inside
    return Mapping(line=line, sample=sample, void=void)


@lru_cache(maxsize=32)
def _to_lonlat(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True, allow_ballpark=False)
