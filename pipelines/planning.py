"""From a request to a draft with lazy images: everything that must be right before a pixel is read."""

from dataclasses import dataclass
from pathlib import Path

from configs.registry import Registry
from configs.schema import RecipeConfig
from configs.settings import Home
from pipelines.configuration import keep_configs
from pipelines.desk_rules import over_water, screened
from pipelines.drafts import cut_delivery, dem_paths, processable_scenes, scene_draft, scenes_bounds
from pipelines.inputs import keep_inputs
from pipelines.lineages import package_record
from pipelines.outcomes import Stop, stop_for_package
from pipelines.packages import Ingested, reopen
from pipelines.refinement import SceneRefinements, refined_automatically
from pipelines.requests import SceneRequest
from processing.archive.space import product_bytes, require_space
from processing.chain import build_l1c
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.lineage import InputRecord, Lineage
from processing.model.product import ProductDraft
from processing.model.quality import Outcome
from processing.model.scene import Delivery
from processing.readers.dem import open_terrain
from processing.readers.dem_geoid import proj_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProduct:
    """A product that could be made now."""

    draft: ProductDraft
    images: tuple[OrthoImage, ...]
    """Lazy."""
    footprints: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Rings of (lon, lat) as its delivery states them, by scene; none of a product that derives from another."""


def plan_scene(request: SceneRequest, ingested: Ingested, home: Home, registry: Registry) -> PlannedProduct | Stop:
    """Plan the product of a package; say why not, where it cannot be made.

    What is wrong with the DEM is not the package's fault: it is then held, until the operator gives a better one.

    Raises
    ------
    Retryable
        ``disk.full`` if there is no room for the product.
    """
    scene_recipe(request.recipe, registry)
    try:
        delivery = asked_delivery(request, reopen(ingested, registry.sensors))
        bounds = scenes_bounds(delivery.scenes)
    except BadInput as error:
        # Lines that the image does not have are the request's fault, not the package's.
        return Stop.of(error, Outcome.REJECTED) if error.kind.startswith("strip.") else stop_for_package(error)
    left_out = screened(delivery, home)
    if left_out is not None:
        return left_out
    _require_room(delivery, home)
    try:
        terrain = open_terrain(
            dem_paths(request.dem, home.dem),
            bounds=bounds,
            vertical_datum=request.vertical_datum.value,
            geoids=geoid_places(home),
        )
    except BadInput as error:
        return Stop.of(error, Outcome.HELD)
    left_out = over_water(delivery, terrain, home)
    if left_out is not None:
        return left_out
    try:
        refined = refined_automatically(delivery.scenes, home.reference, terrain)
        return plan_product(
            request,
            delivery,
            terrain=terrain,
            refined=refined,
            package=package_record(delivery.delivery_id, ingested.sha256),
            registry=registry,
        )
    except BadInput as error:
        return Stop.of(error, Outcome.HELD) if error.kind.startswith("dem.") else stop_for_package(error)


def _require_room(delivery: Delivery, home: Home) -> None:
    """Before anything is read that costs time: laid on the map, an image has at least the pixels it was taken with.

    What the plan finds it to be is asked for again when it is published.
    """
    sizes = ((scene.shape[0] * scene.shape[1], len(scene.bands) + 1) for scene in delivery.scenes)
    require_space(home.staging, product_bytes(sizes), what=f"products of {delivery.delivery_id}")


def asked_delivery(request: SceneRequest, delivery: Delivery) -> Delivery:
    """A delivery that a product can be made from, cut to the segment that was asked for.

    Raises
    ------
    BadInput
        As :func:`~pipelines.drafts.processable_scenes` and :func:`~pipelines.drafts.cut_delivery`.
    """
    processable_scenes(delivery)
    if request.first_line is not None and request.lines is not None:
        return cut_delivery(delivery, request.first_line, request.lines)
    return delivery


def plan_product(
    request: SceneRequest,
    delivery: Delivery,
    *,
    terrain: Terrain,
    refined: SceneRefinements,
    package: InputRecord,
    registry: Registry,
) -> PlannedProduct:
    """The product of scenes over a terrain, lazy.

    Raises
    ------
    BadInput
        As :func:`processing.chain.build_l1c`.
    """
    recipe = scene_recipe(request.recipe, registry)
    sensor = registry.sensors[delivery.scenes[0].sensor]
    images = build_l1c(delivery.scenes, terrain, sensor, recipe, models=refined.models())
    draft = scene_draft(
        delivery,
        images,
        request=request,
        registry=registry,
        terrain=terrain,
        package=package,
        refined=refined,
    )
    footprints = tuple(scene.footprint for scene in delivery.scenes)
    return PlannedProduct(draft=draft, images=tuple(images), footprints=footprints)


def keep_what_made(request: SceneRequest, home: Home, registry: Registry, lineage: Lineage) -> bool:
    """Keep what a product was made from, if that is wanted; whether it could be."""
    keep_configs(home, lineage, registry)
    if not request.keep_inputs:
        return True
    places = (Path(request.dem).expanduser() if request.dem else home.dem, *geoid_places(home))
    return not keep_inputs(home, lineage, package=Path(request.package), places=places)


def geoid_places(home: Home) -> tuple[Path, ...]:
    """Where an operator's geoid grids may be, in order of preference."""
    return (home.geoid, *proj_folders())


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
