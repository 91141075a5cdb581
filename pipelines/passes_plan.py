"""The flow ``plan-passes``: every pass of the coming days gets its run of `process-pass`, once.

It runs every hour, on the newest elements in `HOME/auxiliary/tle`. A pass is known by **mission, number of the orbit
and station**: newer elements move it, and its run with it (event `pass.moved`); one that they know no more is cancelled
(`pass.cancelled`). Planning twice changes nothing. Passes that were closed are looked at once more for late deliveries
(`pass.late`) and for better ones of what they brought (`pass.upgraded`), and those whose run died are closed here.

*Nothing is planned?* The state's message says why: mostly the elements are missing or too old.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from configs.operations import load_operations
from configs.registry import Registry
from configs.schema.operations import PassRules
from configs.settings import Home
from pipelines.journal import read_events, record_event
from pipelines.passes import Forecast, StationPass, Wanted, forecast
from pipelines.passes_book import (
    PassRecord,
    PassState,
    all_passes,
    book_open,
    forget_passes,
    write_pass,
)
from pipelines.passes_late import note_late
from pipelines.passes_look import look
from pipelines.passes_runs import runs_of_passes
from pipelines.requests import Request
from pipelines.tasks import installation
from processing.model.errors import BadInput

_SAME_PASS = timedelta(minutes=20)
"""A satellite comes back after 90 minutes at the earliest: what lies nearer is the same pass, moved."""
_GRACE = timedelta(hours=1)
_KEPT = timedelta(days=400)


class PlanRequest(Request):
    """Plan the passes of the coming days."""

    days: float | None = Field(
        default=None, gt=0, le=14, description="How far ahead. Empty: as HOME/configs/operations.yaml says"
    )


@flow(name="plan-passes", flow_run_name="plan passes", description=__doc__, persist_result=False)
def plan_passes(request: PlanRequest) -> State[dict[str, Any]]:
    """Plan once. Returns how many passes were planned, moved, cancelled, and found late or overdue."""
    home, registry = installation(request)
    rules = load_operations(home.configs).passes
    now = datetime.now(UTC)
    counts: Counter[str] = Counter()
    trouble = None
    try:
        found = forecast(home, Wanted(start=now, days=request.days or rules.plan_days))
    except BadInput as error:
        trouble = error
        _warn(home, [f"nothing is planned: {error.message}"], now)
    else:
        _warn(home, found.warnings, now)
        counts += settle(home, found, rules, now)
    counts += look_back(home, registry, rules, now)
    runs_of_passes(home, rules).keep([each for each in all_passes(home) if each.closed is None])
    counts["forgotten"] = forget_passes(home, now - _KEPT)
    coming = [each for each in all_passes(home) if each.closed is None and each.los > now - timedelta(days=1)]
    create_markdown_artifact(key="plan", markdown=plan_table(coming), description="Passes that are planned")
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing new"
    if trouble is not None:
        return Completed(
            name="NoElements", message=f"{trouble.message} {trouble.remedy or ''}; {told}", data={**counts}
        )
    return Completed(message=told, data={**counts})


def settle(home: Home, found: Forecast, rules: PassRules, now: datetime) -> Counter[str]:
    """Bring the book in line with a forecast."""
    counts: Counter[str] = Counter()
    with book_open(home):
        book = [record for record in all_passes(home) if record.aos > now - timedelta(days=2)]
        predicted = {each.mission for each in found.passes} | _missions(home, found)
        left = {
            record.key: record
            for record in book
            if record.state is PassState.PLANNED and record.mission in predicted and now < record.aos
        }
        for each in found.passes:
            if each.mission is None:
                continue
            known = next((record for record in book if _is_same(record, each)), None)
            if known is not None:
                left.pop(known.key, None)
            counts += _settle_one(home, found, each, known, rules)
        for record in left.values():
            if record.los < found.end - _SAME_PASS:
                write_pass(home, record.model_copy(update={"state": PassState.CANCELLED, "closed": now}))
                _tell(home, "pass.cancelled", record)
                counts["cancelled"] += 1
    return counts


def _missions(home: Home, found: Forecast) -> set[str | None]:
    """Missions whose elements were fresh enough: where those have no pass, none is."""
    by_satellite = {record.satellite: record.mission for record in all_passes(home)}
    return {by_satellite.get(each.name) for each in found.elements}


def _is_same(record: PassRecord, each: StationPass) -> bool:
    near = abs(record.tca - each.what.tca) < _SAME_PASS
    return record.mission == each.mission and record.station == each.station and near


def _settle_one(
    home: Home, found: Forecast, each: StationPass, known: PassRecord | None, rules: PassRules
) -> Counter[str]:
    assert each.mission is not None
    epoch = next(one.epoch for one in found.elements if one.norad_id == each.norad_id)
    fresh = PassRecord(
        key=each.key,
        mission=each.mission,
        satellite=each.satellite,
        station=each.station,
        orbit=each.what.orbit,
        aos=each.what.aos,
        tca=each.what.tca,
        los=each.what.los,
        max_elevation_deg=each.what.max_elevation_deg,
        imaged_from=each.imaged_from,
        elements=epoch,
        targets=tuple(target.what.target for target in found.targets if target.downlink == each.key),
    )
    if known is None:
        write_pass(home, fresh)
        _tell(home, "pass.planned", fresh)
        return Counter(planned=1)
    if known.state not in (PassState.PLANNED, PassState.CANCELLED) or known.los <= found.start:
        return Counter()
    stands = {"key": known.key, "orbit": known.orbit, "run": known.run, "expected": known.expected}
    moved = fresh.model_copy(update=stands)
    shift = max(abs((moved.aos - known.aos).total_seconds()), abs((moved.los - known.los).total_seconds()))
    if moved != known:
        write_pass(home, moved)
    if known.state is PassState.CANCELLED:
        _tell(home, "pass.planned", moved)
        return Counter(planned=1)
    if shift > rules.moved_s:
        _tell(home, "pass.moved", moved, by_s=round(shift, 1))
        return Counter(moved=1)
    return Counter()


def look_back(home: Home, registry: Registry, rules: PassRules, now: datetime) -> Counter[str]:
    """Add late deliveries to closed passes, and close those whose own run died."""
    counts: Counter[str] = Counter()
    for record in list(all_passes(home)):
        if record.closed is None:
            overdue = record.los + timedelta(hours=rules.give_up_hours) + _GRACE < now
            if overdue and record.state is not PassState.CANCELLED:
                look(home, registry, record.key, now=now)
                counts["overdue"] += 1
        elif record.state is not PassState.CANCELLED and record.closed > now - timedelta(days=rules.late_days):
            counts += note_late(home, registry, record)
    return counts


def _warn(home: Home, warnings: "tuple[str, ...] | list[str]", now: datetime) -> None:
    """Tell of old elements once a day."""
    told = {
        event.get("message")
        for event in read_events(home, since=now.replace(hour=0, minute=0, second=0, microsecond=0))
    }
    for warning in warnings:
        if warning not in told:
            record_event(home, "tle.stale", name="elements", message=warning)


def _tell(home: Home, kind: str, record: PassRecord, **facts: Any) -> None:
    """Kinds are literals at every call above."""
    about = {"mission": record.mission, "station": record.station, "orbit": record.orbit}
    record_event(home, kind, None, name=record.key, **about, aos=record.aos, los=record.los, **facts)


def plan_table(records: list[PassRecord]) -> str:
    """Markdown: passes to come, and those that are waited for."""
    rows = [
        f"| {each.aos:%Y-%m-%d %H:%M:%S} | {each.los:%H:%M:%S} | {each.satellite} | {each.orbit} | {each.station} "
        f"| {each.max_elevation_deg:.0f}° | {each.state} | {', '.join(each.targets)} |"
        for each in sorted(records, key=lambda each: each.aos)
    ]
    head = ["| AOS (UTC) | LOS | satellite | orbit | station | max el | state | targets |"]
    return "\n".join([*head, "|---|---|---|---:|---|---:|---|---|", *rows])
