"""When the bell rings for the landing zone, and what can wait for others. No server: what it would send is noted."""

import json
from contextlib import nullcontext

import pytest

from configs.settings import Home
from pipelines import bell as bells
from pipelines.bell import Bell


@pytest.fixture
def rung(monkeypatch):
    """The flows that were rung for."""
    found: list[str] = []

    def ring(client, flow, *, beside):
        found.append(flow)
        return True

    monkeypatch.setattr(bells, "_ring", ring)
    monkeypatch.setattr(bells, "prefect_client", nullcontext)
    return found


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home.resolve(tmp_path / "home")
    for folder in (home.landing, home.claimed, home.configs):
        folder.mkdir(parents=True)
    return home


def claim(home: Home, name: str, *, over: bool = False, next_try: str | None = None) -> None:
    place = home.claimed / name
    place.mkdir(exist_ok=True)
    (place / "claim.json").write_text(json.dumps({"next_try": next_try}))
    if over:
        (place / "outcome.json").write_text("{}")


def test_packages_that_end_one_by_one_are_cleared_away_together(home, rung):
    bell = Bell(home, {}, every_s=0)
    for name in "abcd":
        claim(home, name)
    assert not bell.listen(), "what is being processed is nothing to act on"
    claim(home, "a", over=True)
    assert bell.listen()
    claim(home, "b", over=True)
    assert not bell.listen(), "two others are still processed: it can wait"
    (home.landing / "new").mkdir()
    assert bell.listen(), "what has landed cannot"
    claim(home, "c", over=True)
    assert not bell.listen()
    claim(home, "d", over=True)
    assert bell.listen(), "nothing follows that it could wait for"
    assert not bell.listen()
    assert rung == ["watch-landing"] * 3


def test_what_waits_for_its_next_try_keeps_nobody_waiting(home, rung):
    bell = Bell(home, {}, every_s=0)
    claim(home, "later", next_try="2099-01-01T00:00:00+00:00")
    for name in "ab":
        claim(home, name, over=True)
        assert bell.listen()
    claim(home, "later", next_try="2020-01-01T00:00:00+00:00")
    assert bell.listen(), "its time has come"


def test_it_does_not_wait_for_ever(home, rung, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(bells.time, "monotonic", lambda: now)
    bell = Bell(home, {}, every_s=0)
    for name in "abc":
        claim(home, name)
    claim(home, "a", over=True)
    assert bell.listen()
    claim(home, "b", over=True)
    now += 29
    assert not bell.listen()
    now += 2
    assert bell.listen()
