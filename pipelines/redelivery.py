"""One scene delivered more than once: recognised by its identifier, whatever part of it came first.

A near-real-time delivery is published as it comes; a better one of the same scene (a final orbit or attitude, more
bands, the rest of the strip) becomes the next version of the same item. The archive refuses the other way round
(:func:`processing.archive.write.refuse_other_package`); what is found here is found before anything is computed. What
waits at the desk counts too, though nothing is lost yet: a lesser delivery waits until that is decided.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import shapely
from shapely.geometry import Polygon, shape

from configs.settings import Home
from pipelines.desk_decisions import decision_on
from pipelines.journal import read_events, record_event
from pipelines.outcomes import Stop
from pipelines.planning import PlannedProduct
from pipelines.requests import Verdict
from pipelines.revisions import product_versions
from processing.archive import durable
from processing.archive.held import held_products
from processing.archive.layout import revision_of
from processing.archive.write import published, rank_of, refuse_other_package
from processing.model.errors import Conflict
from processing.model.product import Product, ProductDraft, item_id
from processing.model.quality import Outcome
from processing.model.timeliness import Rank, timeliness_of

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
    ids = tuple(_ids(draft))
    rejected = next((each for each in ids if _is_rejected(home, draft, each)), None)
    if rejected is not None:
        return replace(planned, draft=draft.model_copy(update={"id": rejected}))  # the desk has its word on that
    present = next(_of_this_scene(planned, (published(home.path, draft.collection, each) for each in ids)), None)
    held = [each.product for each in held_products(home.path) if each.product.collection == draft.collection]
    waiting = list(_of_this_scene(planned, (product for each in ids for product in held if product.id == each)))
    name = next((product.id for product in (present, *waiting) if product is not None), draft.id)
    if name != draft.id:
        planned = replace(planned, draft=draft.model_copy(update={"id": name}))
    if present is not None:
        if present.lineage.digest == draft.lineage.digest:
            return planned  # it is there, whatever waits
        try:
            refuse_other_package(present, planned.draft)
        except Conflict as error:
            return Stop.of(error, Outcome.REJECTED)
    return next((stop for stop in (_behind(product, draft) for product in waiting) if stop is not None), planned)


def _ids(draft: ProductDraft) -> Iterator[str]:
    """Ids that its scene may have, its own first: a part has another centre, so another time in its id."""
    yield draft.id
    delivery_id = str(draft.facts.get("delivery_id", ""))
    code, _, rest = draft.id.partition("_")
    suffix = rest.rpartition("_")[2]
    for seconds in sorted(range(-_PART_S, _PART_S + 1), key=abs):
        found = item_id(code, draft.acquired + timedelta(seconds=seconds), delivery_id, suffix)
        if found != draft.id:
            yield found


def _is_rejected(home: Home, draft: ProductDraft, name: str) -> bool:
    decided = decision_on(home, draft.collection, name, revision_of(draft))
    return decided is not None and decided.verdict is Verdict.REJECT


def _of_this_scene(planned: PlannedProduct, products: Iterable[Product | None]) -> Iterator[Product]:
    """Those of the same scene as a plan: under its id, or of its delivery and the same ground."""
    for product in products:
        if product is not None and (product.id == planned.draft.id or _of_its_ground(product, planned)):
            yield product


def _of_its_ground(product: Product, planned: PlannedProduct) -> bool:
    delivery_id = str(planned.draft.facts.get("delivery_id", ""))
    return product.facts.get("delivery_id") == delivery_id and _overlap(product, planned)


def _behind(waits: Product, draft: ProductDraft) -> Stop | None:
    """Why a delivery waits behind another at the desk, of which nothing is published yet; None where it is better."""
    match rank_of(draft, waits):
        case None | Rank.BETTER:
            return None
        case Rank.WORSE:
            return _held(
                waits,
                reason="scene.better_held",
                message="a better delivery of this scene waits at the desk: a final one, or one that holds more",
            )
        case rank:
            differs = "in some respects better and in others worse" if rank is Rank.MIXED else "no better and no worse"
            return _held(
                waits,
                reason="scene.other_held",
                message=f"another delivery of this scene waits at the desk, and this one is {differs}",
            )


def _held(waits: Product, *, reason: str, message: str) -> Stop:
    return Stop(
        outcome=Outcome.HELD,
        reason=reason,
        message=f"{message}. Nothing of it is published yet",
        where=f"{waits.collection}/{waits.id}",
        remedy=f"Keep this package. Decide: qyran desk accept|reject {waits.id} --reason WHY. From landing it is then "
        "tried again by itself; else process it again.",
    )


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
