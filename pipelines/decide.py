"""The flow ``decide-held``: an operator accepts or rejects a product that waits at the quality desk.

**Accept**: it is published and catalogued, and what was asked for is derived from it. **Reject**: it is deleted; its
package is kept, and a product made otherwise is looked at anew. Name, time and reason stay with the item.

*Which products wait?* `qyran desk list`, or the runs of `process-scene` whose state is **Held for review**: their
artifacts show why, with figures and a picture.
"""

import time
from pathlib import Path

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.settings import Home
from pipelines.cluster import compute_in
from pipelines.desk import decide
from pipelines.observe import state_name, tell_of_package
from pipelines.outcomes import ItemLink, PackageOutcome
from pipelines.passes_late import tell_passes
from pipelines.process import derive_all, note_upgrade
from pipelines.reasons import UPGRADED
from pipelines.requests import DecisionRequest, SceneRequest
from pipelines.tasks import RETRIES, Record, installation, publish_item
from processing.archive.write import published
from processing.model.quality import Outcome
from processing.model.timeliness import timeliness_of


@flow(name="decide-held", flow_run_name="{request.verdict} {request.item}", description=__doc__, persist_result=False)
def decide_held(request: DecisionRequest) -> State[Record]:
    """Carry out a decision. Returns the JSON of a :class:`~pipelines.outcomes.PackageOutcome`."""
    started = time.monotonic()
    home = Home.resolve(request.home_path)
    done = carry_out(request)
    if done["link"] is None:
        outcome = PackageOutcome(
            package=done["package"], outcome=Outcome.REJECTED, reasons=("review.rejected",), message=request.reason
        )
        return Completed(name="Rejected at the desk", message=request.reason, data=outcome.model_dump(mode="json"))
    link, asked = ItemLink.model_validate(done["link"]), SceneRequest.model_validate(done["request"])
    product = published(home.path, link.collection, link.id)
    assert product is not None
    asked, news = note_upgrade(asked, product)
    with compute_in(home):
        derived = derive_all(asked, link)
    failed = next((part for part in derived if part.outcome is Outcome.FAILED), None)
    outcome = PackageOutcome(
        package=done["package"],
        outcome=Outcome.PUBLISHED if failed is None else Outcome.FAILED,
        reasons=tuple(dict.fromkeys([UPGRADED] * news + [why for part in derived for why in part.reasons])),
        items=(link, *(item for part in derived for item in part.items)),
        mission=done["mission"],
        acquired=done["acquired"],
        timeliness=timeliness_of(product.facts),
        message=failed.message if failed else None,
        seconds=round(time.monotonic() - started, 3),
    )
    tell_of_package(home, outcome)
    if news:
        tell_passes(home, outcome)
    return Completed(name=state_name(outcome), message=outcome.message or "", data=outcome.model_dump(mode="json"))


@task(name="decide", task_run_name="{request.verdict}", persist_result=False, **RETRIES)
def carry_out(request: DecisionRequest) -> Record:
    """Publish and catalogue the product, or let it go. Returns what was asked for of it, and the link to its item."""
    home, registry = installation(request)
    decision, record, link = decide(
        home, registry, request.item, verdict=request.verdict, by=request.by, reason=request.reason
    )
    if link is not None:
        collection, _, item_id = decision.item.partition("/")
        publish_item(request, collection, item_id)
    return {
        "link": None if link is None else link.model_dump(mode="json"),
        "request": record.request.model_dump(mode="json"),
        "package": Path(record.request.package).name,
        "mission": record.mission,
        "acquired": record.acquired,
    }
