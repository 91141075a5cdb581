"""What ``qyran bench flow`` saw: scenes that an installation processed, beside the same ones without Prefect."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pipelines.bench.catalogue_results import percentile
from pipelines.bench.flow_kind import SceneKind
from pipelines.bench.machine import describe_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """One scene without Prefect."""

    sensor: str
    wall_s: float
    """Its share of the wall time: half, where two were processed side by side."""
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrated:
    """What was seen of the scenes that an installation processed."""

    dropped: float
    """When all were dropped into the landing zone, by the clock."""
    ended: list[float]
    """When each item was there, in turn."""
    sensors: list[str]
    """Of each, in the same order."""
    cpu_s: float
    """Of all processes of the installation, for all scenes together."""
    locked: int
    pages: list[float]
    side_by_side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowBench:
    """Figures of one run."""

    machine: dict[str, str | int | float]
    kind: SceneKind
    scenes: int
    published: int
    wall_s: float
    """From the drop until the last item."""
    scenes_per_hour: float
    scene_s: float
    """Wall time per scene that went through, all side by side, from when the first ones were through."""
    alone_s: float
    """The same work without Prefect, as many side by side, before and after: wall time per scene."""
    overhead_s: float
    """What orchestration adds to each scene, wall time."""
    overhead_percent: float
    """Of the wall time without Prefect."""
    cpu_s: float
    """Processor time per scene of everything that ran, server and worker included."""
    alone_cpu_s: float
    latency_p50_s: float
    """From the drop to the item; all were dropped at once, so that most of it is the queue."""
    latency_p95_s: float
    locked: int
    """Lines of all logs that complain of a locked database."""
    page_p95_ms: float
    """Answers of Prefect's server to the question its page of runs asks, while scenes went through."""

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def held_against(seen: Orchestrated, alone: Sequence[Alone], kind: SceneKind) -> FlowBench:
    """The figures, beside what scenes of the same sensors take without Prefect.

    The first scenes, as many as are processed side by side, begin the clock: each later one then ends a turn of its
    own.
    """
    usual_s = {sensor: fmean(one.wall_s for one in alone if one.sensor == sensor) for sensor in set(seen.sensors)}
    usual_cpu_s = {sensor: fmean(one.cpu_s for one in alone if one.sensor == sensor) for sensor in set(seen.sensors)}
    ended, scenes, first = seen.ended, len(seen.ended), min(seen.side_by_side, len(seen.ended) - 1)
    scene_s = (ended[-1] - ended[first - 1]) / (scenes - first)
    alone_s = fmean(usual_s[sensor] for sensor in seen.sensors[first:])
    latencies = [end - seen.dropped for end in ended]
    return FlowBench(
        machine=describe_machine(),
        kind=kind,
        scenes=scenes,
        published=scenes,
        wall_s=round(latencies[-1], 1),
        scenes_per_hour=round(3600 / scene_s, 1),
        scene_s=round(scene_s, 2),
        alone_s=round(alone_s, 2),
        overhead_s=round(scene_s - alone_s, 2),
        overhead_percent=round(100 * (scene_s / alone_s - 1), 1),
        cpu_s=round(seen.cpu_s / scenes, 2),
        alone_cpu_s=round(fmean(usual_cpu_s[sensor] for sensor in seen.sensors), 2),
        latency_p50_s=round(percentile(latencies, 50), 1),
        latency_p95_s=round(percentile(latencies, 95), 1),
        locked=seen.locked,
        page_p95_ms=round(percentile(seen.pages, 95), 0) if seen.pages else 0.0,
    )


def describe(result: FlowBench) -> str:
    """The figures as Markdown."""
    machine = result.machine
    title = f"**{result.scenes} {_CALLED[result.kind]} from landing to catalogue**"
    return "\n".join(
        [
            f"{title}, {machine['cpus']} CPUs, load {machine['load']}",
            "",
            "| figure | |",
            "|---|---:|",
            f"| scenes per hour | {result.scenes_per_hour:,.0f} |",
            f"| a scene, s (without Prefect) | {result.scene_s:.2f} ({result.alone_s:.2f}) |",
            f"| orchestration adds, s a scene | {result.overhead_s:.2f} ({result.overhead_percent:.0f} %) |",
            f"| processor time of a scene, s (without Prefect) | {result.cpu_s:.2f} ({result.alone_cpu_s:.2f}) |",
            f"| drop to item, s: p50, p95 | {result.latency_p50_s:.1f}, {result.latency_p95_s:.1f} |",
            f"| Prefect's server answers, ms: p95 | {result.page_p95_ms:.0f} |",
            f"| complaints of a locked database | {result.locked} |",
        ]
    )


_CALLED = {SceneKind.SMALL: "small scenes", SceneKind.DEMO: "scenes of the demo"}


def write_report(result: FlowBench, folder: Path) -> None:
    """``flow.md`` and ``flow.json``; for scenes of the demo ``flow-demo.md`` and ``flow-demo.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    name = section_of(result.kind).replace(" ", "-")
    (folder / f"{name}.md").write_text(describe(result) + "\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(result.document(), indent=2) + "\n", encoding="utf-8")


def section_of(kind: SceneKind) -> str:
    """Name of the README's section."""
    return "flow" if kind is SceneKind.SMALL else f"flow {kind}"
