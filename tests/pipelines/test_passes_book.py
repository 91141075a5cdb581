"""What a pass brought, by hypothesis over what may come and when; and what is late, missing, or another pass's."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.registry import load_registry
from configs.settings import Home
from pipelines import journal
from pipelines.journal import read_events, record_event
from pipelines.passes_book import (
    PassRecord,
    PassState,
    all_passes,
    deliveries_of,
    forget_passes,
    pass_record,
    passes_in,
    write_pass,
)
from pipelines.passes_look import look, pass_table
from processing.model.errors import BadInput

AOS = datetime(2026, 11, 22, 5, 46, tzinfo=UTC)
LOS = AOS + timedelta(minutes=12)
GIVE_UP = LOS + timedelta(hours=6)
REGISTRY = load_registry()
PASS = PassRecord(
    key="kazeosat-1-63092-astana", mission="kazeosat-1", satellite="KAZEOSAT 1", station="astana", orbit=63092, aos=AOS,
    tca=AOS + timedelta(minutes=6), los=LOS, max_elevation_deg=55.0, imaged_from=LOS - timedelta(hours=2), elements=AOS,
)  # fmt: skip


class Clock(datetime):
    """Time as the test sets it."""

    shown = LOS

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return cls.shown


def came(home: Home, name: str, at: datetime, *, kind: str = "scene.published", **facts: object) -> None:
    """A package's outcome, told at a moment; imaged in the pass unless said otherwise."""
    told = {"package": name, "mission": "kazeosat-1", "acquired": AOS.isoformat(), "items": [f"c/{name}"]} | facts
    Clock.shown = at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "datetime", Clock)
        record_event(home, kind, name, **told)


arrivals = st.lists(
    st.tuples(
        st.sampled_from(["p1", "p2", "p3", "p4"]),
        st.integers(0, 10 * 60),  # minutes after the pass
        st.sampled_from(["published", "held", "rejected", "quarantined", "failed"]),
        st.sampled_from(["in", "before", "after", "other mission"]),
    ),
    max_size=8,
)


@given(arrivals, st.none() | st.integers(0, 4), st.lists(st.integers(0, 9 * 60), min_size=1, max_size=6))
def test_a_pass_is_closed_once_at_its_time_with_what_came(
    tmp_path_factory: pytest.TempPathFactory,
    coming: list[tuple[str, int, str, str]],
    expected: int | None,
    looks: list[int],
) -> None:
    """Against a plain account: what has its place in the pass and came before the look that closed it."""
    home = Home(tmp_path_factory.mktemp("home"))
    write_pass(home, PASS)
    coming = sorted({(name, place): (name, minutes, how, place) for name, minutes, how, place in coming}.values(),
                    key=lambda each: each[1])  # fmt: skip
    when = {"in": AOS, "before": PASS.imaged_from, "after": LOS + timedelta(seconds=6), "other mission": AOS}
    told, closed = 0, None
    for minutes in sorted({*looks, 6 * 60}):
        now = LOS + timedelta(minutes=minutes)
        while told < len(coming) and coming[told][1] <= minutes:
            name, after, how, place = coming[told]
            mission = "kazeosat-2" if place == "other mission" else "kazeosat-1"
            facts = {"acquired": when[place].isoformat(), "mission": mission, "items": [], "package": f"{name} {place}"}
            came(home, f"{name} {place}", LOS + timedelta(minutes=after), kind=f"scene.{how}", **facts)
            told += 1
        mine = {name for name, _, _, place in coming[:told] if place == "in"}
        record, until = look(home, REGISTRY, PASS.key, now=now, expected=expected)
        assert until == GIVE_UP
        if closed is None and ((expected is not None and len(mine) >= expected) or now >= GIVE_UP):
            missing = max(0, (1 if expected is None else expected) - len(mine))
            closed = (now, PassState.GAP if missing else PassState.COMPLETE, frozenset(mine))
        if closed is None:
            assert (record.state, record.closed) == (PassState.WAITING, None)
            assert len(record.deliveries) == len(mine)
        else:
            assert (record.closed, record.state) == closed[:2]
            assert {each.name.removesuffix(" in") for each in record.deliveries} == closed[2]
    kinds = [event["kind"] for event in read_events(home) if str(event["kind"]).startswith("pass.")]
    assert kinds.count("pass.gap") + kinds.count("pass.complete") == 1
    shutil.rmtree(home.path)


def test_the_same_scene_again_is_no_second_delivery(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_pass(home, PASS)
    came(home, "p1", LOS + timedelta(minutes=1), kind="scene.held", items=[])
    came(home, "p1", LOS + timedelta(minutes=2), items=["c/KZ1_1"])
    came(home, "0d44c1", LOS + timedelta(minutes=3), items=["c/KZ1_1"])
    (one,) = deliveries_of(home, REGISTRY, PASS)
    assert (one.name, one.outcome, one.items) == ("p1", "published", ("c/KZ1_1",))


def test_late_is_what_came_after_the_pass_was_closed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_pass(home, PASS)
    came(home, "p1", LOS + timedelta(minutes=1))
    record, _ = look(home, REGISTRY, PASS.key, now=GIVE_UP, expected=2)
    assert (record.state, record.missing) == (PassState.GAP, 1)
    assert "| **gap** | **1 missing** |" in pass_table(record)
    came(home, "p2", GIVE_UP + timedelta(minutes=1))
    assert [(each.name, each.late) for each in deliveries_of(home, REGISTRY, record)] == [("p1", False), ("p2", True)]
    again, _ = look(home, REGISTRY, PASS.key, now=GIVE_UP + timedelta(hours=1))
    assert again == record


def test_a_pass_nobody_planned_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        look(Home(tmp_path), REGISTRY, "nothing-1-astana", now=LOS)
    assert caught.value.kind == "pass.unknown"


def test_the_book(tmp_path: Path) -> None:
    home = Home(tmp_path)
    later = PASS.model_copy(update={"key": "later", "aos": AOS + timedelta(days=1), "los": LOS + timedelta(days=1)})
    for record in (later, PASS):
        write_pass(home, record)
    (tmp_path / "passes" / "torn.json").write_text("{")
    assert pass_record(home, PASS.key) == PASS
    assert pass_record(home, "torn") is None
    assert {record.key for record in all_passes(home)} == {PASS.key, "later"}
    assert passes_in(home, AOS - timedelta(hours=1), LOS) == (PASS,)
    assert passes_in(home, AOS, LOS + timedelta(days=2)) == (PASS, later)
    assert forget_passes(home, LOS + timedelta(hours=1)) == 1
    assert list(all_passes(home)) == [later]
