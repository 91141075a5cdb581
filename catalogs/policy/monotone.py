"""Whether a rule could give more for what is more sensitive: such a rule is taken for a mistake."""

from collections.abc import Iterator, Mapping

from catalogs.policy.areas import Area
from catalogs.policy.grammar import All, Any, Compare, Missing, Node, Not, Placed
from catalogs.policy.terms import Effect
from processing.model.errors import BadInput


def check_monotone(name: str, effect: Effect, condition: Node, areas: Mapping[str, Area]) -> None:
    """Refuse a rule by which finer, fresher, better located or more sensitive products would gain rights.

    Raises
    ------
    BadInput
        ``policy.monotone``.
    """
    for fault in _faults(condition, giving=effect is Effect.ALLOW, areas=areas):
        raise BadInput(
            f"{fault}: more sensitive products would gain by it", kind="policy.monotone", where=name,
            remedy="Let rules that allow ask for coarser and older, those that take for finer and fresher.",
        )  # fmt: skip


def _faults(node: Node, *, giving: bool, areas: Mapping[str, Area]) -> Iterator[str]:
    match node:
        case All(parts) | Any(parts):
            for part in parts:
                yield from _faults(part, giving=giving, areas=areas)
        case Not(part):
            yield from _faults(part, giving=not giving, areas=areas)
        case Missing(attribute) if giving:
            yield f"that {attribute.name} is missing gives something"
        case Compare(attribute, op, value) if attribute.finer_is_less:
            if op not in (">", ">=") if giving else op not in ("<", "<="):
                yield f"{attribute.name} {op} {value:g}" if isinstance(value, float) else f"{attribute.name} {op}"
        case Placed(relation, area):
            good = areas[area].harmless and relation == "within"
            if good != giving:
                yield f"product {relation} areas.{area}"
        case _:
            return
