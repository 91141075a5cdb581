"""What dies is started again, after a while that grows; what never stays ends the house, with its last words."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import process_tree
from pipelines.process_tree import MOST_DEATHS, ProcessTree
from processing.model.errors import Defect

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DYING = [sys.executable, "-c", "import sys; sys.exit('the disk is gone')"]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessTree]:
    made = ProcessTree(tmp_path / "logs", os.environ)
    yield made
    made.end()


def until(holds, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_started_again_and_said(tree):
    said: list[str] = []
    program = tree.start("sleeper", SLEEPER)
    first = program.process.pid
    assert tree.tend(said.append) == []
    os.kill(first, signal.SIGKILL)
    again: list[process_tree.Program] = []
    until(lambda: again.extend(tree.tend(said.append)) or again)
    assert again == [program]
    assert program.process.pid != first
    assert program.process.poll() is None
    assert "ended by itself (-9); it is started again in 1 s" in said[0]
    assert said[1] == "sleeper is started again"


def test_what_the_others_do_not_need_ends_nothing(tree, monkeypatch):
    monkeypatch.setattr(process_tree, "_LONGEST_WAIT_S", 0.0)
    program = tree.start("handy", DYING, needed=False)
    program.process.wait()
    tree.check()
    until(lambda: tree.tend(lambda _: None) and program.deaths > MOST_DEATHS + 2)


def test_it_waits_for_what_it_needs(tree):
    answers = []
    program = tree.start("needy", SLEEPER, after=lambda: bool(answers))
    os.kill(program.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        assert tree.tend(lambda _: None) == []
        time.sleep(0.1)
    answers.append(True)
    assert tree.tend(lambda _: None) == [program]


def test_what_never_stays_ends_all_and_is_named(tree, monkeypatch):
    monkeypatch.setattr(process_tree, "_LONGEST_WAIT_S", 0.0)
    tree.start("broken", DYING)
    said: list[str] = []

    with pytest.raises(Defect) as caught:
        until(lambda: tree.tend(said.append) and False)
    assert caught.value.kind == "up.ended"
    assert f"broken ended by itself {MOST_DEATHS} times in a row" in caught.value.message
    assert "the disk is gone" in caught.value.message
    assert said.count("broken is started again") == MOST_DEATHS - 1


def test_deaths_long_ago_do_not_count(tree, monkeypatch):
    monkeypatch.setattr(process_tree, "STEADY_S", 0.0)
    monkeypatch.setattr(process_tree, "_LONGEST_WAIT_S", 0.0)
    program = tree.start("often", DYING)
    deaths = 0
    while deaths < MOST_DEATHS + 2:
        until(lambda: program.process.poll() is not None)
        until(lambda: bool(tree.tend(lambda _: None)))
        deaths += 1
    assert program.deaths == 1


@pytest.mark.parametrize("spare", [True, False])
def test_children_of_the_dead_go_on_only_where_they_may(tree, tmp_path, spare):
    told = tmp_path / "child"
    code = (
        "import subprocess, sys, time;"
        f"c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); open({str(told)!r}, 'w')"
        ".write(str(c.pid)); time.sleep(600)"
    )
    program = tree.start("parent", [sys.executable, "-c", code], spare=spare)
    until(lambda: told.exists() and told.read_text())
    child = int(told.read_text())
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.wait()
    tree.tend(lambda _: None)

    def alive() -> bool:
        tree.tend(lambda _: None)  # which also buries
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    if spare:
        time.sleep(0.5)
        assert alive()
    else:
        until(lambda: not alive())
    tree.end()
    assert not alive()
