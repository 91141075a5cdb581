"""The flow ``process-pass``: waits for what a pass brought, goes on with what came, and marks the gap.

`plan-passes` makes one run for each pass; it starts some minutes after the satellite has set. Packages are processed as
they land, by `watch-landing`; this run looks which of them belong to its pass: **the mission's, imaged since its last
pass over any of our stations**. While something is missing it goes back to *Waiting* until the next look: no place at a
worker is held meanwhile. When its time is up it goes on with what came: a **gap** is a result, told by the event
`pass.gap`. What comes later still is added by `plan-passes` (event `pass.late`). Where a delivery was *near-real-time*
(NRT: from a predicted orbit or attitude, or a part of its scene), the better one that follows takes its place, as a new
version of the same item (event `pass.upgraded`).

*How many packages must come* is `expected`; where nobody says, one must, and the time to the end is waited for others.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Scheduled
from pydantic import AwareDatetime, Field

from configs.operations import load_operations
from pipelines.passes_book import PassState
from pipelines.passes_look import brought, look, pass_table
from pipelines.requests import Request
from pipelines.tasks import installation


class PassRequest(Request):
    """Wait for what one pass brought."""

    key: str = Field(
        description="The pass, as `qyran passes` and the page of the day name it: mission, orbit, station",
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        max_length=120,
    )
    expected: int | None = Field(
        default=None, ge=0, le=10_000, description="Packages that must come. Empty: as planned, or unknown"
    )
    until: AwareDatetime | None = Field(
        default=None, description="Go on without the rest then. Empty: as HOME/configs/operations.yaml says"
    )


@flow(name="process-pass", flow_run_name="pass {request.key}", description=__doc__, persist_result=False)
def process_pass(request: PassRequest) -> State[dict[str, Any]]:
    """Look once; wait for the next look, or close the pass. Returns the JSON of its :class:`PassRecord`."""
    home, registry = installation(request)
    rules = load_operations(home.configs).passes
    now = datetime.now(UTC)
    record, missing_until = look(home, registry, request.key, now=now, expected=request.expected, until=request.until)
    create_markdown_artifact(key="pass", markdown=pass_table(record), description=f"What pass {record.key} brought")
    if record.state is PassState.WAITING:
        again = min(now + timedelta(minutes=rules.look_again_minutes), missing_until)
        return _wait(again, f"{brought(record)}; waits until {missing_until:%Y-%m-%d %H:%M} UTC")
    name = {PassState.COMPLETE: None, PassState.GAP: "Gap"}.get(record.state, str(record.state).capitalize())
    return Completed(name=name, message=brought(record), data=record.model_dump(mode="json"))


def _wait(until: datetime, message: str) -> State[Any]:
    """Give the worker back and have this run taken up again at a moment; where no server runs it, say that it waits."""
    run = flow_run.id
    if run is None or deployment.id is None:
        return Completed(name="Waiting", message=message)
    asked: State[Any] = Scheduled(scheduled_time=until, name="Waiting", message=message)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(str(run)), asked, force=True)
    raise Pause(message, state=asked)
