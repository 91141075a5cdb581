"""What must hold of every policy, on random products, parties and policies."""

import json
import random
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from catalogs.policy.decide import decide, decide_settled, mask_shape
from catalogs.policy.entitle import entitlement_of
from catalogs.policy.load import load_policy, policy_file
from catalogs.policy.rules import Policy
from catalogs.policy.settle import settle
from catalogs.policy.terms import Action, CustomerClass, Decision, Party, ProductFacts, Purpose, Spectral, product_facts
from catalogs.store.embedded import EmbeddedStore
from catalogs.store.pgstac import PgstacStore
from catalogs.store.protocol import CatalogueStore, SearchRequest
from processing.model.errors import BadInput
from tests.catalogs.synthetic_items import collection
from tests.services import postgres

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SHIPPED = ("kazakhstan-example", "satdsiv-like", "india-like", "open-data")
AREAS = {"secret": (70.0, 45.0, 70.4, 45.3), "delicate": (70.3, 45.2, 70.8, 45.6), "harmless": (60.0, 40.0, 66.0, 44.0)}
PLACES = [(69.9, 45.1), (70.35, 45.25), (62.0, 42.0), (80.0, 50.0), (71.9, 46.2), (69.95, 45.45)]
GIVING = [
    "true", "action == discover", "gsd_m >= {g}", "age_h >= {a}", "gsd_m >= {g} and age_h >= {a}", "order.paid",
    "principal.class == gov_domestic", "principal.class startswith export and order.paid",
    "product within areas.harmless", "not product intersects areas.secret", "spectral in [pan, ms]",
    "platform startswith KZ", "cloud < 20", "level == L1C and gsd_m > {g}", "order.purpose == disaster",
]  # fmt: skip
TAKING = [
    "gsd_m < {g}", "gsd_m <= {g} and product intersects areas.delicate", "age_h < {a}", "ce90_m <= 10",
    "product intersects areas.secret", "not product within areas.harmless and gsd_m < {g}", "spectral == hs",
    "gsd_m is missing", "principal.class == public and age_h <= {a}", "not principal.country in [KZ, UZ]",
    "product within areas.secret", "not cloud < 50", "bands > 10", "not platform in ['KZ-1', 'KZ-2']",
]  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    def when(texts: list[str]) -> str:
        text = draw(st.sampled_from(texts)).format(
            g=draw(st.sampled_from([1, 2.5, 5])), a=draw(st.sampled_from([24, 720]))
        )
        return str(text)

    rules: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 4))):
        rule: dict[str, Any] = {"id": f"give-{number}", "title": "-", "when": when(GIVING), "effect": "allow"}
        if draw(st.booleans()):
            rule["unless"] = when(TAKING[:6])
        if draw(st.integers(0, 3)) == 0:
            rule["overrides"] = ["take-0"]
        if draw(st.integers(0, 3)) == 0:
            rule["to"] = {"gsd_m": draw(st.sampled_from([10, 20]))}
        rules.append(rule)
    extra = {"deny": {}, "hold": {"approvals": 2}, "delay": {"delay_h": 120}, "degrade": {"to": {"mask": ["secret"]}}}
    for number in range(draw(st.integers(1, 4))):
        effect = draw(st.sampled_from(sorted(extra)))
        rules.append({"id": f"take-{number}", "title": "-", "when": when(TAKING), "effect": effect} | extra[effect])
    return {
        "apiVersion": "policy/v1", "id": "random", "version": 1, "title": "-",
        "attributes": {"cloud": {"property": "eo:cloud_cover", "type": "number"}},
        "areas": {name: {"file": f"{name}.geojson", "buffer_m": 250 if name == "secret" else 0,
                         "harmless": name == "harmless"} for name in AREAS},
        "rules": rules, "tests": [{"product": {}, "party": {"class": "public"}, "action": "stream", "expect": "deny"}],
    }  # fmt: skip


