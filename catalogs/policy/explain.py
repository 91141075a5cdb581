"""A policy in plain words: for every class of customers, what gives and what takes, and under which conditions."""

from dataclasses import dataclass
from datetime import UTC, datetime

from catalogs.policy.decide import on_terms
from catalogs.policy.evaluate import Question, of_party
from catalogs.policy.grammar import All, Any, Compare, Constant, Listed, Missing, Node, Not, Placed, Stale
from catalogs.policy.rules import Policy, Rule
from catalogs.policy.terms import Action, CustomerClass, Effect, Party

_SIGNS = {"=": "is", "<>": "is not", "<": "is below", "<=": "is at most", ">": "is above", ">=": "is at least"}
_UNITS = {"gsd_m": " m", "ce90_m": " m", "age_h": " h"}


@dataclass(frozen=True, slots=True)
class Line:
    """One rule, as it concerns a class and an action."""

    customer_class: CustomerClass
    action: Action
    effect: Effect
    when: str
    """What must hold of the product; ``always`` if nothing."""
    gives: str
    rule: str
    title: str


def explained(policy: Policy) -> tuple[Line, ...]:
    """Every rule that can concern a class and an action, the most severe first.

    Customers are taken as an order makes them: paid, with every licence accepted, and on no list.
    """
    found = []
    for customer_class in CustomerClass:
        party = on_terms(Party(id="-", name="-", customer_class=customer_class, country="", contract=True), policy)
        for action in Action:
            question = Question(action, party, datetime.now(UTC), policy)
            for rule in sorted(policy.rules, key=lambda one: (-one.effect.rank, one.id)):
                left = _left(rule.condition, question)
                if left != Constant(value=False):
                    found.append(Line(
                        customer_class, action, rule.effect, words(left), _gives(rule), rule.id, rule.title
                    ))  # fmt: skip
    return tuple(found)


def _gives(rule: Rule) -> str:
    parts = [f"no finer than {rule.to.gsd_m:g} m"] if rule.to.gsd_m else []
    parts += [f"without {', '.join(rule.to.mask)}"] if rule.to.mask else []
    parts += [f"without bands {', '.join(rule.to.drop_bands)}"] if rule.to.drop_bands else []
    parts += [f"{rule.delay_h:g} h after the acquisition"] if rule.effect is Effect.DELAY else []
    parts += [f"after {rule.approvals} approval{'s' * (rule.approvals > 1)}"] if rule.effect is Effect.HOLD else []
    parts += [f"under {rule.licence}"] if rule.licence else []
    parts += [f"in spite of {', '.join(sorted(rule.overrides))}"] if rule.overrides else []
    return "; ".join(parts)


def _left(node: Node, question: Question) -> Node:
    """What a condition still depends on, once who asks and for what is known."""
    match node:
        case Not(part):
            inner = _left(part, question)
            return Constant(not inner.value) if isinstance(inner, Constant) else Not(inner)
        case All(parts) | Any(parts):
            stops = isinstance(node, Any)
            inner_parts = [_left(part, question) for part in parts]
            if Constant(stops) in inner_parts:
                return Constant(stops)
            rest = tuple(part for part in inner_parts if not isinstance(part, Constant))
            if not rest:
                return Constant(not stops)
            return rest[0] if len(rest) == 1 else type(node)(rest)
        case Listed():
            return Constant(value=False)
        case Compare(attribute) if attribute.name in ("principal.country", "principal.region", "principal.id"):
            return node
        case Compare(attribute) if attribute.of_party is not None:
            return Constant(of_party(node, question) is True)
    return node


def words(node: Node) -> str:
    """A condition in words."""
    match node:
        case Constant(value):
            return "always" if value else "never"
        case All(parts):
            return " and ".join(f"({words(part)})" if isinstance(part, Any) else words(part) for part in parts)
        case Any(parts):
            return " or ".join(words(part) for part in parts)
        case Not(part):
            return f"not ({words(part)})"
        case Placed(relation, area):
            return f"it {'touches' if relation == 'intersects' else 'lies within'} the area {area}"
        case Listed(name):
            return f"the customer is on the list {name}"
        case Stale(name):
            return f"the list {name} is out of date"
        case Missing(attribute):
            return f"the {attribute.says} is not known"
        case Compare(attribute, op, value):
            shown = f"{value:g}{_UNITS.get(attribute.name, '')}" if isinstance(value, float) else str(value)
            return f"the {attribute.says} {_SIGNS.get(op, op)} {shown}"
