"""Repair after a scrub: objects from the second location, rows and items from the products themselves."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from catalogs import open_store
from configs.registry import load_registry
from configs.settings import Home
from pipelines.archive_place import archive_place
from pipelines.catalogue import catalogue_product
from pipelines.verify import Report, verify
from pipelines.verify_catalogue import CatalogueCheck, database_is_there
from pipelines.verify_report import VerifyReport
from processing.archive import durable
from processing.archive.layout import COLLECTION, ISO, ITEM
from processing.archive.repair import Copy, Outcome, Repair, repair_unit
from processing.archive.scrub import check_unit
from processing.archive.scrub_documents import read_documents, written_item
from processing.archive.scrub_unit import Unit
from processing.archive.scrub_walk import HISTORY, latest_revision, revisions_of, superseded

_DESCRIBED = (f"/{ITEM}", f"/{ISO}", f"/{HISTORY}")


def verify_and_repair(
    home: Home, *, deep: bool, anew: bool = False, act: bool, report: Report | None = None
) -> VerifyReport:
    """Check the archive, mend what is wrong with it, and check it again.

    Parameters
    ----------
    home, deep, anew, report
        As :func:`pipelines.verify.verify`.
    act
        Do it. Else every copy that would be used is read through, and nothing is changed.

    Returns
    -------
    report
        After the repair, with what was repaired; in a trial run, what was found, with what would be.

    Raises
    ------
    BadInput
        ``place.*`` or ``s3.*`` if the second location does not open.
    """
    since = time.time()
    return repair_findings(home, verify(home, deep=deep, anew=anew, report=report), act=act, since=since, report=report)


def repair_findings(
    home: Home, found: VerifyReport, *, act: bool, since: float | None = None, report: Report | None = None
) -> VerifyReport:
    """Mend what a scrub found, and check it again.

    Parameters
    ----------
    home, act, report
        As :func:`verify_and_repair`.
    found
        What it found.
    since
        When it began, s since 1970: what it hashed and found sound is not hashed again.
    """
    if found.ok:
        return found
    repairs = sorted(set(_mend(home, found, act=act)))
    if act and any(repair.outcome == "repaired" for repair in repairs):
        left = {repair.object for repair in repairs if repair.outcome == "not repaired"}
        found = verify(home, deep=found.deep, sound_since=since, report=report).and_still(found, left)
    told = tuple({"object": each.object, "outcome": each.outcome, "detail": each.detail} for each in repairs)
    return found.model_copy(update={"repairs": told})


def _mend(home: Home, found: VerifyReport, *, act: bool) -> Iterator[Repair]:
    place = archive_place(home)
    copy = Copy(place) if place is not None else None
    objects_of: dict[str, set[str]] = {}
    for finding in found.findings:
        if finding.item and finding.kind != "orphan":
            objects_of.setdefault(finding.item, set()).add(finding.object)
    for item, names in sorted(objects_of.items()):
        yield from _mend_item(home, item, names, copy, act=act)
    objects = [finding.object for finding in found.findings if not finding.item and finding.kind != "orphan"]
    yield from _mend_collections(home, (name for name in objects if name.endswith(f"/{COLLECTION}")), act=act)


def _mend_item(home: Home, item: str, names: set[str], copy: Copy | None, *, act: bool) -> Iterator[Repair]:
    """All revisions of one product, then what the catalogue and the items say of it."""
    collection, _, item_id = item.partition("/")
    latest = Unit(home=home.path, collection=collection, item_id=item_id, files=home.products / item, latest=True)
    with _catalogue(home) as check:
        row = check.row_of(collection, item_id)
    said = str(row["properties"]["version"]) if row is not None else None
    revision = latest_revision(home.path, collection, item_id) or said
    if revision is not None and _is_wrong(latest):
        yield from repair_unit(latest, copy, revision=revision, item=row, act=act)
    for place in revisions_of(home.path, collection, item_id):
        for unit in superseded(place):
            if _is_wrong(unit):
                yield from repair_unit(unit, copy, revision=unit.files.stem, act=act)
    described = {name for name in names if name.endswith(_DESCRIBED) or name.startswith("catalogue/")}
    if home.products.joinpath(item).relative_to(home.path).as_posix() in names:  # lost as a whole, or unlisted
        described.add(f"{latest.files.relative_to(home.path).as_posix()}/{ITEM}")
    yield from _describe(home, latest, described, act=act)


def _is_wrong(unit: Unit) -> bool:
    """Whether more than an item is wrong with a unit; what is too many is left to ``qyran clean``."""
    found = check_unit(unit, deep=True).findings
    return any(finding.kind != "orphan" and not finding.object.endswith(_DESCRIBED) for finding in found)


def _describe(home: Home, latest: Unit, names: set[str], *, act: bool) -> Iterator[Repair]:
    """Items and rows follow from the products: they are made again where they are damaged."""
    product = read_documents(latest).product
    if not names:
        return
    if product is None and act:
        yield from (_told(name, "not repaired", "the product's own record is not whole") for name in sorted(names))
        return
    if act and product is not None:
        for name in names:
            if name.startswith("archive/"):
                (home.path / name).unlink(missing_ok=True)
        catalogue_product(product, home, load_registry(home.configs))
    done: Outcome = "repaired" if act else "repairable"
    yield from (_told(name, done, "described again from the product's record") for name in sorted(names))


def _told(name: str, outcome: Outcome, detail: str) -> Repair:
    return Repair(object=name, outcome=outcome, detail=detail)


@contextmanager
def _catalogue(home: Home) -> Iterator[CatalogueCheck]:
    if not database_is_there(home):
        yield CatalogueCheck(home, None)
        return
    with closing(open_store(home.catalogue)) as store:
        yield CatalogueCheck(home, store)


def _mend_collections(home: Home, names: Iterable[str], *, act: bool) -> Iterator[Repair]:
    """A collection's own document is a copy of what the catalogue says."""
    for name in sorted(set(names)):
        path = home.path / name
        with closing(open_store(home.catalogue)) as store:
            document = store.get_collection(path.parent.name)
        if document is None:
            continue
        if act:
            durable.write_file(path, written_item(document))
        yield _told(name, "repaired" if act else "repairable", "written from the catalogue")
