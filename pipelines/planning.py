"""From a request to a draft with lazy images: everything that must be right before a pixel is read."""

from dataclasses import dataclass

from configs.registry import Registry
from configs.schema import RecipeConfig
from configs.settings import Home
from pipelines.drafts import cut_delivery, dem_paths, package_record, processable_scenes, scene_draft, scenes_bounds
from pipelines.outcomes import Stop, stop_for_package
from pipelines.packages import Ingested, reopen
from pipelines.refinement import refined_automatically
from pipelines.requests import SceneRequest
from processing.chain import build_l1c
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.product import ProductDraft
from processing.model.quality import Outcome
from processing.readers.dem import open_terrain
from processing.readers.dem_geoid import proj_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProduct:
    """A product that could be made now."""

    draft: ProductDraft
    images: tuple[OrthoImage, ...]
    """Lazy."""


def plan_scene(request: SceneRequest, ingested: Ingested, home: Home, registry: Registry) -> PlannedProduct | Stop:
    """Plan the product of a package; say why not, where it cannot be made.

    What is wrong with the DEM is not the package's fault: it is then held, until the operator gives a better one.
    """
    recipe = scene_recipe(request.recipe, registry)
    try:
        delivery = reopen(ingested, registry.sensors)
        scenes = processable_scenes(delivery)
        if request.first_line is not None and request.lines is not None:
            delivery = cut_delivery(delivery, request.first_line, request.lines)
            scenes = delivery.scenes
        bounds = scenes_bounds(scenes)
    except BadInput as error:
        # Lines that the image does not have are the request's fault, not the package's.
        return Stop.of(error, Outcome.REJECTED) if error.kind.startswith("strip.") else stop_for_package(error)
    try:
        terrain = open_terrain(
            dem_paths(request.dem, home.dem),
            bounds=bounds,
            vertical_datum=request.vertical_datum.value,
            geoids=(home.geoid, *proj_folders()),
        )
    except BadInput as error:
        return Stop.of(error, Outcome.HELD)
    try:
        refined = refined_automatically(scenes, home.reference, terrain)
        sensor = registry.sensors[scenes[0].sensor]
        images = build_l1c(scenes, terrain, sensor, recipe, models=refined.models())
    except BadInput as error:
        return Stop.of(error, Outcome.HELD) if error.kind.startswith("dem.") else stop_for_package(error)
    draft = scene_draft(
        delivery,
        images,
        recipe=recipe,
        registry=registry,
        terrain=terrain,
        package=package_record(delivery.delivery_id, ingested.sha256),
        refined=refined,
    )
    return PlannedProduct(draft=draft, images=tuple(images))


def scene_recipe(name: str, registry: Registry) -> RecipeConfig:
    """A recipe that starts from a package.

    Raises
    ------
    BadInput
        ``recipe.unknown`` if there is none of that name, or it derives from another product.
    """
    recipe = registry.recipes.get(name)
    if recipe is None or recipe.level == "derived":
        known = sorted(recipe.id for recipe in registry.recipes.values() if recipe.level != "derived")
        raise BadInput(
            f"'{name}' is not a recipe for delivered packages",
            kind="recipe.unknown",
            remedy=f"Known: {', '.join(known)}.",
        )
    return recipe
