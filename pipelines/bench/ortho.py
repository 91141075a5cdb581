"""``qyran bench ortho``: one scene, one grid, every tool: how fast, how large, and how far from the truth."""

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.bench.machine import describe_machine
from pipelines.bench.measure import ToolFailed, Usage, run_measured
from pipelines.bench.results import Accuracy, Measured, OrthoBench, Setting, StartUp, ToolFound
from pipelines.bench.tools import Job, Tool, peer_tools, qyran_tools
from processing.model.errors import BadInput
from processing.testing.bench_scene import BenchScene, bench_scene
from processing.testing.coordinate_truth import (
    Array,
    Grid,
    TruthPoints,
    has_value,
    measure_lookup,
    missing_share,
    output_shape,
    sample_output,
    truth_points,
)

Progress = Callable[[int, int, str], None]

HALF_EMPTY = 0.01
"""Of points well inside the image without a value, from which on an output does not count as done."""
REFERENCE = "gdalwarp-xscale1"
"""Whose counts the others' are compared with."""
_TINY_PX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoBenchOptions:
    """What to measure; the defaults are the command's."""

    size: int = 10_000
    bands: int = 4
    seed: int = 1
    resampling: str = "cubic"
    window: int | None = None
    """Side of the inner window, output px; None: half the image and a bit (5,120 of 10,000); 0: none."""
    whole: bool = True
    """Measure the whole scene too, not only the window."""
    runs: int = 3
    threads: int = 2
    peers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What all steps share."""

    options: OrthoBenchOptions
    scene: BenchScene
    tools: tuple[Tool, ...]
    scratch: Path
    tell: Callable[[str], None]

    def job(self, bounds: tuple[float, float, float, float], *, coordinates: bool, whole: bool) -> Job:
        """The work on a grid, on the counts or on the coordinate image."""
        scene = self.scene
        return Job(
            image=scene.coordinates if coordinates else scene.image,
            dem=scene.dem,
            crs=scene.crs,
            resolution_m=scene.resolution_m,
            bounds=bounds,
            shape=Grid.within(scene.crs, bounds, scene.resolution_m).shape,
            resampling=self.options.resampling,
            threads=self.options.threads,
            floating=coordinates,
            whole=whole,
        )


def run_ortho_bench(
    folder: Path, options: OrthoBenchOptions | None = None, *, progress: Progress | None = None
) -> OrthoBench:
    """Measure on this machine.

    Every run is a process of its own, from fork to exit, on as many CPUs as ``threads``, its input in the page cache,
    nothing of the run before left to be written. Tools take turns, each round beginning with another one, so that what
    else the machine does falls on all alike; ratios are taken inside a round.

    Parameters
    ----------
    folder
        Keeps the scenes (``scenes/``), by their parameters, and what is written meanwhile.
    options
        None: the defaults.
    progress
        Called with steps done, steps in all, and what is being done.

    Raises
    ------
    BadInput
        ``bench.size`` and ``bench.window`` for figures out of range.
    """
    how = options or OrthoBenchOptions()
    if how.runs < 1 or how.threads < 1:
        raise BadInput("runs and threads are counted from 1", kind="bench.runs")
    folder.mkdir(parents=True, exist_ok=True)
    tell = _Steps(progress)
    tell("making the scene, unless it is kept from before")
    scene = bench_scene(folder / "scenes", size=how.size, bands=how.bands, seed=how.seed)
    tools = (*qyran_tools(), *(peer_tools(how.threads) if how.peers else ()))
    with tempfile.TemporaryDirectory(prefix="runs-", dir=folder) as scratch:
        bench = _Bench(options=how, scene=scene, tools=tools, scratch=Path(scratch), tell=tell)
        grids = _grids(bench)
        tell.expect(len(tools) * (1 + how.runs * len(grids)) + how.runs)
        accuracy = _accuracy(bench, *grids[0])
        start = _start_up(bench)
        settings = tuple(_setting(bench, name, bounds) for name, bounds in grids)
    return OrthoBench(
        machine=describe_machine(),
        size=how.size,
        bands=how.bands,
        seed=how.seed,
        resampling=how.resampling,
        runs=how.runs,
        threads=how.threads,
        scene=scene.facts,
        tools=tuple(
            ToolFound(key=tool.key, label=tool.label, version=tool.version, note=tool.note, install=tool.install)
            for tool in tools
        ),
        accuracy=accuracy,
        start_up=start,
        settings=settings,
    )


class _Steps:
    """Tells how far it is."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done, self._total = progress, 0, 1

    def expect(self, total: int) -> None:
        self._total = total + 1

    def __call__(self, what: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, what)
        self._done += 1


