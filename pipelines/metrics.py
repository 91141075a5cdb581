"""Figures of the operations side, in Prometheus' words: ``HOME/logs/metrics/operations.prom``, anew every half minute.

Run as a program beside the others (``python -m pipelines.metrics HOME``); it loads neither Prefect nor pixels. The
catalogue's ``/metrics`` shows the file to operators, and node_exporter's textfile collector can read it too. What
crosses a limit of ``HOME/configs/operations.yaml`` becomes an event, once, and another when it is over.
"""

import logging
import shutil
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from configs.load import ConfigError
from configs.operations import load_operations
from configs.schema.operations import AlarmRules
from configs.settings import Home
from pipelines.journal import read_events, record_event
from pipelines.journal_http import ask_prefect, prefect_url
from pipelines.tle import installed_tle, nearest
from processing.archive import durable
from processing.model.errors import QyranError

log = logging.getLogger(__name__)

SNAPSHOT = Path("metrics") / "operations.prom"
"""In HOME/logs."""
EVERY_S = 30.0
_OUTCOMES = ("published", "held", "rejected", "quarantined", "failed")
_QUEUES = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED")


class Figures:
    """Gauges by name, made when they are first set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, text: str, value: float, **labels: str) -> None:
        """Set one figure."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, text, tuple(labels), registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set(value)


class Watch:
    """What is watched from one look to the next: alarms that are on."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._on: set[str] = set()

    def look(self, now: datetime) -> None:
        """Measure, write the figures, tell of alarms."""
        figures = Figures()
        try:
            rules = load_operations(self.home.configs).alarms
        except ConfigError as error:
            log.warning("%s: alarms go by the defaults", error)
            rules = AlarmRules()
        count_scenes(self.home, figures)
        waiting, oldest = count_waiting(self.home, figures, now)
        free, total = measure_disk(self.home, figures)
        measure_age(self.home, figures, now)
        count_runs(figures)
        figures.set("qyran_snapshot_timestamp_seconds", "When these figures were taken.", now.timestamp())
        durable.write_file(self.home.logs / SNAPSHOT, generate_latest(figures.registry))
        low = free < rules.disk_free_gb * 1e9 or free < rules.disk_free_percent / 100.0 * total
        self._alarm("disk.low", "disk.recovered", on=low, free_bytes=free, total_bytes=total)
        long = waiting > rules.waiting_packages or oldest > rules.waiting_minutes * 60.0
        self._alarm("queue.long", "queue.recovered", on=long, waiting=waiting, oldest_s=round(oldest))

    def _alarm(self, kind: str, over: str, *, on: bool, **facts: Any) -> None:
        if on and kind not in self._on:
            self._on.add(kind)
            record_event(self.home, kind, name="installation", **facts)
        elif not on and kind in self._on:
            self._on.discard(kind)
            record_event(self.home, over, name="installation", **facts)


def count_scenes(home: Home, figures: Figures) -> None:
    """Packages by what became of them and why, and the seconds of their stages, as far back as events are kept."""
    outcomes: Counter[tuple[str, str]] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    stages: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for event in read_events(home):
        kind = str(event.get("kind", ""))
        events[kind] += 1
        about, _, outcome = kind.partition(".")
        if about != "scene" or outcome not in _OUTCOMES:
            continue
        reasons = event.get("reasons") or [""]
        outcomes[outcome, str(reasons[0])] += 1
        for stage, took in (event.get("stages") or {}).items():
            seconds[str(stage)] += float(took)
            stages[str(stage)] += 1
    for (outcome, reason), count in outcomes.items():
        figures.set("qyran_scenes", "Packages by outcome and first reason.", count, outcome=outcome, reason=reason)
    for stage, total in seconds.items():
        figures.set("qyran_stage_seconds_sum", "Seconds spent in a stage.", total, stage=stage)
        figures.set("qyran_stage_seconds_count", "Packages that went through a stage.", stages[stage], stage=stage)
    for kind, count in events.items():
        figures.set("qyran_events", "Events by kind.", count, kind=kind)


def count_waiting(home: Home, figures: Figures, now: datetime) -> tuple[int, float]:
    """Packages in the landing zone and claimed, and how long the oldest of them has been there, s."""
    found = {"landing": _entries(home.landing), "claimed": _entries(home.claimed)}
    ages = [max(0.0, now.timestamp() - changed) for entries in found.values() for changed in entries]
    for place, entries in found.items():
        figures.set("qyran_waiting_packages", "Packages that are not done.", len(entries), place=place)
    oldest = max(ages, default=0.0)
    figures.set("qyran_oldest_waiting_seconds", "Age of the oldest package that is not done.", oldest)
    figures.set("qyran_quarantined_packages", "Packages in quarantine.", len(_entries(home.quarantine)))
    return len(ages), oldest


def _entries(folder: Path) -> list[float]:
    """Times of change of what lies in a folder; what goes away meanwhile is not there."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    times = []
    for path in paths:
        with suppress(OSError):
            times.append(path.stat().st_ctime)
    return times


def measure_disk(home: Home, figures: Figures) -> tuple[int, int]:
    """Free and total bytes of the installation's disk."""
    usage = shutil.disk_usage(home.path)
    figures.set("qyran_disk_free_bytes", "Room left on the installation's disk.", usage.free)
    figures.set("qyran_disk_bytes", "Size of the installation's disk.", usage.total)
    return usage.free, usage.total


def measure_age(home: Home, figures: Figures, now: datetime) -> None:
    """How old elements and the last scrub are."""
    elements, _ = installed_tle(home)
    for each in nearest(elements, now).values():
        age = (now - each.epoch).total_seconds()
        figures.set("qyran_tle_age_seconds", "Age of two-line elements.", age, satellite=each.name)
    scrubbed = max((path.stat().st_mtime for path in home.scrub.glob("*")), default=None)
    if scrubbed is not None:
        figures.set("qyran_last_scrub_timestamp_seconds", "When the archive was last scrubbed.", scrubbed)


def count_runs(figures: Figures) -> None:
    """Flow runs by state at the Prefect server, and whether it answers."""
    if prefect_url() is None:
        return
    answers = 1.0
    try:
        for state in _QUEUES:
            asked: dict[str, Any] = {"state": {"type": {"any_": [state]}}}
            if state == "SCHEDULED":  # those whose time has come: the others are a plan, not a queue
                asked["expected_start_time"] = {"before_": datetime.now(UTC).isoformat()}
            count = ask_prefect("/flow_runs/count", {"flow_runs": asked})
            figures.set("qyran_flow_runs", "Flow runs that are not over and whose time has come.", count, state=state)
    except (OSError, ValueError, KeyError) as error:
        log.warning("Prefect does not answer: %s", error)
        answers = 0.0
    figures.set("qyran_prefect_up", "Whether the Prefect server answers.", answers)


def keep_watch(home: Home, ended: threading.Event, *, every_s: float = EVERY_S) -> None:
    """Look again and again until told to end; what goes wrong in one look ends none of the others."""
    watch = Watch(home)
    while not ended.is_set():
        started = time.monotonic()
        try:
            watch.look(datetime.now(UTC))
        except (OSError, QyranError) as error:
            log.warning("figures could not be taken: %s", error)
        ended.wait(max(1.0, every_s - (time.monotonic() - started)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    _ended = threading.Event()
    for _sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(_sign, lambda *_: _ended.set())
    keep_watch(Home.resolve(Path(sys.argv[1]) if len(sys.argv) > 1 else None), _ended)
