"""A customer's own region as an area of a policy: everybody is asked about his own, and who has none has nothing."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs.policy.decide import decide
from catalogs.policy.entitle import entitlement_of
from catalogs.policy.load import load_policy
from catalogs.policy.terms import Action, CustomerClass, Party, ProductFacts, product_facts
from catalogs.store.embedded import EmbeddedStore
from catalogs.store.protocol import SearchRequest
from configs.load import ConfigError
from processing.model.errors import BadInput
from tests.catalogs.synthetic_items import collection

NOW = datetime(2026, 11, 1, tzinfo=UTC)
REGIONS = {"KZ-75": (76.0, 42.0, 78.0, 44.0), "KZ-11": (70.0, 50.0, 72.0, 52.0)}
ISLAND = (80.0, 48.0, 80.5, 48.5)
"""A second part of KZ-11."""
POLICY = """
apiVersion: policy/v1
id: regions
version: 1
title: Akimats have their own regions
areas:
  region: {file: regions.geojson, region: code, harmless: true, buffer_m: 100, visibility: open}
rules:
  - {id: own, title: an akimat has its own region, effect: allow,
     when: principal.class == gov_domestic and product within areas.region}
  - {id: look, title: everybody may look, when: "action in [discover, preview]", effect: allow}
  - {id: approve, title: beyond its region an akimat asks, effect: hold, approvals: 1,
     when: "principal.class == gov_domestic and action == derive and not product within areas.region"}
tests:
  - {product: {touches: [region]}, party: {class: gov_domestic}, action: download, expect: deny}
