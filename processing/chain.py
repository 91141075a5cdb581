"""The chain: scenes, terrain and a recipe become lazy orthoimages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from dask.base import tokenize
from dask.delayed import Delayed, delayed

from configs.schema import RecipeConfig, SensorConfig
from processing.geometry.extent import (
    Bounds,
    ground_bounds,
    image_border,
    joined_bounds,
    plausible_heights,
    sunward_bounds,
    terrain_gap,
    terrain_range,
    utm_crs,
)
from processing.geometry.guards import check_heights
from processing.geometry.occlusion import Visibility, hidden_grid
from processing.geometry.plan import OrthoPlan, plan_ortho
from processing.geometry.sight_lines import Directions, toward_satellite, toward_sun
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.conventions import SHARD_PX
from processing.model.errors import BadInput, Defect
from processing.model.image import OrthoImage
from processing.model.levels import Quantity
from processing.model.qa import Qa
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.radiometry.stage import calibrate
from processing.radiometry.sun import sun_direction

Array = npt.NDArray[np.float64]

_UNTESTED = Qa.CLOUD_NOT_TESTED | Qa.SHADOW_NOT_TESTED | Qa.SNOW_NOT_TESTED | Qa.WATER_NOT_TESTED


def build_l1c(
    scenes: Sequence[Scene],
    terrain: Terrain,
    sensor: SensorConfig,
    recipe: RecipeConfig,
    *,
    models: Mapping[str, SensorModel] | None = None,
    crs: str | None = None,
    shard_px: int = SHARD_PX,
) -> tuple[OrthoImage, ...]:
    """Orthorectified top-of-atmosphere reflectance of one acquisition, one image a group, all in one CRS. Lazy.

    Parameters
    ----------
    scenes
        The groups (``ms``, ``pan``, ...) of one acquisition, in counts.
    terrain
        Heights above the ellipsoid under all of them.
    sensor
        Gives each group's resolution and the name of its measurement group.
    recipe
        Of level ``l1c``; gives the resampling.
    models
        Better models than the scenes' own (refined), by group.
    crs
        ``EPSG:n``; None: the UTM zone of the acquisition's centre.
    shard_px
        Pixels a side of one shard.

    Returns
    -------
    tuple
        In the order of ``scenes``, on the archive's lattice; where the recipe wants them, the angles of the first
        scene last. What terrain hides from satellite or sun, and what was not tested for, is marked in ``qa``.

    Raises
    ------
    BadInput
        As the stages; ``scene.group`` for a group the sensor does not have, or two scenes of one.
    Defect
        ``recipe.level`` for a recipe of another level.
    """
    if recipe.level != "l1c":
        raise Defect(f"recipe '{recipe.id}' is of level '{recipe.level}', not l1c", kind="recipe.level")
    groups = [scene.group for scene in scenes]
    unknown = sorted(set(groups) - set(sensor.groups))
    names = [sensor.groups[group].measurement for group in groups if group in sensor.groups]
    if unknown or len(set(names)) < len(groups):
        raise BadInput(
            f"scenes of groups {groups} do not make one product of '{sensor.id}' (groups: {sorted(sensor.groups)})",
            kind="scene.group",
        )
    seen = [scene.but(model=(models or {}).get(scene.group, scene.model)) for scene in scenes]
    target = crs or _common_crs(seen, terrain)
    plans = [
        plan_ortho(scene, terrain, resolution_m=sensor.groups[scene.group].resolution_m, crs=target, shard_px=shard_px)
        for scene in seen
    ]
    images = [
        _image(scene, terrain, plan, recipe, sensor.groups[scene.group].measurement)
        for scene, plan in zip(seen, plans, strict=True)
    ]
    if recipe.angles:
        # Imported where it is used: qyran ortho has no angles, and starts a second sooner without their arrays.
        from processing.geometry.angles_stage import angle_image

        images.append(angle_image(seen[0], terrain, plans[0], _sun_over(seen[0])))
    return tuple(images)


def terrain_bounds(scenes: Sequence[Scene]) -> Bounds:
    """West, south, east, north of the terrain that images of scenes need: what they see, and what may shade it.

    East lies past 180 where they cross the antimeridian.
    """
    models = [(scene, scene.model) for scene in scenes if scene.model is not None]
    west, south, east, north = joined_bounds([ground_bounds(model, scene.shape) for scene, model in models])
    zenith, azimuth = sun_direction(scenes[0].acquired, (west + east) / 2, (south + north) / 2)
    heights = [plausible_heights(model) for _, model in models]
    relief = max(high for _, high in heights) - min(low for low, _ in heights)
    if east - west > 180.0 or zenith >= 90.0:
        return west, south, east, north
    return sunward_bounds((west, south, east, north), relief, float(zenith), float(azimuth))


def _common_crs(scenes: Sequence[Scene], terrain: Terrain) -> str:
    """UTM zone in the middle of all scenes."""
    borders = []
    for scene in scenes:
        if scene.model is None:
            raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
        heights = terrain_range(scene.model, scene.shape, terrain)
        borders.append(image_border(scene.model, scene.shape, heights))
    lon, lat = (np.concatenate(axis) for axis in zip(*borders, strict=True))
    return utm_crs(lon, lat)


def _image(scene: Scene, terrain: Terrain, plan: OrthoPlan, recipe: RecipeConfig, measurement: str) -> OrthoImage:
    """One group's image."""
    assert scene.model is not None
    doubts = check_heights(scene.model, plan.heights) + terrain_gap(scene.model, scene.shape, terrain, plan.heights)
    scene = scene.but(warnings=scene.warnings + doubts)
    calibrated = calibrate(scene, Quantity.TOA_REFLECTANCE, mean_height_m=sum(plan.heights) / 2)
    hidden = hidden_by_terrain(scene, terrain)
    image = orthorectify(
        calibrated, terrain, plan, resampling=recipe.resampling, visibility=hidden, flags=int(_UNTESTED)
    )
    return replace(image, group=measurement)


def _sun_over(scene: Scene) -> Directions:
    def direction(lon: Array, lat: Array) -> tuple[Array, Array]:
        return sun_direction(scene.acquired, lon, lat)

    return direction


def hidden_by_terrain(scene: Scene, terrain: Terrain, *, sun: bool = True) -> Delayed:
    """What terrain hides, as tasks of the graph: lines are laid now, followed when pixels are computed.

    The sun's are the same for all groups of an acquisition, and traced once.

    Parameters
    ----------
    scene
        With a model, and a time where the sun is asked for.
    terrain
        What its image is made with.
    sun
        Whether shadows are looked for too, by day.

    Returns
    -------
    Delayed
        A :class:`processing.geometry.occlusion.Visibility`.
    """
    assert scene.model is not None
    ground = delayed(terrain, name=f"terrain-{terrain.digest}", traverse=False, pure=True)
    toward = {"view": toward_satellite(terrain, scene.model)}
    centre = terrain.lonlat_of_cells(*(np.array([size / 2]) for size in terrain.heights.shape))
    if sun and sun_direction(scene.acquired, *centre)[0].max() < 90.0:
        toward["sun"] = toward_sun(terrain, _sun_over(scene))
    grids = {}
    for name, lines in toward.items():
        token = tokenize(terrain, lines.packed)
        given = delayed(lines, name=f"sight-lines-{token}", traverse=False, pure=True)
        grids[name] = delayed(hidden_grid)(ground, given, dask_key_name=f"clearance-{token}")
    whole: Delayed = delayed(Visibility)(**grids, dask_key_name=f"visibility-{tokenize(*grids.values())}")
    return whole