def _grids(bench: _Bench) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Name and bounds of what is to be made: all that the image sees, and a window in its middle."""
    how, scene = bench.options, bench.scene
    window = round(how.size * 0.512) if how.window is None else how.window
    grids = [("whole scene", scene.bounds)] if how.whole else []
    if window:
        if not _TINY_PX <= window <= how.size * 0.7:
            raise BadInput(
                f"a window of {window} px does not lie inside a scene of {how.size}",
                kind="bench.window",
                remedy=f"Take at most {int(how.size * 0.7)}, or 0 for none.",
            )
        grids.append((f"inner window of {window} px", scene.window(window)))
    if not grids:
        raise BadInput("neither the whole scene nor a window of it is asked for", kind="bench.window")
    return grids


def _truth(bench: _Bench, bounds: tuple[float, float, float, float]) -> tuple[Grid, TruthPoints]:
    grid = Grid.within(bench.scene.crs, bounds, bench.scene.resolution_m)
    return grid, truth_points(bench.scene, grid)


def _accuracy(bench: _Bench, name: str, bounds: tuple[float, float, float, float]) -> tuple[Accuracy, ...]:
    """Where each tool looked, by the coordinate image."""
    job = bench.job(bounds, coordinates=True, whole=name == "whole scene")
    grid, truth = _truth(bench, bounds)
    found = []
    for tool in bench.tools:
        bench.tell(f"{name}, where {tool.label} looks")
        refusal = tool.refuses(job)
        if refusal is not None:
            found.append(Accuracy(tool=tool.key, failure=refusal))
            continue
        try:
            with _ran(bench, tool, job) as (_, out):
                lookup = measure_lookup(truth, sample_output(out, grid, truth))
            found.append(Accuracy.of(tool.key, lookup))
        except (ToolFailed, BadInput) as error:
            found.append(Accuracy(tool=tool.key, failure=str(error)))
    return tuple(found)


def _start_up(bench: _Bench) -> StartUp:
    """What Qyran spends on a window so small that hardly anything but its start is left."""
    left, _, _, top = bench.scene.window(_TINY_PX)
    side = _TINY_PX * bench.scene.resolution_m
    job = bench.job((left, top - side, left + side, top), coordinates=False, whole=False)
    runs: list[Usage] = []
    for _ in range(bench.options.runs):
        bench.tell("how long Qyran takes to start")
        with _ran(bench, bench.tools[0], job) as (usage, _out):
            runs.append(usage)
    return StartUp(
        window_px=_TINY_PX,
        wall_s=statistics.median(run.wall_s for run in runs),
        cpu_s=statistics.median(run.cpu_s for run in runs),
        peak_rss_bytes=round(statistics.median(run.peak_rss_bytes for run in runs)),
    )


def _setting(bench: _Bench, name: str, bounds: tuple[float, float, float, float]) -> Setting:
    """Every tool on one grid, in rounds."""
    job = bench.job(bounds, coordinates=False, whole=name == "whole scene")
    grid, truth = _truth(bench, bounds)
    tried = {tool.key: Measured(tool=tool.key, failure=tool.refuses(job)) for tool in bench.tools}
    counts: dict[str, Array] = {}
    how = bench.options
    for number in range(how.runs):
        turn = number % len(bench.tools)
        for tool in (*bench.tools[turn:], *bench.tools[:turn]):
            bench.tell(f"{name}, round {number + 1}: {tool.label}")
            so_far = tried[tool.key]
            if so_far.failure is not None:
                continue
            try:
                with _ran(bench, tool, job) as (usage, out):
                    if tool.key not in counts:
                        counts[tool.key] = sample_output(out, grid, truth)
                        so_far = _looked_over(so_far, missing_share(truth, counts[tool.key]), out, how.bands)
                tried[tool.key] = replace(so_far, runs=(*so_far.runs, usage))
            except (ToolFailed, BadInput) as error:
                tried[tool.key] = replace(so_far, failure=str(error))
    compared = {key: _compared(measured, counts) for key, measured in tried.items()}
    return Setting(name=name, shape=job.shape, rows=tuple(compared[tool.key] for tool in bench.tools))


def _looked_over(measured: Measured, missing: float, out: Path, bands: int) -> Measured:
    """With the output's size, and a failure if it is half empty, whatever the tool's exit code said."""
    rows, columns = output_shape(out)
    failure = f"{missing:.0%} of the image is missing from its output" if missing > HALF_EMPTY else None
    return replace(measured, megapixel_bands=rows * columns * bands / 1e6, missing_share=missing, failure=failure)


def _compared(measured: Measured, counts: dict[str, Array]) -> Measured:
    """With the share of counts that are the reference's to within one."""
    reference, own = counts.get(REFERENCE), counts.get(measured.tool)
    if reference is None or own is None or measured.tool == REFERENCE or measured.failure is not None:
        return measured
    both = has_value(reference) & has_value(own)
    if not both.any():
        return measured
    return replace(measured, within_one_count=float((np.abs(own - reference)[:, both] <= 1.0).mean()))


@contextmanager
def _ran(bench: _Bench, tool: Tool, job: Job) -> Iterator[tuple[Usage, Path]]:
    """A run of a tool, and its output, which goes when the block ends."""
    folder = bench.scratch / tool.key
    folder.mkdir()
    try:
        _warm_cache([job.image, job.dem])
        # What the run before has left to be written must not be written during this one.
        os.sync()
        usage = run_measured(tool.command(job, folder), threads=job.threads, environment=tool.environment)
        yield usage, folder / tool.output(job)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _warm_cache(files: Sequence[Path]) -> None:
    """Read files once, so that no tool pays for the disk."""
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
