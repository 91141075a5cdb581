"""What is done with orders: submitted, approved, paid, called off; each held against the policy of the day."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from catalogs import open_store
from catalogs.customers.register import UnknownCustomer
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.customers.usage import Measure
from catalogs.delivery.order import Event, Order, OrderRequest, OrderState, Price, Quote
from catalogs.delivery.order_area import clip_geometry, ordered_ground
from catalogs.delivery.order_store import OrderStore, new_order_id, now_utc, open_orders
from catalogs.delivery.quote import Asking, decided, quote_order
from catalogs.entitlement import EVERYTHING, Entitlement
from catalogs.policy.audit import AuditLog
from catalogs.policy.entitle import entitlement_of
from catalogs.policy.load import active_policy, watched
from catalogs.policy.rules import Policy
from catalogs.policy.terms import CustomerClass, Decision, Effect, Party, ProductFacts, product_facts
from catalogs.store.protocol import CatalogueStore
from configs.prices import load_prices
from processing.model.errors import BadInput, Conflict, Denied

HOUSE: Final = Party(
    id="house", name="the house", customer_class=CustomerClass.GOV_DOMESTIC, clearance=9, contract=True, paid=True
)
"""Who orders on the machine itself for nobody in particular: the house's own use, free of charge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything an order touches."""

    home: Path
    orders: OrderStore
    customers: CustomerStore
    store: CatalogueStore
    rules: Callable[[], Policy]
    """Gives the policy that is in force now."""

    @property
    def policy(self) -> Policy:
        """The policy that is in force now."""
        return self.rules()

    def asking(self, party: Party, *, entitlement: Entitlement | None = None, now: datetime | None = None) -> Asking:
        """A question of somebody's."""
        policy, now = self.policy, now or now_utc()
        if entitlement is None:
            entitlement = EVERYTHING if party.id == HOUSE.id else entitlement_of(policy, party, now)
        return Asking(
            store=self.store, entitlement=entitlement, party=party, policy=policy,
            prices=load_prices(self.home / "configs"), now=now,
        )  # fmt: skip

    def party(self, order: Order, now: datetime) -> Party:
        """Whose order it is, as policy sees that one now, with what came with the order.

        Raises
        ------
        UnknownCustomer
            If that one may not come in any more.
        """
        party = HOUSE if order.customer == HOUSE.id else self.customers.party(order.customer, now)
        return replace(party, paid=order.paid, purpose=order.request.purpose)


_policies: dict[Path, tuple[tuple[object, ...], Policy]] = {}


def policy_of(home: Path) -> Policy:
    """The policy of an installation, read anew when any file of it has changed."""
    configs = home / "configs"
    seen, known = watched(configs), _policies.get(configs)
    if known is None or known[0] != seen:
        known = _policies[configs] = (seen, active_policy(configs))
    return known[1]


@lru_cache(maxsize=8)
def audit_of(home: Path) -> AuditLog:
    """The audit log of an installation, open for as long as this process works for it."""
    return AuditLog.open(home)


@contextmanager
def open_desk(home: Path) -> Iterator[Desk]:
    """The desk of an installation, for one piece of work."""
    with closing(open_store(home / "catalogue")) as store, closing(open_customers(home)) as customers:
        yield Desk(
            home=home, orders=open_orders(home), customers=customers, store=store, rules=lambda: policy_of(home)
        )  # fmt: skip


def submit(
    desk: Desk,
    asking: Asking,
    request: OrderRequest,
    *,
    by: str | None = None,
    subscription: str | None = None,
) -> Order:
    """Take an order in. The same submission key again is the same order.

    Parameters
    ----------
    by
        Who submits it, if not the customer: an officer of the house.

    Returns the order: accepted; or held, and its history says what for.

    Raises
    ------
    BadInput, Denied
        As :func:`~catalogs.delivery.quote.quote_order`; ``order.licence`` if a licence has to be accepted first.
    Conflict
        ``order.key`` if the key was used for an order of other things.
    QuotaExhausted
        If it is more than the customer may have this month.
    """
    party, actor = asking.party, by or asking.party.id
    if request.submission_key is not None:
        earlier = desk.orders.by_key(party.id, request.submission_key)
        if earlier is not None:
            return _same(earlier, request)
    quote = quote_order(asking, request)
    accepted = _licences(asking, quote, request)
    order = _new_order(asking, request, quote, accepted, actor, subscription)
    if party.id != HOUSE.id:
        # Under the key it was submitted with: one that was killed here, and is submitted again, counts once.
        key = order.id if request.submission_key is None else f"order:{request.submission_key}"
        desk.customers.take(party.id, {Measure.KM2: float(quote.km2)}, key=key, now=asking.now)
        for licence in accepted:
            desk.customers.accept_licence(party.id, licence, asking.policy.name, actor)
    note(desk, order, "order.submit", actor)
    kept, added = desk.orders.add(order)
    return kept if added else _same(kept, request)


def _same(earlier: Order, request: OrderRequest) -> Order:
    if earlier.request != request:
        raise Conflict("this submission key stands for an order of other things", kind="order.key", where=earlier.id,
                       remedy="Take a new key for a new order.")  # fmt: skip
    return earlier


