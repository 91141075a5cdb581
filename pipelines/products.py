"""The flow ``derive-product``: a recipe applied to a catalogued product gives another, archived and catalogued too."""

import time

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.registry import Registry
from configs.settings import Home
from pipelines.catalogue import find_product
from pipelines.cluster import compute_in
from pipelines.configuration import keep_configs
from pipelines.derivation import derived_image, derived_recipe
from pipelines.drafts import derived_draft, derived_id
from pipelines.limits import Resource, taking
from pipelines.observe import report_progress
from pipelines.outcomes import ItemLink, PackageOutcome, Stop, stopped
from pipelines.requests import ProductRequest
from pipelines.revisions import as_before
from pipelines.tasks import RETRIES, Record, installation, publish_item, stop_record
from processing.archive.write import publish_product, published
from processing.model.errors import BadInput
from processing.model.product import Product
from processing.model.quality import Outcome


@flow(name="derive-product", flow_run_name="{request.item} {request.recipe}", description=__doc__, persist_result=False)
def derive_product(request: ProductRequest) -> State[Record]:
    """Derive one product. Returns the JSON of a :class:`~pipelines.outcomes.PackageOutcome`."""
    started = time.monotonic()
    with compute_in(Home.resolve(request.home_path)):
        derived = derive_and_archive(request)
    if "stop" in derived:
        outcome = stopped(request.item, Stop.model_validate(derived["stop"]))
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
        image = derived_image(home.path / parent.archive_href, parent, recipe)
    except BadInput as error:
        return stop_record(Stop.of(error, Outcome.REJECTED))
    draft = derived_draft(parent, image, recipe=recipe, mission=registry.missions[parent.mission])
    known = published(home.path, recipe.collection(parent.mission), derived_id(parent, recipe))
    if known is None or known.lineage.digest != draft.lineage.digest:
        with taking(home, Resource.CPU, Resource.MEMORY, recipe=request.recipe):
            publish_product(home.path, as_before(home, draft), [image], progress=report_progress)
    keep_configs(home, draft.lineage, registry)
    return {"collection": draft.collection, "id": draft.id}


@task(name="publish", task_run_name="publish", persist_result=False, **RETRIES)
def publish(request: ProductRequest, collection: str, product_id: str) -> Record:
    """Catalogue the derived product, and attach its tables and picture to the run."""
    return publish_item(request, collection, product_id)


def children(product: Product, home: Home, registry: Registry) -> list[str]:
    """Recipes of the products that derive from one and are published."""
    name = f"{product.collection}/{product.id}"
    found = []
    for recipe in registry.recipes.values():
        if recipe.parent is not None:
            child = published(home.path, recipe.collection(product.mission), derived_id(product, recipe))
            if child is not None and name in child.parents:
                found.append(recipe.id)
    return found
