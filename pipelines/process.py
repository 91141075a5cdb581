"""The flow ``process-scene``: a delivered package becomes catalogued products.

Tasks pass names and small records; pixels go from the package to the archive inside one task. What becomes of the
package is a value (see :mod:`pipelines.outcomes`); only the unexpected is raised.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from configs.registry import Registry
from configs.settings import Home
from pipelines.artifacts import progress_shown, show_held
from pipelines.cluster import compute_in
from pipelines.desk import at_the_desk, desk_stop
from pipelines.drafts import applicable_recipes
from pipelines.journal_logs import scene_logged
from pipelines.landing_claims import record_outcome
from pipelines.limits import Resource, taking
from pipelines.observe import registration_line, report_progress, state_name, tell_of_package
from pipelines.outcomes import ItemLink, PackageOutcome, Stop, failure_of, stop_for_package, stopped
from pipelines.packages import Ingested, ingest_package, leave_workspace, quarantine_package
from pipelines.passes_late import tell_passes
from pipelines.planning import PlannedProduct, keep_what_made, plan_scene
from pipelines.products import children, derive_product
from pipelines.reasons import ALREADY_PUBLISHED, BETTER_PUBLISHED, INPUTS_NOT_KEPT, UPGRADED
from pipelines.redelivery import is_told, one_at_a_time, placed, tell_upgraded, upgraded
from pipelines.requests import EVERY_RECIPE, ProductRequest, SceneRequest
from pipelines.revisions import as_before
from pipelines.tasks import RETRIES, Record, installation, publish_item, stop_record
from processing.archive.layout import ITEM
from processing.archive.write import publish_product, published
from processing.model.errors import BadInput, Conflict
from processing.model.product import Product
from processing.model.quality import MISREGISTERED, Outcome
from processing.model.timeliness import timeliness_of


def _run_name() -> str:
    """The scene and what is made of it: what an operator looks for in a list of runs."""
    asked = flow_run.parameters.get("request") or {}
    asked = asked if isinstance(asked, dict) else asked.model_dump()
    return f"{Path(str(asked.get('package', '?'))).name} {asked.get('recipe', 'l1c')}"


@flow(name="process-scene", flow_run_name=_run_name, description=__doc__, persist_result=False)
def process_scene(request: SceneRequest) -> State[Record]:
    """Process one delivered package. Returns the JSON of a :class:`~pipelines.outcomes.PackageOutcome`."""
    started = time.monotonic()
    home = Home.resolve(request.home_path)
    try:
        with scene_logged(home, Path(request.package).name), compute_in(home):
            outcome = _run(request)
    except Exception as error:
        _tell(home, failure_of(request.package, error))
        raise
    outcome = outcome.model_copy(update={"seconds": round(time.monotonic() - started, 3)})
    _tell(home, outcome)
    return Completed(name=state_name(outcome), message=outcome.message or "", data=outcome.model_dump(mode="json"))


def _tell(home: Home, outcome: PackageOutcome) -> None:
    record_outcome(home, outcome)
    tell_of_package(home, outcome)
    if UPGRADED in outcome.reasons:
        tell_passes(home, outcome)


def _run(request: SceneRequest) -> PackageOutcome:
    stages: dict[str, float] = {}
    ingested = _timed(stages, "ingest", ingest, request)
    if "stop" in ingested:
        return _stopped(request, ingested["stop"], stages)
    outcome = _made(request, ingested, stages)
    known = Ingested.model_validate(ingested)
    return outcome.model_copy(update={"mission": known.mission, "acquired": known.acquired})


def _made(request: SceneRequest, ingested: Record, stages: dict[str, float]) -> PackageOutcome:
    try:
        made = _timed(stages, "process", process, request, ingested)
        if "stop" in made:
            return _stopped(request, made["stop"], stages)
    finally:
        leave_workspace(Ingested.model_validate(ingested))
    link = ItemLink.model_validate(_timed(stages, "publish", publish, request, made["collection"], made["id"]))
    product = published(installation(request)[0].path, link.collection, link.id)
    assert product is not None
    request, news = note_upgrade(request, product)
    derived = _timed(stages, "derive", derive_all, request, link)
    reasons = [UPGRADED] * news + [ALREADY_PUBLISHED] * made["archived"] + [INPUTS_NOT_KEPT] * (not made["kept"])
    reasons += [MISREGISTERED] * any(text.startswith(MISREGISTERED) for text in product.quality.get("warnings", ()))
    troubled = next((part for part in derived if part.message), None)
    return PackageOutcome(
        package=request.package,
        outcome=Outcome.FAILED if any(part.outcome is Outcome.FAILED for part in derived) else Outcome.PUBLISHED,
        reasons=tuple(dict.fromkeys(reasons + [why for part in derived for why in part.reasons])),
        items=tuple([link] + [item for part in derived for item in part.items]),
        message=troubled.message if troubled else None,
        where=troubled.where if troubled else None,
        remedy=troubled.remedy if troubled else None,
        registration=registration_line(product),
        timeliness=timeliness_of(product.facts),
        stages=stages,
    )


def note_upgrade(request: SceneRequest, product: Product) -> tuple[SceneRequest, bool]:
    """Tell, once, of a published product that took the place of a lesser delivery's.

    Returns
    -------
    request, news
        The request, with what was derived from the lesser one, which is to be made anew; and whether it was told now.
    """
    home, registry = installation(request)
    earlier = upgraded(home, product)
    if earlier is None:
        return request, False
    news = not is_told(home, product)
    if news:
        tell_upgraded(home, product, earlier)
    had = [recipe for recipe in children(product, home, registry) if recipe not in request.derive]
    return request.model_copy(update={"derive": [*request.derive, *had]}), news


def _timed(stages: dict[str, float], name: str, step: Callable[..., Any], *arguments: Any) -> Any:
    started = time.monotonic()
    try:
        return step(*arguments)
    finally:
        stages[name] = round(time.monotonic() - started, 3)


def _stopped(request: SceneRequest, record: Record, stages: dict[str, float]) -> PackageOutcome:
    stop = Stop.model_validate(record)
    kept = None
    if stop.outcome is Outcome.QUARANTINED:
        kept = str(quarantine_package(Path(request.package), Home.resolve(request.home_path), stop))
    return stopped(request.package, stop, quarantine=kept, items=_there(request, stop), stages=stages)


def _there(request: SceneRequest, stop: Stop) -> tuple[ItemLink, ...]:
    """The item of a better delivery of the same scene, where a package was refused for that."""
    home = Home.resolve(request.home_path)
    collection, _, name = (stop.where or "").rpartition("/")
    path = home.products / collection / name / ITEM
    if stop.reason != BETTER_PUBLISHED or not path.is_file():
        return ()
    return (ItemLink(collection=collection, id=name, href=str(path)),)


def derive_all(request: SceneRequest, parent: ItemLink) -> list[PackageOutcome]:
    """One run of ``derive-product`` for each recipe; one that fails takes no other with it."""
    home, registry = installation(request)
    product = published(home.path, parent.collection, parent.id)
    assert product is not None
    recipes = [name for name in request.derive if name != EVERY_RECIPE]
    if EVERY_RECIPE in request.derive:
        recipes += [name for name in applicable_recipes(product, registry) if name not in recipes]
    outcomes = []
    for recipe in recipes:
        wanted = ProductRequest(item=f"{parent.collection}/{parent.id}", recipe=recipe, home=request.home)
        try:
            outcomes.append(PackageOutcome.model_validate(derive_product(wanted)))
        except Exception as error:  # noqa: BLE001 - becomes the outcome "failed"; its run keeps the traceback
            outcomes.append(failure_of(f"{wanted.item} {recipe}", error))
    return outcomes


@task(name="ingest", task_run_name="ingest", persist_result=False)
def ingest(request: SceneRequest) -> Record:
    """Hash, unpack, understand. Returns the :class:`~pipelines.packages.Ingested` record, or a stop."""
    report_progress(0, 1, "reading the package")
    home, registry = installation(request)
    try:
        with taking(home, Resource.DISK):
            return ingest_package(Path(request.package), home, registry.sensors).model_dump(mode="json")
    except BadInput as error:
        return stop_record(stop_for_package(error))


@task(name="process", task_run_name="process", persist_result=False, **RETRIES)
def process(request: SceneRequest, ingested: Record) -> Record:
    """Plan the product; unless it is there already, or its id stands for other bytes, compute it into the archive.

    One task, because the plan is one lazy graph: it is made once, and a graph does not travel between tasks.
    """
    report_progress(0, 1, "planning")
    home, registry = installation(request)
    planned = plan_scene(request, Ingested.model_validate(ingested), home, registry)
    if isinstance(planned, Stop):
        return stop_record(planned)
    with one_at_a_time(home, planned.draft):
        settled = placed(home, planned)
        if isinstance(settled, Stop):
            return stop_record(settled)
        return _archived(request, settled, home, registry)


def _archived(request: SceneRequest, planned: PlannedProduct, home: Home, registry: Registry) -> Record:
    """Compute a plan into the archive, or to the desk; unless it is there already."""
    draft = planned.draft
    known = published(home.path, draft.collection, draft.id)
    record = {"collection": draft.collection, "id": draft.id}
    archived = known is not None and known.lineage.digest == draft.lineage.digest
    try:
        if not archived and desk_stop(home, draft) is None:
            with taking(home, Resource.CPU, Resource.MEMORY, recipe=request.recipe), progress_shown(draft.id):
                publish_product(
                    home.path,
                    as_before(home, draft),
                    planned.images,
                    progress=report_progress,
                    divert=at_the_desk(home, request),
                )
    except Conflict as error:
        return stop_record(Stop.of(error, Outcome.REJECTED))
    except BadInput as error:
        return stop_record(stop_for_package(error))
    kept = keep_what_made(request, home, registry, draft.lineage)
    waits = None if archived else desk_stop(home, draft)
    if waits is not None:
        show_held(home, draft)
        return stop_record(waits)
    return record | {"archived": archived, "kept": kept}


@task(name="publish", task_run_name="publish", persist_result=False, **RETRIES)
def publish(request: SceneRequest, collection: str, product_id: str) -> Record:
    """Catalogue an archived product, and attach its tables and picture to the run."""
    return publish_item(request, collection, product_id)
