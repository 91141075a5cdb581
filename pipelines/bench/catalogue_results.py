"""What ``qyran bench catalogue`` found, and what it says of it."""

import statistics
from dataclasses import asdict, dataclass
from typing import Any

EMBEDDED, PGSTAC = "embedded", "pgstac"
LABELS = {EMBEDDED: "embedded (SQLite)", PGSTAC: "pgstac (PostgreSQL)"}
P95_GOAL_S, INGEST_GOAL, SHARE_GOAL, MEMORY_GOAL = 0.15, 3_000, 1 / 3, 1.25
"""At the server with the most items; items a second of CPU; of pgstac's time; peak memory against the stage before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Items put into a store that held those of the stage before."""

    items: int
    cpu_s: float
    """Of the process that puts them, without making them up."""
    server_cpu_s: float
    """Of the database server; 0 where there is none."""
    wall_s: float
    memory_bytes: list[int]
    """In use on the way, at even steps."""
    peak_rss_bytes: int

    @property
    def rate(self) -> float:
        """Items a second of CPU, the server's included."""
        return self.items / (self.cpu_s + self.server_cpu_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Seconds of every question by kind: in the store, and at the server over loopback."""

    store_s: dict[str, list[float]]
    server_s: dict[str, list[float]]
    server_peak_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One number of items, by store."""

    items: int
    ingested: dict[str, Ingested]
    searched: dict[str, Searched]
    disk_bytes: dict[str, int]


def percentile(seconds: list[float], percent: float) -> float:
    """Of at least one value; between two, the straight line."""
    if len(seconds) == 1:
        return seconds[0]
    return statistics.quantiles(seconds, n=100, method="inclusive")[round(percent) - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueBench:
    """Everything that was found."""

    machine: dict[str, str | int | float]
    questions: int
    seed: int
    versions: dict[str, str]
    stages: tuple[Stage, ...]
    without_pgstac: str | None = None
    """Why pgstac was not measured though it was wanted."""

    def document(self) -> dict[str, Any]:
        """As JSON: every run, percentiles, ratios, and what was asked of it."""
        record = asdict(self)
        for stage, found in zip(record["stages"], self.stages, strict=True):
            stage["ingest_items_per_cpu_s"] = {name: one.rate for name, one in found.ingested.items()}
            stage["percentiles_s"] = {
                name: {
                    place: {kind: {"p50": percentile(s, 50), "p95": percentile(s, 95)} for kind, s in by_kind.items()}
                    for place, by_kind in (("server", one.server_s), ("store", one.store_s))
                }
                for name, one in found.searched.items()
            }
            stage["share_of_pgstac"] = shares(found)
        record["goals"] = goals(self)
        return record


def shares(stage: Stage) -> dict[str, dict[str, float]]:
    """The embedded store's time at the server, in parts of pgstac's, by kind of question; empty without pgstac."""
    if PGSTAC not in stage.searched:
        return {}
    ours, theirs = stage.searched[EMBEDDED].server_s, stage.searched[PGSTAC].server_s
    return {kind: {f"p{p}": percentile(ours[kind], p) / percentile(theirs[kind], p) for p in (50, 95)} for kind in ours}


def goals(result: CatalogueBench) -> dict[str, dict[str, float | int]]:
    """What was asked of the embedded store, and what was found."""
    last = result.stages[-1]
    slowest = max(percentile(s, 95) for s in last.searched[EMBEDDED].server_s.values())
    found: dict[str, dict[str, float | int]] = {
        "server_p95_s": {"items": last.items, "asked_at_most": P95_GOAL_S, "found": slowest},
        "ingest_items_per_cpu_s": {
            "items": last.items, "asked_at_least": INGEST_GOAL, "found": last.ingested[EMBEDDED].rate,
        },
    }  # fmt: skip
    compared = [stage for stage in result.stages if shares(stage)]
    if compared:
        parts = shares(compared[-1]).values()
        for percent in ("p50", "p95"):
            worst = max(part[percent] for part in parts)
            found[f"{percent}_share_of_pgstac"] = {
                "items": compared[-1].items, "asked_at_most": SHARE_GOAL, "found": worst,
            }  # fmt: skip
    if len(result.stages) > 1:
        peaks = [stage.ingested[EMBEDDED].peak_rss_bytes for stage in result.stages]
        found["ingest_memory_growth"] = {
            "items": last.items, "asked_at_most": MEMORY_GOAL, "found": peaks[-1] / peaks[-2],
        }  # fmt: skip
    return found


def describe(result: CatalogueBench) -> str:
    """Tables in Markdown, with what must be known to read them."""
    kinds = list(result.stages[0].searched[EMBEDDED].server_s)
    lines = [
        _conditions(result),
        "",
        "| items | store | items put per CPU s | wall s | peak MB | on disk, MB |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for stage in result.stages:
        for name, one in stage.ingested.items():
            lines.append(
                f"| {stage.items:,} | {LABELS[name]} | {one.rate:,.0f} | {one.wall_s:,.0f} | "
                f"{one.peak_rss_bytes / 1e6:,.0f} | {stage.disk_bytes[name] / 1e6:,.0f} |"
            )
    lines += [
        "",
        "Time of a question, ms, p50 / p95 at the server (in the store):",
        "",
        "| items | store | " + " | ".join(kinds) + " |",
        "|---:|---|" + "---:|" * len(kinds),
    ]
    for stage in result.stages:
        for name, found in stage.searched.items():
            lines.append(f"| {stage.items:,} | {LABELS[name]} | " + " | ".join(_cells(found, kinds)) + " |")
        if parts := shares(stage):
            cells = [f"{parts[kind]['p50']:.2f} / {parts[kind]['p95']:.2f}" for kind in kinds]
            lines.append(f"| {stage.items:,} | embedded in parts of pgstac's | " + " | ".join(cells) + " |")
    if result.without_pgstac:
        lines += ["", f"Without pgstac: {result.without_pgstac}."]
    versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    return "\n".join([*lines, "", *_held(result), "", f"{versions}.", ""])


def _conditions(result: CatalogueBench) -> str:
    machine = result.machine
    return (
        "Synthetic items of 3.6 kB with six assets (a product of all bands comes to 30 kB), ten years of scenes at "
        "each stage, put in order of acquisition into a catalogue that holds those of the stage before. "
        f"{result.questions} questions of each kind with places, times and limits of their own, one after the other, "
        "caches warm. *At the server*: `POST /search` through the real application over loopback, a page of 50 "
        "(newest: 100) items with links and count, the stores taking turns; *in the store*: the same without HTTP. "
        f"{machine['processor']}, {machine['cpus']} CPUs, load {machine['load']}."
    )


def _cells(found: Searched, kinds: list[str]) -> list[str]:
    def both(seconds: list[float]) -> str:
        return f"{1e3 * percentile(seconds, 50):.0f} / {1e3 * percentile(seconds, 95):.0f}"

    return [f"{both(found.server_s[kind])} ({both(found.store_s[kind])})" for kind in kinds]


def _held(result: CatalogueBench) -> list[str]:
    words = []
    for name, one in goals(result).items():
        asked = (
            f"at most {one['asked_at_most']:.3g}" if "asked_at_most" in one else f"at least {one['asked_at_least']:,}"
        )
        words.append(f"{name.replace('_', ' ')} {one['found']:,.3g} at {one['items']:,} items ({asked} asked)")
    return [f"The embedded store: {'; '.join(words)}."]
