"""One scene delivered more than once: recognised by its identifier, whatever part of it came first.

A near-real-time delivery is published as it comes; a better one of the same scene (a final orbit or attitude, more
bands, the rest of the strip) becomes the next version of the same item. The archive refuses the other way round
(:func:`processing.archive.write.refuse_other_package`); what is found here is found before anything is computed.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import shapely
from shapely.geometry import Polygon, shape

from configs.settings import Home
from pipelines.journal import read_events, record_event
from pipelines.outcomes import Stop
from pipelines.planning import PlannedProduct
from pipelines.revisions import product_versions
from processing.archive import durable
from processing.archive.held import held_products
from processing.archive.write import published, refuse_other_package
from processing.model.errors import Conflict
from processing.model.product import Product, ProductDraft, item_id
from processing.model.quality import Outcome
from processing.model.timeliness import timeliness_of

UPGRADE = "scene.upgraded"
"""The event."""
_PART_S = 60
"""The centre of a part lies no further from that of its whole scene."""
_WITHIN = 0.9
"""Share of the smaller outline that lies within the larger where one is a part of the other: terrain moves edges."""


@contextmanager
def one_at_a_time(home: Home, draft: ProductDraft) -> Iterator[None]:
    """Hold a scene while it is decided which delivery of it stays: two may be processed side by side."""
    said = f"{draft.collection} {draft.facts.get('delivery_id')}"
    with durable.exclusive(home.staging / f"scene-{hashlib.sha256(said.encode()).hexdigest()[:16]}.lock"):
        yield


def placed(home: Home, planned: PlannedProduct) -> PlannedProduct | Stop:
    """A plan under the id that its scene has already; or why it is not to be made.

    Parameters
    ----------
    home
        The installation.
    planned
        From a delivered package.
    """
    draft = planned.draft
    present = published(home.path, draft.collection, draft.id) or _part_or_whole(home, planned)
    if present is not None and present.id != draft.id:
        planned = replace(planned, draft=draft.model_copy(update={"id": present.id}))
    waiting = [
        held.product
        for held in held_products(home.path)
        if (held.product.collection, held.product.id) == (draft.collection, planned.draft.id)
    ]
    try:
        for product in (*([] if present is None else [present]), *waiting):
            refuse_other_package(product, planned.draft)
    except Conflict as error:
        return Stop.of(error, Outcome.REJECTED)
    return planned


def _part_or_whole(home: Home, planned: PlannedProduct) -> Product | None:
    """The product of another part of the same scene: a part has another centre, so another time in its id."""
    draft = planned.draft
    delivery_id = str(draft.facts.get("delivery_id", ""))
    code, _, rest = draft.id.partition("_")
    suffix = rest.rpartition("_")[2]
    for seconds in sorted(range(-_PART_S, _PART_S + 1), key=abs):
        moment = draft.acquired + timedelta(seconds=seconds)
        found = item_id(code, moment, delivery_id, suffix)
        if found == draft.id or not (home.products / draft.collection / found).is_dir():
            continue
        product = published(home.path, draft.collection, found)
        if product is not None and product.facts.get("delivery_id") == delivery_id and _overlap(product, planned):
            return product
    return None


def _overlap(product: Product, planned: PlannedProduct) -> bool:
    """Whether one of two outlines lies within the other; pieces of a strip side by side are scenes of their own."""
    rings = [Polygon(ring) for ring in planned.footprints if len(ring) > 2]
    if not rings:
        return False
    here, there = shapely.union_all(shapely.make_valid(rings)), shape(product.geometry)
    smaller = min(here.area, there.area)
    return bool(smaller > 0 and here.intersection(there).area >= _WITHIN * smaller)


def upgraded(home: Home, product: Product) -> Product | None:
    """The version from a lesser delivery that a product took the place of; None where it is the first of its scene.

    A version made again from the same package, with other settings or software, takes the place of its own kind.
    """
    earlier = [version.product for version in product_versions(home, product) if not version.latest]
    packages = [_package(each) for each in earlier]
    return earlier[0] if earlier and _package(product) not in packages else None


def is_told(home: Home, product: Product) -> bool:
    """Whether it was recorded already that this version took the place of a lesser delivery's."""
    name = f"{product.collection}/{product.id}"
    return any(
        (event.get("kind"), event.get("item"), event.get("now")) == (UPGRADE, name, product.revision)
        for event in read_events(home, since=product.created)
    )


def tell_upgraded(home: Home, product: Product, earlier: Product) -> None:
    """Record that a better delivery took the place of an earlier one."""
    record_event(
        home, UPGRADE, product.id, item=f"{product.collection}/{product.id}", was=earlier.revision,
        now=product.revision, timeliness_was=timeliness_of(earlier.facts), timeliness=timeliness_of(product.facts),
        mission=product.mission, acquired=product.acquired.isoformat(),
    )  # fmt: skip


def _package(product: Product) -> str | None:
    record = product.lineage.input_of("package")
    return record.sha256 if record else None
