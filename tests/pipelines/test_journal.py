"""Events: written by many at once, rotated, readable after a power cut, and never a run's undoing."""

import ast
import json
import multiprocessing
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from configs.settings import Home
from pipelines import journal
from pipelines.journal import EVENTS, FILE, read_events, record_event

ROOT = Path(__file__).parents[2]


def test_an_event_says_what_when_and_to_what(tmp_path: Path) -> None:
    home = Home(tmp_path)
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    record_event(home, "scene.published", "KZ1_1", seconds=1.5, items=[Path("a")])
    (line,) = (home.logs / FILE).read_text().splitlines()
    told = json.loads(line)
    assert before <= datetime.fromisoformat(told.pop("time")) <= datetime.now(UTC)
    assert told == {"kind": "scene.published", "scene": "KZ1_1", "seconds": 1.5, "items": ["a"]}


def _write(folder: str, number: int) -> None:
    for count in range(25):
        record_event(Home(Path(folder)), "scene.landed", f"{number}-{count}", padding="x" * 300)


def test_many_writers_lose_nothing_while_files_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 8_000)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(tmp_path), number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    told = [event["scene"] for event in read_events(Home(tmp_path))]
    assert sorted(told) == sorted(f"{number}-{count}" for number in range(4) for count in range(25))
    for number in range(4):
        mine = [scene for scene in told if scene.startswith(f"{number}-")]
        assert mine == [f"{number}-{count}" for count in range(25)]
    files = list((tmp_path / "logs").glob(f"{FILE}*"))
    assert 2 <= len(files) <= 1 + journal.KEPT
    assert all(path.stat().st_size <= 8_000 for path in files)


def test_a_torn_line_takes_no_other_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record_event(home, "scene.landed", "one")
    path = home.logs / FILE
    path.write_bytes(path.read_bytes() + b'{"time": "2026')
    record_event(home, "scene.landed", "two")
    assert [event["scene"] for event in read_events(home)] == ["one", "two"]


def test_reading_from_a_moment_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record_event(home, "scene.landed", "one")
    assert [event["scene"] for event in read_events(home, since=datetime.now(UTC) - timedelta(hours=1))] == ["one"]
    assert not list(read_events(home, since=datetime.now(UTC) + timedelta(hours=1)))


def test_what_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    record_event(Home(tmp_path), "scene.landed", "one")
    assert "scene.landed could not be written" in caplog.text


def test_every_kind_that_is_recorded_is_in_the_catalogue_of_events() -> None:
    told = set()
    for path in (ROOT / "pipelines").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "record_event" and len(node.args) > 1:
                kind = node.args[1]
                if isinstance(kind, ast.Constant):
                    told.add(kind.value)
    assert told <= set(EVENTS)
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", kind) for kind in EVENTS)
