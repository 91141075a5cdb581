"""What an order would come to: its items found, checked, decided on and priced. Nothing is kept here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from shapely.geometry.base import BaseGeometry

from catalogs.delivery.order import LeftOut, OrderedItem, OrderRequest, Price, Quote
from catalogs.delivery.order_area import clip_geometry, ordered_ground, require_crs, square_km
from catalogs.delivery.order_package import Ruling
from catalogs.delivery.prices import price_of
from catalogs.entitlement import EVERYTHING, Entitlement
from catalogs.policy.decide import decide, on_terms
from catalogs.policy.rules import Policy
from catalogs.policy.terms import Action, Decision, Effect, Party, ProductFacts, Purpose, product_facts
from catalogs.store.protocol import CatalogueStore, Item, SearchRequest
from configs.schema.prices import PricesConfig
from processing.archive.layout import COG_TYPE
from processing.model.errors import BadInput, Denied

_SMALLEST_KM2 = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks, of what, by which rules, when."""

    store: CatalogueStore
    entitlement: Entitlement
    party: Party
    policy: Policy
    prices: PricesConfig
    now: datetime


def quote_order(asking: Asking, request: OrderRequest) -> Quote:
    """What an order would come to.

    Raises
    ------
    BadInput
        ``order.*`` for what cannot be ordered so, by anybody; ``order.item_unknown`` for an item that is not there, or
        not for this customer.
    Denied
        ``order.denied`` if nothing of it may be delivered, or not all of it and no part is wanted.
    """
    if len(request.items) > asking.prices.largest_items:
        raise BadInput(
            f"{len(request.items)} items are more than one order may have ({asking.prices.largest_items})",
            kind="order.too_large", remedy="Order them in parts, or subscribe to the area.",
        )  # fmt: skip
    clip = None if request.clip is None else clip_geometry(request.clip)
    items, left_out = list[OrderedItem](), list[LeftOut]()
    currencies = set[str]()
    for reference in request.items:
        try:
            ordered, price = _ordered(asking, request, reference, clip)
        except (BadInput, Denied) as error:
            if not request.partial or error.kind not in _MAY_BE_LEFT_OUT:
                raise
            left_out.append(LeftOut(item=reference, reason=error.kind))
            continue
        items.append(ordered)
        currencies.add(price.currency)
    if not items:
        raise Denied("nothing of this order may be delivered", kind="order.denied", remedy="Ask the house why.")
    if len(currencies) > 1:
        raise BadInput("its items are sold in several currencies", kind="order.currencies", remedy="Order them apart.")
    return _summed(asking, items, left_out, currencies.pop())


_MAY_BE_LEFT_OUT = ("order.denied", "order.item_unknown", "order.outside")


def _summed(asking: Asking, items: Sequence[OrderedItem], left_out: Sequence[LeftOut], currency: str) -> Quote:
    km2 = sum((item.km2 for item in items), Decimal(0))
    if km2 > asking.prices.largest_km2:
        raise BadInput(
            f"{km2:.0f} km2 are more than one order may have ({asking.prices.largest_km2:.0f})",
            kind="order.too_large", remedy="Draw a smaller area, or order in parts.",
        )  # fmt: skip
    strictest = max((Effect(item.ruling.effect) for item in items), key=lambda effect: effect.rank)
    named = {item.ruling.licence for item in items if item.ruling.licence is not None}
    needed = {name for name in named - asking.party.licences if asking.policy.licences[name].accept}
    return Quote(
        km2=km2,
        amount=sum((item.amount for item in items), Decimal(0)),
        currency=currency,
        decision=str(strictest),
        until=max((item.ruling.until for item in items if item.ruling.until is not None), default=None),
        approvals=max(item.ruling.approvals for item in items),
        licences=tuple(sorted(needed)),
        items=tuple(items),
        left_out=tuple(left_out),
    )


