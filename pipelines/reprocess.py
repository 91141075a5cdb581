"""The flow ``reprocess``: catalogued items again, from their packages, with what holds today.

Recipe, elevation model, references, configuration or software may have changed since. What comes out otherwise is a
new version, to which the id then leads; the earlier one stays, and is found through it. What comes out the same
changes nothing. Products that derive from it are derived again, or say that they are stale; a composite does, until it
is processed again itself: from the items that its area and span hold by then.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from configs.registry import Registry
from configs.settings import Home
from pipelines.composite import build_composite
from pipelines.inputs import Lost, find_file, find_package, refuse_lost
from pipelines.journal import record_event
from pipelines.outcomes import PackageOutcome, ReprocessOutcome, Stop, failure_of, stopped
from pipelines.process import process_scene
from pipelines.products import children, derive_product
from pipelines.remake import recorded_composite, recorded_request
from pipelines.requests import ProductRequest, ReprocessRequest
from pipelines.selection import selected
from pipelines.tasks import Record, installation
from processing.archive.write import published
from processing.model.errors import BadInput
from processing.model.product import Product
from processing.model.quality import Outcome

_NOT_THERE = ("dem.missing", "dem.no_coverage")
"""Reasons that a product is held for, for which the elevation tiles of its first making may stand in."""


@flow(name="reprocess", description=__doc__, persist_result=False)
def reprocess(request: ReprocessRequest) -> State[list[Record]]:
    """Process items again, one after the other. Returns the JSON of a list of :class:`ReprocessOutcome`."""
    home, registry = installation(request)
    outcomes = [_again(product, request, home, registry) for product in selected(request, home, registry)]
    failed = sum(outcome.outcome is Outcome.FAILED for outcome in outcomes)
    made = sum(outcome.changed for outcome in outcomes)
    message = f"{len(outcomes)} items: {made} new versions, {failed} failed"
    return Completed(message=message, data=[outcome.model_dump(mode="json") for outcome in outcomes])


def _again(product: Product, request: ReprocessRequest, home: Home, registry: Registry) -> ReprocessOutcome:
    started = time.monotonic()
    name = f"{product.collection}/{product.id}"
    try:
        outcome = _made(product, request, home, registry)
    except BadInput as error:
        outcome = stopped(name, Stop.of(error, Outcome.HELD))
    except Exception as error:  # noqa: BLE001 - one that fails stops no other; its run keeps the traceback
        outcome = failure_of(name, error)
    now = published(home.path, product.collection, product.id) or product
    if now.revision != product.revision:
        record_event(home, "scene.updated", product.id, item=name, was=product.revision, now=now.revision)
    return ReprocessOutcome(
        **outcome.model_dump(exclude={"package", "seconds"}),
        package=name,
        seconds=round(time.monotonic() - started, 3),
        was=product.revision,
        now=now.revision,
        changed=now.revision != product.revision,
    )


def _made(product: Product, request: ReprocessRequest, home: Home, registry: Registry) -> PackageOutcome:
    if not product.parents:
        return _scene(product, request, home, registry)
    recipe = registry.recipes.get(product.recipe)
    if recipe is not None and recipe.is_composite:
        return PackageOutcome.model_validate(build_composite(recorded_composite(product, request.home)))
    return _derived(product, request)


def _derived(product: Product, request: ReprocessRequest) -> PackageOutcome:
    wanted = ProductRequest(item=product.parents[0], recipe=product.recipe, home=request.home)
    return PackageOutcome.model_validate(derive_product(wanted))


def _scene(product: Product, request: ReprocessRequest, home: Home, registry: Registry) -> PackageOutcome:
    record = product.lineage.input_of("package")
    name = f"{product.collection}/{product.id}"
    if record is None:
        raise BadInput(f"the record of {name} names no package", kind="lineage.incomplete")
    package = find_package(home, record, Path(request.package) if request.package else None)
    if isinstance(package, Lost):
        refuse_lost(name, [package])
    asked = recorded_request(product, Path(str(package))).model_copy(
        update={"home": request.home, "derive": children(product, home, registry) if request.derive else []}
    )
    if request.vertical_datum is not None:
        asked = asked.model_copy(update={"vertical_datum": request.vertical_datum})
    outcome = PackageOutcome.model_validate(process_scene(asked.model_copy(update={"dem": request.dem})))
    if request.dem or not set(_NOT_THERE) & set(outcome.reasons):
        return outcome
    with _tiles_of_then(product, home) as folder:
        if folder is None:
            return outcome
        return PackageOutcome.model_validate(process_scene(asked.model_copy(update={"dem": str(folder)})))


@contextmanager
def _tiles_of_then(product: Product, home: Home) -> Iterator[Path | None]:
    """A folder of the elevation tiles that a product was made with; None where they are not kept."""
    found = [find_file(home, record, ()) for record in product.lineage.inputs_of("dem")]
    tiles = [path for path in found if isinstance(path, Path)]
    if not tiles or len(tiles) < len(found):
        yield None
        return
    folder = home.staging / f"tiles--{product.collection}--{product.id}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for number, tile in enumerate(tiles):
            place = folder / f"{number:05d}"
            place.mkdir(parents=True)
            (place / tile.name).symlink_to(tile)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