@lru_cache(maxsize=1)
def folder() -> Path:
    found = Path(tempfile.mkdtemp(prefix="policies-"))
    for name, box in AREAS.items():
        (found / f"{name}.geojson").write_text(shapely.to_geojson(shapely.box(*box)))
    return found


def loaded(document: dict[str, Any]) -> Policy:
    path = folder() / "random.yaml"
    for expect in ("deny", "hold", "delay", "degrade", "allow"):
        document["tests"][0]["expect"] = expect
        path.write_text(json.dumps(document))
        try:
            return load_policy(path)
        except BadInput as error:
            if error.kind != "policy.tests":
                raise
    raise AssertionError("one of the effects must be that of the test")


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values, values, values)


parties = st.builds(
    Party,
    id=st.just("p"), name=st.just("p"), customer_class=st.sampled_from(list(CustomerClass)),
    country=maybe(st.sampled_from(["KZ", "UZ", "FR"])), clearance=st.integers(0, 2), contract=st.booleans(),
    licences=st.sampled_from([frozenset(), frozenset({"kz-export-eula-2", "kz-domestic-1", "sat-1", "priced-1"})]),
    paid=st.booleans(), purpose=st.sampled_from(list(Purpose)),
    legal_name=maybe(st.sampled_from(["Example Front Company LLC", "Honest GmbH"])),
)  # fmt: skip


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    west, south = (
        draw(st.sampled_from([69.7, 69.999, 70.1, 70.35, 70.401, 62.0, 80.0])),
        draw(st.sampled_from([42.0, 45.1, 45.301])),
    )
    side = draw(st.sampled_from([0.001, 0.1, 0.3]))
    age = draw(st.sampled_from([1, 24, 25, 119, 120, 121, 719.9, 720, 2_000]))
    properties: dict[str, Any] = {"datetime": (NOW - timedelta(hours=age)).isoformat().replace("+00:00", "Z")}
    for name, values in {
        "gsd": maybe(st.sampled_from([0.3, 1, 1.0, 2.5, 4.99, 5, 30, -1, "fine", True])),
        "qyran:ce90_m": maybe(st.sampled_from([0, 5.0, 10, 29.0, 400, 5_000, "n/a"])),
        "qyran:ce90_finest_m": st.sampled_from([None, None, None, 0, 5.0, 29.0, "n/a"]),
        "qyran:spectral": maybe(st.sampled_from(["pan", "ms", "hs", "sar", "odd", 3])),
        "qyran:band_count": maybe(st.sampled_from([1, 4, 11, 4.0])),
        "platform": maybe(st.sampled_from(["KZ-1", "KZ%", "other"])),
        "processing:level": maybe(st.sampled_from(["L1C", "L2A"])),
        "eo:cloud_cover": maybe(st.sampled_from([0, 19.9, 20, 60, "many"])),
    }.items():
        value = draw(values)
        if value is not None or draw(st.integers(0, 9)) == 0:
            properties[name] = value
    taken_h = draw(st.sampled_from([None, None, 1, 100, 2_000]))
    if taken_h is not None:  # over some time, as a composite
        first = (NOW - timedelta(hours=age + taken_h)).isoformat().replace("+00:00", "Z")
        properties |= {"start_datetime": first, "end_datetime": properties["datetime"]}
    finer = draw(st.sampled_from([None, None, None, 0.5]))
    return {
        "type": "Feature", "stac_version": "1.1.0", "collection": "alpha", "properties": properties, "links": [],
        "geometry": json.loads(shapely.to_geojson(shapely.box(west, south, west + side, south + side))),
        "bbox": [west, south, west + side, south + side],
        "assets": {} if finer is None else {"pan": {"href": "x", "gsd": finer}},
    }  # fmt: skip


