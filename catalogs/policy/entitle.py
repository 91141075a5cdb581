"""What somebody may know of, as one CQL2 condition that a store can apply to all its items at once.

The condition lets through what :func:`~catalogs.policy.decide.decide` gives for ``discover``, and nothing else: unknown
is unknown in both, because Kleene's logic is that of SQL, and stores know of which properties policy believes nothing.
So counts and extents tell no more than items do. Whoever shows an item asks ``decide`` all the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any as Json

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.entitlement import NOTHING, Entitlement, Hidden
from catalogs.policy.areas import Area
from catalogs.policy.attributes import Attribute, Scalar
from catalogs.policy.decide import least_taken
from catalogs.policy.evaluate import Question, class_of, moment_of, of_party
from catalogs.policy.grammar import All, Any, Compare, Constant, Listed, Missing, Node, Not, Placed, Stale
from catalogs.policy.rules import Directive, Policy, Rule
from catalogs.policy.terms import CE90, CE90_FINEST, CE90_WIDE, GSD, Action, Effect, Party

_EVERYWHERE = shapely.box(-180, -90, 180, 90)

type Cql = dict[str, Json] | bool
"""CQL2 JSON; of the constants, false also stands for what is unknown."""


def entitlement_of(policy: Policy, party: Party, now: datetime) -> Entitlement:
    """What a party may know of, as a condition that holds for every item that it may discover."""
    if not policy.valid(now):
        return NOTHING
    question = Question(Action.DISCOVER, replace(party, customer_class=class_of(party, policy)), now, policy)
    grants = [rule for rule in policy.rules if rule.effect is Effect.ALLOW]
    limits = [rule for rule in policy.rules if rule.effect in (Effect.DENY, Effect.HOLD, Effect.DELAY)]
    condition = _all([
        _any([_cql(rule.condition, question) for rule in grants]),
        *(_not_taken(rule, grants, question) for rule in limits),
        *(_not_directed(one, question) for one in policy.directives),
    ])  # fmt: skip
    if condition is False:
        return NOTHING
    return Entitlement(
        condition=None if isinstance(condition, bool) else condition, hidden=tuple(_hidden(policy, grants, question))
    )


def _hidden(policy: Policy, grants: Sequence[Rule], question: Question) -> Iterator[Hidden]:
    """Ground that rules mask, with the items of which they do: as ``decide`` says it for ``discover``."""
    for rule in policy.rules:
        if rule.effect is Effect.DEGRADE:
            unless = _not_taken(rule, grants, question)
            for name in rule.to.mask:
                yield from _masked(policy.areas[name], policy, True, unless)
    earlier: list[Cql] = []
    for grant in sorted(grants, key=least_taken):
        held = _cql(grant.condition, question)
        for name in grant.to.mask:
            yield from _masked(policy.areas[name], policy, held, _any(earlier))
        earlier.append(held)


def _masked(area: Area, policy: Policy, where: Cql, unless: Cql) -> Iterator[Hidden]:
    """An area, as wide as it is for each item."""
    if where is False or unless is True:
        return
    ce90: dict[str, Json] = {"op": "isNull", "args": [{"property": CE90}]}
    wide: list[tuple[Cql, BaseGeometry]] = []
    narrower = -1.0
    for reach, shape in area.levels:
        wide.append((_all([_operation("<=", CE90, reach), _operation(">", CE90, narrower)]), shape))
        narrower = reach
    assumed = area.shape(policy.assumed_ce90_m)
    wide.append((ce90, _EVERYWHERE if assumed is None else assumed))
    # No shape is wide enough, or what is stated is no accuracy: all of it is masked.
    doubted = _all([_negated(ce90), {"op": "isNull", "args": [{"fact": CE90, "is": "number"}]}])
    flagged = {"op": "flagged", "args": [CE90, CE90_WIDE]}  # stores know of these beforehand: they are few
    wide.append((_all([flagged, _any([_operation(">", CE90, narrower), doubted])]), _EVERYWHERE))
    for accuracy, shape in wide:
        if not shape.is_empty:
            yield Hidden(shape, _all([where, accuracy]), unless)


def _not_taken(rule: Rule, grants: Sequence[Rule], question: Question) -> Cql:
    """That a rule certainly does not hold, or is overridden, or its delay is over."""
    ways = [_cql(Not(rule.condition), question)]
    ways += [_cql(grant.condition, question) for grant in grants if rule.id in grant.overrides]
    if rule.effect is Effect.DELAY:
        ways.append(_time(">=", question, rule.delay_h))
    return _any(ways)


def _not_directed(directive: Directive, question: Question) -> Cql:
    if not directive.since <= question.now < directive.until or question.party.customer_class in directive.spares:
        return True
    ways = [_placed("intersects", directive.area, question.policy, negated=True)]
    if directive.acquired_since is not None:
        ways.append(_acquired("<", directive.acquired_since))
    if directive.acquired_until is not None:
        ways.append(_acquired(">=", directive.acquired_until))  # all of it: what was taken over days began later
    if directive.finer_than_m is not None:
        ways.append(_operation(">=", GSD, directive.finer_than_m))
    return _any(ways)


def _cql(node: Node, question: Question, *, negated: bool = False) -> Cql:
    """A condition, or that it certainly does not hold."""
    match node:
        case Not(part):
            return _cql(part, question, negated=not negated)
        case All(parts) | Any(parts):
            ways = [_cql(part, question, negated=negated) for part in parts]
            return _all(ways) if isinstance(node, All) != negated else _any(ways)
        case Constant() | Listed() | Stale():
            return _party_truth(node, question, negated)
        case Compare(attribute) if attribute.of_party is not None:
            return _party_truth(node, question, negated)
        case Placed(relation, area):
            own = question.policy.areas[area].of(question.party.region)
            return False if own is None else _placed(relation, own, question.policy, negated=negated)
        case Missing(attribute):
            # It takes only: a rule that gives by it is refused when a policy is read.
            return _known_at_all(attribute) if negated else False
        case Compare(attribute, op, value):
            found = _time(op, question, value) if attribute.kind == "age" else _comparison(attribute, op, value)
            return _negated(found) if negated else found


def _comparison(attribute: Attribute, op: str, value: Scalar) -> Cql:
    if op == "startswith":
        pattern = "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in str(value)) + "%"
        return {"op": "like", "args": [_read(attribute), pattern]}
    compared: dict[str, Json] = {"op": op, "args": [_read(attribute), value]}
    if attribute.name != "ce90_m":
        return compared
    absent: dict[str, Json] = {"op": "isNull", "args": [{"property": CE90_FINEST}]}
    return _any([_all([absent, compared]), _all([_negated(absent), _operation(op, CE90_FINEST, value)])])


def _read(attribute: Attribute) -> dict[str, Json]:
    """What a store finds of an attribute: as a fact where its value may be something that policy does not believe."""
    name = attribute.property or ""
    if name in ("id", "collection", "datetime"):
        return {"property": name}
    return {"fact": name, "is": "number" if attribute.kind == "number" else "text"}


def _party_truth(node: Node, question: Question, negated: bool) -> bool:
    truth = of_party(node, question)
    return truth is (not negated)


def _known_at_all(attribute: Attribute) -> Cql:
    known = _negated({"op": "isNull", "args": [_read(attribute)]})
    if attribute.name != "ce90_m":
        return known
    absent: dict[str, Json] = {"op": "isNull", "args": [{"property": CE90_FINEST}]}
    finest = _negated({"op": "isNull", "args": [{"fact": CE90_FINEST, "is": "number"}]})
    return _any([_all([absent, known]), _all([_negated(absent), finest])])


def _time(op: str, question: Question, hours: Scalar) -> Cql:
    """An age: what is older was acquired before."""
    limit = moment_of(question, hours)
    match op:
        case ">=":
            return _acquired("<=", limit)
        case ">":
            return _acquired("<", limit)
        case "<":
            return _negated(_acquired("<=", limit))
        case _:
            return _negated(_acquired("<", limit))


def _acquired(op: str, moment: datetime) -> dict[str, Json]:
    stamp = moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"op": op, "args": [{"property": "datetime"}, {"timestamp": stamp}]}


def _placed(relation: str, area: Area, policy: Policy, *, negated: bool) -> Cql:
    """How an item lies to an area that is widened by its accuracy."""
    ways: list[Cql] = []
    reaches = [reach for reach, _ in area.levels]
    assumed = next((shape for reach, shape in area.levels if policy.assumed_ce90_m <= reach), None)
    for place, (reach, shape) in enumerate(area.levels):
        found = _spatial(relation, shape, negated)
        within = [_operation("<=", CE90, reach)]
        if place:
            within.append(_operation(">", CE90, reaches[place - 1]))
        ways.append(_all([*within, found]))
    if not negated and not area.harmless:
        # Whoever lies in the widest shape lies in a wider one too: as for decide.
        beyond = _operation(">", CE90, reaches[-1])
        ways.append(_all([beyond, _spatial(relation, area.levels[-1][1], negated)]))
    unknown = {"op": "isNull", "args": [{"property": CE90}]}
    if assumed is not None:
        ways.append(_all([unknown, _spatial(relation, assumed, negated)]))
    return _any(ways)


def _spatial(relation: str, shape: BaseGeometry, negated: bool) -> Cql:
    if shape.is_empty:
        return negated
    found: Cql = {"op": f"s_{relation}", "args": [{"property": "geometry"}, shape]}
    return _negated(found) if negated else found


def _operation(op: str, name: str, value: Json) -> dict[str, Json]:
    """A comparison of a fact."""
    return {"op": op, "args": [{"fact": name, "is": "number"}, value]}


def _negated(node: Cql) -> Cql:
    return not node if isinstance(node, bool) else {"op": "not", "args": [node]}


def _all(parts: Sequence[Cql]) -> Cql:
    if False in parts:
        return False
    left = [part for part in parts if part is not True]
    return True if not left else left[0] if len(left) == 1 else {"op": "and", "args": left}


def _any(parts: Sequence[Cql]) -> Cql:
    if True in parts:
        return True
    left = [part for part in parts if part is not False]
    return False if not left else left[0] if len(left) == 1 else {"op": "or", "args": left}
