"""Every route with every id that its asker may not know of: nothing tells a denied thing from one that is not there."""

import json
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from catalogs import open_store
from catalogs.api.app import Serving, create_app
from catalogs.customers.store import open_customers
from catalogs.delivery.order_desk import open_desk
from catalogs.store.protocol import AGGREGATIONS
from configs.settings import Home
from pipelines.deliver_package import Workplace, make_package
from tests.policy.routes import FILES, ITEM, ROUTES
from tests.policy.two_customers import HIDDEN, World, built, hidden_ground

pytestmark = pytest.mark.services
NO_ORDER = "20260101-" + "0" * 32


@dataclass(frozen=True)
class Scene:
    """The world, and for each asker one that lacks what that one may not know of."""

    world: World
    twins: dict[str, World]


@pytest.fixture(scope="module")
def scene(archived, tmp_path_factory) -> Iterator[Scene]:
    with ExitStack() as stack:
        world = built(archived, tmp_path_factory.mktemp("all") / "home", stack)
        twins = {
            who: built(archived, tmp_path_factory.mktemp(who) / "home", stack, hidden) for who, hidden in HIDDEN.items()
        }
        for who in ("buyer", "akimat"):
            world.orders[who] = _ordered(world, who)
            world.subscriptions[who] = _subscribed(world, who)
        yield Scene(world, twins)


def _ordered(world: World, who: str) -> str:
    body = {"items": [f"{world.collection}/{world.id('open')}"], "bands": ["red"]}
    order: str = world.clients[who].post("/orders", json=body).json()["id"]
    with open_desk(world.server.home) as desk:
        made = make_package(Workplace(home=Home(world.server.home), registry=world.registry, desk=desk), order)
    assert made.state == "ready", made.history
    return order


