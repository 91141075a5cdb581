"""``qyran verify``: catalogue, records, manifests and bytes against each other, both ways."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from catalogs import open_store
from catalogs.store.protocol import CatalogueStore
from configs.keeping import load_keeping
from configs.settings import Home
from pipelines.verify_catalogue import CatalogueCheck, database_is_there
from pipelines.verify_report import Tally, VerifyReport
from processing.archive.layout import ITEM, PRODUCT_RECORD
from processing.archive.manifest import fingerprint_on_disk
from processing.archive.retain_staging import is_published_now, leftovers
from processing.archive.scrub import Checked, check_unit
from processing.archive.scrub_ledger import Ledger, Run
from processing.archive.scrub_unit import CLEAN, REPAIR, Finding, Unit
from processing.archive.scrub_walk import count_units, find_unit, latest_revision, orphans, units
from processing.model.errors import QyranError

type Report = Callable[[int, int, str], None]

_YOUNG_S = 60.0
"""A product whose files are younger may be on its way into the catalogue at this moment."""
_PATIENCE_S = 5.0


def verify(
    home: Home,
    *,
    deep: bool = False,
    anew: bool = False,
    share: float | None = None,
    sound_since: float | None = None,
    report: Report | None = None,
) -> VerifyReport:
    """Check the archive of an installation.

    Parameters
    ----------
    home
        The installation; one that has nothing yet is in order.
    deep
        Hash every object. A deep check of the last 30 days that was interrupted goes on where it stopped.
    anew
        Do not go on: begin again.
    share
        Hash as much of all bytes, 0 to 1, those first that have waited longest; and check presence and sizes of all.
    sound_since
        Seconds since 1970: what was hashed since then and sound is not hashed again.
    report
        Called with (done, total, what).

    Raises
    ------
    Retryable
        ``scrub.ledger`` if the ledger cannot be written.
    """
    started = time.monotonic()
    tally = Tally()
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(home.scrub))
        if ledger.put_aside is not None:
            tally.notes.append(f"the scrub's ledger could not be read: put aside as {ledger.put_aside.name}")
        store = _open_catalogue(home, stack, tally)
        run = ledger.begin(deep=deep, anew=anew)
        scrub = _Scrub(
            home=home,
            catalogue=CatalogueCheck(home, store),
            ledger=ledger,
            tally=tally,
            run=run,
            report=report or _silent,
        )
        scrub.every_unit(deep=deep, sound_since=run.started if run.resumed else sound_since)
        if share is not None:
            scrub.longest_waiting(share)
        scrub.everything_else(deep=deep)
        scrub.look_again()
        ledger.finish(run, checked=tally.checked, findings=sum(tally.counts.values()))
        coverage = ledger.coverage()
    return tally.report(deep=deep, resumed=run.resumed, coverage=coverage, seconds=time.monotonic() - started)


def _silent(_done: int, _total: int, _what: str) -> None:
    pass


def _open_catalogue(home: Home, stack: ExitStack, tally: Tally) -> CatalogueStore | None:
    """The catalogue, unless there is none; one that does not open is a finding, and the rest is checked without it."""
    if not database_is_there(home):
        return None
    try:
        return stack.enter_context(closing(open_store(home.catalogue)))
    except QyranError as error:
        tally.notes.append(f"the catalogue does not open: {error.message}")
        return None


@dataclass(slots=True, kw_only=True)
class _Scrub:
    """One run."""

    home: Home
    catalogue: CatalogueCheck
    ledger: Ledger
    tally: Tally
    run: Run
    report: Report
    young: list[Unit] = field(default_factory=list)
    """Products that may be on their way into the catalogue: looked at again at the end."""

    def every_unit(self, *, deep: bool, sound_since: float | None) -> None:
        """Each revision of each product; those are not hashed again that were since a moment, and were sound."""
        total = count_units(self.home.path)
        for done, unit in enumerate(units(self.home.path), start=1):
            known = sound_since is not None and self.ledger.hashed_since(_key(unit), sound_since)
            hash_it = deep and not known
            self._check(unit, deep=hash_it)
            self.tally.checked += 1
            self.report(done, max(done, total), "hashed" if hash_it else "checked")

    def longest_waiting(self, share: float) -> None:
        """Hash those whose turn it is."""
        keys = list(self.ledger.longest_waiting(share))
        for done, key in enumerate(keys, start=1):
            unit = find_unit(self.home.path, *key)
            if unit is not None:
                self._check(unit, deep=True)
            self.report(done, len(keys), "hashed")

    def everything_else(self, *, deep: bool) -> None:
        """What belongs to no product, what the catalogue lists beyond the products, and what runs left behind."""
        for finding in orphans(self.home.path):
            collection, _, item_id = finding.item.partition("/")
            if item_id and is_published_now(self.home.path, collection, item_id):
                continue
            if not (item_id and self.catalogue.names_store(finding)):
                self.tally.add([finding])
        self.tally.add(self.catalogue.database(deep=deep))
        self.tally.add(self.catalogue.rows())
        self.tally.add(self.catalogue.collections())
        self.tally.add(self.catalogue.histories())
        self._leftovers()

    def look_again(self) -> None:
        """At young products, after a moment: the catalogue may have got them meanwhile."""
        if self.young:
            time.sleep(_PATIENCE_S)
        for unit in self.young:
            self.tally.add(self._ask_catalogue(check_unit(unit, deep=False)))

    def _check(self, unit: Unit, *, deep: bool) -> None:
        revision = _revision(unit)
        checked = check_unit(unit, deep=deep)
        # Whoever publishes at this moment changes names under us; what is then found is about two revisions.
        while checked.findings and _revision(unit) != revision:
            revision = _revision(unit)
            checked = check_unit(unit, deep=deep)
        if not unit.latest and checked.findings and is_published_now(self.home.path, unit.collection, unit.item_id):
            return
        self.tally.add(checked.findings)
        if deep and not unit.latest:
            self.tally.add(self._unvouched(checked))
        found = self._ask_catalogue(checked)
        if found and _is_young(unit.files):
            self.young.append(unit)
        else:
            self.tally.add(found)
        self._book(checked)

    def _unvouched(self, checked: Checked) -> Iterator[Finding]:
        """The item of an earlier revision: no manifest and no row has it, only the memory of the last scrub."""
        path = checked.unit.files / ITEM
        name = path.relative_to(self.home.path).as_posix()
        if checked.item is None:
            return
        state = path.stat()
        if not self.ledger.bears_out(name, (state.st_size, state.st_mtime_ns), fingerprint_on_disk(path)):
            detail = "its bytes are others than at the last scrub, and nobody wrote it since"
            yield Finding(object=name, kind="corrupt", item=checked.unit.item, detail=detail, remedy=REPAIR)

    def _ask_catalogue(self, checked: Checked) -> list[Finding]:
        return self.catalogue.of_unit(checked) if checked.unit.latest else self.catalogue.of_superseded(checked)

    def _book(self, checked: Checked) -> None:
        sound = not any(finding.kind in ("missing", "corrupt") for finding in checked.findings)
        self.ledger.note(_key(checked.unit), checked.size, hashed=checked.deep, sound=sound)
        if checked.deep:
            self.tally.hashed += 1
            self.tally.hashed_bytes += checked.size

    def _leftovers(self) -> None:
        longest = load_keeping(self.home.configs).retention.staging_hours * 3600
        for left in leftovers(self.home.staging):
            if left.busy:
                continue
            if left.age_s <= longest:
                self.tally.leftovers += 1
                continue
            name = left.path.relative_to(self.home.path).as_posix()
            self.tally.add([Finding(object=name, kind="orphan", detail="left by an interrupted run", remedy=CLEAN)])


def _key(unit: Unit) -> tuple[str, str, str]:
    return unit.collection, unit.item_id, _revision(unit)


def _revision(unit: Unit) -> str:
    if not unit.latest:
        return unit.files.stem
    return latest_revision(unit.home, unit.collection, unit.item_id) or "unknown"


def _is_young(files: Path) -> bool:
    return any(age < _YOUNG_S for age in _ages(files / PRODUCT_RECORD, files / ITEM))


def _ages(*paths: Path) -> Iterator[float]:
    for path in paths:
        try:
            yield time.time() - path.stat().st_ctime
        except FileNotFoundError:
            continue
