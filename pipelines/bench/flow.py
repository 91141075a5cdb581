"""How many scenes an hour go from the landing zone to the catalogue by themselves, and what orchestration costs.

The same small scenes are processed twice on the same machine: without Prefect, by as many processes side by side as
the work pool runs; and by a ``qyran up`` of its own, into whose landing zone they are dropped. What a scene takes
longer there is what the orchestration costs: processes, imports, states, the database.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.compute import load_compute
from configs.settings import Home
from pipelines.bench.catalogue_results import percentile
from pipelines.bench.machine import describe_machine
from pipelines.prefect_http import prefect_client
from processing.archive.layout import ITEM, PRODUCT_RECORD
from processing.model.errors import Defect
from processing.model.product import Product
from processing.testing.series import write_elevations, write_series

type Progress = Callable[[int, int, str], None]
_STARTS_S, _SCENE_S = 600.0, 180.0
_LOCKED = "database is locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowBenchOptions:
    """What is measured."""

    scenes: int = 20
    """Dropped into the landing zone at once."""
    baseline: int = 6
    """Processed without Prefect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowBench:
    """Figures of one run."""

    machine: dict[str, str | int | float]
    scenes: int
    published: int
    wall_s: float
    """From the drop until the last item."""
    scenes_per_hour: float
    scene_s: float
    """Wall time per scene that went through, all side by side: ``wall_s / scenes`` from the first item on."""
    alone_s: float
    """The same work without Prefect, as many side by side, before and after: wall time per scene."""
    overhead_s: float
    """What orchestration adds to each scene."""
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


def run_flow_bench(folder: Path, how: FlowBenchOptions, *, progress: Progress | None = None) -> FlowBench:
    """Measure in a folder of its own, which is removed.

    Parameters
    ----------
    folder
        ``HOME/bench``.

    Raises
    ------
    Defect
        ``bench.*`` if the scenes do not go through.
    """
    tell = progress or (lambda *_: None)
    scratch = folder / f"flow-{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        # Before and after: a machine that others use too is not as fast all the while.
        tell(0, how.scenes, "without Prefect")
        before = _alone(scratch / "before", how)
        orchestrated = _orchestrated(scratch / "up", how, tell)
        tell(how.scenes, how.scenes, "without Prefect, again")
        after = _alone(scratch / "after", how)
        return _held_against(orchestrated, (before[0] + after[0]) / 2, (before[1] + after[1]) / 2)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _alone(folder: Path, how: FlowBenchOptions) -> tuple[float, float]:
    """Wall and processor time of a scene where nobody orchestrates, as many side by side as the work pool runs."""
    side_by_side = load_compute().limits.scenes
    each = max(1, how.baseline // side_by_side)
    packages = write_series(_made(folder / "deliveries"), side_by_side * (each + 1))
    home = folder / "home"
    write_elevations(home / "auxiliary" / "dem")
    jobs = []
    for number in range(side_by_side):
        given = packages[number * (each + 1) : (number + 1) * (each + 1)]
        command = [sys.executable, "-m", "pipelines.bench.flow_job", str(home), *map(str, given)]
        jobs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))  # noqa: S603 - our own program
    answers = []
    for job in jobs:
        said, _ = job.communicate(timeout=_SCENE_S * (each + 1) + _STARTS_S)
        if job.returncode != 0:
            raise Defect("a scene was not processed without Prefect", kind="bench.alone")
        answers.append(json.loads(said))
    seconds = [second for answer in answers for second in answer["seconds"]]
    scenes = len(seconds)
    return sum(seconds) / scenes / side_by_side, sum(answer["cpu_s"] for answer in answers) / scenes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orchestrated:
    """What was seen of the scenes that an installation processed."""

    dropped: float
    ended: list[float]
    cpu_s: float
    locked: int
    pages: list[float]


def _orchestrated(folder: Path, how: FlowBenchOptions, tell: Progress) -> _Orchestrated:
    home = Home(folder / "home")
    packages = write_series(_made(folder / "deliveries"), how.scenes)
    write_elevations(home.dem)
    with _up(home) as (process, addresses):
        cpu_before = _cpu_of(home, process)
        home.landing.mkdir(exist_ok=True)
        dropped = time.time()
        for package in packages:
            package.rename(home.landing / package.name)
        pages: list[float] = []
        deadline = time.monotonic() + _SCENE_S + _SCENE_S * how.scenes
        while len(items := _items(home)) < how.scenes:
            tell(len(items), how.scenes, "from landing to catalogue")
            if process.poll() is not None or time.monotonic() > deadline:
                raise Defect(f"{len(items)} of {how.scenes} scenes went through", kind="bench.flow", where=str(folder))
            pages.append(_page_ms(home, str(addresses["prefect"])))
            time.sleep(2)
        cpu = _cpu_of(home, process) - cpu_before
        locked = sum(path.read_text(errors="replace").count(_LOCKED) for path in home.logs.glob("*.log"))
    return _Orchestrated(dropped=dropped, ended=sorted(items.values()), cpu_s=cpu, locked=locked, pages=pages)