def check_condition(store: CatalogueStore, found: list[dict[str, Any]], policy: Policy, party: Party) -> None:
    """The store's condition lets through what policy gives, and nothing else."""
    entitlement = entitlement_of(policy, party, NOW)
    page = store.search(SearchRequest(limit=1_000, count=True), entitlement)
    let_through = {item["id"] for item in page.items}
    for item in found:
        decision = decide(product_facts(item), Action.DISCOVER, party, NOW, policy)
        hidden, outline = mask_shape(decision, product_facts(item), policy), shape(item["geometry"])
        left = outline if hidden is None else shapely.difference(outline, hidden)
        gives = decision.gives and not left.is_empty
        assert gives == (item["id"] in let_through), (item, policy.config.rules)
    assert page.matched == len(let_through)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=policies(), found=st.lists(items(), min_size=4, max_size=12), party=parties)
def test_the_stores_condition_is_what_decide_says(document, found, party):
    policy = loaded(document)
    with tempfile.TemporaryDirectory() as place:
        store = EmbeddedStore(Path(place))
        store.put_collection(collection("alpha"))
        for number, item in enumerate(found):
            item["id"] = f"i{number}"
        store.put_items(found)
        check_condition(store, found, policy, party)
        for name in SHIPPED:
            check_condition(store, found, shipped(name), party)
        store.close()


@pytest.fixture(scope="module")
def pgstac(tmp_path_factory):
    if (reason := postgres.why_not()) is not None:
        postgres.refuse(reason)
    with postgres.running(tmp_path_factory.mktemp("policies")) as server:
        store = PgstacStore(server.fresh("policies"))
        store.put_collection(collection("alpha"))
        yield store
        store.close()


@pytest.mark.services
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,))
@given(document=policies(), found=st.lists(items(), min_size=6, max_size=12), party=parties)
def test_so_it_is_on_a_server(pgstac, document, found, party):
    """The condition as PostgreSQL and PostGIS take it."""
    for one in list(pgstac.items()):
        pgstac.delete_item("alpha", one["id"])
    for number, item in enumerate(found):
        item["id"] = f"i{number}"
    pgstac.put_items(found)
    for policy in (loaded(document), *map(shipped, SHIPPED)):
        check_condition(pgstac, found, policy, party)


@lru_cache(maxsize=8)
def shipped(name: str) -> Policy:
    return load_policy(policy_file(name, None))


def rights(decision: Decision) -> tuple[int, float, int]:
    """What is given, in an order: the less the greater."""
    return decision.effect.rank, decision.gsd_m or 0.0, len(decision.masks) + len(decision.drop_bands)


facts = st.builds(
    ProductFacts,
    collection=st.just("alpha"), id=st.just("i"), gsd_m=maybe(st.sampled_from([0.3, 1.0, 1.2, 2.5, 4.0, 5.0, 30.0])),
    acquired=maybe(st.sampled_from([1, 100, 119, 121, 719, 721]).map(lambda age: NOW - timedelta(hours=age))),
    spectral=maybe(st.sampled_from(list(Spectral))), bands=maybe(st.sampled_from([1, 4, 40])),
    ce90_m=maybe(st.sampled_from([3.0, 9.0, 11.0, 60.0])),
    footprint=st.sampled_from(PLACES).map(lambda at: shapely.box(*at, at[0] + 0.05, at[1] + 0.05)),
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=policies(), product=facts, party=parties, action=st.sampled_from(list(Action)), data=st.data())
def test_more_sensitive_never_gains(document, product, party, action, data):
    """Finer, fresher, better located, unknown, or in more areas: never more than before."""
    finer = None if product.gsd_m is None else data.draw(st.sampled_from([None, product.gsd_m, product.gsd_m / 3]))
    fresher = None if product.acquired is None else data.draw(
        st.sampled_from([None, product.acquired, NOW - (NOW - product.acquired) / 7])
    )  # fmt: skip
    wider = data.draw(
        st.sampled_from([product.footprint, shapely.union(product.footprint, shapely.box(*AREAS["secret"])), None])
    )
    worse = replace(product, gsd_m=finer, acquired=fresher, footprint=wider)
    for policy in (loaded(document), *map(shipped, SHIPPED)):
        before, after = (decide(one, action, party, NOW, policy) for one in (product, worse))
        assert after.effect.rank >= before.effect.rank, (before, after)
        if after.gives and before.gives:
            assert (after.gsd_m or 0) >= (before.gsd_m or 0)
            assert set(after.masks) >= set(before.masks)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=policies(), product=facts, party=parties, seed=st.integers(0, 99))
