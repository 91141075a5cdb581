"""What would change for whom if another policy went live: both asked about every item for every customer."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from catalogs.policy.decide import decide, on_terms
from catalogs.policy.rules import Policy
from catalogs.policy.terms import Action, CustomerClass, Decision, Party, product_facts
from catalogs.store.protocol import Item

ACTIONS = (Action.DISCOVER, Action.PREVIEW, Action.DOWNLOAD)
SHOWN = 100
"""Changes that are told one by one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One answer that would be another."""

    customer: str
    item: str
    action: Action
    before: Decision
    after: Decision


@dataclass(slots=True)
class Simulated:
    """How answers would differ."""

    items: int = 0
    answers: int = 0
    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """By customer, action, effect before and after: how many answers would change so."""
    changes: list[Change] = field(default_factory=list)
    """The first of them."""


def invented_parties() -> tuple[Party, ...]:
    """One customer of every class, for houses that have none yet."""
    return tuple(Party(id=one.value, name=f"any {one.value}", customer_class=one) for one in CustomerClass)


def simulate(
    items: Iterable[Item], parties: Sequence[Party], policies: tuple[Policy, Policy], now: datetime
) -> Simulated:
    """Ask two policies, the one in force and the other, about every item for every party.

    Parties are taken as an order makes them: paid, with the licences of each policy accepted.
    """
    found = Simulated()
    for item in items:
        facts, name = product_facts(item), f"{item['collection']}/{item['id']}"
        found.items += 1
        for party in parties:
            for action in ACTIONS:
                before, after = (decide(facts, action, on_terms(party, one), now, one) for one in policies)
                found.answers += 1
                if _gist(before) != _gist(after):
                    found.counts[party.name, action.value, before.effect.value, after.effect.value] += 1
                    if len(found.changes) < SHOWN:
                        found.changes.append(Change(party.name, name, action, before, after))
    return found


def _gist(decision: Decision) -> tuple[object, ...]:
    return (
        decision.effect, decision.until, decision.gsd_m, decision.masks, decision.drop_bands, decision.licence,
        decision.approvals,
    )  # fmt: skip
