"""What is made of several items is never given more freely than the strictest of them."""

import json
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catalogs.composed import NOT_STATED, inherited
from catalogs.item import to_item
from catalogs.policy.areas import make_area
from catalogs.policy.decide import decide
from catalogs.policy.rules import Directive
from catalogs.policy.terms import Action, Effect, product_facts
from catalogs.store.embedded import EmbeddedStore
from configs.registry import load_registry
from pipelines.composite_plan import joint_accuracy, joint_facts
from pipelines.composite_request import CompositeRequest
from processing.archive.write import publish_product
from processing.model.composite_layers import COVERAGE
from processing.model.product import Product
from tests.archive import synthetic
from tests.catalogs.synthetic_items import collection
from tests.policy.test_properties import AREAS, NOW, check_condition, loaded, maybe, parties, policies, shipped

SHIPPED = ("kazakhstan-example", "satdsiv-like")
REQUEST = CompositeRequest.model_validate(
    {"collection": "kazeosat-1-l1c", "area": "69,44,73,47", "start": "2026-01-01", "end": "2026-11-01"}
)
PLACES = [(69.9, 45.1), (70.35, 45.25), (69.95, 45.29), (69.998, 45.05), (62.0, 42.0)]
AGES_H = (1, 25, 119, 121, 719, 721, 2_000)
KINDS = (None, "open", "secret")


@lru_cache(maxsize=1)
def base() -> Product:
    """One real product, whose facts are varied."""
    return publish_product(Path(mkdtemp(prefix="composites-")), synthetic.draft(), [synthetic.scene((40, 40))])


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Product, str | None]:
    """An input, and the mark that somebody gave to its item."""
    west, south = draw(st.sampled_from(PLACES))
    place = shapely.box(west, south, west + 0.05, south + 0.05)
    ce90 = draw(maybe(st.sampled_from([0.0, 5.0, 9.0, 11.0, 29.0, 60.0, 400.0])))
    changed = {
        "id": f"KZ1_{draw(st.integers(0, 10**6))}_L1C",
        "acquired": NOW - timedelta(hours=draw(st.sampled_from(AGES_H))),
        "gsd_m": draw(st.sampled_from([0.5, 1.0, 2.5, 4.0])),
        "accuracy": {} if ce90 is None else {"ce90_m": ce90},
        "geometry": json.loads(shapely.to_geojson(place)),
        "bbox": place.bounds,
    }
    return base().model_copy(update=changed), draw(st.sampled_from(KINDS))


def item_of(product: Product, kind: str | None) -> dict[str, Any]:
    """As it is catalogued, with somebody's mark on it."""
    registry = load_registry_once()
    item = to_item(
        product,
        registry.missions[product.mission],
        registry.sensors[product.sensor],
        registry.recipes[product.recipe],
    )
    item["properties"] |= {"eo:cloud_cover": 0.0} | ({} if kind is None else {"test:kind": kind})
    return item


load_registry_once = lru_cache(maxsize=1)(load_registry)


def composite_of(parts: list[tuple[Product, str | None]]) -> dict[str, Any]:
    """The item of a composite of all, by what the flow makes its record and its marks of."""
    products = [product for product, _ in parts]
    ground = shapely.union_all([shapely.geometry.shape(product.geometry) for product in products]).convex_hull
    product = base().model_copy(
        update={
            "id": "KZ1_COMPOSITE",
            "collection": "kazeosat-1-composite",
            "recipe": "composite",
            "level": "derived",
            "acquired": REQUEST.since,
            "facts": joint_facts(REQUEST, products) | {COVERAGE: 100.0},
            "accuracy": joint_accuracy(products),
            "gsd_m": min(each.gsd_m for each in products),
            "geometry": json.loads(shapely.to_geojson(ground)),
            "bbox": ground.bounds,
            "parents": tuple(f"{each.collection}/{each.id}" for each in products),
        }
    )
    item = item_of(product, None)
    return item | {"properties": inherited(item["properties"], [item_of(*part) for part in parts])}


