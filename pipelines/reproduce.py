"""A product made again from its record, beside the archive, and compared with what is archived."""

import shutil
import time
from pathlib import Path

import dask
from pydantic import BaseModel, ConfigDict

from configs.settings import Home
from pipelines.cluster import compute_in
from pipelines.observe import Report
from pipelines.remake import Sources, plan_again
from pipelines.revisions import Version
from pipelines.versions import find_version
from processing.archive import durable
from processing.archive.compare import Difference, Places, compare_products
from processing.archive.layout import ProductPaths
from processing.archive.write import publish_product
from processing.model.lineage import Change, changes


class Reproduction(BaseModel):
    """What came of making a product again: CONTRACT's JSON, with more to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    """``COLLECTION/ID``."""
    revision: str
    identical: bool
    """Every object has the same bytes."""
    differences: tuple[str, ...]
    """In words; empty where identical. What was another software, then what else was not as recorded, then objects."""
    objects: int
    """How many were compared."""
    software: tuple[Change, ...] = ()
    """What computes differently today than then, by version or digest, whether or not it shows in the bytes."""
    damaged: tuple[str, ...] = ()
    """Archived objects that are no longer what their own manifest says."""
    seconds: float = 0.0


def reproduce(
    home: Home,
    reference: str,
    sources: Sources | None = None,
    *,
    workers: int | None = None,
    report: Report | None = None,
) -> Reproduction:
    """Make a product again from its record and compare it with the archived one, byte for byte.

    Nothing in archive or catalogue is touched: the new one is made in a folder of its own under ``HOME/staging``,
    which is removed afterwards.

    Parameters
    ----------
    reference
        ``COLLECTION/ID`` or ``ID``, or either with ``@REVISION``.
    sources
        Where inputs are that HOME does not keep.
    workers
        Threads to compute with; None: where the installation computes.
    report
        Called with (done, total, what).

    Raises
    ------
    BadInput
        ``item.unknown``, ``version.unknown``, ``input.missing``, ``lineage.incomplete``.
    Retryable
        ``disk.full``.
    """
    started = time.monotonic()
    version = find_version(home, reference)
    scratch = _scratch(home, version)
    with durable.exclusive(scratch.with_name(f"{scratch.name}.lock")):
        shutil.rmtree(scratch, ignore_errors=True)  # what a crash left
        scratch.mkdir(parents=True)
        limit = compute_in(home) if workers is None else dask.config.set(scheduler="threads", num_workers=workers)
        try:
            with limit:
                return _reproduced(home, version, sources or Sources(), scratch, report).model_copy(
                    update={"seconds": round(time.monotonic() - started, 3)}
                )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _scratch(home: Home, version: Version) -> Path:
    product = version.product
    return home.staging / f"reproduce--{product.collection}--{product.id}--{product.revision}"


def _reproduced(home: Home, version: Version, sources: Sources, scratch: Path, report: Report | None) -> Reproduction:
    was = version.product
    planned = plan_again(home, version, sources, scratch)
    # The record goes into the product as it was, so that only what follows from today's software can differ.
    draft = planned.draft.model_copy(update={"lineage": was.lineage, "created": was.created})
    elsewhere = scratch / "home"
    elsewhere.mkdir()
    made = publish_product(elsewhere, draft, planned.images, progress=report)
    paths = ProductPaths.of(elsewhere.resolve(), made)
    again = Places(store=paths.store, files=paths.files)
    objects, found = compare_products(was, version.places, again)
    return _judged(was.collection, was.id, was.revision, changes(was.lineage, planned.draft.lineage), objects, found)


def _judged(
    collection: str, item_id: str, revision: str, changed: tuple[Change, ...], objects: int, found: list[Difference]
) -> Reproduction:
    words = [*map(str, changed), *map(str, found)] if found else []
    return Reproduction(
        item=f"{collection}/{item_id}",
        revision=revision,
        identical=not found,
        differences=tuple(words),
        objects=objects,
        software=tuple(change for change in changed if change.kind == "software"),
        damaged=tuple(difference.object for difference in found if difference.damaged),
    )
