"""The one function that says what somebody may have of a product."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.policy.evaluate import accuracy_of, directed, placed
from catalogs.policy.rules import Directive, Policy, Rule
from catalogs.policy.settle import Settled, settle
from catalogs.policy.terms import Action, Decision, Effect, Party, ProductFacts

DEFAULT, NOT_VALID = "default", "not-valid"
GRAVE = "audit:high"
"""Obligation: whatever is answered belongs into the audit log."""


@dataclass(frozen=True, slots=True)
class _Matched:
    """Rules that hold for a product."""

    grants: tuple[Rule, ...]
    limits: tuple[Rule, ...]
    """What takes of what is given, without those that a grant overrides."""
    directives: tuple[Directive, ...]

    def of(self, effect: Effect) -> list[Rule]:
        return sorted((rule for rule in self.limits if rule.effect is effect), key=lambda rule: rule.id)


def decide(product: ProductFacts, action: Action, party: Party, now: datetime, policy: Policy) -> Decision:
    """What a party may have of a product.

    Rules that allow give; all others take of what is given: the most severe one that holds decides (deny, then hold,
    delay, degrade). Where nothing gives, nothing is given. A rule that gives needs to hold for certain; one that takes
    counts unless it certainly does not hold: so what is unknown is taken as whatever gives least. The order of rules
    does not matter. Of several that give, the one that gives most is taken; limits of all that degrade add up.

    Parameters
    ----------
    product
        As :func:`~catalogs.policy.terms.product_facts` of an item; cut to what is asked for by ``clipped``.
    action
        What is wanted.
    party
        Who asks.
    now
        When.
    policy
        By which rules.

    Returns
    -------
    decision
        Of a hold or a delay, its limits, licence and obligations are those of what is given afterwards; a hold may have
        ``until`` besides, before which not even officers' approval gives anything.
    """
    return decide_settled(product, now, settle(policy, action, party))


def decide_settled(product: ProductFacts, now: datetime, settled: Settled) -> Decision:
    """:func:`decide`, of a party and an action for which the policy has been settled."""
    policy = settled.policy
    if not policy.valid(now):
        return _answer(policy, Effect.DENY, NOT_VALID, ("not-valid: the policy does not hold at this time",))
    matched = _matched(product, settled, now)
    reasons = _reasons(matched)
    grave = (GRAVE,) if any(rule.grave for rule in (*matched.grants, *matched.limits)) else ()
    if matched.directives:
        first = min(matched.directives, key=lambda found: found.id)
        until = max(found.until for found in matched.directives)
        return replace(_answer(policy, Effect.DENY, first.id, reasons, grave), until=until)
    denied = matched.of(Effect.DENY)
    if denied:
        return _answer(policy, Effect.DENY, denied[0].id, reasons, grave)
    if not matched.grants:
        nothing = (*reasons, f"{DEFAULT}: no rule gives this")
        return _answer(policy, Effect.DENY, DEFAULT, nothing, grave)
    given = _given(product, matched, settled, _answer(policy, Effect.ALLOW, "", reasons, grave))
    return _postponed(product, matched, given)


def on_terms(party: Party, policy: Policy) -> Party:
    """Somebody as an order would make them: paid, and with every licence of the policy accepted."""
    return replace(party, paid=True, licences=party.licences | frozenset(policy.licences))


def mask_shape(decision: Decision, product: ProductFacts, policy: Policy) -> BaseGeometry | None:
    """Where pixels must be absent, degrees of WGS 84; None where nothing is masked.

    Of a product so inaccurate that no shape of an area is wide enough, all of it.
    """
    if not decision.masks:
        return None
    accuracy = accuracy_of(product, policy)
    shapes = [None if accuracy is None else policy.areas[name].shape(accuracy) for name in decision.masks]
    if None in shapes:
        return shapely.box(-180, -90, 180, 90)
    found: BaseGeometry = shapely.union_all(shapes)
    return found


def _matched(product: ProductFacts, settled: Settled, now: datetime) -> _Matched:
    grants = tuple(one.rule for one in settled.grants if one.test(product, now))
    overridden = frozenset().union(*(rule.overrides for rule in grants))
    limits = tuple(
        one.rule for one in settled.limits
        if one.rule.id not in overridden and one.test(product, now) is not False and not _over(one.rule, product, now)
    )  # fmt: skip
    directives = [one for one in settled.directives if directed(one, settled.policy, product, now) is not False]
    return _Matched(grants, limits, tuple(directives))


def _over(rule: Rule, product: ProductFacts, now: datetime) -> bool:
    """Whether a delay is over."""
    if rule.effect is not Effect.DELAY or product.acquired is None:
        return False
    return product.acquired + timedelta(hours=rule.delay_h) <= now


def _given(product: ProductFacts, matched: _Matched, settled: Settled, answer: Decision) -> Decision:
    """What is given, without regard to holds and delays."""
    policy = settled.policy
    best = min(matched.grants, key=least_taken)
    limiting = [best, *matched.of(Effect.DEGRADE)]
    floor = max(rule.to.gsd_m or 0.0 for rule in limiting)
    coarser = floor > 0 and (product.gsd_m is None or product.gsd_m < floor)
    masks = sorted({
        name for rule in limiting for name in rule.to.mask
        if placed("intersects", policy.areas[name], policy, product) is not False
    })  # fmt: skip
    bands = sorted({name for rule in limiting for name in rule.to.drop_bands})
    less = coarser or masks or bands
    licence = policy.licences.get(best.licence or "")
    obligations = [
        *answer.obligations,
        *best.obligations,
        *(name for rule in limiting[1:] for name in rule.obligations),
    ]
    if licence is not None:
        obligations += [
            name for name, asked in (("attribution", licence.attribution), ("watermark", licence.watermark)) if asked
        ]
        if licence.accept and best.licence not in settled.licences:
            obligations.append(f"accept:{best.licence}")
    taking = [rule for rule in limiting if rule.to.gsd_m or rule.to.mask or rule.to.drop_bands]
    return replace(
        answer,
        effect=Effect.DEGRADE if less else Effect.ALLOW,
        rule=taking[-1].id if less and taking else best.id,
        gsd_m=floor if coarser else None,
        masks=tuple(masks),
        drop_bands=tuple(bands),
        licence=best.licence,
        obligations=tuple(dict.fromkeys(obligations)),
    )


def least_taken(rule: Rule) -> tuple[float, int, int, str]:
    """The order of rules that give: of those that hold, the first is taken."""
    return rule.to.gsd_m or 0.0, len(rule.to.mask) + len(rule.to.drop_bands), len(rule.obligations), rule.id


def _postponed(product: ProductFacts, matched: _Matched, given: Decision) -> Decision:
    delays, held = matched.of(Effect.DELAY), matched.of(Effect.HOLD)
    until = None
    if delays and product.acquired is not None:
        until = product.acquired + timedelta(hours=max(rule.delay_h for rule in delays))
    if held:
        approvals = max(rule.approvals for rule in held)
        return replace(given, effect=Effect.HOLD, rule=held[0].id, approvals=approvals, until=until)
    if delays:
        longest = max(delays, key=lambda rule: (rule.delay_h, rule.id))
        return replace(given, effect=Effect.DELAY, rule=longest.id, until=until)
    return given


def _reasons(matched: _Matched) -> tuple[str, ...]:
    """Every rule that holds, the most severe first."""
    orders = [f"{found.id}: {found.title}" for found in sorted(matched.directives, key=lambda found: found.id)]
    rules = sorted((*matched.limits, *matched.grants), key=lambda rule: (-rule.effect.rank, rule.id))
    return (*orders, *(f"{rule.id}: {rule.title}" for rule in rules))


def _answer(
    policy: Policy, effect: Effect, rule: str, reasons: tuple[str, ...], obligations: tuple[str, ...] = ()
) -> Decision:
    return Decision(
        effect=effect, rule=rule, reasons=reasons, obligations=obligations, policy=policy.name,
        policy_sha256=policy.sha256,
    )  # fmt: skip
