"""The flow ``watch-landing``: what is dropped into `HOME/landing` is processed, once, without a hand.

It runs as soon as something lands, and every five minutes. A package that is **whole** is moved into `HOME/claimed`,
and a run of `process-scene` is made for it. When that is over, the package leaves: its copy is in `HOME/inputs` if
products were made from it, in `HOME/quarantine` with the reason if not. Where `HOME/configs/landing.yaml` names a
**bucket**, packages are fetched from there too, and their objects go when their runs are over. A package that is held
for want of something, such as elevations, stays claimed and is tried again. What a killed run or a power cut left is
taken up by the next look.

*Nothing happens to a package?* Its line in the artifact `landing` says what it is waited for.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import deployment
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict

from configs.landing import load_landing
from configs.schema.landing import LandingConfig
from configs.settings import Home
from pipelines.inputs import keep_by_renaming
from pipelines.journal import record_event
from pipelines.landing import Landed, LandingState, scan_landing, watched_until_quiet
from pipelines.landing_bucket import Pending, take_from_bucket
from pipelines.landing_claims import (
    Claim,
    again,
    claim_package,
    claims,
    finish_taking,
    let_go,
    outcome_of,
    save,
    set_aside,
    twins,
)
from pipelines.landing_runs import Runs, RunState, runs_of, skip_missed
from pipelines.outcomes import PackageOutcome, Stop, is_under_review
from pipelines.reasons import INPUTS_NOT_KEPT, RUN_CANCELLED, RUN_CRASHED
from pipelines.requests import WatchRequest
from processing.archive import durable
from processing.model.errors import BadInput, Retryable
from processing.model.quality import Outcome

ARTIFACT = "landing"
LOCK = "landing.lock"
"""In staging: held by whoever takes packages, so that no two do."""


class Seen(BaseModel):
    """One package, and what a look found or did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    state: str
    """``arriving``, ``running``, ``waiting``, ``duplicate``, or what became of it."""
    why: str = ""
    reasons: tuple[str, ...] = ()


