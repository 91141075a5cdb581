"""Figures of the operations side: as put there, read by Prometheus' own parser, and shown to operators only."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from configs.settings import Home
from pipelines.journal import read_events, record_event
from pipelines.metrics import SNAPSHOT, Watch
from tests.pipelines.elements import fresh_elements
from tests.services.api import api_serving


def figures(text: str) -> dict[str, float]:
    """``name{label=value}`` to value."""
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for folder in ("landing/package", "quarantine/a", "quarantine/b", "claimed/c", "auxiliary/tle", "configs", "scrub"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "landing" / ".hidden").mkdir()
    (tmp_path / "auxiliary" / "tle" / "today.tle").write_text(fresh_elements())
    (tmp_path / "scrub" / "ledger").write_text("")
    (tmp_path / "configs" / "operations.yaml").write_text("alarms: {disk_free_gb: 0, disk_free_percent: 0}\n")
    return Home(tmp_path)


def test_figures_are_those_of_the_installation(home: Home) -> None:
    for number in range(3):
        record_event(home, "scene.published", f"s{number}", reasons=[], stages={"ingest": 1.5, "process": 10.0})
    record_event(home, "scene.rejected", "s", reasons=["package.level", "other"])
    now = datetime.now(UTC)
    Watch(home).look(now)
    told = figures((home.logs / SNAPSHOT).read_text())
    assert told["qyran_scenes{outcome=published}{reason=}"] == 3
    assert told["qyran_scenes{outcome=rejected}{reason=package.level}"] == 1
    assert told["qyran_stage_seconds_sum{stage=process}"] == 30.0
    assert told["qyran_stage_seconds_count{stage=process}"] == 3
    assert told["qyran_waiting_packages{place=landing}"] == 1
    assert told["qyran_waiting_packages{place=claimed}"] == 1
    assert told["qyran_quarantined_packages"] == 2
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert told["qyran_tle_age_seconds{satellite=KAZEOSAT 1}"] == pytest.approx((now - midnight).total_seconds(), abs=1)
    usage = os.statvfs(home.path)
    assert told["qyran_disk_bytes"] == usage.f_blocks * usage.f_frsize
    assert told["qyran_disk_free_bytes"] == pytest.approx(usage.f_bavail * usage.f_frsize, rel=0.05)
    assert told["qyran_last_scrub_timestamp_seconds"] == pytest.approx(now.timestamp(), abs=60)
    assert told["qyran_snapshot_timestamp_seconds"] == pytest.approx(now.timestamp(), abs=1e-3)


def alarms(home: Home) -> list[str]:
    return [event["kind"] for event in read_events(home)]


def test_an_alarm_is_told_once_and_when_it_is_over(home: Home) -> None:
    rules = home.configs / "operations.yaml"
    watch, now = Watch(home), datetime.now(UTC)
    watch.look(now)
    assert alarms(home) == []
    rules.write_text("alarms: {disk_free_gb: 1e9, disk_free_percent: 0, waiting_packages: 1}\n")
    watch.look(now)
    watch.look(now)
    assert alarms(home) == ["disk.low", "queue.long"]
    rules.write_text("alarms: {disk_free_gb: 0, disk_free_percent: 0}\n")
    watch.look(now)
    assert alarms(home) == ["disk.low", "queue.long", "disk.recovered", "queue.recovered"]
    rules.write_text("alarms: {disk_free_gb: 0, disk_free_percent: 0, waiting_minutes: 0.000001}\n")
    watch.look(datetime.now(UTC))
    assert alarms(home)[-1] == "queue.long"
    rules.write_text("wrong: 1\n")
    watch.look(now)


def test_the_program_writes_until_it_is_told_to_end(home: Home) -> None:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    with subprocess.Popen([sys.executable, "-m", "pipelines.metrics", str(home.path)], env=environment) as program:
        for _ in range(300):
            if (home.logs / SNAPSHOT).exists():
                break
            time.sleep(0.1)
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=20) == 0
    assert figures((home.logs / SNAPSHOT).read_text())["qyran_quarantined_packages"] == 2


@pytest.mark.services
def test_the_catalogue_shows_them_to_operators_only(home: Home) -> None:
    with api_serving(home.path) as server, server.client(operator=True) as operator, server.client() as anybody:
        assert "qyran_scenes" not in operator.get("/metrics").text
        Watch(home).look(datetime.now(UTC))
        both = figures(operator.get("/metrics").text)
        assert both["qyran_quarantined_packages"] == 2
        assert "qyran_http_requests_running" in both
        assert "qyran_quarantined_packages" not in anybody.get("/metrics").text