def _ordered(
    asking: Asking, request: OrderRequest, reference: str, clip: BaseGeometry | None
) -> tuple[OrderedItem, Price]:
    item = find_item(asking, reference, request.recipe)
    _require_bands(item, request.bands)
    facts = product_facts(item)
    if facts.footprint is None:
        raise BadInput("it does not say what ground it shows", kind="order.footprint", where=reference)
    ground = ordered_ground(facts.footprint, clip)
    km2 = square_km(ground)
    if km2 < _SMALLEST_KM2:
        raise BadInput("the area lies outside the item", kind="order.outside", where=reference,
                       remedy="Draw it over the item's footprint; coordinates are longitude, latitude.")  # fmt: skip
    if request.crs is not None:
        require_crs(request.crs, ground)
    decision = decided(asking, replace(facts, footprint=ground), request.purpose)
    never = decision.effect is Effect.DELAY and decision.until is None
    if never or decision.effect is Effect.DENY:
        raise Denied("it may not be delivered to this customer", kind="order.denied", where=reference)
    price = price_of(
        asking.prices, customer_class=str(asking.party.customer_class), collection=facts.collection,
        gsd_m=facts.gsd_m, km2=km2,
    )  # fmt: skip
    ordered = OrderedItem(
        collection=str(item["collection"]), id=str(item["id"]), version=str(item["properties"].get("version", "")),
        km2=km2, amount=price.amount, ruling=ruling_of(decision),
    )  # fmt: skip
    return ordered, price


def decided(asking: Asking, facts: ProductFacts, purpose: Purpose) -> Decision:
    """The policy's word on delivering something, once it is paid for and its licence accepted."""
    party = on_terms(replace(asking.party, purpose=purpose), asking.policy)
    return decide(facts, Action.DOWNLOAD, party, asking.now, asking.policy)


def find_item(asking: Asking, reference: str, recipe: str | None) -> Item:
    """The item that a reference names, for this asker; or what was derived from it by a recipe.

    Raises
    ------
    BadInput
        ``order.item_unknown``: it is not there, or not for this asker, or its id stands for several.
    """
    item = _visible(asking, reference)
    if item is None or recipe is None or item["properties"].get("qyran:recipe") == recipe:
        if item is None:
            raise _unknown(reference)
        return item
    # An id ends in its product's name: that of another recipe takes its place.
    name = f"{str(item['id']).rpartition('_')[0]}_{recipe.upper()}"
    derived = _visible(asking, name)
    if derived is None or derived["properties"].get("qyran:recipe") != recipe:
        raise BadInput(f"there is no product '{recipe}' of it", kind="order.item_unknown", where=reference,
                       remedy="Order what is catalogued: search for it first.")  # fmt: skip
    return derived


def _visible(asking: Asking, reference: str) -> Item | None:
    collection, slash, item_id = reference.rpartition("/")
    if slash:
        item = asking.store.get_item(collection, item_id, asking.entitlement)
        found = [] if item is None else [item]
    else:
        found = list(asking.store.search(SearchRequest(ids=(reference,), limit=2), asking.entitlement).items)
    if len(found) != 1:
        return None
    hidden = decide(product_facts(found[0]), Action.DISCOVER, asking.party, asking.now, asking.policy)
    # The house itself may order what is not given to anybody yet.
    shown = hidden.effect is not Effect.DENY if asking.entitlement is EVERYTHING else hidden.gives
    return found[0] if shown else None


def _unknown(reference: str) -> BadInput:
    return BadInput(
        f"there is no item '{reference}'", kind="order.item_unknown", where=reference,
        remedy="Search for it; name it COLLECTION/ID.",
    )  # fmt: skip


def orderable_bands(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the bands that can be chosen from."""
    chosen = []
    for key, asset in item.get("assets", {}).items():
        roles = set(asset.get("roles", ()))
        if asset.get("type") == COG_TYPE and "data" in roles:
            chosen.append(key)
    return tuple(chosen)


def _require_bands(item: Item, bands: Sequence[str] | None) -> None:
    known = orderable_bands(item)
    unknown = [band for band in bands or () if band not in known]
    if unknown:
        raise BadInput(
            f"it has no band {unknown[0][:40]!r}", kind="order.bands", where=f"{item['collection']}/{item['id']}",
            remedy=f"It has: {', '.join(known)}.",
        )  # fmt: skip


def ruling_of(decision: Decision) -> Ruling:
    """A decision as an order keeps it."""
    return Ruling(
        effect=str(decision.effect), rule=decision.rule, reasons=decision.reasons, until=decision.until,
        gsd_m=decision.gsd_m, masks=decision.masks, drop_bands=decision.drop_bands, licence=decision.licence,
        obligations=decision.obligations, approvals=decision.approvals, policy=decision.policy,
        policy_sha256=decision.policy_sha256,
    )  # fmt: skip
