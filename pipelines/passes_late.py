"""What comes after a pass was closed: missing deliveries, and better ones of what it brought."""

import logging
from collections import Counter
from typing import Any

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.journal import record_event
from pipelines.outcomes import PackageOutcome
from pipelines.passes_book import (
    LEEWAY,
    PassRecord,
    PassState,
    all_passes,
    book_open,
    deliveries_of,
    pass_record,
    write_pass,
)
from pipelines.passes_look import freshly_upgraded, tell_upgraded
from processing.model.errors import QyranError

log = logging.getLogger(__name__)


def note_late(home: Home, registry: Registry, record: PassRecord) -> Counter[str]:
    """Add to a closed pass what has come since; close its gap where nothing is missing any more.

    Returns
    -------
    counts
        ``late`` deliveries that were not there, and ``upgraded`` ones.
    """
    with book_open(home):
        record = pass_record(home, record.key) or record
        now = record.model_copy(update={"deliveries": deliveries_of(home, registry, record)})
        known = {each.name for each in record.deliveries}
        late = [each for each in now.deliveries if each.name not in known]
        if not late and not freshly_upgraded(record, now):
            return Counter()
        if record.state is PassState.GAP and now.missing == 0:
            now = now.model_copy(update={"state": PassState.COMPLETE})
        write_pass(home, now)
    if late:
        items = [item for each in late for item in each.items]
        _tell(home, "pass.late", now, packages=[each.name for each in late], items=items, missing=now.missing)
    if now.state is not record.state:
        _tell(home, "pass.complete", now, came=len(now.deliveries), missing=0)
    return Counter(late=len(late), upgraded=tell_upgraded(home, record, now))


def tell_passes(home: Home, outcome: PackageOutcome) -> None:
    """Write down at once, for the pass that brought it, that a scene has a better delivery.

    What fails here is caught up with by the next run of ``plan-passes``.
    """
    if outcome.mission is None or outcome.acquired is None:
        return
    try:
        for record in all_passes(home):
            mine = record.mission == outcome.mission and record.closed is not None
            if mine and record.imaged_from < outcome.acquired <= record.los + LEEWAY:
                note_late(home, load_registry(home.configs), record)
    except (QyranError, OSError) as error:
        log.warning("the pass of %s was not brought up to date: %s", outcome.package, error)


def _tell(home: Home, kind: str, record: PassRecord, **facts: Any) -> None:
    """Kinds are literals at every call above."""
    about = {"mission": record.mission, "station": record.station, "orbit": record.orbit}
    record_event(home, kind, None, name=record.key, **about, aos=record.aos, los=record.los, **facts)
