"""What somebody may know of, as one CQL2 condition that a store can apply to all its items at once.

The condition lets through whatever :func:`~catalogs.policy.decide.decide` gives for ``discover``, and nothing else as
far as an item's properties are what they say: unknown is unknown in both, because Kleene's logic is that of SQL. Where
facts contradict each other (an asset finer than its item), ``decide`` gives less than the condition lets through; so
whoever shows an item asks it again.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any as Json

from shapely.geometry.base import BaseGeometry

from catalogs.entitlement import NOTHING, Entitlement
from catalogs.policy.areas import Area
from catalogs.policy.attributes import Scalar
from catalogs.policy.evaluate import Question, class_of, moment_of, of_party
from catalogs.policy.grammar import All, Any, Compare, Constant, Listed, Missing, Node, Not, Placed, Stale
from catalogs.policy.rules import Directive, Policy, Rule
from catalogs.policy.terms import CE90, GSD, Action, Effect, Party

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
    if isinstance(condition, bool):
        return Entitlement() if condition else NOTHING
    return Entitlement(condition=condition)


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
        ways.append(_negated(_acquired("<", directive.acquired_until)))
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
            return _placed(relation, question.policy.areas[area], question.policy, negated=negated)
        case Missing(attribute):
            # It takes only: so what a store would have to know besides (is the value sound?) may be left out.
            return _known_at_all(attribute.property or "") if negated else False
        case Compare(attribute, op, value):
            found = (
                _time(op, question, value) if attribute.kind == "age" else _comparison(attribute.property, op, value)
            )
            return _negated(found) if negated else found


def _comparison(name: str | None, op: str, value: Scalar) -> Cql:
    if op == "startswith":
        pattern = "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in str(value)) + "%"
        return _operation("like", name or "", pattern)
    return _operation(op, name or "", value)


def _party_truth(node: Node, question: Question, negated: bool) -> bool:
    truth = of_party(node, question)
    return truth is (not negated)


def _known_at_all(name: str) -> Cql:
    return {"op": "not", "args": [{"op": "isNull", "args": [{"property": name}]}]}


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
    return {"op": op, "args": [{"property": name}, value]}


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
