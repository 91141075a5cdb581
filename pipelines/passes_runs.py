"""Runs of ``process-pass`` at a Prefect server: one for each pass, at its time, however often they are asked for."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Scheduled

from configs.schema.operations import PassRules
from configs.settings import Home
from pipelines.passes_book import PassRecord, PassState, all_passes, book_open, pass_record, write_pass

DEPLOYMENT = "process-pass/process-pass"
TAG = "pass"
_GONE = "newer elements know this pass no more"
_MOVED = "newer elements moved this pass"


class Runs(Protocol):
    """Sees to it that passes have their runs."""

    def keep(self, records: Sequence[PassRecord]) -> None:
        """Make, move and cancel runs until they are what the book says."""


class _NoServer:
    """Where nothing is deployed the book is all there is."""

    def keep(self, records: Sequence[PassRecord]) -> None:
        """Nothing to make."""


def runs_of_passes(home: Home, rules: PassRules) -> Runs:
    """Runs of the deployment where there is one."""
    with get_client(sync_client=True) as client:
        try:
            return _Deployed(home, rules, client.read_deployment_by_name(DEPLOYMENT).id)
        except ObjectNotFound:
            return _NoServer()


class _Deployed:
    def __init__(self, home: Home, rules: PassRules, deployment: UUID) -> None:
        self._home, self._rules, self._deployment = home, rules, deployment

    def keep(self, records: Sequence[PassRecord]) -> None:
        with get_client(sync_client=True) as client:
            waiting = self._scheduled(client)
            for record in records:
                run = waiting.pop(record.run or "", None) or self._made(client, record)
                if record.state is PassState.PLANNED:
                    self._move(client, run, record)
            self._cancel(client, waiting)

    def _scheduled(self, client: SyncPrefectClient) -> dict[str, FlowRun]:
        found: dict[str, FlowRun] = {}
        scheduled = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        mine = filters.FlowRunFilterDeploymentId(any_=[self._deployment])
        while True:
            page = client.read_flow_runs(
                flow_run_filter=filters.FlowRunFilter(
                    deployment_id=mine, state=scheduled, tags=filters.FlowRunFilterTags(all_=[TAG])
                ),
                limit=200,
                offset=len(found),
            )
            found |= {str(run.id): run for run in page}
            if len(page) < 200:
                return found

    def _made(self, client: SyncPrefectClient, record: PassRecord) -> FlowRun:
        """The pass's run: made now, or found by its key where it was made before."""
        run = client.create_flow_run_from_deployment(
            self._deployment,
            parameters={"request": {"key": record.key, "home": str(self._home.path)}},
            state=Scheduled(scheduled_time=self._begin(record)),
            name=f"pass {record.key} {record.aos:%Y-%m-%d %H:%M}",
            tags=[TAG, record.mission, record.station],
            idempotency_key=f"pass-{record.key}",
        )
        if record.run != str(run.id):
            with book_open(self._home):
                now = pass_record(self._home, record.key) or record
                write_pass(self._home, now.model_copy(update={"run": str(run.id)}))
        return client.read_flow_run(run.id)

    def _begin(self, record: PassRecord) -> datetime:
        return record.los + timedelta(minutes=self._rules.first_look_minutes)

    def _move(self, client: SyncPrefectClient, run: FlowRun, record: PassRecord) -> None:
        """To the pass's time, unless it has begun, or an operator cancelled it himself."""
        begin = self._begin(record)
        state = run.state
        by_plan = state is not None and state.is_cancelled() and state.message == _GONE
        if state is None or not (state.is_scheduled() or by_plan):
            return
        planned = state.state_details.scheduled_time
        if by_plan or planned is None or abs(planned.timestamp() - begin.timestamp()) > 1.0:
            client.set_flow_run_state(run.id, Scheduled(scheduled_time=begin, message=_MOVED), force=True)

    def _cancel(self, client: SyncPrefectClient, left: dict[str, FlowRun]) -> None:
        """What no open pass has as its run: those of cancelled passes. Runs that an operator started stay."""
        gone = {record.run for record in all_passes(self._home) if record.state is PassState.CANCELLED}
        for name, run in left.items():
            if name in gone:
                client.set_flow_run_state(run.id, Cancelled(message=_GONE), force=True)
