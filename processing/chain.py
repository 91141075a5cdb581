"""The chain: scenes, terrain and a recipe become lazy orthoimages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from configs.schema import RecipeConfig, SensorConfig
from processing.geometry.extent import image_border, terrain_range, utm_crs
from processing.geometry.guards import check_heights
from processing.geometry.plan import plan_ortho
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
        In the order of ``scenes``, on the archive's lattice. What was not tested for is marked in ``qa``.

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
    return tuple(_image(scene, terrain, sensor, recipe, target, shard_px) for scene in seen)


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


def _image(
    scene: Scene, terrain: Terrain, sensor: SensorConfig, recipe: RecipeConfig, crs: str, shard_px: int
) -> OrthoImage:
    """One group's image."""
    group = sensor.groups[scene.group]
    plan = plan_ortho(scene, terrain, resolution_m=group.resolution_m, crs=crs, shard_px=shard_px)
    assert scene.model is not None
    scene = scene.but(warnings=scene.warnings + check_heights(scene.model, plan.heights))
    calibrated = calibrate(scene, Quantity.TOA_REFLECTANCE, mean_height_m=sum(plan.heights) / 2)
    image = orthorectify(calibrated, terrain, plan, resampling=recipe.resampling)
    flags = image.qa.data
    untested = (flags & np.uint16(Qa.NODATA) == 0) * np.uint16(_UNTESTED)
    return replace(image, group=group.measurement, qa=image.qa.copy(data=flags | untested.astype(np.uint16)))