def marked(document: dict[str, Any], effect: str) -> dict[str, Any]:
    """A policy that also goes by a mark."""
    own = {"id": "mark", "title": "-", "when": "kind == secret", "effect": effect}
    extra = {"hold": {"approvals": 2}, "degrade": {"to": {"gsd_m": 20}}}
    free = {"id": "free", "title": "-", "when": "kind == open", "effect": "allow"}
    attributes = document["attributes"] | {"kind": {"property": "test:kind", "type": "text"}}
    return document | {
        "attributes": attributes,
        "rules": [*document["rules"], own | extra.get(effect, {}), free],
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,))
@given(
    document=st.builds(marked, policies(), st.sampled_from(["deny", "hold", "degrade"])),
    parts=st.lists(inputs(), min_size=1, max_size=3), party=parties, action=st.sampled_from(list(Action)),
    ordered=st.tuples(st.sampled_from(AGES_H), st.sampled_from(AGES_H)),
)  # fmt: skip
def test_a_composite_is_never_given_more_freely_than_any_of_its_items(document, parts, party, action, ordered):
    """Whatever the policy, a directive about a span of acquisition included."""
    since, until = (NOW - timedelta(hours=hours) for hours in ordered)
    directive = Directive(
        id="quiet", title="-", area=make_area("quiet", shapely.box(*AREAS["secret"]), 0.0),
        since=NOW - timedelta(days=1), until=NOW + timedelta(days=1),
        acquired_since=since, acquired_until=until,
        finer_than_m=None, spares=frozenset(),
    )  # fmt: skip
    composite = product_facts(composite_of(parts))
    for policy in (loaded(document), replace(loaded(document), directives=(directive,)), *map(shipped, SHIPPED)):
        after = decide(composite, action, party, NOW, policy)
        for part in parts:
            before = decide(product_facts(item_of(*part)), action, party, NOW, policy)
            assert after.effect.rank >= before.effect.rank, (before, after)
            if after.gives and before.gives:
                assert (after.gsd_m or 0) >= (before.gsd_m or 0)
                assert set(after.masks) >= set(before.masks)
            if before.effect is after.effect is Effect.DELAY:
                assert after.until >= before.until


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,))
@given(
    document=st.builds(marked, policies(), st.just("deny")),
    parts=st.lists(st.lists(inputs(), min_size=1, max_size=3), min_size=3, max_size=6), party=parties,
    ordered=st.tuples(st.sampled_from(AGES_H), st.sampled_from(AGES_H)),
)  # fmt: skip
def test_a_store_lets_through_the_composites_that_decide_gives(document, parts, party, ordered):
    """What was taken over days, and is located now better now worse, is hidden in searches and counts too."""
    since, until = (NOW - timedelta(hours=hours) for hours in ordered)
    directive = Directive(
        id="quiet", title="-", area=make_area("quiet", shapely.box(*AREAS["secret"]), 0.0),
        since=NOW - timedelta(days=1), until=NOW + timedelta(days=1), acquired_since=since, acquired_until=until,
        finer_than_m=None, spares=frozenset(),
    )  # fmt: skip
    found = [composite_of(part) | {"id": f"i{number}", "collection": "alpha"} for number, part in enumerate(parts)]
    with TemporaryDirectory() as place:
        store = EmbeddedStore(Path(place))
        store.put_collection(collection("alpha"))
        store.put_items(found)
        check = partial(check_condition, store, found)
        for policy in (loaded(document), replace(loaded(document), directives=(directive,)), *map(shipped, SHIPPED)):
            check(policy, party)
        store.close()


def test_marks_that_all_items_bear_are_the_composites_and_others_are_unknown():
    parents = [
        {"properties": {"test:kind": "open", "own": 1, "gsd": 1.0, "qyran:stale": True}},
        {"properties": {"test:kind": "open", "own": 2, "other": "x"}},
    ]
    child = {"title": "composite", "gsd": 1.0, "own": 7, "mine": 3}
    assert inherited(child, parents) == {"title": "composite", "gsd": 1.0, "mine": 3, "test:kind": "open"}
    assert inherited(child, []) == child


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ([8.0, 12.0], {"qyran:ce90_m": 12.0, "qyran:ce90_finest_m": 8.0}),
        ([8.0, 8.0], {"qyran:ce90_m": 8.0}),
        ([8.0, None], {"qyran:ce90_m": NOT_STATED}),
        ([None, None], {}),
    ],
    ids=["two", "one", "not of all", "none"],
)
def test_accuracy_is_that_of_the_worst_for_areas_and_of_the_best_for_rules(stated, said):
    parts = [
        (base().model_copy(update={"accuracy": {} if ce90 is None else {"ce90_m": ce90}}), None) for ce90 in stated
    ]
    item = composite_of(parts)
    assert {name: value for name, value in item["properties"].items() if "ce90" in name} == said
    facts = product_facts(item)
    known = [ce90 for ce90 in stated if ce90 is not None]
    sure = len(known) == len(stated)
    assert facts.finest_ce90_m == (min(known) if known and sure else None)
    assert facts.ce90_m == (max(known) if known and sure else None)
