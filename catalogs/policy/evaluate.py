"""Whether a condition holds: yes, no, or unknown, by Kleene's logic, which is also that of SQL."""

import operator
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.policy.areas import Area
from catalogs.policy.attributes import Attribute, Scalar, Value
from catalogs.policy.grammar import All, Any, Compare, Constant, Listed, Missing, Node, Not, Op, Placed, Stale, Truth
from catalogs.policy.rules import Directive, Policy
from catalogs.policy.terms import CE90, Action, CustomerClass, Party, ProductFacts

type Ordered = typing.Any
_OPERATORS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


type Test = Callable[[ProductFacts, datetime], Truth]
"""Whether something holds for a product at a moment."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a policy, but for the product."""

    action: Action
    party: Party
    """Of the class that the policy takes it for."""
    now: datetime
    policy: Policy


def test_of(node: Node, policy: Policy, party: Party) -> Test:
    """How it is found out whether a condition holds, in which who asks has no part any more but by his region.

    Raises
    ------
    TypeError
        For a condition about who asks, which :func:`of_asker` answers.
    """
    match node:
        case Constant(known):
            return lambda _product, _now: known
        case All(parts) | Any(parts):
            return _joined(tuple(test_of(part, policy, party) for part in parts), isinstance(node, All))
        case Not(part):
            inner = test_of(part, policy, party)
            return lambda product, now: opposite(inner(product, now))
        case Placed(relation, area):
            own = policy.areas[area].of(party.region)
            return lambda product, _now: None if own is None else placed(relation, own, policy, product)
        case Stale(name):
            dated = policy.lists[name]
            return lambda _product, now: dated.stale(now)
        case Missing(attribute) if attribute.kind == "age":
            return lambda product, _now: product.acquired is None
        case Compare(attribute, op, value) if attribute.kind == "age":
            compare, age = _OPERATORS[op], _hours(value)
            # What is older was acquired before.
            return lambda product, now: None if product.acquired is None else compare(now - age, product.acquired)
        case Missing(Attribute(of_product=read)) if read is not None:
            return _missing(read)
        case Compare(Attribute(of_product=read), op, value) if read is not None:
            return _comparing(read, op, value)
    raise TypeError(f"{type(node).__name__} is about who asks")


def _missing(read: Callable[[ProductFacts], Value]) -> Test:
    return lambda product, _now: read(product) is None


def _comparing(read: Callable[[ProductFacts], Value], op: Op, value: Scalar) -> Test:
    return lambda product, _now: _compared(read(product), op, value)


def _joined(tests: tuple[Test, ...], every_one: bool) -> Test:
    """That all of several conditions hold, or some of them; what comes after a certain answer is not asked."""
    certain = not every_one

    def joined(product: ProductFacts, now: datetime) -> Truth:
        found: Truth = every_one
        for test in tests:
            truth = test(product, now)
            if truth is certain:
                return certain
            if truth is None:
                found = None
        return found

    return joined


def of_party(node: Node, question: Question) -> Truth:
    """Whether a condition that no product has a part in holds."""
    if isinstance(node, Stale):
        return question.policy.lists[node.name].stale(question.now)
    return of_asker(node, question.party, question.action, question.policy)


def of_asker(node: Node, party: Party, action: Action, policy: Policy) -> Truth:
    """Whether a condition holds in which neither a product nor the time has a part."""
    match node:
        case Constant(value):
            return value
        case Listed(name):
            return policy.lists[name].names(party)
        case Compare(attribute, op, value) if attribute.of_party is not None:
            return _compared(attribute.of_party(party, action), op, value)
    raise TypeError(f"{type(node).__name__} is about a product or the time")


def moment_of(question: Question, hours: Scalar) -> datetime:
    """The moment at which what is some hours old was acquired."""
    return question.now - _hours(hours)


def _hours(hours: Scalar) -> timedelta:
    return timedelta(hours=float(hours))


def every(truths: list[Truth]) -> Truth:
    """Conjunction."""
    if False in truths:
        return False
    return None if None in truths else True


def some(truths: list[Truth]) -> Truth:
    """Disjunction."""
    if True in truths:
        return True
    return None if None in truths else False


def opposite(truth: Truth) -> Truth:
    """Negation."""
    return None if truth is None else not truth


def placed(relation: str, area: Area, policy: Policy, product: ProductFacts) -> Truth:
    """How a product lies to an area; unknown where it is, or the area is not widened for so low an accuracy."""
    accuracy = accuracy_of(product, policy)
    if product.footprint is None or product.footprint.is_empty or accuracy is None:
        return None
    shape = area.shape(accuracy)
    if shape is None:
        # Whoever lies even in the narrowest shape does so in all wider ones.
        nearest = area.levels[-1][1]
        return True if not area.harmless and _related(relation, nearest, product) else None
    return _related(relation, shape, product)


def accuracy_of(product: ProductFacts, policy: Policy) -> float | None:
    """CE90 by which areas are widened; None where what is stated is no accuracy."""
    if product.ce90_m is not None:
        return product.ce90_m
    return policy.assumed_ce90_m if product.properties.get(CE90) is None else None


def _related(relation: str, shape: BaseGeometry, product: ProductFacts) -> bool:
    if relation == "intersects":
        return bool(shapely.intersects(shape, product.footprint))
    return bool(shapely.contains(shape, product.footprint))


def directed(directive: Directive, policy: Policy, product: ProductFacts, now: datetime) -> Truth:
    """Whether a directive concerns a product, of somebody whom it does not spare."""
    if not directive.since <= now < directive.until:
        return False
    finer = directive.finer_than_m
    return every([
        placed("intersects", directive.area, policy, product),
        _unless_known(product.acquired, directive.acquired_since, "since"),
        _unless_known(product.begun, directive.acquired_until, "until"),
        True if finer is None else None if product.gsd_m is None else product.gsd_m < finer,
    ])  # fmt: skip


def _unless_known(acquired: datetime | None, limit: datetime | None, side: str) -> Truth:
    if limit is None:
        return True
    if acquired is None:
        return None
    return acquired >= limit if side == "since" else acquired < limit


def class_of(party: Party, policy: Policy) -> CustomerClass:
    """The class that a policy takes somebody for: another, if it cannot show what its own asks for."""
    found = party.customer_class
    for _ in CustomerClass:
        asked = policy.classes.get(found)
        if asked is None:
            return found
        fits = (not asked.countries or party.country in asked.countries) and (party.contract or not asked.contract)
        if fits:
            return found
        found = CustomerClass(asked.otherwise)
    return CustomerClass.PUBLIC


def _compared(left: object, op: str, right: object) -> Truth:
    if op == "contains":
        return isinstance(left, frozenset) and right in left
    if left is None or isinstance(left, str) != isinstance(right, str):
        return None
    if op == "startswith":
        return str(left).startswith(str(right))
    return _ordered(left, op, right)


def _ordered(left: Ordered, op: str, right: Ordered) -> bool:
    """Both are numbers, both texts, or both moments."""
    return bool(_OPERATORS[op](left, right))