def _licences(asking: Asking, quote: Quote, request: OrderRequest) -> tuple[str, ...]:
    given = {name.strip() for name in (request.licence_accepted or "").split(",")}
    missing = [name for name in quote.licences if name not in given]
    if missing and asking.party.id != HOUSE.id:
        raise BadInput(
            f"the licence '{missing[0]}' has to be accepted first", kind="order.licence",
            remedy=f"Read it, then order again with licence_accepted = {missing[0]} (--accept-licence).",
        )  # fmt: skip
    return quote.licences


def _new_order(
    asking: Asking, request: OrderRequest, quote: Quote, licences: tuple[str, ...], actor: str,
    subscription: str | None,
) -> Order:  # fmt: skip
    party, now = asking.party, asking.now
    paid = quote.amount == 0 or party.contract or party.paid
    received = Event(state=OrderState.RECEIVED, time=now, reason="order.received", by=actor)
    order = Order(
        id=new_order_id(now), customer=party.id, customer_name=party.name,
        customer_class=str(party.customer_class), country=party.country, region=party.region, request=request,
        state=OrderState.RECEIVED, items=quote.items, left_out=quote.left_out, km2=quote.km2,
        price=Price(amount=quote.amount, currency=quote.currency), licences=licences, paid=paid,
        approvals_needed=quote.approvals, until=quote.until, created=now, updated=now,
        expires=now + timedelta(days=asking.prices.quote_days), history=(received,), subscription=subscription,
    )  # fmt: skip
    return settled(order, now, by=actor)


def waits_for(order: Order, now: datetime) -> str | None:
    """Why an order cannot be delivered yet, as a stable code; None: it can."""
    if not order.paid:
        return "payment.due"
    if len(order.approvals) < order.approvals_needed:
        return "approval.needed"
    if order.until is not None and now < order.until:
        return "policy.delay"
    return None


def settled(order: Order, now: datetime, *, by: str) -> Order:
    """An order accepted if nothing stands in its way, else held; unchanged if that is what it is."""
    why = waits_for(order, now)
    if why is None:
        return order if order.state == OrderState.ACCEPTED else order.moved(
            OrderState.ACCEPTED, "order.accepted", by=by, now=now
        )  # fmt: skip
    if order.state == OrderState.HELD:
        return order
    return order.moved(OrderState.HELD, why, by=by, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What policy says of an order's items now."""

    decisions: Mapping[str, Decision]
    """By ``COLLECTION/ID``."""
    facts: Mapping[str, ProductFacts]
    """Of the ground that is delivered."""
    policy: Policy


def decide_again(desk: Desk, order: Order, now: datetime) -> Standing:
    """Ask the policy of the day about every item of an order, for its customer as that one is today.

    Raises
    ------
    Denied
        ``order.denied`` if an item may not be delivered (any more), its customer may not come in, or the item is gone.
    """
    try:
        asking = desk.asking(desk.party(order, now), entitlement=EVERYTHING, now=now)
    except UnknownCustomer as error:
        raise Denied("its customer may have nothing any more", kind="order.denied", where=order.id) from error
    clip = None if order.request.clip is None else clip_geometry(order.request.clip)
    decisions, facts = dict[str, Decision](), dict[str, ProductFacts]()
    for item in order.items:
        found = desk.store.get_item(item.collection, item.id)
        if found is None:
            raise Denied(f"{item.name} is not in the catalogue any more", kind="order.denied", where=order.id)
        own = product_facts(found)
        if own.footprint is not None:
            own = replace(own, footprint=ordered_ground(own.footprint, clip))
        decision = decided(asking, own, order.request.purpose)
        if decision.effect is Effect.DENY or _lacks_licence(asking, decision):
            raise Denied(f"{item.name} may not be delivered", kind="order.denied", where=order.id)
        decisions[item.name], facts[item.name] = decision, own
    return Standing(decisions=decisions, facts=facts, policy=asking.policy)


def _lacks_licence(asking: Asking, decision: Decision) -> bool:
    """Whether a licence was withdrawn, or is another one by now than was accepted."""
    terms = asking.policy.licences.get(decision.licence or "")
    needed = terms is not None and terms.accept and asking.party.id != HOUSE.id
    return needed and decision.licence not in asking.party.licences


def held_again(order: Order, standing: Standing, now: datetime) -> Order:
    """The order as today's decisions want it: more approvals, a later moment. Unchanged where nothing is in the way."""
    decisions = standing.decisions.values()
    needed = max((decision.approvals for decision in decisions if decision.effect is Effect.HOLD), default=0)
    until = max((decision.until for decision in decisions if decision.until is not None), default=None)
    return order.model_copy(update={"approvals_needed": needed, "until": until, "updated": now})


def note(desk: Desk, order: Order, action: str, actor: str) -> None:
    """Put a step into the audit log. Where that cannot be done, the step is not done either."""
    audit_of(desk.home).append(actor, action, [item.name for item in order.items], request_id=order.id)
