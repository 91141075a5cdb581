"""Runs of ``process-scene`` for packages taken from the landing zone: one an attempt, however often it is asked for."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import batched
from typing import TYPE_CHECKING
from uuid import UUID

from configs.schema.landing import LandingConfig
from configs.settings import Home
from pipelines.landing_claims import Claim, claims, record_outcome
from pipelines.outcomes import PackageOutcome, failure_of
from pipelines.requests import SceneRequest, VerticalDatumChoice

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

DEPLOYMENT = "process-scene/process-scene"
TAG = "landing"
"""Of every run that the landing zone began."""
_AT_ONCE = 200
"""Runs in one answer of the server; it gives no more."""
_FRESH_S = 2.0
"""How long what the server said of all runs is believed."""


class RunState(StrEnum):
    """What a claim's run is doing."""

    LIVE = "live"
    CANCELLED = "cancelled"
    ENDED = "ended"


type Runs = Callable[[Claim], RunState]
"""See to it that a claim's attempt has its run, and say how it is."""


def scene_request(home: Home, claim: Claim, rules: LandingConfig) -> SceneRequest:
    """What is asked for a claimed package."""
    return SceneRequest(
        package=str(claim.package(home)),
        home=str(home.path),
        recipe=rules.recipe,
        derive=list(rules.derive),
        vertical_datum=VerticalDatumChoice(rules.vertical_datum),
    )


def runs_of(home: Home, rules: LandingConfig) -> Runs:
    """Runs of the deployment where there is one, else here and now."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(DEPLOYMENT).id
    except ObjectNotFound:
        return lambda claim: _here(home, claim, rules)
    return _Deployed(home, rules, deployment)


class _Deployed:
    """Runs of the deployment: the server is asked about all claims at once, and for those alone that it has not."""

    def __init__(self, home: Home, rules: LandingConfig, deployment: UUID) -> None:
        self._home, self._rules, self._deployment = home, rules, deployment
        self._states: dict[str, RunState] = {}
        self._asked = -math.inf

    def __call__(self, claim: Claim) -> RunState:
        from prefect.client.orchestration import get_client

        if time.monotonic() - self._asked > _FRESH_S:
            with get_client(sync_client=True) as client:
                self._states = self._of_all(client)
            self._asked = time.monotonic()
        if claim.key not in self._states:
            with get_client(sync_client=True) as client:
                self._states[claim.key] = self._begun(client, claim)
        return self._states[claim.key]

    def _begun(self, client: "SyncPrefectClient", claim: Claim) -> RunState:
        run = client.create_flow_run_from_deployment(
            self._deployment,
            parameters={"request": scene_request(self._home, claim, self._rules).model_dump(mode="json")},
            name=f"{claim.name} {self._rules.recipe}" + f" (attempt {claim.attempt})" * (claim.attempt > 1),
            tags=[TAG],
            idempotency_key=claim.key,
        )
        return _state_of(client.read_flow_run(run.id))

    def _of_all(self, client: "SyncPrefectClient") -> dict[str, RunState]:
        from prefect.client.schemas import filters

        keys = [claim.key for claim in claims(self._home)]
        found = (
            run for some in batched(keys, _AT_ONCE) for run in client.read_flow_runs(
                flow_run_filter=filters.FlowRunFilter(
                    deployment_id=filters.FlowRunFilterDeploymentId(any_=[self._deployment]),
                    idempotency_key=filters.FlowRunFilterIdempotencyKey(any_=list(some)),
                ),
                limit=_AT_ONCE,
            )
        )  # fmt: skip
        return {run.idempotency_key: _state_of(run) for run in found if run.idempotency_key}


def _state_of(run: "FlowRun") -> RunState:
    if run.state is None or not run.state.is_final():
        return RunState.LIVE
    return RunState.CANCELLED if run.state.is_cancelled() else RunState.ENDED


def _here(home: Home, claim: Claim, rules: LandingConfig) -> RunState:
    """Where nothing is deployed, such as in a test or a script: as a run of its own in this process."""
    from pipelines.process import process_scene

    request = scene_request(home, claim, rules)
    try:
        outcome = PackageOutcome.model_validate(process_scene(request))
    except Exception as error:  # noqa: BLE001 - becomes the outcome "failed"; its run keeps the traceback
        outcome = failure_of(request.package, error)
    record_outcome(home, outcome)
    return RunState.ENDED


def skip_missed(deployment: UUID | None) -> int:
    """Cancel runs of this deployment whose time has passed: one look makes up for all that could not start.

    While scenes keep every worker busy, a schedule goes on making runs.
    """
    if deployment is None:
        return 0
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled

    with get_client(sync_client=True) as client:
        missed = client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(
                deployment_id=filters.FlowRunFilterDeploymentId(any_=[deployment]),
                state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
            )
        )
        for run in missed:
            client.set_flow_run_state(run.id, Cancelled(name="Skipped", message="a later look made up for it"))
    return len(missed)
