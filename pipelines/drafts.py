"""What a product will be, before a pixel is read: its identity, its lineage, what is known of it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from configs.registry import Registry
from configs.schema import MissionConfig, RecipeConfig, SensorConfig
from pipelines.lineages import derived_lineage, scene_lineage
from pipelines.refinement import SceneRefinements
from pipelines.requests import SceneRequest
from processing.chain import terrain_bounds
from processing.geometry.extent import Bounds
from processing.geometry.strip import cut_scenes
from processing.geometry.terrain import Terrain
from processing.model.angle_layers import ANGLES, encoding_of
from processing.model.conventions import REFLECTANCE_NODATA, REFLECTANCE_OFFSET, REFLECTANCE_SCALE
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.levels import Level
from processing.model.lineage import InputRecord
from processing.model.product import Encoding, Product, ProductDraft, item_id
from processing.model.scene import Delivery, Scene
from processing.model.timeliness import ATTITUDE, ORBIT, worst_sources
from processing.readers.protocol import UNKNOWN_MISSION, UNKNOWN_TIME
from processing.registration.bands import model_relations

_ONE_ACQUISITION_S = 60.0
"""Scenes of one package further apart are not one acquisition. (P and MS lines see the ground seconds apart.)"""


def processable_scenes(delivery: Delivery) -> tuple[Scene, ...]:
    """The scenes of a delivery that one product can be made from.

    Raises
    ------
    BadInput
        ``package.no_pixels``, ``package.level``, ``package.unidentified``, ``package.no_model``, or ``package.mixed``
        if they are not one acquisition by one sensor.
    """
    for scene in delivery.scenes:
        if scene.source is None:
            raise BadInput(
                f"the package holds no pixels: {scene.no_pixels or 'metadata only'}",
                kind="package.no_pixels",
                where=scene.scene_id,
                remedy="Order the delivery with its images.",
            )
        if scene.level is not Level.SENSOR:
            raise BadInput(
                f"the image is delivered on a map already (level '{scene.level}'), and is not orthorectified again",
                kind="package.level",
                where=scene.scene_id,
                remedy="Deliver it in sensor geometry (primary, basic, level 1).",
            )
        if scene.mission == UNKNOWN_MISSION or scene.acquired == UNKNOWN_TIME:
            raise BadInput(
                "the package does not say which satellite took it, or when",
                kind="package.unidentified",
                where=scene.scene_id,
                remedy="Deliver it with its metadata file; qyran ortho works without.",
            )
        if scene.model is None:
            raise BadInput(
                "the package has no sensor model",
                kind="package.no_model",
                where=scene.scene_id,
                remedy="Deliver its RPCs.",
            )
    ordered = sorted(delivery.scenes, key=lambda scene: scene.acquired)
    apart = any((b.acquired - a.acquired).total_seconds() > _ONE_ACQUISITION_S for a, b in pairwise(ordered))
    groups = [(scene.sensor, scene.group) for scene in ordered]
    if apart or len({sensor for sensor, _ in groups}) > 1 or len(set(groups)) < len(groups):
        raise BadInput(
            "the package holds more than one acquisition",
            kind="package.mixed",
            where=", ".join(scene.scene_id for scene in ordered),
            remedy="Deliver each acquisition as a package of its own.",
        )
    return delivery.scenes


def cut_delivery(delivery: Delivery, first_line: int, lines: int) -> Delivery:
    """A segment of a delivery's images as a delivery of its own: another id, so that it never is the whole one's item.

    Raises
    ------
    BadInput
        ``strip.range``, ``strip.apart``.
    """
    scenes = cut_scenes(delivery.scenes, first_line, lines)
    return replace(
        delivery, delivery_id=f"{delivery.delivery_id}_L{first_line}-{first_line + lines - 1}", scenes=scenes
    )


def scenes_bounds(scenes: Sequence[Scene]) -> Bounds:
    """West, south, east, north of the terrain the scenes need, degrees; see :func:`processing.chain.terrain_bounds`."""
    return terrain_bounds(scenes)


def scene_draft(
    delivery: Delivery,
    images: Sequence[OrthoImage],
    *,
    request: SceneRequest,
    registry: Registry,
    terrain: Terrain,
    package: InputRecord,
    refined: SceneRefinements,
) -> ProductDraft:
    """The draft of the product that the recipe of a request makes from a delivered package."""
    first, recipe = delivery.scenes[0], registry.recipes[request.recipe]
    sensor, mission = registry.sensors[first.sensor], registry.missions[first.mission]
    acquired = min(scene.acquired for scene in delivery.scenes)
    return ProductDraft(
        id=item_id(mission.code, acquired, delivery.delivery_id, recipe.collection_suffix),
        collection=recipe.collection(mission.id),
        mission=mission.id,
        sensor=sensor.id,
        recipe=recipe.id,
        level=recipe.level,
        acquired=acquired,
        encodings={band.name: _encoding(image, band.name, sensor) for image in images for band in image.bands},
        angles=_angles(delivery.scenes),
        facts=_facts(delivery),
        gsd_m=min(sensor.groups[scene.group].gsd_m for scene in delivery.scenes),
        accuracy=refined.accuracy(),
        warnings=tuple(dict.fromkeys((*(note for image in images for note in image.warnings), *refined.warnings))),
        refinement=refined.quality(),
        attachments=refined.attachments(delivery.scenes),
        registration=model_relations(delivery.scenes),
        registration_limit_px=sensor.registration_limit_px,
        lineage=scene_lineage(
            delivery, images, request=request, registry=registry, terrain=terrain, package=package, refined=refined
        ),
        **picture(recipe, [band.name for image in images for band in image.bands]),
    )


def derived_draft(parent: Product, image: OrthoImage, *, recipe: RecipeConfig, mission: MissionConfig) -> ProductDraft:
    """The draft of a product derived from an archived one."""
    return ProductDraft(
        id=derived_id(parent, recipe),
        collection=recipe.collection(parent.mission),
        mission=mission.id,
        sensor=parent.sensor,
        recipe=recipe.id,
        level=recipe.level,
        acquired=parent.acquired,
        encodings={
            output.name: Encoding(
                title=output.title,
                dtype=output.dtype,
                scale=output.scale,
                offset=output.offset,
                nodata=output.nodata,
                units=output.units,
            )
            for output in recipe.outputs
        },
        angles=parent.angles,
        facts=parent.facts,
        gsd_m=parent.gsd_m,
        accuracy=parent.accuracy,
        parents=(f"{parent.collection}/{parent.id}",),
        lineage=derived_lineage(parent, image, recipe),
        **picture(recipe, [band.name for band in image.bands]),
    )


def derived_id(parent: Product, recipe: RecipeConfig) -> str:
    """Id of a derived item: the parent's, with the recipe in the place of the parent's level."""
    return f"{parent.id.rpartition('_')[0]}_{recipe.collection_suffix.upper()}"


def applicable_recipes(parent: Product, registry: Registry) -> tuple[str, ...]:
    """Derived recipes that a product holds all bands for."""
    bands = {band.name for band in parent.bands}
    return tuple(
        recipe.id
        for recipe in registry.recipes.values()
        if recipe.parent == parent.level and not recipe.is_composite and bands.issuperset(recipe.inputs)
    )


def dem_paths(given: str, fallback: Path) -> Path:
    """The DEM that was asked for, else the installation's own.

    Raises
    ------
    BadInput
        ``dem.missing`` if there is none.
    """
    path = Path(given).expanduser() if given else fallback
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise BadInput(
            "there is no elevation model to orthorectify with",
            kind="dem.missing",
            where=str(path),
            remedy="Put GeoTIFF tiles (Copernicus GLO-30 names work) into HOME/auxiliary/dem, or give --dem PATH.",
        )
    return path


def _encoding(image: OrthoImage, band: str, sensor: SensorConfig) -> Encoding:
    return encoding_of(band) if image.group == ANGLES else _reflectance(band, sensor)


def _reflectance(band: str, sensor: SensorConfig) -> Encoding:
    return Encoding(
        title=f"{sensor.instrument.upper()} {band.replace('_', ' ')}",
        dtype="uint16",
        scale=REFLECTANCE_SCALE,
        offset=REFLECTANCE_OFFSET,
        nodata=REFLECTANCE_NODATA,
    )


def _angles(scenes: Sequence[Scene]) -> dict[str, float]:
    """Scene-centre angles: of the first scene that states each."""
    names = ("sun_zenith_deg", "sun_azimuth_deg", "view_zenith_deg", "view_azimuth_deg", "off_nadir_deg")
    stated = {name: [getattr(scene.angles, name) for scene in scenes] for name in names}
    return {
        name: next(v for v in values if v is not None)
        for name, values in stated.items()
        if any(v is not None for v in values)
    }


def _facts(delivery: Delivery) -> dict[str, str | float | int]:
    facts: dict[str, str | float | int] = {"delivery_id": delivery.delivery_id, "delivery_format": delivery.format}
    for scene in delivery.scenes:
        facts |= {name: fact for name, fact in scene.platform_facts.items() if name not in (ORBIT, ATTITUDE)}
        facts |= {f"scene_id_{scene.group}": scene.scene_id}
        facts |= {f"lines_{scene.group}": scene.shape[0], f"samples_{scene.group}": scene.shape[1]}
    return facts | worst_sources(scene.platform_facts for scene in delivery.scenes)


def picture(recipe: RecipeConfig, bands: Sequence[str]) -> dict[str, Any]:
    """How a person looks at it: the recipe's first picture whose bands are all there, else its first band."""
    for preset in recipe.renders.values():
        if all(band in bands for band in preset.bands):
            return {"visual": preset.bands, "visual_range": preset.rescale, "palette": preset.palette}
    return {"visual": (bands[0],)}
