"""What ``qyran bench load`` found, and what it says of it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.bench.catalogue_results import percentile

KINDS = {"search": 8, "item": 4, "thumbnail": 2, "tile": 3, "quote": 2, "orders": 1}
"""What customers ask, and how often of each twenty."""
P95_GOAL_S = 0.3
"""Of searches, and of the first byte of tiles."""
_GOALS = ("search", "tile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer."""

    kind: str
    moment: float
    """When it was due to be asked for, seconds after the first."""
    status: int
    """0: none came."""
    first_byte_s: float
    """From that moment to the first byte of its body."""
    seconds: float
    """To the last."""
    bytes: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBench:
    """Everything that was found."""

    machine: dict[str, str | int | float]
    seconds: float
    customers: int
    per_second: float
    items: int
    scenes: int
    seed: int
    answers: tuple[Answer, ...]
    server_memory_bytes: int
    """The most it was seen to have."""

    def of(self, kind: str) -> list[float]:
        """Seconds of the answers of a kind: of tiles, to the first byte."""
        return [one.first_byte_s if kind == "tile" else one.seconds for one in self.answers if one.kind == kind]

    @property
    def failed(self) -> tuple[Answer, ...]:
        """Answers that say that the server failed, and those that never came."""
        return tuple(one for one in self.answers if one.status == 0 or one.status >= 500)

    def document(self) -> dict[str, Any]:
        """As JSON: every answer's time, percentiles, what was asked of it."""
        record = asdict(self)
        record["answers"] = [
            [one.kind, round(one.moment, 3), one.status, round(one.first_byte_s, 5), round(one.seconds, 5), one.bytes]
            for one in self.answers
        ]
        kinds = {kind: self.of(kind) for kind in KINDS}
        record["percentiles_s"] = {
            kind: {f"p{share}": percentile(seconds, share) for share in (50, 95, 99)}
            for kind, seconds in kinds.items() if seconds
        }  # fmt: skip
        record["statuses"] = {
            kind: dict(Counter(str(one.status) for one in self.answers if one.kind == kind)) for kind in KINDS
        }
        record["failed"] = [asdict(one) for one in self.failed]
        record["goals"] = self.goals()
        return record

    def goals(self) -> dict[str, dict[str, Any]]:
        """What was asked of it, and whether it held."""
        found: dict[str, dict[str, Any]] = {
            f"{kind}_p95_s": {"asked_at_most": P95_GOAL_S, "found": percentile(self.of(kind), 95)}
            for kind in _GOALS if self.of(kind)
        }  # fmt: skip
        found["server_errors"] = {"asked_at_most": 0, "found": len(self.failed)}
        return {name: one | {"held": one["found"] <= one["asked_at_most"]} for name, one in found.items()}


def describe(result: LoadBench) -> str:
    """A table in Markdown, with what must be known to read it."""
    machine = result.machine
    conditions = (
        f"{result.customers} customers of four classes with a connection each, {result.per_second:g} requests a second "
        f"together for {result.seconds:g} s, {result.items:,} items and {result.scenes} products with files, the "
        "shipped example policy. The server is a process of its own; customers ask at moments fixed beforehand, and "
        f"times run from there. {machine['processor']}, {machine['cpus']} CPUs, load {machine['load']}."
    )
    lines = [
        conditions,
        "",
        "| asked for | answers | p50, ms | p95, ms | p99, ms | slowest, ms | failed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind in KINDS:
        seconds = result.of(kind)
        if seconds:
            shares = [1e3 * percentile(seconds, share) for share in (50, 95, 99)]
            failed = sum(one.kind == kind for one in result.failed)
            name = "tile, first byte" if kind == "tile" else kind
            times = " | ".join(f"{value:.0f}" for value in (*shares, 1e3 * max(seconds)))
            lines.append(f"| {name} | {len(seconds):,} | {times} | {failed} |")
    held = "; ".join(
        f"{name.replace('_', ' ')} {one['found']:.3g} (at most {one['asked_at_most']:g} asked)"
        for name, one in result.goals().items()
    )
    lines += ["", f"{held}. Most memory of the server: {result.server_memory_bytes / 1e6:,.0f} MB.", ""]
    lines += [f"- failed: {one.status} {one.path} at {one.moment:.1f} s" for one in result.failed[:20]]
    return "\n".join(lines)


def write_report(result: LoadBench, folder: Path) -> None:
    """Write ``load.md`` and ``load.json`` (every answer's time) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "load.md").write_text(describe(result) + "\n", encoding="utf-8")
    text = json.dumps(result.document(), ensure_ascii=False, allow_nan=False)
    (folder / "load.json").write_text(text + "\n", encoding="utf-8")
