"""The flow ``derive-product``: a recipe applied to a catalogued product gives another, archived and catalogued too."""

import time

import xarray as xr
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.registry import Registry
from configs.schema import RecipeConfig
from configs.settings import Home
from pipelines.catalogue import find_product
from pipelines.drafts import derived_draft, derived_id
from pipelines.grids import geobox_of
from pipelines.observe import report_progress
from pipelines.outcomes import ItemLink, PackageOutcome, Stop
from pipelines.requests import ProductRequest
from pipelines.tasks import RETRIES, Record, installation, publish_item, stop_record
from processing.archive.open import open_product
from processing.archive.write import publish_product, published
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.product import Product, StoredGroup
from processing.model.quality import Outcome
from processing.products.stage import derive


@flow(name="derive-product", description=__doc__, persist_result=False)
def derive_product(request: ProductRequest) -> State[Record]:
    """Derive one product. Returns the JSON of a :class:`~pipelines.outcomes.PackageOutcome`."""
    started = time.monotonic()
    derived = derive_and_archive(request)
    if "stop" in derived:
        stop = Stop.model_validate(derived["stop"])
        outcome = PackageOutcome(
            package=request.item,
            outcome=stop.outcome,
            reasons=(stop.reason,),
            message=stop.message,
            where=stop.where,
            remedy=stop.remedy,
        )
    else:
        link = ItemLink.model_validate(publish(request, derived["collection"], derived["id"]))
        outcome = PackageOutcome(package=request.item, outcome=Outcome.PUBLISHED, items=(link,))
    record = outcome.model_copy(update={"seconds": round(time.monotonic() - started, 3)}).model_dump(mode="json")
    return Completed(name=outcome.outcome.capitalize(), message=outcome.message or "", data=record)


@task(name="derive", task_run_name="derive {request.recipe}", persist_result=False, **RETRIES)
def derive_and_archive(request: ProductRequest) -> Record:
    """Evaluate the recipe over the parent's bands into the archive; nothing is computed if it is there already."""
    home, registry = installation(request)
    try:
        recipe = derived_recipe(request.recipe, registry)
        parent = find_product(home, request.item)
        image = derived_image(home, parent, recipe)
    except BadInput as error:
        return stop_record(Stop.of(error, Outcome.REJECTED))
    draft = derived_draft(parent, image, recipe=recipe, mission=registry.missions[parent.mission])
    known = published(home.path, recipe.collection(parent.mission), derived_id(parent, recipe))
    if known is None or known.lineage.digest != draft.lineage.digest:
        publish_product(home.path, draft, [image], progress=report_progress)
    return {"collection": draft.collection, "id": draft.id}


@task(name="publish", task_run_name="publish", persist_result=False, **RETRIES)
def publish(request: ProductRequest, collection: str, product_id: str) -> Record:
    """Catalogue the derived product, and attach its tables and picture to the run."""
    return publish_item(request, collection, product_id)


def derived_recipe(name: str, registry: Registry) -> RecipeConfig:
    """A recipe that starts from another product.

    Raises
    ------
    BadInput
        ``recipe.unknown`` if there is none of that name, or it starts from a package.
    """
    recipe = registry.recipes.get(name)
    if recipe is None or recipe.level != "derived":
        known = sorted(recipe.id for recipe in registry.recipes.values() if recipe.level == "derived")
        raise BadInput(
            f"'{name}' is not a recipe for derived products",
            kind="recipe.unknown",
            remedy=f"Known: {', '.join(known)}.",
        )
    return recipe


def derived_image(home: Home, parent: Product, recipe: RecipeConfig) -> OrthoImage:
    """The recipe's result over an archived parent, lazy.

    Raises
    ------
    BadInput
        ``recipe.parent`` if the parent is of another level, ``recipe.bands_missing`` if no group of it holds all
        bands the recipe needs.
    """
    if parent.level != recipe.parent:
        raise BadInput(
            f"recipe {recipe.id} derives from {recipe.parent} products, and {parent.id} is {parent.level}",
            kind="recipe.parent",
        )
    group = _group_with(parent, recipe)
    bands: xr.Dataset = open_product(home.path / parent.archive_href, group=group.name)
    return derive(bands, recipe, geobox_of(group))


def _group_with(parent: Product, recipe: RecipeConfig) -> StoredGroup:
    for group in parent.groups:
        held = {band.name for band in parent.bands if band.group == group.name}
        if held.issuperset(recipe.inputs):
            return group
    raise BadInput(
        f"recipe {recipe.id} needs {', '.join(recipe.inputs)}, which {parent.id} does not hold on one grid",
        kind="recipe.bands_missing",
        where=f"bands: {', '.join(band.name for band in parent.bands)}",
    )
