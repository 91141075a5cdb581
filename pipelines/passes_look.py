"""One look at a pass that is over: what has come, and whether more is to be waited for."""

from datetime import datetime, timedelta
from typing import Any

from configs.operations import load_operations
from configs.registry import Registry
from configs.settings import Home
from pipelines.journal import record_event
from pipelines.passes_book import Delivered, PassRecord, PassState, book_open, deliveries_of, pass_record, write_pass
from processing.model.errors import BadInput


def look(
    home: Home,
    registry: Registry,
    key: str,
    *,
    now: datetime,
    expected: int | None = None,
    until: datetime | None = None,
) -> tuple[PassRecord, datetime]:
    """See what has come, and close the pass if nothing more is to be waited for.

    Parameters
    ----------
    home, registry
        The installation.
    key
        Of the pass.
    now
        The moment of the look.
    expected
        Packages that must come; None: as written down.
    until
        To go on without the rest then; None: as the rules say.

    Returns
    -------
    record, until
        The pass as it is now, and how long it is waited for.

    Raises
    ------
    BadInput
        ``pass.unknown`` for a pass that the book does not hold.
    """
    rules = load_operations(home.configs).passes
    with book_open(home):
        before = pass_record(home, key)
        if before is None:
            raise BadInput(f"no pass {key} is written down", kind="pass.unknown", remedy="Run plan-passes first.")
        until = until or before.los + timedelta(hours=rules.give_up_hours)
        if before.closed is not None:
            return before, until
        expected = before.expected if expected is None else expected
        record = before.model_copy(update={"expected": expected})
        record = record.model_copy(update={"deliveries": deliveries_of(home, registry, record)})
        whole = expected is not None and record.missing == 0 and now >= record.los
        if whole or now >= until:
            state = PassState.GAP if record.missing else PassState.COMPLETE
            record = record.model_copy(update={"state": state, "closed": now})
        else:
            record = record.model_copy(update={"state": PassState.WAITING})
        write_pass(home, record)
    if record.state is not before.state:
        _tell(home, record)
    tell_upgraded(home, before, record)
    return record, until


def tell_upgraded(home: Home, before: PassRecord, now: PassRecord) -> int:
    """Tell which products of a pass better deliveries have replaced since it was looked at before; how many."""
    fresh = freshly_upgraded(before, now)
    if fresh:
        items = [item for each in fresh for item in each.items]
        record_event(home, "pass.upgraded", **(_facts(now) | {"items": items}))
    return len(fresh)


def freshly_upgraded(before: PassRecord, now: PassRecord) -> list[Delivered]:
    """Deliveries of a pass that better ones have replaced since it was written down before."""
    known = {each.name: each.upgraded for each in before.deliveries}
    return [each for each in now.deliveries if each.upgraded is not None and known.get(each.name) != each.upgraded]


def _facts(record: PassRecord) -> dict[str, Any]:
    return {
        "name": record.key,
        "mission": record.mission,
        "station": record.station,
        "orbit": record.orbit,
        "expected": record.expected,
        "came": len(record.deliveries),
        "missing": record.missing,
        "provisional": record.provisional,
        "items": [item for each in record.deliveries for item in each.items],
    }


def _tell(home: Home, record: PassRecord) -> None:
    facts = _facts(record)
    match record.state:
        case PassState.WAITING:
            record_event(home, "pass.started", **facts)
        case PassState.GAP:
            record_event(home, "pass.gap", **facts, imaged_from=record.imaged_from, imaged_until=record.los)
        case _:
            record_event(home, "pass.complete", **facts)


def brought(record: PassRecord) -> str:
    """How many deliveries came, in words."""
    wanted = "" if record.expected is None else f" of {record.expected}"
    return f"{len(record.deliveries)}{wanted} deliveries"


def pass_table(record: PassRecord) -> str:
    """Markdown: the pass, what it brought, and the gap."""
    wanted = "not said" if record.expected is None else str(record.expected)
    facts = (
        f"{record.aos:%Y-%m-%d %H:%M:%S} to {record.los:%H:%M:%S} UTC, up to {record.max_elevation_deg:.0f}°; "
        f"imaged since {record.imaged_from:%Y-%m-%d %H:%M:%S} UTC; expected packages: {wanted}"
    )
    lines = [
        f"## {record.satellite}, orbit {record.orbit}, {record.station}: {record.state}",
        facts,
        "",
        "| acquired | package | outcome | reasons | items |",
        "|---|---|---|---|---|",
        *(
            f"| {each.acquired:%Y-%m-%d %H:%M:%S} | {_cell(each.name)} | {_became(each)} "
            f"| {_cell(', '.join(each.reasons))} | {_cell(', '.join(each.items))} |"
            for each in record.deliveries
        ),
    ]
    if record.state is PassState.GAP:
        lines.append(f"| **gap** | **{record.missing} missing** | | closed {record.closed:%Y-%m-%d %H:%M} UTC | |")
    return "\n".join(lines)


def _became(each: Delivered) -> str:
    notes = [note for note, holds in (("late", each.late), ("upgraded", each.upgraded)) if holds]
    notes += [each.timeliness] if each.timeliness else []
    return each.outcome + (f" ({', '.join(notes)})" if notes else "")


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
