"""Whether a condition holds: yes, no, or unknown, by Kleene's logic, which is also that of SQL."""

import operator
import typing
from dataclasses import dataclass
from datetime import datetime, timedelta

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.policy.areas import Area
from catalogs.policy.attributes import Scalar
from catalogs.policy.grammar import All, Any, Compare, Constant, Listed, Missing, Node, Not, Placed, Stale
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
type Truth = bool | None
"""None: unknown."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a policy, but for the product."""

    action: Action
    party: Party
    """Of the class that the policy takes it for."""
    now: datetime
    policy: Policy


def holds(node: Node, question: Question, product: ProductFacts) -> Truth:
    """Whether a condition holds for a product."""
    match node:
        case All(parts):
            return every([holds(part, question, product) for part in parts])
        case Any(parts):
            return some([holds(part, question, product) for part in parts])
        case Not(part):
            return opposite(holds(part, question, product))
        case Placed(relation, area):
            own = question.policy.areas[area].of(question.party.region)
            return None if own is None else placed(relation, own, question.policy, product)
        case Missing(attribute):
            if attribute.kind == "age":
                return product.acquired is None
            return attribute.of_product is None or attribute.of_product(product) is None
        case Compare(attribute, op, value) if attribute.kind == "age":
            limit = moment_of(question, value)
            if product.acquired is None:
                return None
            return _ordered(limit, op, product.acquired)  # what is older was acquired before
        case Compare(attribute, op, value) if attribute.of_product is not None:
            return _compared(attribute.of_product(product), op, value)
        case _:
            return of_party(node, question)


def of_party(node: Node, question: Question) -> Truth:
    """Whether a condition that no product has a part in holds."""
    match node:
        case Constant(value):
            return value
        case Listed(name):
            return question.policy.lists[name].names(question.party)
        case Stale(name):
            return question.policy.lists[name].stale(question.now)
        case Compare(attribute, op, value) if attribute.of_party is not None:
            return _compared(attribute.of_party(question.party, question.action), op, value)
    raise TypeError(f"{type(node).__name__} is about a product")


def moment_of(question: Question, hours: Scalar) -> datetime:
    """The moment at which what is some hours old was acquired."""
    return question.now - timedelta(hours=float(hours))


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


def directed(directive: Directive, question: Question, product: ProductFacts) -> Truth:
    """Whether a directive concerns a product."""
    if not directive.since <= question.now < directive.until or question.party.customer_class in directive.spares:
        return False
    finer = directive.finer_than_m
    return every([
        placed("intersects", directive.area, question.policy, product),
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
