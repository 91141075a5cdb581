"""The book of passes: what is planned, what each pass has brought, and what is missing, one file a pass.

``HOME/passes/<key>.json`` does not hang on Prefect's database; the page of the day and the figures are read from it.
What a pass has brought is told by the mission and the time of acquisition: from events of packages, whatever became of
them, and from the catalogue.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from catalogs.store.protocol import SearchRequest
from configs.registry import Registry
from configs.settings import Home
from pipelines.catalogue import store_of
from pipelines.journal import read_events
from pipelines.reasons import UPGRADED
from processing.archive import durable
from processing.model.timeliness import Timeliness

OUTCOMES = ("published", "held", "accepted", "rejected", "quarantined", "failed")
"""What may become of a delivery, as the last part of its event."""
LEEWAY = timedelta(seconds=5)
"""Clocks of satellites and elements differ by so much from ours."""


class PassState(StrEnum):
    """How far a pass is."""

    PLANNED = "planned"
    WAITING = "waiting"
    """It is over, and its deliveries are waited for."""
    COMPLETE = "complete"
    GAP = "gap"
    """It was closed with less than was expected."""
    CANCELLED = "cancelled"
    """Newer elements know it no more."""


class Delivered(BaseModel):
    """One delivery of a pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Of the package, or the item's id where no event tells of a package."""
    outcome: str
    acquired: AwareDatetime
    time: AwareDatetime
    """When its outcome was known."""
    reasons: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    late: bool = False
    """It came after the pass was closed."""
    timeliness: str | None = None
    """``NRT`` while its product is near-real-time, ``NTC`` once it is final; None where the delivery does not say."""
    upgraded: AwareDatetime | None = None
    """When a better delivery of the same scene took its place."""


class PassRecord(BaseModel):
    """One pass, and what became of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Mission, number of the orbit, station."""
    mission: str
    satellite: str
    station: str
    orbit: int
    aos: AwareDatetime
    tca: AwareDatetime
    los: AwareDatetime
    max_elevation_deg: float
    imaged_from: AwareDatetime
    """What it brings was imaged since then, and until it ends."""
    elements: AwareDatetime
    """Epoch of the elements it was predicted from."""
    targets: tuple[str, ...] = ()
    state: PassState = PassState.PLANNED
    run: str | None = None
    """Prefect's run of it."""
    expected: int | None = None
    """Packages that must come; None: nobody said how many."""
    deliveries: tuple[Delivered, ...] = ()
    closed: AwareDatetime | None = None

    @property
    def missing(self) -> int:
        """Packages that have not come, as far as is known: where no number was given, one must."""
        return max(0, (1 if self.expected is None else self.expected) - len(self.deliveries))

    @property
    def provisional(self) -> int:
        """Deliveries whose products are near-real-time: a better one may follow."""
        return sum(each.timeliness == Timeliness.NEAR_REAL_TIME for each in self.deliveries)


def book_folder(home: Home) -> Path:
    """Where passes are written down."""
    return home.path / "passes"


@contextmanager
def book_open(home: Home) -> Iterator[None]:
    """Hold the book: who reads and then writes lets nobody between."""
    with durable.exclusive(book_folder(home) / ".lock"):
        yield


def passes_in(home: Home, since: datetime, until: datetime) -> tuple[PassRecord, ...]:
    """Every pass with a part in a stretch of time, by its beginning."""
    found = [record for record in all_passes(home) if record.los >= since and record.aos <= until]
    return tuple(sorted(found, key=lambda record: (record.aos, record.key)))


def all_passes(home: Home) -> Iterator[PassRecord]:
    """The whole book; a page that cannot be read is as good as not there, and will be written anew."""
    for path in sorted(book_folder(home).glob("*.json")):
        record = _read(path)
        if record is not None:
            yield record


def pass_record(home: Home, key: str) -> PassRecord | None:
    """One pass, or None."""
    return _read(book_folder(home) / f"{key}.json")