"""
HERE, BORDER, THERE, ISLE = (76.5, 43.0), (77.95, 43.0), (71.0, 51.0), (80.2, 48.2)
GOLDEN = [
    # region, place, side in degrees, CE90, class, action, effect
    ("KZ-75", HERE, 0.1, 10.0, "gov_domestic", "download", "allow"),
    ("KZ-75", HERE, 0.1, 10.0, "gov_domestic", "tile", "allow"),
    ("KZ-75", BORDER, 0.1, 10.0, "gov_domestic", "download", "deny"),
    ("KZ-75", BORDER, 0.1, 10.0, "gov_domestic", "preview", "allow"),
    ("KZ-75", THERE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    ("KZ-75", ISLE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    ("KZ-11", THERE, 0.1, 10.0, "gov_domestic", "download", "allow"),
    ("KZ-11", ISLE, 0.1, 10.0, "gov_domestic", "download", "allow"),
    ("KZ-11", HERE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    ("KZ-99", HERE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    ("kz-75", HERE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    ("", HERE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    (None, HERE, 0.1, 10.0, "gov_domestic", "download", "deny"),
    (None, HERE, 0.1, 10.0, "gov_domestic", "discover", "allow"),
    ("KZ-75", HERE, 0.1, 10.0, "domestic", "download", "deny"),
    ("KZ-75", HERE, 0.1, 10.0, "export_ally", "download", "deny"),
    ("KZ-75", HERE, 0.1, 5_000.0, "gov_domestic", "download", "deny"),  # so badly located that nothing is certain
    ("KZ-75", HERE, 3.0, 10.0, "gov_domestic", "download", "deny"),
    ("KZ-75", HERE, 0.1, 10.0, "gov_domestic", "derive", "allow"),
    ("KZ-75", (77.994, 43.0), 0.004, 10.0, "gov_domestic", "download", "allow"),
    ("KZ-75", (77.995, 43.0), 0.0045, 10.0, "gov_domestic", "download", "deny"),  # nearer than the buffer's 100 m
    ("KZ-75", (77.994, 43.0), 0.004, 300.0, "gov_domestic", "download", "deny"),  # nearer than its CE90
]  # fmt: skip


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return load_policy(written(tmp_path_factory.mktemp("regions")))


def written(folder: Path, text: str = POLICY, **properties: object) -> Path:
    shapes = [(name, shapely.box(*place)) for name, place in REGIONS.items()] + [("KZ-11", shapely.box(*ISLAND))]
    features = [
        {
            "type": "Feature",
            "properties": {"code": name, **properties},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for name, shape in shapes
    ]
    (folder / "regions.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "regions.yaml").write_text(text)
    return folder / "regions.yaml"


def product(place, side, ce90=10.0):
    west, south = place
    return ProductFacts(
        collection="c", id="i", gsd_m=1.0, acquired=NOW - timedelta(hours=100), spectral=None, bands=4, ce90_m=ce90,
        footprint=shapely.box(west, south, west + side, south + side),
    )  # fmt: skip


def party(region, kind="gov_domestic"):
    return Party(id="p", name="p", customer_class=CustomerClass(kind), region=region)


@pytest.mark.parametrize(("region", "place", "side", "ce90", "kind", "action", "effect"), GOLDEN)
def test_golden(policy, region, place, side, ce90, kind, action, effect):
    found = decide(product(place, side, ce90), Action(action), party(region, kind), NOW, policy)
    assert found.effect == effect, found.reasons


places = st.tuples(st.floats(69.5, 81, width=32), st.floats(41.5, 52.5, width=32))


@settings(max_examples=150)
@given(place=places, side=st.sampled_from([0.001, 0.1, 1.0, 2.5]), region=st.sampled_from([*REGIONS, "x", None]),
       action=st.sampled_from(list(Action)), ce90=st.sampled_from([None, 5.0, 90.0, 2_000.0]))  # fmt: skip
def test_a_region_gives_what_lies_in_it_and_nothing_else(policy, place, side, region, action, ce90):
    """Never more than the region; never more without one; and a clip to the region never takes more than it."""
    facts, own = product(place, side, ce90), party(region)
    found = decide(facts, action, own, NOW, policy)
    if found.gives and action not in (Action.DISCOVER, Action.PREVIEW):
        shapes = [shapely.box(*REGIONS[region])] + ([shapely.box(*ISLAND)] if region == "KZ-11" else [])
        assert shapely.union_all(shapes).contains(facts.footprint)
    for other in (None, "", "elsewhere"):
        assert decide(facts, action, replace(own, region=other), NOW, policy).effect.rank >= found.effect.rank
    larger = replace(facts, footprint=shapely.union(facts.footprint, shapely.box(60, 45, 60.1, 45.1)))
    assert decide(larger, action, own, NOW, policy).effect.rank >= found.effect.rank
    if region in REGIONS:
        cut = facts.clipped(shapely.box(*REGIONS[region]).buffer(-0.05))
        if not cut.footprint.is_empty and ce90 in (5.0, 90.0):
            assert decide(cut, Action.DOWNLOAD, own, NOW, policy).gives


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(where=st.lists(places, min_size=4, max_size=10))
def test_a_store_lets_through_just_that(where, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    strict = load_policy(written(folder, POLICY.replace("action in [discover, preview]", "action == preview")))
    with closing(EmbeddedStore(folder)) as store:
        store.put_collection(collection("alpha"))
        items = []
        for number, (west, south) in enumerate([*where, HERE, THERE, BORDER, ISLE]):
            shape = shapely.box(west, south, west + 0.1, south + 0.1)
            items.append({
                "type": "Feature", "stac_version": "1.1.0", "collection": "alpha", "id": f"i{number}", "links": [],
                "properties": {"datetime": "2026-10-01T00:00:00Z", "gsd": 1.0, "qyran:ce90_m": 10.0}, "assets": {},
                "geometry": json.loads(shapely.to_geojson(shape)), "bbox": list(shape.bounds),
            })  # fmt: skip
        store.put_items(items)
        for region in (*REGIONS, "x", None):
            own = party(region)
            page = store.search(SearchRequest(limit=100), entitlement_of(strict, own, NOW))
            given = {one["id"] for one in items if decide(product_facts(one), Action.DISCOVER, own, NOW, strict).gives}
            assert {one["id"] for one in page.items} == given
            assert (region in REGIONS) == bool(given)


def test_a_file_that_does_not_say_its_regions_is_refused(tmp_path):
    for properties, kind in (({"code": None}, "policy.area"), ({"code": ""}, "policy.area")):
        with pytest.raises(BadInput) as refused:
            load_policy(written(tmp_path, **properties))
        assert refused.value.kind == kind
    with pytest.raises(BadInput, match="'name'"):
        load_policy(written(tmp_path, POLICY.replace("region: code", "region: name")))
    with pytest.raises(ConfigError):
        load_policy(written(tmp_path, POLICY.replace("regions.geojson", "regions.gpkg")))
    masking = POLICY.replace(
        "  - {id: look", "  - {id: m, title: m, when: 'true', effect: degrade, to: {mask: [region]}}\n  - {id: look"
    )
    with pytest.raises(BadInput, match="cannot be masked"):
        load_policy(written(tmp_path, masking))
