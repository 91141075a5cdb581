"""A policy for one party and one action: whatever no product has a part in is settled beforehand.

Most rules are about who asks: for a page of a hundred items they need to be understood once, not five hundred times.
What is left says of every product, at every moment, just what the whole policy does.
"""

from dataclasses import dataclass, replace

from catalogs.policy.evaluate import Test, class_of, every, of_asker, opposite, some, test_of
from catalogs.policy.grammar import All, Any, Compare, Constant, Listed, Node, Not, Placed
from catalogs.policy.rules import Directive, Policy, Rule
from catalogs.policy.terms import Action, Effect, Party


@dataclass(frozen=True, slots=True)
class OpenRule:
    """A rule that may hold, and how it is found out whether it does."""

    rule: Rule
    test: Test


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """The rules that may still hold, each with what is left of its condition."""

    policy: Policy
    licences: frozenset[str]
    """Names of those that the party has accepted."""
    grants: tuple[OpenRule, ...]
    limits: tuple[OpenRule, ...]
    """What takes of what is given."""
    directives: tuple[Directive, ...]
    alike: tuple[object, ...]
    """Of one policy: for all of whom it is the same, the policy decides the same, whatever the product."""


def settle(policy: Policy, action: Action, party: Party) -> Settled:
    """What is left of a policy once it is known who asks, and for what.

    Moments are not settled: how old a product or a list is, and whether a directive holds yet, is found out whenever
    something is decided.
    """
    party = replace(party, customer_class=class_of(party, policy))
    grants: list[OpenRule] = []
    limits: list[OpenRule] = []
    conditions: list[tuple[int, Node]] = []
    for place, rule in enumerate(policy.rules):
        left = _left(rule.condition, policy, action, party)
        truth = left.value if isinstance(left, Constant) else True
        # A rule that gives needs to hold for certain; one that takes counts unless it certainly does not.
        if truth or (truth is None and rule.effect is not Effect.ALLOW):
            side = grants if rule.effect is Effect.ALLOW else limits
            side.append(OpenRule(rule, test_of(left, policy, party)))
            conditions.append((place, left))
    directed = [number for number, one in enumerate(policy.directives) if party.customer_class not in one.spares]
    of_party = (party.region, party.licences, tuple(directed))
    return Settled(
        policy=policy, licences=party.licences, grants=tuple(grants), limits=tuple(limits),
        directives=tuple(policy.directives[number] for number in directed),
        alike=(*of_party, tuple(conditions)),
    )  # fmt: skip


def _left(node: Node, policy: Policy, action: Action, party: Party) -> Node:
    """A condition without what is known of it already."""
    match node:
        case Constant() | Listed():
            return Constant(of_asker(node, party, action, policy))
        case Compare(attribute) if attribute.of_party is not None:
            return Constant(of_asker(node, party, action, policy))
        case Placed(_, area) if policy.areas[area].of(party.region) is None:
            return Constant(None)
        case Not(part):
            inner = _left(part, policy, action, party)
            return Constant(opposite(inner.value)) if isinstance(inner, Constant) else Not(inner)
        case All(parts) | Any(parts):
            whole, unit = (every, True) if isinstance(node, All) else (some, False)
            left = [_left(part, policy, action, party) for part in parts]
            known = whole([part.value for part in left if isinstance(part, Constant)])
            if known is (not unit):
                return Constant(known)
            open_: list[Node] = [part for part in left if not isinstance(part, Constant)]
            if not open_:
                return Constant(known)
            if known is None:
                open_.append(Constant(None))
            return open_[0] if len(open_) == 1 else type(node)(tuple(open_))
        case _:
            return node
