"""The flow ``build-composite``: one image of an area, pixel by pixel from the clear observations of several items.

Takes every catalogued item of one collection that touches the area within the span, looks at its quality flags, and
composes what is clear: the **median** of each band, the **latest** observation, or the **clearest** one. What comes out
is a product like any other, in the collection `<mission>-composite`: with the number of observations of every pixel,
the day where a pixel is taken from one of them, and links to all items that had a part in it.

The same form again takes whatever items there are by then: where they or what they were made by have changed, a new
version takes the place of the earlier one, under the same id.

* No item, nothing clear, or items that do not fit together: **Rejected**, with the reason. Nothing is written.
* Items on several maps (UTM zones) are not moved by parts of a pixel: say which map, and compose one at a time.
* Flags can only tell of clouds that somebody looked for. Where nobody did, the median is the better choice.
"""

import time

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.settings import Home
from pipelines.artifacts import progress_shown
from pipelines.cluster import compute_in
from pipelines.composite_plan import plan_composite
from pipelines.composite_report import show_composition
from pipelines.composite_request import CompositeRequest
from pipelines.composite_select import composite_recipe, selected_inputs
from pipelines.configuration import keep_configs
from pipelines.limits import Resource, taking
from pipelines.observe import report_progress, state_name
from pipelines.outcomes import ItemLink, PackageOutcome, Stop, stopped
from pipelines.reasons import ALREADY_PUBLISHED
from pipelines.revisions import as_before
from pipelines.tasks import RETRIES, Record, installation, publish_item, stop_record
from processing.archive.write import publish_product, published
from processing.model.errors import BadInput
from processing.model.quality import Outcome


@flow(
    name="build-composite",
    flow_run_name="{request.collection} {request.start} {request.end} {request.method.value}",
    description=__doc__,
    persist_result=False,
)
def build_composite(request: CompositeRequest) -> State[Record]:
    """Compose one product. Returns the JSON of a :class:`~pipelines.outcomes.PackageOutcome`."""
    started = time.monotonic()
    with compute_in(Home.resolve(request.home_path)):
        composed = compose_and_archive(request)
    name = f"{request.collection} {request.start}/{request.end}"
    if "stop" in composed:
        outcome = stopped(name, Stop.model_validate(composed["stop"]))
    else:
        link = ItemLink.model_validate(publish(request, composed["collection"], composed["id"]))
        reasons = (ALREADY_PUBLISHED,) if composed["archived"] else ()
        outcome = PackageOutcome(package=name, outcome=Outcome.PUBLISHED, reasons=reasons, items=(link,))
    record = outcome.model_copy(update={"seconds": round(time.monotonic() - started, 3)}).model_dump(mode="json")
    return Completed(name=state_name(outcome), message=outcome.message or "", data=record)


@task(name="compose", task_run_name="compose {request.method.value}", persist_result=False, **RETRIES)
def compose_and_archive(request: CompositeRequest) -> Record:
    """Choose the items, look at their flags, and compose them into the archive unless it is there already.

    One task, because the plan is one lazy graph: it is made once, and a graph does not travel between tasks.
    """
    report_progress(0, 1, "looking for items")
    home, registry = installation(request)
    try:
        recipe = composite_recipe(request, registry)
        with taking(home, Resource.CPU, Resource.MEMORY, recipe=recipe.id), progress_shown(request.collection):
            inputs = selected_inputs(request, home)
            planned = plan_composite(request, inputs, registry, report=report_progress)
            draft = planned.draft
            known = published(home.path, draft.collection, draft.id)
            archived = known is not None and known.lineage.digest == draft.lineage.digest
            if not archived:
                publish_product(home.path, as_before(home, draft), planned.images, progress=report_progress)
    except BadInput as error:
        return stop_record(Stop.of(error, Outcome.REJECTED))
    keep_configs(home, draft.lineage, registry)
    return {"collection": draft.collection, "id": draft.id, "archived": archived}


@task(name="publish", task_run_name="publish", persist_result=False, **RETRIES)
def publish(request: CompositeRequest, collection: str, product_id: str) -> Record:
    """Catalogue the composite, and attach its tables, picture and links to the run."""
    link = publish_item(request, collection, product_id)
    product = published(Home.resolve(request.home_path).path, collection, product_id)
    assert product is not None
    show_composition(product)
    return link