def _held_against(seen: _Orchestrated, alone_s: float, alone_cpu_s: float) -> FlowBench:
    """The figures, beside what a scene takes without Prefect."""
    ended, scenes = seen.ended, len(seen.ended)
    scene_s = (ended[-1] - ended[0]) / (scenes - 1)
    latencies = [end - seen.dropped for end in ended]
    return FlowBench(
        machine=describe_machine(),
        scenes=scenes,
        published=scenes,
        wall_s=round(latencies[-1], 1),
        scenes_per_hour=round(3600 / scene_s, 1),
        scene_s=round(scene_s, 2),
        alone_s=round(alone_s, 2),
        overhead_s=round(scene_s - alone_s, 2),
        cpu_s=round(seen.cpu_s / scenes, 2),
        alone_cpu_s=round(alone_cpu_s, 2),
        latency_p50_s=round(percentile(latencies, 50), 1),
        latency_p95_s=round(percentile(latencies, 95), 1),
        locked=seen.locked,
        page_p95_ms=round(percentile(seen.pages, 95), 0) if seen.pages else 0.0,
    )


@contextmanager
def _up(home: Home) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A ``qyran up`` of its own, for as long as the block lasts."""
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "up", "--home", str(home.path), "--json"]
    for option in ("--port", "--prefect-port"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            command += [option, str(free.getsockname()[1])]
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    process = subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    )
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            if not line:
                raise Defect(f"qyran up ended: {text[-600:]}", kind="bench.up", where=str(home.logs))
            text += line
        addresses = json.loads(text)
        if "error" in addresses:
            raise Defect(str(addresses["error"]["message"]), kind="bench.up", where=str(home.logs))
        yield process, addresses
    finally:
        process.send_signal(signal.SIGTERM)
        with process:
            process.wait(120)


def _items(home: Home) -> dict[str, float]:
    """When the item of each package was written, by the package's name."""
    found = {}
    for record in home.products.glob(f"*/*/{PRODUCT_RECORD}"):
        with suppress(FileNotFoundError):
            moment = record.with_name(ITEM).stat().st_mtime
            package = Product.model_validate_json(record.read_bytes()).lineage.input_of("package")
            if package is not None:
                found[package.name] = moment
    return found


def _page_ms(home: Home, origin: str) -> float:
    """How long Prefect's server takes to say which runs there were last, as its page of runs asks, in ms."""
    server = {
        "PREFECT_API_URL": f"{origin}/api", "PREFECT_API_AUTH_STRING": (home.prefect / "auth").read_text().strip()
    }  # fmt: skip
    with prefect_client(server, timeout_s=60) as client:
        began = time.perf_counter()
        asked = {"sort": "START_TIME_DESC", "limit": 50}
        client.post("/flow_runs/filter", json=asked).raise_for_status()
        return (time.perf_counter() - began) * 1000


def _cpu_of(home: Home, process: subprocess.Popen[str]) -> float:
    """Processor seconds of an installation's processes, and of those that they have waited for."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            ours = f"QYRAN_HOME={home.path}\0".encode() in (entry / "environ").read_bytes()
            if ours or int(entry.name) == process.pid:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def describe(result: FlowBench) -> str:
    """The figures as Markdown."""
    machine = result.machine
    title = f"**{result.scenes} small scenes from landing to catalogue**"
    return "\n".join(
        [
            f"{title}, {machine['cpus']} CPUs, load {machine['load']}",
            "",
            "| figure | |",
            "|---|---:|",
            f"| scenes per hour | {result.scenes_per_hour:,.0f} |",
            f"| a scene, s (without Prefect) | {result.scene_s:.2f} ({result.alone_s:.2f}) |",
            f"| orchestration adds, s a scene | {result.overhead_s:.2f} |",
            f"| processor time of a scene, s (without Prefect) | {result.cpu_s:.2f} ({result.alone_cpu_s:.2f}) |",
            f"| drop to item, s: p50, p95 | {result.latency_p50_s:.1f}, {result.latency_p95_s:.1f} |",
            f"| Prefect's server answers, ms: p95 | {result.page_p95_ms:.0f} |",
            f"| complaints of a locked database | {result.locked} |",
        ]
    )


def write_report(result: FlowBench, folder: Path) -> None:
    """``flow.md`` and ``flow.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.md").write_text(describe(result) + "\n", encoding="utf-8")
    (folder / "flow.json").write_text(json.dumps(result.document(), indent=2) + "\n", encoding="utf-8")
