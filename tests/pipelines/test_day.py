"""The page of the day and the logs: what was put in stands there, and nothing from outside can act in the page."""

import json
import logging
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from configs.settings import Home
from pipelines import journal, journal_logs
from pipelines.day_facts import Spread, day_document, day_facts
from pipelines.day_page import day_markdown, day_page
from pipelines.journal import record_event
from pipelines.journal_logs import scene_logged
from pipelines.passes_book import Delivered, PassRecord, PassState, write_pass

DAY = datetime(2026, 11, 22, tzinfo=UTC)
QYRAN = str(Path(sys.executable).with_name("qyran"))
HOSTILE = "<script>alert(1)</script>|\"'&"


class Clock(datetime):
    """Time as the test sets it."""

    shown = DAY

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return cls.shown


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A day on which seven packages landed, one of them named by an enemy, and two satellites passed."""
    place = Home(tmp_path)
    monkeypatch.setattr(journal, "datetime", Clock)

    def tell(minutes: float, kind: str, scene: str, **facts: object) -> None:
        Clock.shown = DAY + timedelta(minutes=minutes)
        record_event(place, kind, scene, **facts)

    tell(-30, "scene.landed", "a")
    for name in ("b", "c", "d", HOSTILE):
        tell(10, "scene.landed", name)
    tell(10, "scene.published", "KZ1_a", package="a", reasons=[], items=["c/KZ1_a"], seconds=30, stages={"process": 25})
    tell(-700, "scene.failed", "yesterday", package="yesterday", reasons=["disk.full"])
    tell(12, "scene.held", "b", package="b", reasons=["dem.missing"], stages={"process": 1})
    tell(20, "scene.published", "KZ1_b", package="b", reasons=[], items=["c/KZ1_b"], stages={"process": 35})
    tell(25, "scene.held", "c", package="c", reasons=["dem.missing"])
    tell(26, "scene.held", "d", package="d", reasons=["dem.missing"])
    tell(30, "scene.quarantined", HOSTILE, package=HOSTILE, reasons=["checksum"], message=HOSTILE)
    tell(40, "order.delivered", "o1")
    tell(50, "disk.low", "", free_bytes=5_000_000_000)
    tell(24 * 60 + 5, "scene.failed", "tomorrow", package="tomorrow", reasons=["disk.full"])
    came = Delivered(name="a", outcome="published", acquired=DAY, time=DAY, late=True)
    for number, (state, satellite) in enumerate(((PassState.GAP, "KAZEOSAT 1"), (PassState.PLANNED, HOSTILE))):
        aos = DAY + timedelta(hours=5 + number, minutes=3)
        write_pass(
            place,
            PassRecord(
                key=f"kazeosat-1-{number}-astana", mission="kazeosat-1", satellite=satellite, station="astana",
                orbit=63078 + number, aos=aos, tca=aos + timedelta(minutes=5), los=aos + timedelta(minutes=10),
                max_elevation_deg=45.0, imaged_from=DAY, elements=DAY, state=state, expected=2, deliveries=(came,),
            ),
        )  # fmt: skip
    return place


def test_the_day_counts_each_package_once_by_its_last_word(home: Home) -> None:
    facts = day_facts(home, DAY.date())
    assert facts.outcomes == {"published": 2, "held": 2, "quarantined": 1}
    assert [(code, count) for code, count, _, _ in facts.reasons] == [("dem.missing", 2), ("checksum", 1)]
    assert all(means and do for _, _, means, do in facts.reasons)
    by_name = {each.name: each for each in facts.packages}
    assert by_name["a"].waited_s == 40 * 60
    assert by_name["b"].waited_s == 10 * 60
    assert facts.stages["process"] == Spread(count=3, median_s=25, p95_s=35, longest_s=35)
    assert facts.delivered == 1
    assert [kind for _, kind, _ in facts.alarms] == ["disk.low"]
    assert [record.state for record in facts.passes] == [PassState.GAP, PassState.PLANNED]
    assert day_facts(home, DAY.date() + timedelta(days=1)).outcomes == {"failed": 1}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_it_and_nothing_in_it_acts(home: Home) -> None:
    page = _Page()
    page.feed(day_page(day_facts(home, DAY.date())))
    assert "script" not in page.tags
    assert page.addresses == []
    assert page.text.count(HOSTILE) >= 3  # as words
    for told in ("Sunday, 22 November 2026", "dem.missing", "63078", "✕ gap", "1 of 2", "KZ1_b", "5.0 GB free"):
        assert told in page.text
    markdown = day_markdown(day_facts(home, DAY.date()))
    assert "| dem.missing | 2 |" in markdown
    assert "1 gap, 1 planned" in markdown


def test_a_day_on_which_nothing_happened(tmp_path: Path) -> None:
    facts = day_facts(Home(tmp_path), DAY.date())
    assert "No package was done on this day." in day_page(facts)
    assert json.loads(json.dumps(day_document(facts)))["outcomes"] == {}
    assert "packages | none" in day_markdown(facts)


def test_the_command_writes_the_page(home: Home) -> None:
    command = [QYRAN, "day", "2026-11-22", "--home", str(home.path), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert told["outcomes"] == {"published": 2, "held": 2, "quarantined": 1}
    assert Path(told["page"]) == home.logs / "day" / "2026-11-22.html"
    assert "63078" in Path(told["page"]).read_text()
    wrong = subprocess.run([QYRAN, "day", "today"], capture_output=True, check=False)
    assert wrong.returncode == 2


def lines(home: Home) -> list[dict[str, str]]:
    return [json.loads(line) for line in (home.logs / "scenes.jsonl").read_text().splitlines()]


def test_logs_say_what_they_are_about(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = logging.getLogger("processing.test")
    with scene_logged(home, "one"):
        log.warning("first %s", "word")
        thread = threading.Thread(target=log.warning, args=("from a thread of Dask",))
        thread.start()
        thread.join()
        with scene_logged(home, "two"):
            log.warning("inside")
            try:
                int("broken\nin two lines")
            except ValueError:
                log.exception("trouble")
        log.warning("last")
    log.warning("after")
    told = lines(home)
    assert [(each["scene"], each["message"]) for each in told] == [
        ("one", "first word"),
        ("one", "from a thread of Dask"),
        ("two", "inside"),
        ("two", "trouble"),
        ("one", "last"),
    ]
    assert "ValueError" in told[3]["traceback"]
    assert all(datetime.fromisoformat(each["time"]).tzinfo for each in told)


def test_logs_rotate_and_a_lost_folder_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_logs, "ROTATE_BYTES", 2_000)
    home, log = Home(tmp_path / "home"), logging.getLogger("catalogs.test")
    with scene_logged(home, "one"):
        for number in range(60):
            log.warning("%d %s", number, "x" * 50)
    files = sorted(home.logs.glob("scenes.jsonl*"))
    assert [path.name for path in files] == ["scenes.jsonl", *(f"scenes.jsonl.{n}" for n in (1, 2, 3))]
    assert all(path.stat().st_size < 2_400 for path in files)
    assert lines(home)[-1]["message"].startswith("59 ")
    (tmp_path / "file").write_text("")
    with scene_logged(Home(tmp_path / "file"), "one"):
        log.warning("nobody hears it")
