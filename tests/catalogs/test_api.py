"""The STAC API as its clients see it, through HTTP."""

import gzip
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from catalogs.api import client
from configs.schema.catalogue import CatalogueConfig
from tests.catalogs.synthetic_items import collection, items
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Two collections of a hundred items, for questions only."""
    with api_serving(tmp_path_factory.mktemp("home")) as running:
        for number, name in enumerate(("alpha", "beta")):
            running.store.put_collection(collection(name))
            running.store.put_items(items(100, home=name, seed=number))
        yield running


@pytest.fixture(scope="module")
def api(server: ApiServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def fresh(tmp_path) -> Iterator[ApiServer]:
    """One to be changed."""
    with api_serving(tmp_path) as running:
        running.store.put_collection(collection("alpha"))
        running.store.put_items(items(5, home="alpha"))
        yield running


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


def pages(client: httpx.Client, first: httpx.Response) -> Iterator[dict[str, Any]]:
    answer = first
    while True:
        page = answer.json()
        yield page
        following = [link for link in page["links"] if link["rel"] == "next"]
        if not following:
            return
        (link,) = following
        if link.get("method") == "POST":
            answer = client.post(link["href"], json=link["body"])
        else:
            answer = client.get(link["href"])


@pytest.mark.parametrize("path", ["/stac", "/stac/"])
def test_the_landing_page_leads_everywhere(api, server, path):
    page = api.get(path).json()
    assert page["type"] == "Catalog"
    hrefs = {(link["rel"], link.get("method", "GET")): link["href"] for link in page["links"]}
    assert hrefs["self", "GET"] == f"{server.url}/stac/"
    for (rel, method), href in hrefs.items():
        assert href.startswith(server.url), rel
        if method == "GET":
            assert api.get(href).status_code == 200, href
    assert {"search", "data", "conformance", "service-desc", "service-doc", "child"} <= {rel for rel, _ in hrefs}
    assert "https://api.stacspec.org/v1.0.0/item-search#sort" in page["conformsTo"]
    assert "https://api.stacspec.org/v1.1.0/item-search#sort" in page["conformsTo"]


def test_both_methods_of_search_agree(api):
    asked = {
        "collections": ["alpha"],
        "bbox": [65, 42, 80, 50],
        "datetime": "2020-01-01T00:00:00Z/2020-03-01T00:00:00Z",
    }
    posted = api.post("/stac/search", json=asked | {"limit": 100})
    got = api.get("/stac/search", params={
        "collections": "alpha", "bbox": "65,42,80,50", "datetime": asked["datetime"], "limit": 100,
    })  # fmt: skip
    assert ids(posted) == ids(got) != []
    assert posted.json()["numberMatched"] == len(ids(posted))
    assert posted.headers["content-type"] == "application/geo+json"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_make_up_the_whole(api, method):
    asked = {"limit": 30, "sortby": "-eo:cloud_cover"} if method == "GET" else {
        "limit": 30, "sortby": [{"field": "eo:cloud_cover", "direction": "desc"}]}  # fmt: skip
    first = api.get("/stac/search", params=asked) if method == "GET" else api.post("/stac/search", json=asked)
    found = [feature for page in pages(api, first) for feature in page["features"]]
    assert len(found) == len({(one["collection"], one["id"]) for one in found}) == 200
    clouds = [one["properties"]["eo:cloud_cover"] for one in found]
    assert clouds == sorted(clouds, reverse=True)


def test_filters_in_text_and_json_and_query_agree(api):
    text = ids(api.get("/stac/search", params={"filter": "eo:cloud_cover < 20 AND platform = 'kz-1'", "limit": 500}))
    tree = {"op": "and", "args": [
        {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
        {"op": "=", "args": [{"property": "platform"}, "kz-1"]},
    ]}  # fmt: skip
    as_json = ids(api.post("/stac/search", json={"filter": tree, "filter-lang": "cql2-json", "limit": 500}))
    query = {"eo:cloud_cover": {"lt": 20}, "platform": {"eq": "kz-1"}}
    queried = ids(api.post("/stac/search", json={"query": query, "limit": 500}))
    in_address = ids(api.get("/stac/search", params={"query": json.dumps(query), "limit": 500}))
    assert text == as_json == queried == in_address
    assert 0 < len(text) < 100


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"platform": {"startsWith": "kz"}}, 200),
        ({"platform": {"endsWith": "-2"}}, 100),
        ({"title": {"contains": "ene 77"}}, 2),
        ({"platform": {"in": ["kz-1", "nobody"]}}, 100),
        ({"platform": {"neq": "kz-1"}}, 100),
        ({"gsd": {"gte": 5, "lte": 5}}, 66),
        ({"title": {"contains": "%"}}, 0),
    ],
)
def test_query(api, query, count):
    assert len(ids(api.post("/stac/search", json={"query": query, "limit": 500}))) == count


def test_free_text(api):
    assert sorted(ids(api.get("/stac/search", params={"q": "scene 77,scene 5"}))) == [
        "alpha-00005", "alpha-00077", "beta-00005", "beta-00077",
    ]  # fmt: skip
    assert ids(api.post("/stac/search", json={"q": ["SCENE 77"], "collections": ["alpha"]})) == ["alpha-00077"]
    assert ids(api.get("/stac/collections/beta/items", params={"q": "scene 77"})) == ["beta-00077"]


def test_fields(api):
    asked = {"fields": "id,properties.datetime,-links", "limit": 1}
    (feature,) = api.get("/stac/search", params=asked).json()["features"]
    assert feature.keys() == {"id", "type", "collection", "properties"}
    assert feature["properties"].keys() == {"datetime"}
    answer = api.post("/stac/search", json={"fields": {"exclude": ["assets", "properties.title"]}, "limit": 1})
    (feature,) = answer.json()["features"]
    assert "assets" not in feature
    assert "title" not in feature["properties"]
    assert "geometry" in feature
    assert answer.headers["content-type"] == "application/geo+json"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["alpha", "beta"]),
        ({"q": "Scenes of beta"}, ["beta"]),
        ({"bbox": "60,40,85,52"}, ["alpha", "beta"]),
        ({"bbox": "0,0,1,1"}, []),
        ({"bbox": "170,0,-170,60"}, []),
        ({"datetime": "2030-01-01T00:00:00Z/.."}, []),
        ({"datetime": "../2020-01-02T00:00:00Z"}, ["alpha", "beta"]),
        ({"sortby": "-id"}, ["beta", "alpha"]),
    ],
)
def test_collection_search(api, asked, expected):
    answer = api.get("/stac/collections", params=asked)
    assert [one["id"] for one in answer.json()["collections"]] == expected
    assert answer.json()["numberMatched"] == len(expected)


def test_collections_come_in_pages_and_in_parts(api):
    first = api.get("/stac/collections", params={"limit": 1, "fields": "id,title"})
    assert first.json()["collections"] == [{"id": "alpha", "title": "Scenes of alpha", "type": "Collection"}]
    found = [one["id"] for page in pages(api, first) for one in page["collections"]]
    assert found == ["alpha", "beta"]


def test_aggregation(api):
    asked = {"aggregations": "total_count,collection_frequency,cloud_cover_frequency", "bbox": "60,40,90,60"}
    found = {one["name"]: one for one in api.get("/stac/aggregate", params=asked).json()["aggregations"]}
    assert found["total_count"] == {"name": "total_count", "data_type": "integer", "value": 200}
    assert [bucket["frequency"] for bucket in found["collection_frequency"]["buckets"]] == [100, 100]
    assert sum(bucket["frequency"] for bucket in found["cloud_cover_frequency"]["buckets"]) == 200
    of_one = api.post("/stac/collections/beta/aggregate", json={"aggregations": ["total_count"]}).json()
    assert of_one["aggregations"][0]["value"] == 100
    names = {one["name"] for one in api.get("/stac/aggregations").json()["aggregations"]}
    assert names == {one["name"] for one in api.get("/stac/aggregate").json()["aggregations"]}


def test_asked_again_it_says_unchanged(api):
    first = api.get("/stac/collections/alpha/items")
    tag = first.headers["etag"]
    again = api.get("/stac/collections/alpha/items", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert api.get("/stac/collections/beta/items", headers={"If-None-Match": tag}).status_code == 200


def test_head_is_get_without_its_body(api):
    for path in ("/stac", "/stac/collections/alpha/items/alpha-00001", "/stac/search?limit=2", "/healthz", "/stac/no"):
        head, got = api.head(path), api.get(path)
        assert head.status_code == got.status_code
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
        assert head.headers.get("etag") == got.headers.get("etag")


def test_answers_are_compressed_for_those_who_can(server):
    with server.client() as client:
        plain = client.get("/stac/search", headers={"Accept-Encoding": "identity"})
        with client.stream("GET", "/stac/search", headers={"Accept-Encoding": "gzip"}) as packed:
            raw = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    assert len(raw) < len(plain.content) / 2
    assert gzip.decompress(raw) == plain.content


def test_what_every_answer_carries(api):
    for path in ("/stac", "/docs", "/stac/none", "/healthz", "/download/a/b/c/d"):
        headers = api.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "http:" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_documentation_needs_no_other_server(api):
    page = api.get("/docs").text
    addresses = re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page)
    assert len(addresses) >= 5
    for address in addresses:
        assert address.startswith("/")
        assert api.get(address).status_code == 200
    assert "<script>" not in page
    assert len(api.get("/docs/swagger-ui-bundle.js").content) > 500_000
    described = api.get("/openapi.json").json()
    for method, operation in ((m, o) for path in described["paths"].values() for m, o in path.items()):
        for parameter in operation.get("parameters", ()):
            assert parameter["name"] not in ("url", "uri", "href", "expression"), (method, operation["operationId"])


def test_health_and_figures(api):
    assert api.get("/healthz").json()["status"] == "ok"
    api.get("/stac/collections/alpha/items/alpha-00001")
    figures = api.get("/metrics").text
    line = (
        'qyran_http_requests_total{method="GET",route="/stac/collections/{collection_id}/items/{item_id}",status="200"}'
    )
    assert line in figures
    assert "alpha" not in figures


def test_an_empty_installation_answers(tmp_path):
    with api_serving(tmp_path / "new") as server, server.client() as client:
        assert client.get("/stac/collections").json()["collections"] == []
        assert ids(client.get("/stac/search")) == []
        assert client.get("/healthz").status_code == 200


def test_changes_are_for_operators(fresh):
    (item,) = items(1, home="alpha", seed=9)
    new = item | {"id": "new"}
    with fresh.client() as anybody:
        for method, path, body in (
            ("POST", "/stac/collections/alpha/items", new),
            ("PUT", "/stac/collections/alpha/items/alpha-00001", item),
            ("PATCH", "/stac/collections/alpha/items/alpha-00001", {"properties": {"title": "x"}}),
            ("DELETE", "/stac/collections/alpha/items/alpha-00001", None),
            ("POST", "/stac/collections", collection("gamma")),
            ("PUT", "/stac/collections/alpha", collection("alpha")),
            ("DELETE", "/stac/collections/alpha", None),
        ):
            answer = anybody.request(method, path, json=body)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
        for token in ("wrong", "operators-only-for-test", "é", "operators-only-for-tests x"):
            header = {"Authorization": f"Bearer {token}".encode()}
            assert anybody.get("/stac/search", headers=header).status_code == 401
    assert len(list(fresh.store.items())) == 5


def test_transactions(fresh):
    (item,) = items(1, home="alpha", seed=9)
    new = item | {"id": "new"}
    with fresh.client(operator=True) as operator:
        created = operator.post("/stac/collections/alpha/items", json=new)
        assert created.status_code == 201
        assert operator.get(created.headers["location"]).json()["id"] == "new"
        assert operator.post("/stac/collections/alpha/items", json=new).status_code == 409
        assert operator.post("/stac/collections/nowhere/items", json=new).status_code == 404
        spoilt = operator.post("/stac/collections/alpha/items", json=new | {"id": "bad", "bbox": "everywhere"})
        assert (spoilt.status_code, spoilt.json()["code"]) == (422, "stac.invalid")
        elsewhere = operator.put("/stac/collections/alpha/items/new", json=new | {"id": "other"})
        assert elsewhere.status_code == 400
        changed = operator.patch(
            "/stac/collections/alpha/items/new", json={"properties": {"title": "changed", "gsd": None}}
        )
        assert changed.status_code == 200
        properties = operator.get("/stac/collections/alpha/items/new").json()["properties"]
        assert properties["title"] == "changed"
        assert "gsd" not in properties
        assert operator.delete("/stac/collections/alpha/items/new").status_code == 200
        assert operator.delete("/stac/collections/alpha/items/new").status_code == 404
        assert operator.post("/stac/collections", json=collection("gamma")).status_code == 201
        assert operator.post("/stac/collections", json=collection("gamma")).status_code == 409
        many = {"type": "FeatureCollection", "features": list(items(3, home="gamma"))}
        assert operator.post("/stac/collections/gamma/items", json=many).json() == {"created": 3}
        assert operator.delete("/stac/collections/gamma").status_code == 409
        assert operator.patch("/stac/collections/gamma", json={"title": "Third"}).json()["title"] == "Third"
        for name in ("gamma-00000", "gamma-00001", "gamma-00002"):
            operator.delete(f"/stac/collections/gamma/items/{name}")
        assert operator.delete("/stac/collections/gamma").status_code == 200


def test_history_of_an_item(fresh):
    (item,) = items(1, home="alpha", seed=9)
    for version in ("1", "2", "3"):
        fresh.store.put_item(item | {"properties": item["properties"] | {"version": version}})
    with fresh.client() as client:
        latest = client.get("/stac/collections/alpha/items/alpha-00000").json()
        assert latest["properties"]["version"] == "3"
        hrefs = {link["rel"]: link["href"] for link in latest["links"]}
        history = client.get(hrefs["version-history"]).json()["features"]
        assert [one["properties"]["version"] for one in history] == ["3", "2", "1"]
        second = client.get(hrefs["predecessor-version"]).json()
        assert (second["properties"]["version"], second["properties"]["deprecated"]) == ("2", True)
        around = {link["rel"]: link["href"] for link in second["links"]}
        assert client.get(around["predecessor-version"]).json()["properties"]["version"] == "1"
        assert client.get(around["successor-version"]).json()["properties"]["version"] == "3"
        assert around["latest-version"] == hrefs["self"]
        assert second["assets"]["red"]["href"].endswith("/alpha/alpha-00000@2/red/red.tif")
        assert ids(client.get("/stac/search", params={"ids": "alpha-00000"})) == ["alpha-00000"]
        assert client.get("/stac/collections/alpha/items/alpha-00000/versions/9").status_code == 404


def test_what_is_not_public_is_not_there(tmp_path):
    config = CatalogueConfig(policy="open-data", public_collections=("alpha",), requests_per_second=1e6, burst=10**6)
    with api_serving(tmp_path, config=config) as server:
        for name in ("alpha", "beta"):
            server.store.put_collection(collection(name))
            server.store.put_items(items(5, home=name))
        secret = server.home / "products" / "beta" / "beta-00000" / "red.tif"
        secret.parent.mkdir(parents=True)
        secret.write_bytes(b"secret")
        hidden = ("/stac/collections/beta", "/stac/collections/beta/items", "/stac/collections/beta/items/beta-00001",
                  "/stac/collections/beta/queryables", "/stac/collections/beta/aggregate",
                  "/stac/collections/beta/items/beta-00001/versions",
                  "/download/beta/beta-00000/red/red.tif")  # fmt: skip
        with server.client() as anybody:
            for path in hidden:
                answer, absent = anybody.get(path), anybody.get(path.replace("beta", "nobody"))
                assert answer.status_code == absent.status_code == 404
                assert answer.content == absent.content
            found = anybody.get("/stac/search", params={"limit": 100}).json()
            assert {feature["collection"] for feature in found["features"]} == {"alpha"}
            assert found["numberMatched"] == 5
            for path in ("/stac/search?collections=beta", "/stac/search?ids=beta-00001", "/stac/search?q=beta"):
                assert anybody.get(path).json()["numberMatched"] == 0
            figures = anybody.get("/stac/aggregate").text
            for text in (figures, anybody.get("/stac").text, anybody.get("/stac/collections").text,
                         anybody.get("/stac/queryables").text):  # fmt: skip
                assert "beta" not in text
        with server.client(operator=True) as operator:
            assert operator.get("/stac/search").json()["numberMatched"] == 10
            assert operator.get(hidden[-1]).content == b"secret"


@pytest.mark.parametrize("place", ["store", "answers"])
def test_a_search_waits_its_turn_but_not_for_one_that_takes_long(server, api, monkeypatch, place):
    turns = client._PUTTING_TOGETHER if place == "answers" else server.store._turns
    monkeypatch.setattr("catalogs.turns.PATIENCE_S", 0.3)
    with turns.taken():  # one is under way, and does not end
        began = time.monotonic()
        assert len(ids(api.get("/stac/search", params={"limit": 3}))) == 3
        assert time.monotonic() - began >= 0.3
        assert turns._lock.locked(), "it gave away a turn that was not its own"
    assert len(ids(api.get("/stac/search", params={"limit": 3}))) == 3
    assert not turns._lock.locked()
