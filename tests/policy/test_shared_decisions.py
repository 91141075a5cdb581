"""Answers of policy that many customers share: only those for whom it says the same, and only of what it looked at."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
from shapely.geometry import mapping

from catalogs.api import kept
from catalogs.api.kept import Kept
from catalogs.api.rights import Remembered, Rights
from catalogs.policy.areas import make_area
from catalogs.policy.load import load_policy
from catalogs.policy.rules import Directive, Policy
from catalogs.policy.terms import Action, CustomerClass, Effect, Party
from tests.policy.shipped import FOLDER

WEST, EAST = shapely.box(60, 45, 61, 46), shapely.box(70, 45, 71, 46)


def policy() -> Policy:
    return load_policy(FOLDER / "kazakhstan-example.yaml")


def party(name: str, kind: CustomerClass, **more: Any) -> Party:
    return Party(id=name, name=name, customer_class=kind, country="KZ", contract=True, **more)


def item(shape: shapely.Geometry = WEST, **properties: Any) -> dict[str, Any]:
    facts = {"datetime": "2020-05-01T06:00:00Z", "gsd": 6.5, "qyran:ce90_m": 9, "qyran:spectral": "ms",
             "qyran:band_count": 4, "version": "1", "created": "2020-05-02T00:00:00Z"}  # fmt: skip
    return {
        "collection": "a", "id": "one", "geometry": mapping(shape), "bbox": list(shape.bounds), "assets": {},
        "properties": facts | properties,
    }  # fmt: skip


def directive(shape: shapely.Geometry, spares: CustomerClass) -> Directive:
    now = datetime.now(UTC)
    return Directive(
        id="LIMIT-1", title="-", area=make_area("limit", shape, 0.0), since=now - timedelta(days=1),
        until=now + timedelta(days=1), acquired_since=None, acquired_until=None, finer_than_m=None,
        spares=frozenset({spares}),
    )  # fmt: skip


def test_customers_of_a_class_share_and_each_directive_spares_whom_it_says():
    """Two of the same name: of each class another one holds."""
    shared = Remembered()
    ordered = replace(policy(), directives=(
        directive(WEST, CustomerClass.DOMESTIC), directive(EAST, CustomerClass.GOV_DOMESTIC),
    ))  # fmt: skip
    found = {
        (kind, name): Rights(party(name, kind), ordered, shared).decision(item(), Action.DISCOVER)
        for kind in (CustomerClass.DOMESTIC, CustomerClass.GOV_DOMESTIC) for name in ("first", "second")
    }  # fmt: skip
    for kind in (CustomerClass.DOMESTIC, CustomerClass.GOV_DOMESTIC):
        assert found[kind, "first"] is found[kind, "second"], "they do not share"
    assert found[CustomerClass.DOMESTIC, "first"].effect is not Effect.DENY
    assert found[CustomerClass.GOV_DOMESTIC, "first"].effect is Effect.DENY


def test_a_licence_that_one_has_accepted_gives_another_nothing():
    shared, rules, fine = Remembered(), policy(), item(gsd=1.0, **{"qyran:ce90_m": 15})
    buyer = replace(party("a", CustomerClass.EXPORT_ALLY, paid=True), country="UZ")
    accepted = replace(buyer, id="b", licences=frozenset({"kz-export-eula-2"}))
    for _ in range(2):
        assert Rights(accepted, rules, shared).decision(fine, Action.DOWNLOAD).gives
        assert not Rights(buyer, rules, shared).decision(fine, Action.DOWNLOAD).gives


def test_another_policy_of_the_same_digest_is_another():
    """A list of another time is the same text: only its age differs."""
    shared, one = Remembered(), policy()
    somebody = party("a", CustomerClass.DOMESTIC)
    assert shared.settled(one, Action.TILE, somebody) is shared.settled(one, Action.TILE, replace(somebody, id="b"))
    assert shared.settled(one, Action.TILE, somebody) is not shared.settled(replace(one), Action.TILE, somebody)


def test_what_a_document_says_is_never_taken_from_another_of_its_name():
    shared, rules, somebody = Remembered(), policy(), party("a", CustomerClass.DOMESTIC)
    before, after = item(), item(EAST, **{"qyran:ce90_m": 300})
    assert Rights(somebody, rules, shared).facts(before).ce90_m == 9
    for rights in (Rights(somebody, rules, shared), Rights(party("b", CustomerClass.DOMESTIC), rules, shared)):
        assert rights.facts(after).ce90_m == 300
        assert rights.facts(after).footprint.equals(EAST)
        assert rights.facts(before).footprint.equals(WEST)


def test_what_is_too_old_is_found_anew_and_not_kept(monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(kept.time, "monotonic", lambda: now)
    found = Kept[str, object](most=3)
    first = found.get("a", object)
    assert found.get("a", object) is first
    now += kept.KEEP_S / 2
    found.get("b", object)
    now += kept.KEEP_S / 2
    found.get("c", object)
    assert list(found._known) == ["b", "c"]
    assert found.get("a", object) is not first
    for name in "defg":
        found.get(name, object)
    assert list(found._known) == ["e", "f", "g"]
