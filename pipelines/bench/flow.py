"""How many scenes an hour go from the landing zone to the catalogue by themselves, and what orchestration costs.

The same scenes are processed twice on the same machine: without Prefect, by as many processes side by side as
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.compute import load_compute
from configs.settings import Home
from pipelines.bench.flow_kind import SceneKind
from pipelines.bench.flow_results import Alone, FlowBench, Orchestrated, held_against
from pipelines.bench.flow_scenes import Scenes, make_scenes
from pipelines.demo import PASSES
from pipelines.prefect_http import prefect_client
from processing.archive.layout import ITEM, PRODUCT_RECORD
from processing.model.errors import Defect
from processing.model.product import Product

type Progress = Callable[[int, int, str], None]
_STARTS_S, _SCENE_S = 600.0, 180.0
_WARM = len(PASSES)
"""Scenes that a process does first, and that do not count: one of each kind of sensor, for imports and kernels."""
_LOCKED = "database is locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowBenchOptions:
    """What is measured."""

    kind: SceneKind = SceneKind.SMALL
    scenes: int = 20
    """Dropped into the landing zone at once."""
    baseline: int = 6
    """Processed without Prefect."""


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
        side_by_side = load_compute().limits.scenes
        most = max(how.scenes, side_by_side * (_WARM + max(1, how.baseline // side_by_side)))
        tell(0, how.scenes, "making packages")
        scenes = make_scenes(how.kind, most, scratch / "made")
        # Before and after: a machine that others use too is not as fast all the while.
        tell(0, how.scenes, "without Prefect")
        alone = _alone(scratch / "before", how, scenes)
        orchestrated = _orchestrated(scratch / "up", how, scenes, tell)
        tell(how.scenes, how.scenes, "without Prefect, again")
        alone += _alone(scratch / "after", how, scenes)
        return held_against(orchestrated, alone, how.kind)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _alone(folder: Path, how: FlowBenchOptions, scenes: Scenes) -> list[Alone]:
    """What scenes take where nobody orchestrates, as many side by side as the work pool runs."""
    side_by_side = load_compute().limits.scenes
    each = _WARM + max(1, how.baseline // side_by_side)
    packages = scenes.packages[: side_by_side * each]
    home = folder / "home"
    scenes.elevations_in(home / "auxiliary" / "dem")
    jobs = []
    for number in range(side_by_side):
        given = packages[number * each : (number + 1) * each]
        command = [sys.executable, "-m", "pipelines.bench.flow_job", str(home), str(_WARM), *map(str, given)]
        jobs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))  # noqa: S603 - our own program
    seen = []
    for job in jobs:
        said, _ = job.communicate(timeout=_SCENE_S * each + _STARTS_S)
        if job.returncode != 0:
            raise Defect("a scene was not processed without Prefect", kind="bench.alone")
        for name, (seconds, cpu_s) in json.loads(said).items():
            seen.append(Alone(sensor=scenes.sensors[name], wall_s=seconds / side_by_side, cpu_s=cpu_s))
    return seen


def _orchestrated(folder: Path, how: FlowBenchOptions, scenes: Scenes, tell: Progress) -> Orchestrated:
    home = Home(folder / "home")
    packages = scenes.placed(folder / "deliveries", scenes.packages[: how.scenes])
    scenes.elevations_in(home.dem)
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
    in_turn = sorted(items, key=lambda name: items[name])
    return Orchestrated(
        dropped=dropped, ended=[items[name] for name in in_turn], sensors=[scenes.sensors[name] for name in in_turn],
        cpu_s=cpu, locked=locked, pages=pages, side_by_side=load_compute().limits.scenes,
    )  # fmt: skip


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