class WatchReport(BaseModel):
    """What one look into the landing zone found and did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taken: int
    packages: tuple[Seen, ...]


@flow(name="watch-landing", flow_run_name="look into landing", description=__doc__, persist_result=False)
def watch_landing(request: WatchRequest) -> State[dict[str, Any]]:
    """Look once. Returns the JSON of a :class:`WatchReport`."""
    home = Home.resolve(request.home_path)
    rules = load_landing(home.configs)
    skip_missed(deployment.id)
    try:
        with durable.exclusive(home.staging / LOCK, wait=False):
            report = look(home, rules, runs_of(home, rules))
    except BlockingIOError:
        return Completed(name="Busy", message="another run is looking", data=None)
    counts = {state: sum(seen.state == state for seen in report.packages) for state in _ORDER}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing there"
    if report.packages:
        create_markdown_artifact(key=ARTIFACT, markdown=landing_table(report), description="The landing zone")
    waiting = bool(report.packages) and all(
        seen.state in ("arriving", "running", "waiting") for seen in report.packages
    )
    return Completed(name="Waiting" if waiting else None, message=told, data=report.model_dump(mode="json"))


_ORDER = ("arriving", "running", "waiting", "duplicate", *(str(outcome) for outcome in Outcome))


def look(home: Home, rules: LandingConfig, runs: Runs) -> WatchReport:
    """Take what is whole, and follow up what was taken. Hold the landing's lock.

    Parameters
    ----------
    home, rules
        The installation.
    runs
        Sees to it that a claim has its run.
    """
    finish_taking(home)
    found = scan_landing(home, rules)
    whole = [each for each in found if each.state is LandingState.WHOLE]
    late = watched_until_quiet(home, [each for each in found if each.state is LandingState.ARRIVING], rules)
    for landed in (*whole, *late):
        claim_package(home, landed)
        record_event(home, "scene.landed", landed.name, files=landed.files, bytes=landed.size, why=landed.why)
    seen, elsewhere, fetched = dict[str, Seen](), list[Seen](), 0
    _follow(home, rules, runs, seen)
    with closing(_from_bucket(home, rules)) as bucket:  # while the lock is held
        for each in bucket:
            if isinstance(each, Seen):
                elsewhere.append(each)
            else:
                fetched += 1
                _follow(home, rules, runs, seen)
    taken = {landed.name for landed in (*whole, *late)}
    arriving = (_arriving(landed) for landed in found if landed.name not in taken)
    return WatchReport(taken=len(taken) + fetched, packages=(*seen.values(), *arriving, *elsewhere))


def _follow(home: Home, rules: LandingConfig, runs: Runs, seen: dict[str, Seen]) -> None:
    """Follow up claims, and keep by id what was found: those that this look has not seen, or saw running."""
    known = claims(home)
    for claim in known:
        if claim.id not in seen or seen[claim.id].state == "running":
            seen[claim.id] = _followed(home, claim, known, rules, runs)


def _from_bucket(home: Home, rules: LandingConfig) -> Generator[Claim | Seen, None, None]:
    """Take what is whole in the bucket, where there is one. What is wrong there keeps nothing else waiting.

    Fetching may take long: between two packages the caller follows up what is there.
    """
    if rules.bucket is None:
        return
    try:
        for found in take_from_bucket(home, rules, now=time.time()):
            if isinstance(found, Pending):
                yield Seen(package=found.name, state="arriving", why=found.why)
            else:
                files = len(found.origin.objects) if found.origin else 0
                record_event(home, "scene.landed", found.name, files=files, bytes=found.size, why=rules.bucket.url)
                yield found
    except (Retryable, BadInput) as error:
        yield Seen(package=rules.bucket.url, state="waiting", why=str(error), reasons=(error.kind,))


def _arriving(landed: Landed) -> Seen:
    return Seen(package=landed.name, state="arriving", why=landed.why)


def _followed(home: Home, claim: Claim, known: Sequence[Claim], rules: LandingConfig, runs: Runs) -> Seen:
    """Bring one claim as far as it goes now; what its bucket does not let be cleared up is left for the next look."""
    try:
        return _brought_on(home, claim, known, rules, runs)
    except (Retryable, BadInput) as error:
        if claim.origin is None:
            raise
        return Seen(package=claim.name, state="waiting", why=str(error), reasons=(error.kind,))


def _brought_on(home: Home, claim: Claim, known: Sequence[Claim], rules: LandingConfig, runs: Runs) -> Seen:
    outcome = outcome_of(home, claim)
    if outcome is None:
        if claim.fault is not None:
            return _aside(home, claim, claim.fault)
        earlier = next(twins(home, claim, known), None)
        if earlier is not None:
            return _doubled(home, claim, earlier)
        if claim.next_try is not None and datetime.now(UTC) < claim.next_try:
            when = f"{claim.next_try:%Y-%m-%d %H:%M} UTC"
            return Seen(package=claim.name, state="waiting", why=f"tried again {when}", reasons=claim.waits_for)
        state = runs(claim)
        outcome = outcome_of(home, claim)  # the run may have ended while it was asked for
        if outcome is None:
            return _without_outcome(home, claim, state, rules)
    return _settled(home, claim, outcome, rules)


def _doubled(home: Home, claim: Claim, earlier: Claim) -> Seen:
    """The same content twice: the earlier claim stands for both, and is tried now if it waited."""
    if earlier.next_try is not None:
        save(home, earlier.model_copy(update={"next_try": None}))
    let_go(home, claim)
    return Seen(package=claim.name, state="duplicate", why=f"the same content as {earlier.name}, taken before")


def _without_outcome(home: Home, claim: Claim, state: RunState, rules: LandingConfig) -> Seen:
    if state is RunState.LIVE:
        return Seen(package=claim.name, state="running", why=f"attempt {claim.attempt}")
    if state is RunState.CANCELLED:
        return _aside(
            home,
            claim,
            Stop(
                outcome=Outcome.QUARANTINED,
                reason=RUN_CANCELLED,
                message="its run was cancelled by an operator",
                where=claim.name,
                remedy="Drop the package into landing again to have it processed.",
            ),
        )
    stop = Stop(
        outcome=Outcome.FAILED,
        reason=RUN_CRASHED,
        message="its run ended without a result: it failed, was killed, or the machine stopped",
        where=claim.name,
        remedy="See the log of the run. Drop the package into landing again to have it processed.",
    )
    return _failed(home, claim, stop, rules)


def _settled(home: Home, claim: Claim, outcome: PackageOutcome, rules: LandingConfig) -> Seen:
    """Do with a claim what became of its package."""
    told = Seen(package=claim.name, state=str(outcome.outcome), why=outcome.message or "", reasons=outcome.reasons)
    stop = Stop(
        outcome=outcome.outcome,
        reason=outcome.reasons[0] if outcome.reasons else "unexpected",
        message=outcome.message or "",
        where=outcome.where,
        remedy=outcome.remedy,
    )
    match outcome.outcome:
        case Outcome.PUBLISHED:
            if INPUTS_NOT_KEPT in outcome.reasons and claim.digest:
                keep_by_renaming(home, claim.digest, claim.package(home))
            let_go(home, claim)
        case Outcome.QUARANTINED:
            let_go(home, claim, stop)  # its run made the copy
        case Outcome.REJECTED:
            set_aside(home, claim, stop)
        case Outcome.HELD if is_under_review(outcome.reasons):
            let_go(home, claim)  # its product waits at the desk, and its inputs are kept
        case Outcome.HELD:
            later = datetime.now(UTC) + timedelta(minutes=rules.retry_held_minutes)
            again(home, claim, at=later, waits_for=outcome.reasons)
        case Outcome.FAILED:
            return _failed(home, claim, stop, rules)
    return told


def _failed(home: Home, claim: Claim, stop: Stop, rules: LandingConfig) -> Seen:
    """Try again after a while, or set aside what was tried often enough."""
    failures = claim.failures + 1
    if failures > len(rules.retry_failed_minutes):
        return _aside(home, claim, stop)
    later = datetime.now(UTC) + timedelta(minutes=rules.retry_failed_minutes[failures - 1])
    again(home, claim.model_copy(update={"failures": failures}), at=later, waits_for=(stop.reason,))
    return Seen(package=claim.name, state="waiting", why=f"{stop.message}; tried again {later:%H:%M} UTC",
                reasons=(stop.reason,))  # fmt: skip


def _aside(home: Home, claim: Claim, stop: Stop) -> Seen:
    folder = set_aside(home, claim, stop)
    record_event(home, "scene.quarantined", claim.name, reasons=[stop.reason], quarantine=str(folder))
    return Seen(package=claim.name, state=str(Outcome.QUARANTINED), why=stop.message, reasons=(stop.reason,))


def landing_table(report: WatchReport) -> str:
    """Markdown: every package and how far it is."""
    return "\n".join(
        [
            "| package | state | reason | |",
            "|---|---|---|---|",
            *(
                f"| {_cell(s.package)} | {s.state} | {_cell(', '.join(s.reasons))} | {_cell(s.why)} |"
                for s in report.packages
            ),
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
