"""The stage that lays the angle layers beside a product: lazy, one task a shard."""

from dataclasses import dataclass

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from affine import Affine
from dask.base import tokenize
from dask.delayed import delayed
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from processing.geometry.angles import AngleNodes, angle_layers, angle_nodes
from processing.geometry.plan import OrthoPlan
from processing.geometry.sight_lines import Directions
from processing.geometry.terrain import Terrain
from processing.model.angle_layers import ANGLES, LAYERS
from processing.model.conventions import SHARD_PX
from processing.model.errors import BadInput
from processing.model.image import Arrays, OrthoImage
from processing.model.qa import Qa
from processing.model.scene import Band, Scene
from processing.model.sensor_model import SensorModel

_VERSION = 1
"""Goes into task names: raise it when the same inputs give other angles."""
_ROWS_AT_ONCE = 64
_METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every shard's task must know."""

    geobox: GeoBox
    nodes: AngleNodes
    model: SensorModel
    image: tuple[int, int]


def angle_image(scene: Scene, terrain: Terrain, plan: OrthoPlan, sun: Directions) -> OrthoImage:
    """View and sun angles of a scene as an image of their own. Lazy: computes nothing but the nodes.

    The pixel is the largest whole part of a shard that is no coarser than the terrain's cell: directions are smooth
    over kilometres, but the incidence on a slope changes from cell to cell, and finer pixels would only interpolate it.

    Parameters
    ----------
    scene
        With a model; its pixels are not looked at.
    terrain, plan
        As its image was made with. The layers cover the plan's grid.
    sun
        Zenith angle and azimuth, degrees, at lon, lat.

    Returns
    -------
    OrthoImage
        Group and quantity ``angles``, bands of :mod:`processing.model.angle_layers`, degrees, NaN where the image does
        not see the ground or the terrain is void.

    Raises
    ------
    BadInput
        ``geometry.no_model``, ``geometry.no_footprint``.
    """
    if scene.model is None:
        raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
    geobox = coarser(plan.geobox, terrain)
    nodes = angle_nodes(geobox, scene.model, scene.shape, terrain, plan.heights, sun)
    job = _Job(geobox=geobox, nodes=nodes, model=scene.model, image=scene.shape)
    token = tokenize(
        _VERSION, str(geobox.crs), tuple(geobox.affine)[:6], tuple(geobox.shape), terrain, scene.model, scene.shape,
        nodes.heights, nodes.view, nodes.sun, nodes.cells,
    )  # fmt: skip
    shared = delayed(job, name=f"angles-job-{token}", traverse=False, pure=True)
    ground = delayed(terrain, name=f"angles-terrain-{token}", traverse=False, pure=True)
    rows, cols = (int(size) for size in geobox.shape)
    strips = []
    for start in range(0, rows, SHARD_PX):
        stop = min(start + SHARD_PX, rows)
        both = delayed(_rows_of_layers)(shared, ground, (start, stop), dask_key_name=f"angles-{token}-{start}")
        shape = (len(LAYERS) + 1, stop - start, cols)
        strips.append(da.from_delayed(both, shape, dtype=np.float32, name=f"angle-rows-{token}-{start}"))
    stacked = da.concatenate(strips, axis=1)
    coords = xr_coords(geobox, dims=("y", "x"))
    return OrthoImage(
        group=ANGLES,
        geobox=geobox,
        bands=tuple(Band(name=layer, label=layer) for layer in LAYERS),
        arrays=Arrays(
            pixels=xr.DataArray(stacked[:-1], dims=("band", "y", "x"), coords={"band": list(LAYERS), **coords}),
            qa=xr.DataArray(stacked[-1].astype(np.uint16), dims=("y", "x"), coords=coords),
        ),
        quantity=ANGLES,
    )


def coarser(geobox: GeoBox, terrain: Terrain) -> GeoBox:
    """The same extent in pixels that are a whole part of a shard, and at most the terrain's cells."""
    pixel = abs(geobox.affine.a)
    wanted = _cell_of(terrain, geobox) / pixel
    parts = [part for part in range(1, SHARD_PX + 1) if SHARD_PX % part == 0]
    fitting = [part for part in parts if part <= wanted and all(int(size) % part == 0 for size in geobox.shape)]
    part = max(fitting, default=1)
    rows, cols = (int(size) // part for size in geobox.shape)
    return GeoBox((rows, cols), geobox.affine @ Affine.scale(part), geobox.crs)


def _cell_of(terrain: Terrain, geobox: GeoBox) -> float:
    """Height of a terrain cell in units of a grid's CRS."""
    row, col = (size / 2 for size in terrain.heights.shape)
    _, lat = terrain.lonlat_of_cells(np.array([row, row + 1.0]), np.array([col, col]))
    metres = abs(float(lat[1] - lat[0])) * _METRES_A_DEGREE
    return metres / _METRES_A_DEGREE if geobox.crs is not None and geobox.crs.geographic else metres


def _rows_of_layers(job: _Job, terrain: Terrain, rows: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Layers of some rows, and their flags as one more; made in strips, so that what is in between stays small."""
    cols = int(job.geobox.shape[1])
    result = np.empty((len(LAYERS) + 1, rows[1] - rows[0], cols), dtype=np.float32)
    for start in range(rows[0], rows[1], _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, rows[1])
        part = slice(start - rows[0], stop - rows[0])
        layers, void = angle_layers(job.nodes, job.geobox, (start, stop), job.model, terrain, job.image)
        result[:-1, part] = layers
        flags = np.where(np.isnan(layers).any(axis=0), np.uint16(Qa.NODATA), np.uint16(0))
        flags[void] |= np.uint16(Qa.NO_TERRAIN)
        result[-1, part] = flags
    return result
