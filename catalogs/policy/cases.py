"""Tests that stand in a policy itself."""

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.policy.decide import decide
from catalogs.policy.rules import Policy
from catalogs.policy.terms import Action, CustomerClass, Decision, Party, ProductFacts, Purpose, Spectral
from configs.schema.policies import CaseConfig, CaseParty, CaseProduct
from processing.model.errors import BadInput

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_SIDE_DEG = 0.01


def failures(policy: Policy) -> list[str]:
    """What each failing test expected and got, in words; empty if all pass."""
    wrong = []
    for number, case in enumerate(policy.config.tests, start=1):
        found = decided(case, policy)
        for what, expected, got in (
            ("effect", case.expect, found.effect.value),
            ("rule", case.rule, found.rule),
            ("gsd_m", case.gsd_m, found.gsd_m),
            ("masks", None if case.masks is None else tuple(sorted(case.masks)), found.masks),
        ):
            if expected is not None and expected != got:
                wrong.append(f"test {number} expects {what} {expected}, the rules say {got} ({found.rule})")
    return wrong


def decided(case: CaseConfig, policy: Policy) -> Decision:
    """What the policy says to a test's question."""
    now = max([_NOW, *([policy.since] if policy.since else [])])
    return decide(_product(case.product, policy, now), Action(case.action), party_of(case.party), now, policy)


def party_of(case: CaseParty) -> Party:
    """An invented customer."""
    named = case.model_dump(exclude={"customer_class", "licences", "purpose"})
    return Party(
        id="tested", name=case.legal_name or "tested", customer_class=CustomerClass(case.customer_class),
        licences=frozenset(case.licences), purpose=Purpose(case.purpose), **named,
    )  # fmt: skip


def _product(case: CaseProduct, policy: Policy, now: datetime) -> ProductFacts:
    return ProductFacts(
        collection=case.collection,
        id="tested",
        gsd_m=case.gsd_m,
        acquired=None if case.age_h is None else now - timedelta(hours=case.age_h),
        spectral=None if case.spectral is None else Spectral(case.spectral),
        bands=case.bands,
        ce90_m=case.ce90_m,
        footprint=_place(case.touches, policy),
        properties=MappingProxyType(dict(case.properties)),
    )


def _place(touched: tuple[str, ...], policy: Policy) -> BaseGeometry:
    """A small footprint inside the areas that are named, and outside all others as far as that goes."""
    for name in touched:
        if name not in policy.areas:
            raise BadInput(f"a test names the area '{name}', which the policy does not define", kind="policy.tests")
    inside = [policy.areas[name].levels[-1 if policy.areas[name].harmless else 0][1] for name in touched]
    others = [area.levels[0 if area.harmless else -1][1] for name, area in policy.areas.items() if name not in touched]
    place = shapely.box(-179, -85, 179, 85) if not inside else inside[0]
    for shape in inside[1:]:
        place = shapely.intersection(place, shape)
    outside = shapely.difference(place, shapely.union_all(others)) if others else place
    if outside.is_empty:
        if not touched or place.is_empty:
            raise BadInput("a test's product cannot lie like that to the areas", kind="policy.tests")
        outside = place
    point = shapely.point_on_surface(outside)
    return shapely.box(point.x, point.y, point.x + 1e-6, point.y + 1e-6) if touched else point.buffer(_SIDE_DEG)