def _subscribed(world: World, who: str) -> str:
    answer = world.clients[who].post(
        "/subscriptions", json={"area": world.items["open"]["geometry"], "collections": [world.collection]}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def asked(client: httpx.Client, method: str, address: str, **names: str) -> tuple[int, str, str]:
    """Everything of an answer but its date, the id made nameless."""
    path, _, body = address.format(**names).partition(" ")
    answer = client.request(
        method, path, content=body or None, headers={"Content-Type": "application/json"} if body else {}
    )
    headers = [f"{name}: {value}" for name, value in sorted(answer.headers.items()) if name not in ("date", "etag")]
    content, heads = answer.text if _is_text(answer) else answer.content.hex(), "\n".join(headers)
    for name in ("id", "order", "subscription"):
        if name in names:
            content, heads = (text.replace(names[name], "ID") for text in (content, heads))
    return answer.status_code, content, heads


def _is_text(answer: httpx.Response) -> bool:
    return not answer.headers.get("content-type", "").startswith(("image/", "application/octet", "application/zip"))


def test_every_route_is_told_how_it_could_leak(tmp_path):
    """A new route fails here until it is said how foreign ids get into it, or why there are none."""
    app = create_app(Serving(home=tmp_path, store=open_store(tmp_path / "catalogue"), authority="127.0.0.1:1"))
    known = {
        (method, route.path)
        for route in iter_route_contexts(app.routes) for method in (route.methods or ()) if method != "HEAD"
    }  # fmt: skip
    app.state.store.close()
    assert known == set(ROUTES)


def requests(world: World, who: str) -> Iterator[tuple[str, str, dict[str, str], dict[str, str]]]:
    """Method, address, names of what is hidden, names of what is not there; for every route."""
    version = str(world.items["open"]["properties"]["version"])
    names = {"c": world.collection, "v": version, "zarr": Path(world.items["open"]["assets"]["zarr"]["href"]).name}
    for (method, _), addresses in ROUTES.items():
        for address in () if isinstance(addresses, str) else addresses:
            if "{order}" in address:
                subscribed = address.startswith("/subscriptions/")
                for owner, order in (world.subscriptions if subscribed else world.orders).items():
                    if owner != who:
                        yield method, address, names | {"order": order}, names | {"order": NO_ORDER}
                continue
            for kind in HIDDEN[who]:
                yield method, address, names | {"id": world.id(kind)}, names | {"id": world.invented}


@pytest.mark.parametrize("who", sorted(HIDDEN))
def test_what_is_denied_answers_as_what_is_not_there(scene, who):
    client, world = scene.world.clients[who], scene.world
    known: dict[tuple[str, str], tuple[int, str, str]] = {}
    for method, address, real, none in requests(world, who):
        if (method, address) not in known:
            known[method, address] = asked(client, method, address, **none)
        found, missing = asked(client, method, address, **real), known[method, address]
        assert found == missing, (method, address.format(**real), found[:2], missing[:2])
        assert found[0] not in (200, 201) or _says_nothing(address, found[1]), (address, found)
    assert len(known) > 50


def _says_nothing(address: str, body: str) -> bool:
    """Whether an answer that there is holds no item: a page of the portal, an empty list, figures of nothing."""
    if address.startswith(("/item/", "/my-orders/", "/desk/")):
        return True
    document = json.loads(body)
    if "features" in document:
        return document["features"] == [] and document["numberMatched"] == 0
    return all(not one.get("value") and not any(b["frequency"] for b in one.get("buckets", ()))
               for one in document["aggregations"])  # fmt: skip


def test_the_same_requests_find_what_is_there(scene):
    """So that the test above can fail: an operator gets nearly all of it."""
    client, world = scene.world.clients["operator"], scene.world
    differing = {
        address for method, address, real, none in requests(world, "anybody")
        if method == "GET" and asked(client, method, address, **real) != asked(client, method, address, **none)
    }  # fmt: skip
    addresses = {one for (method, _), found in ROUTES.items() if method == "GET" and not isinstance(found, str)
                 for one in found}  # fmt: skip
    same = addresses - differing
    assert len(same) < len(addresses) / 3, same


def lists(world: World) -> Iterator[str]:
    """Questions about all there is, and about places, times and words of what is hidden."""
    c, names = world.collection, ",".join(AGGREGATIONS)
    yield from ("/stac", "/stac/", "/stac/collections", f"/stac/collections/{c}", "/stac/queryables", "/stac/sortables",
                f"/stac/collections/{c}/queryables", f"/stac/collections/{c}/sortables", "/stac/collections-sortables",
                "/stac/aggregations", f"/stac/collections/{c}/aggregations", "/stac/search", "/stac/search?limit=1",
                "/stac/search?sortby=%2Bplatform&limit=2", "/stac/search?sortby=-gsd", "/stac/search?fields=id",
                f"/stac/collections/{c}/items?limit=3", f"/stac/aggregate?aggregations={names}",
                f"/stac/collections/{c}/aggregate?aggregations={names}", "/whoami")  # fmt: skip
    for kind in ("masked", *HIDDEN["anybody"]):
        west, south, east, north = world.items[kind]["bbox"]
        place = f"{west},{south},{(west + east) / 2},{north}"
        for where in (
            f"q=word{kind}",
            f"filter=platform%3D'platform-{kind}'",
            f"filter=NOT%20S_DISJOINT(geometry,BBOX({place}))",
        ):
            yield f"/stac/search?{where}"
        yield f"/stac/aggregate?bbox={place}&aggregations={names}"
        yield f"/stac/collections?bbox={place}"
        yield f"/stac/collections?q=word{kind}"


@pytest.mark.parametrize("who", sorted(HIDDEN))
def test_lists_counts_and_extents_are_those_of_a_catalogue_without_it(scene, who):
    world, twin = scene.world, scene.twins[who]
    for address in lists(world):
        here, there = (_plain(one, one.clients[who].get(address)) for one in (world, twin))
        assert here == there, (address, here, there)
        while (after := _next(here)) is not None:
            here, there = (_plain(one, one.clients[who].get(after)) for one in (world, twin))
            assert here == there, after
    everything = [_plain(one, one.clients["operator"].get("/stac/aggregate")) for one in (world, twin)]
    assert everything[0] != everything[1]


def _plain(world: World, answer: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """An answer without what differs between any two servers."""
    headers = [(k, v.replace(world.server.url, "")) for k, v in answer.headers.items() if k not in ("date", "etag")]
    return answer.status_code, answer.text.replace(world.server.url, ""), headers


def _next(found: tuple[int, str, Any]) -> str | None:
    links = json.loads(found[1]).get("links", []) if '"FeatureCollection"' in found[1] else []
    return next((str(link["href"]) for link in links if link["rel"] == "next"), None)


@pytest.mark.parametrize("who", sorted(HIDDEN))
def test_masked_ground_is_not_there_to_be_asked_about(scene, who):
    """A known item of which a third is masked: no question about that third finds it, and no extent reaches there."""
    client, item = scene.world.clients[who], scene.world.items["masked"]
    hidden = hidden_ground(item, 0.33)
    box = ",".join(map(str, hidden.bounds))
    geometry = json.loads(json.dumps(hidden.__geo_interface__))
    body = {"intersects": geometry}
    spatial = {"filter": {"op": "s_intersects", "args": [{"property": "geometry"}, geometry]}}
    contains = {"filter": {"op": "s_contains", "args": [{"property": "geometry"}, {"bbox": list(item["bbox"])}]}}
    for found in (client.get(f"/stac/search?bbox={box}"), *(client.post("/stac/search", json=one)
                  for one in (body, spatial, contains))):  # fmt: skip
        assert found.json()["features"] == [], found.json()
    figures = client.post("/stac/aggregate", json=body | {"aggregations": ["total_count"]}).json()
    assert figures["aggregations"][0]["value"] == 0
    assert scene.world.clients["operator"].post("/stac/search", json=body).json()["numberMatched"] == 1
    only = client.get(f"/stac/search?ids={item['id']}").json()["features"]
    assert len(only) == 1
    assert only[0]["bbox"][0] > item["bbox"][0]


@pytest.mark.parametrize("name", ["proj:bbox", "proj:shape", "proj:centroid", "proj:transform", "proj:centroid.lon"])
def test_nobody_asks_by_what_tells_of_masked_ground(scene, name):
    """Figures of the whole image would tell how far it reaches under the mask, one comparison at a time."""
    stored = {"op": "isNull", "args": [{"property": name}]}
    hidden_in = {"op": "not", "args": [{"op": "and", "args": [stored, {"op": "=", "args": [{"property": "id"}, "x"]}]}]}
    requests: tuple[dict[str, Any], ...] = (
        {"filter": stored}, {"filter": hidden_in}, {"filter": f'"{name}" IS NULL', "filter-lang": "cql2-text"},
        {"query": {name: {"eq": 1}}}, {"query": {f"properties.{name}": {"eq": 1}}},
        {"sortby": [{"field": f"properties.{name}", "direction": "asc"}]},
        {"filter": "platform = 'x'", "filter-lang": "cql2-text", "query": {name: {"lt": 2}}},
    )  # fmt: skip
    for who in HIDDEN:
        for body in requests:
            for path in ("/stac/search", "/stac/aggregate"):
                answer = scene.world.clients[who].post(path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (422, "search.filter"), (path, body)
    assert scene.world.clients["operator"].post("/stac/search", json={"filter": stored}).status_code == 200
    named = {"filter": f"title = '{name}'", "filter-lang": "cql2-text"}
    assert scene.world.clients["buyer"].post("/stac/search", json=named).status_code == 200


@pytest.mark.parametrize("who", sorted(HIDDEN))
def test_what_was_made_of_hidden_items_does_not_name_them(scene, who):
    """An open composite of an open item and of those that its asker may not know of; one of open items names them."""
    world, client = scene.world, scene.world.clients[who]
    names = [f"{world.collection}/{world.id(kind)}" for kind in ("open", *HIDDEN[who])]
    (world.server.home / "products" / world.collection / "made").mkdir(exist_ok=True)
    for parents in (names, names[:1]):
        made = json.loads(json.dumps(world.items["open"])) | {"id": "made"}
        made["properties"] |= {"qyran:parents": parents, "qyran:parent_versions": ["v"] * len(parents),
                               "qyran:stale_because": [f"{parents[-1]} is at version w"],
                               "qyran:composite_items": len(parents)}  # fmt: skip
        made["links"] = [*made["links"], *({"rel": "derived_from", "href": f"../../{name}/item.json"}
                                           for name in parents)]  # fmt: skip
        world.server.store.put_item(made)
        home = world.server.home / "products" / world.collection
        shutil.copytree(home / world.id("open"), home / "made", dirs_exist_ok=True)
        said = [
            client.get(f"/stac/collections/{world.collection}/items/made"),
            client.get(f"/stac/collections/{world.collection}/items/made/versions"),
            client.post("/stac/search", json={"ids": ["made"]}),
            client.get(f"/download/{world.collection}/made/quality/quality.json"),
            client.get(f"/download/{world.collection}/made/iso19139/iso19139.xml"),
        ]
        store = client.get(
            f"/download/{world.collection}/made/zarr/{Path(made['assets']['zarr']['href']).name}/zarr.json"
        )
        if parents == names:
            assert [answer.status_code for answer in said] == [200, 200, 200, 404, 404]
            assert store.status_code == 404
            assert not any(world.id(kind) in answer.text for answer in said for kind in HIDDEN[who])
            assert not any(
                word in answer.text for answer in said for word in ("qyran:parents", "qyran:composite_items")
            )
            assert "zarr" not in said[0].json()["assets"]
        else:
            assert [answer.status_code for answer in said] == [200] * 5
            assert all(world.id("open") in answer.text for answer in said[:3])
    asked_by = {"filter": {"op": "a_contains", "args": [{"property": "qyran:parents"}, [names[-1]]]}}
    assert client.post("/stac/search", json=asked_by).status_code == 422
    operator = world.clients["operator"].get(f"/stac/collections/{world.collection}/items/made")
    assert operator.json()["properties"]["qyran:parents"] == names[:1]
    world.server.store.delete_item(world.collection, "made")


def test_a_collection_of_nothing_visible_has_no_extent(scene):
    world = scene.world
    alone = "alone"
    stored = {"type": "Collection", "id": alone, "stac_version": "1.1.0", "description": "-", "license": "other",
              "links": [], "extent": {"spatial": {"bbox": [world.items["denied"]["bbox"]]},
                                      "temporal": {"interval": [["2026-01-01T00:00:00Z", None]]}}}  # fmt: skip
    world.server.store.put_collection(stored)
    empty = _plain(world, world.clients["buyer"].get(f"/stac/collections/{alone}"))
    world.server.store.put_item(world.items["denied"] | {"collection": alone})
    assert _plain(world, world.clients["buyer"].get(f"/stac/collections/{alone}")) == empty
    assert json.loads(empty[1])["extent"]["spatial"]["bbox"] == [[-180.0, -90.0, 180.0, 90.0]]
    world.server.store.delete_item(alone, world.id("denied"))
    world.server.store.delete_collection(alone)


def test_a_refusal_takes_as_long_as_nothing(scene):
    """Medians of interleaved requests: a busy machine slows both alike."""
    world, version = scene.world, str(scene.world.items["open"]["properties"]["version"])
    for who, kind in (("buyer", "denied"), ("akimat", "buried"), ("anybody", "held")):
        client = world.clients[who]
        for address in (ITEM, FILES + "/red/red.tif", "/stac/search?ids={id}"):
            times: dict[str, list[float]] = {world.id(kind): [], world.invented: []}
            for turn in range(16):
                for name in sorted(times, reverse=bool(turn % 2)):
                    path = address.format(c=world.collection, id=name, v=version)
                    started = time.perf_counter()
                    client.get(path)
                    times[name].append(time.perf_counter() - started)
            one, other = (statistics.median(found) for found in times.values())
            assert max(one, other) < 1.5 * min(one, other) + 0.002, (who, kind, address, one, other)


def test_tokens_that_are_over_or_altered_open_nothing(scene):
    world = scene.world
    customers = open_customers(world.server.home)
    expired = customers.new_token("rival", "short", days=1e-6)
    revoked = customers.new_token("rival", "revoked")
    client = httpx.Client(base_url=world.server.url, trust_env=False, timeout=60)
    with client:
        paths = ("/stac/search", "/orders", f"/orders/{world.orders['buyer']}",
                 f"/tiles/{world.collection}/{world.id('open')}",
                 f"/download/orders/{world.orders['buyer']}/delivery.json")  # fmt: skip
        good = {"Authorization": f"Bearer {revoked.token}"}
        assert client.get("/stac/search", headers=good).status_code == 200
        signed = client.post("/sign-in", json={"token": revoked.token})
        cookie = {"Cookie": signed.headers["set-cookie"].partition(";")[0]}
        client.cookies.clear()
        assert client.get("/orders", headers=cookie).status_code == 200
        customers.revoke_token(revoked.id)
        time.sleep(0.2)
        for path in paths:
            for token in (expired.token, revoked.token, revoked.token[:-2], "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."):
                answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 401, (path, token, answer.status_code)
        assert client.get("/orders", headers=cookie).status_code == 401, "a session ends with the token that began it"
    customers.close()


def test_a_customers_link_opens_its_own_order_only(scene):
    world = scene.world
    own, other = world.orders["buyer"], world.orders["akimat"]
    files = world.clients["buyer"].get(f"/orders/{own}/files").json()["files"]
    href = next(file["href"] for file in files if file["path"].endswith("red.tif"))
    anybody, rival = world.clients["anybody"], world.clients["rival"]
    assert anybody.get(href).status_code == 200
    plain, _, query = href.partition("?")
    for wrong in (
        f"{plain.replace(own, other)}?{query}",
        f"{plain}?{query[:-3]}AAA",
        plain.replace(own, NO_ORDER) + f"?{query}",
    ):
        answers = [client.get(wrong) for client in (anybody, rival)]
        assert [answer.status_code for answer in answers] == [403, 403], wrong
        assert answers[0].content == answers[1].content