def _read(path: Path) -> PassRecord | None:
    try:
        return PassRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_pass(home: Home, record: PassRecord) -> None:
    """Write one pass down, durably."""
    durable.write_file(book_folder(home) / f"{record.key}.json", record.model_dump_json(indent=1).encode())


def forget_passes(home: Home, before: datetime) -> int:
    """Tear out pages of passes that ended before a moment. Returns how many."""
    gone = [record for record in all_passes(home) if record.los < before]
    for record in gone:
        (book_folder(home) / f"{record.key}.json").unlink(missing_ok=True)
    return len(gone)


def deliveries_of(home: Home, registry: Registry, record: PassRecord) -> tuple[Delivered, ...]:
    """What a pass has brought so far, by time of acquisition. What came after it was closed is late."""
    since, until = record.imaged_from, record.los + LEEWAY
    found: dict[str, Delivered] = {}
    upgrades: dict[str, dict[str, object]] = {}
    for event in read_events(home, since=since):
        if event.get("kind") == UPGRADED:
            upgrades[str(event.get("item"))] = event
        told = _delivered(event, record.mission)
        if told is None or not since < told.acquired <= until:
            continue
        # Processed again from what was kept of it, a package may go by another name: its item is the same.
        again = next((name for name, each in found.items() if set(each.items) & set(told.items)), None)
        if again is None:
            found[told.name] = told
    named = {item for each in found.values() for item in each.items}
    for told in _catalogued(home, registry, record, until):
        if not named & set(told.items):
            found[told.name] = told
    marked = [
        _upgraded(each, upgrades).model_copy(update={"late": record.closed is not None and each.time > record.closed})
        for each in found.values()
    ]
    return tuple(sorted(marked, key=lambda each: (each.acquired, each.name)))


def _upgraded(each: Delivered, upgrades: Mapping[str, dict[str, object]]) -> Delivered:
    """A delivery whose item another one has replaced, as it is now."""
    event = next((upgrades[item] for item in each.items if item in upgrades), None)
    if event is None:
        return each
    told = {"timeliness": event.get("timeliness"), "upgraded": event.get("time")}
    return Delivered.model_validate(each.model_dump() | told)


def _delivered(event: dict[str, object], mission: str) -> Delivered | None:
    """What an event says of a delivery; None where it says nothing of one."""
    about, _, outcome = str(event.get("kind", "")).partition(".")
    if about != "scene" or outcome not in OUTCOMES or event.get("mission") != mission:
        return None
    try:
        return Delivered.model_validate(
            {
                "name": event.get("package") or event.get("scene"),
                "outcome": outcome,
                "acquired": event.get("acquired"),
                "time": event.get("time"),
                "reasons": event.get("reasons") or (),
                "items": event.get("items") or (),
                "timeliness": event.get("timeliness"),
            }
        )
    except ValidationError:
        return None


def _catalogued(home: Home, registry: Registry, record: PassRecord, until: datetime) -> Iterator[Delivered]:
    """Items of the mission's scenes: the catalogue outlives the journal."""
    collections = {recipe.collection(record.mission) for recipe in registry.recipes.values() if recipe.parent is None}
    if not home.catalogue.exists():
        return
    span = "/".join(when.astimezone(UTC).isoformat().replace("+00:00", "Z") for when in (record.imaged_from, until))
    store = store_of(home)
    try:
        page = store.search(SearchRequest(collections=tuple(sorted(collections)), datetime=span, limit=1000))
    finally:
        store.close()
    for item in page.items:
        facts = item["properties"]
        acquired = facts.get("datetime") or facts.get("start_datetime")
        yield Delivered(
            name=item["id"],
            outcome="published",
            acquired=acquired,
            time=facts.get("created") or acquired,
            items=(f"{item['collection']}/{item['id']}",),
            timeliness=facts.get("product:timeliness_category"),
        )