def test_the_order_of_rules_does_not_matter(document, product, party, seed):
    policy = loaded(document)
    turned = replace(policy, rules=tuple(random.Random(seed).sample(policy.rules, len(policy.rules))))
    for action in Action:
        assert decide(product, action, party, NOW, policy) == decide(product, action, party, NOW, turned)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    product=facts, party=parties, west=st.floats(69, 72), south=st.floats(44, 47), side=st.floats(0.001, 2),
    name=st.sampled_from(SHIPPED),
)  # fmt: skip
def test_a_clip_never_widens(product, party, west, south, side, name):
    """What is cut out lies within what was there, and a product cut to what it has anyway has the same rights."""
    cut = product.clipped(shapely.box(west, south, west + side, south + side))
    assert shapely.difference(cut.footprint, product.footprint).area < 1e-12
    everything = product.clipped(product.footprint.buffer(1))
    for action in Action:
        whole = decide(product, action, party, NOW, shipped(name))
        assert rights(decide(everything, action, party, NOW, shipped(name))) == rights(whole)
        part = decide(cut, action, party, NOW, shipped(name))
        assert set(part.masks) <= set(whole.masks) or cut.footprint.is_empty
        if cut.footprint.is_empty:
            assert part.effect.rank >= whole.effect.rank


@pytest.mark.parametrize("when", [
    "gsd_m < 5", "age_h <= 24", "not gsd_m >= 5", "product intersects areas.secret", "gsd_m is missing",
    "ce90_m < 10", "not product within areas.harmless",
])  # fmt: skip
def test_rules_that_would_reward_sensitivity_are_refused(when):
    rule = {"id": "r", "title": "-", "when": when, "effect": "allow"}
    tests = [{"product": {}, "party": {"class": "public"}, "action": "stream", "expect": "deny"}]
    areas = {name: {"file": f"{name}.geojson", "harmless": name == "harmless"} for name in AREAS}
    document = {"apiVersion": "policy/v1", "id": "random", "version": 1, "title": "-", "areas": areas, "tests": tests}
    (folder() / "refused.yaml").write_text(json.dumps(document | {"rules": [rule]}))
    with pytest.raises(BadInput) as refused:
        load_policy(folder() / "refused.yaml")
    assert refused.value.kind == "policy.monotone"


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(policies(), parties, parties, st.sampled_from(list(Action)), st.lists(items(), min_size=1, max_size=3))
def test_what_is_decided_alike_is_decided_the_same(
    document: dict[str, Any], one: Party, other: Party, action: Action, found: list[dict[str, Any]]
) -> None:
    """Decisions are shared by all for whom a policy settles to the same: whatever else they differ in has no part."""
    policy = loaded(document)
    other = replace(other, region=one.region, licences=one.licences)  # often alike, but for what rules ask of them
    first, second = (settle(policy, action, party) for party in (one, other))
    products = [product_facts(item | {"id": f"item-{number}"}) for number, item in enumerate(found)]
    for product in products:
        asked = [decide(product, action, party, NOW, policy) for party in (one, other)]
        assert decide_settled(product, NOW, first) == asked[0]
        if first.alike == second.alike:
            assert asked[0] == asked[1]
            assert entitlement_of(policy, one, NOW) == entitlement_of(policy, other, NOW)


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=50, deadline=None)
@given(one=parties, other=parties, action=st.sampled_from(list(Action)), item=items())
def test_no_shipped_policy_takes_two_for_alike_who_are_not(
    name: str, one: Party, other: Party, action: Action, item: dict[str, Any]
) -> None:
    policy, product = shipped(name), product_facts(item | {"id": "item"})
    if settle(policy, action, one).alike == settle(policy, action, other).alike:
        assert decide(product, action, one, NOW, policy) == decide(product, action, other, NOW, policy)
