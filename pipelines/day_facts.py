"""What happened on one day (UTC): passes, packages, times, failures by reason, alarms. From files, without Prefect."""

import shutil
import statistics
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from configs.settings import Home
from pipelines.journal import read_events
from pipelines.passes_book import OUTCOMES, PassRecord, passes_in
from pipelines.reasons import reason as reason_known

ALARMS = ("disk.low", "disk.recovered", "queue.long", "queue.recovered", "tle.stale", "pass.gap", "pass.cancelled")
TROUBLE = ("held", "rejected", "quarantined", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """One package, and what became of it that day."""

    name: str
    scene: str | None
    mission: str | None
    acquired: str | None
    landed: datetime | None
    done: datetime
    outcome: str
    reasons: tuple[str, ...]
    message: str | None
    seconds: float | None
    items: tuple[str, ...]

    @property
    def waited_s(self) -> float | None:
        """From landing to its outcome."""
        return None if self.landed is None else (self.done - self.landed).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long something took."""

    count: int
    median_s: float
    p95_s: float
    longest_s: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread | None":
        """None where nothing was measured."""
        if not values:
            return None
        ordered = sorted(values)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        return cls(count=len(ordered), median_s=statistics.median(ordered), p95_s=p95, longest_s=ordered[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFacts:
    """One day of an installation."""

    date: date
    taken: datetime
    """When this was put together: the day may not be over."""
    passes: tuple[PassRecord, ...]
    packages: tuple[PackageFacts, ...]
    outcomes: dict[str, int]
    reasons: tuple[tuple[str, int, str, str], ...]
    """Of packages that did not simply succeed: code, how many, what it means, what to do; the most frequent first."""
    stages: dict[str, Spread]
    landing_to_outcome: Spread | None
    delivered: int
    """Orders."""
    alarms: tuple[tuple[datetime, str, str], ...]
    """When, kind, and what there is to say."""
    disk_free: int
    disk_total: int


def day_facts(home: Home, day: date, *, now: datetime | None = None) -> DayFacts:
    """Put one day together."""
    since = datetime.combine(day, time(), tzinfo=UTC)
    until = since + timedelta(days=1)
    events = [
        (when, event)
        for event in read_events(home, since=since - timedelta(days=1))
        if (when := _time(event)) is not None and when < until
    ]
    todays = [(when, event) for when, event in events if when >= since]
    packages = _packages(events, since)
    usage = shutil.disk_usage(home.path if home.path.exists() else home.path.anchor)
    stages: defaultdict[str, list[float]] = defaultdict(list)
    for _, event in todays:
        for stage, took in (event.get("stages") or {}).items():
            stages[str(stage)].append(float(took))
    return DayFacts(
        date=day,
        taken=now or datetime.now(UTC),
        passes=passes_in(home, since, until - timedelta(milliseconds=1)),
        packages=packages,
        outcomes=dict(Counter(each.outcome for each in packages)),
        reasons=_reasons(packages),
        stages={stage: spread for stage, took in stages.items() if (spread := Spread.of(took)) is not None},
        landing_to_outcome=Spread.of([each.waited_s for each in packages if each.waited_s is not None]),
        delivered=sum(event.get("kind") == "order.delivered" for _, event in todays),
        alarms=tuple((when, str(event["kind"]), _said(event)) for when, event in todays if event.get("kind") in ALARMS),
        disk_free=usage.free,
        disk_total=usage.total,
    )


def _time(event: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(event["time"]))
    except (KeyError, ValueError):
        return None


def _packages(events: list[tuple[datetime, dict[str, Any]]], since: datetime) -> tuple[PackageFacts, ...]:
    """The last word of the day on each package."""
    landed: dict[str, datetime] = {}
    last: dict[str, PackageFacts] = {}
    for when, event in events:
        about, _, outcome = str(event.get("kind", "")).partition(".")
        if about != "scene":
            continue
        name = str(event.get("package") or event.get("scene"))
        if outcome == "landed":
            landed[name] = when
        elif outcome in OUTCOMES and when >= since:
            last[name] = PackageFacts(
                name=name,
                scene=event.get("scene"),
                mission=event.get("mission"),
                acquired=event.get("acquired"),
                landed=landed.get(name),
                done=when,
                outcome=outcome,
                reasons=tuple(str(code) for code in event.get("reasons") or ()),
                message=event.get("message"),
                seconds=event.get("seconds"),
                items=tuple(str(item) for item in event.get("items") or ()),
            )
    return tuple(sorted(last.values(), key=lambda each: each.done))


def _reasons(packages: tuple[PackageFacts, ...]) -> tuple[tuple[str, int, str, str], ...]:
    counts = Counter((each.reasons or ("unknown",))[0] for each in packages if each.outcome in TROUBLE)
    told = []
    for code, count in counts.most_common():
        known = reason_known(code)
        told.append((code, count, known.means if known else "", known.do if known else ""))
    return tuple(told)


def _said(event: dict[str, Any]) -> str:
    if event.get("message"):
        return str(event["message"])
    if "free_bytes" in event:
        return f"{float(event['free_bytes']) / 1e9:.1f} GB free"
    left = {name: value for name, value in event.items() if name not in ("time", "kind", "scene") and value is not None}
    return ", ".join(f"{name} {value}" for name, value in left.items())[:200]


def day_document(facts: DayFacts) -> dict[str, Any]:
    """The day as JSON."""
    return {
        "date": facts.date.isoformat(),
        "taken": facts.taken.isoformat(timespec="seconds"),
        "outcomes": facts.outcomes,
        "reasons": [{"reason": code, "count": count} for code, count, _, _ in facts.reasons],
        "passes": [record.model_dump(mode="json") for record in facts.passes],
        "packages": [
            asdict(each)
            | {
                "landed": each.landed and each.landed.isoformat(),
                "done": each.done.isoformat(),
                "waited_s": each.waited_s,
            }
            for each in facts.packages
        ],
        "stages": {stage: asdict(spread) for stage, spread in facts.stages.items()},
        "landing_to_outcome": asdict(facts.landing_to_outcome) if facts.landing_to_outcome else None,
        "orders_delivered": facts.delivered,
        "alarms": [{"time": when.isoformat(), "kind": kind, "message": said} for when, kind, said in facts.alarms],
        "disk_free_bytes": facts.disk_free,
        "disk_bytes": facts.disk_total,
    }
