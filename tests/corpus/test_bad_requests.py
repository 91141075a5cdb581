"""Requests that are wrong, too much, or hostile: answered in plain words, with nothing of the inside, and quickly."""

import http.client
import json
import math
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from configs.schema.catalogue import CatalogueConfig
from tests.catalogs.synthetic_items import collection, items
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services
INSIDE = ("sqlite", "SELECT", "Traceback", "json_extract", "catalogs/", "cql2.", "pydantic")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_serving(tmp_path_factory.mktemp("home")) as running:
        running.store.put_collection(collection("alpha"))
        running.store.put_items(items(50, home="alpha"))
        yield running


@pytest.fixture(scope="module")
def api(server: ApiServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    words = answer.json()
    assert words.keys() == {"code", "description"}
    assert words["description"]
    assert len(answer.content) < 2_000
    assert not [word for word in INSIDE if word in answer.text], answer.text


@pytest.mark.parametrize(
    "bbox",
    ["nan,0,1,1", "0,0,1", "0,0,1,1,1", "0,1,0", "0,50,1,40", "inf,0,1,1", "a,b,c,d", "-181,0,1,1", "0,0,1,1e309", ","],
)
def test_boxes_that_are_none(api, bbox):
    refused(api.get("/stac/search", params={"bbox": bbox}), 400, 422)
    refused(api.get("/stac/collections", params={"bbox": bbox}), 400, 422)


@pytest.mark.parametrize("bbox", ["-180,-90,180,90", "170,-90,90,90", "-180,-90,-9000,180,90,9000"])
def test_boxes_that_are(api, bbox):
    assert api.get("/stac/search", params={"bbox": bbox}).json()["numberMatched"] == 50


def _ring(count: int) -> dict[str, object]:
    turn = [2 * math.pi * number / count for number in range(count)]
    ring = [[round(70 + 5 * math.cos(one), 9), round(45 + 5 * math.sin(one), 9)] for one in turn]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


@pytest.mark.parametrize(
    "geometry",
    [
        _ring(1_001),
        _ring(1_000_000),
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]], [[5, 5], [6, 5], [6, 6], [5, 5]]]},
        {"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [1, 1], ["a", 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0]]]},
        {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": [{}]}]},
        {"type": "Point", "coordinates": [1e400, 0]},
        {"type": "Feature", "geometry": None},
    ],
    ids=[
        "1001 vertices",
        "a million",
        "crosses itself",
        "hole outside",
        "letters",
        "two points",
        "nested",
        "infinite",
        "feature",
    ],
)
def test_geometries_that_are_none(api, geometry):
    content = json.dumps({"intersects": geometry}).encode()
    started = time.monotonic()
    refused(api.post("/stac/search", content=content, headers={"Content-Type": "application/json"}), 400, 422)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "text",
    [
        "1=1; DROP TABLE items", "'; DROP TABLE items; --", "\"a\"\"b\" = '''", "platform = 'x' UNION SELECT 1",
        "NOT " * 5_000 + "platform = 'x'", "(" * 5_000 + "1 = 1" + ")" * 5_000,
        " OR ".join(["platform LIKE '%a%b%c%'"] * 51), "__class__ = 1",
        "properties.__class__ = 1", "platform.__class__ = 1",
        "platform IN (" + ",".join(["'x'"] * 101) + ")", "f(platform) = 1", "platform =", "", "\x00", "🛰️",
        "S_INTERSECTS(geometry, POINT(1 2)", "datetime > TIMESTAMP('yesterday')", "a" * 70_000,
    ],
)  # fmt: skip
def test_filters_that_are_none(api, text):
    for answer in (
        api.post("/stac/search", json={"filter": text, "filter-lang": "cql2-text"}),
        *([api.get("/stac/search", params={"filter": text})] if len(text) < 5_000 else []),
    ):
        refused(answer, 400, 422)


def test_filters_nested_in_json(api):
    tree: dict[str, object] = {"op": "=", "args": [{"property": "platform"}, "x"]}
    for _ in range(90):
        tree = {"op": "not", "args": [tree]}
    refused(api.post("/stac/search", json={"filter": tree}), 422)
    content = b'{"filter": ' + b'{"op":"not","args":[' * 40_000 + b"]}" * 40_000 + b"}"
    refused(api.post("/stac/search", content=content, headers={"Content-Type": "application/json"}), 400, 422)


def test_many_wildcards_take_no_time(api):
    started = time.monotonic()
    answer = api.post("/stac/search", json={"filter": "title LIKE '" + "%a" * 50 + "%'", "filter-lang": "cql2-text"})
    assert answer.status_code == 200
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0}, {"limit": -1}, {"limit": "many"}, {"datetime": "yesterday"}, {"datetime": "2020-01-01"},
        {"datetime": "../.."}, {"datetime": "2021-01-01T00:00:00Z/2020-01-01T00:00:00Z"}, {"token": "rubbish"},
        {"sortby": ""}, {"sortby": "+"}, {"sortby": "\"; DROP"}, {"intersects": "{}"}, {"intersects": "[1]"},
        {"intersects": "not json"}, {"query": "[]"}, {"query": '{"a": {"matches": 1}}'}, {"query": '{"a": 1}'},
        {"filter-lang": "sql", "filter": "1=1"}, {"filter-crs": "EPSG:3857", "filter": "a=1"}, {"q": " . "},
        {"bbox": "0,0,1,1", "intersects": '{"type":"Point","coordinates":[0,0]}'},
        {"ids": ",".join("x" * 1 for _ in range(2000))},
        {"aggregations": "nothing"},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_that_mean_nothing(api, asked):
    refused(api.get("/stac/aggregate" if "aggregations" in asked else "/stac/search", params=asked), 400, 422)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"1", b"{", b'"x"', b'{"bbox": {}}', b'{"collections": 5}', b"\xff\xfe"]
)
def test_bodies_that_are_none(api, content):
    refused(api.post("/stac/search", content=content, headers={"Content-Type": "application/json"}), 400)


def test_a_body_beyond_all_measure(api):
    refused(api.post("/stac/search", content=b'{"ids": ["' + b"x" * 3_000_000 + b'"]}'), 422)


def _raw(server: ApiServer, path: str, *headers: tuple[str, str]) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    try:
        connection.putrequest("GET", path, skip_host=any(name == "Host" for name, _ in headers))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


@pytest.mark.parametrize("count", [20, 15_000])
def test_a_thousand_ranges(server, count):
    folder = server.home / "products" / "alpha" / "alpha-00000"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "red.tif").write_bytes(bytes(100_000))
    ranges = "bytes=" + ",".join(f"{number}-{number}" for number in range(0, 2 * count, 2))[:60_000]
    started = time.monotonic()
    status, _, _ = _raw(server, "/download/alpha/alpha-00000/red/red.tif", ("Range", ranges))
    assert status in (400, 416)
    assert time.monotonic() - started < 1


def test_a_head_beyond_all_measure(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /stac HTTP/1.1\r\nHost: x\r\nRange: bytes=" + b"0-0," * 20_000)
        answer = connection.recv(200)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")) or answer == b""


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1@evil.example", "127.0.0.1:80evil", "a b", "[::1"]
)
def test_nobody_else_names_this_server(server, host):
    status, content, _ = _raw(server, "/stac", ("Host", host))
    assert status in (200, 400)
    assert b"evil" not in content


def test_what_stands_before_it_is_not_believed(server):
    status, content, _ = _raw(
        server, "/stac", ("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=evil.example;proto=https"),
        ("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https"),
    )  # fmt: skip
    assert status == 200
    assert b"evil" not in content
    assert b"https://127" not in content


def test_markup_and_line_ends_in_titles_stay_text(server, api):
    (item,) = items(1, home="alpha")
    item["id"], item["properties"]["title"] = "odd", "<script>alert(1)</script>\r\nSet-Cookie: a=b"
    server.store.put_item(item)
    answer = api.get("/stac/collections/alpha/items/odd")
    assert answer.json()["properties"]["title"] == item["properties"]["title"]
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-type"] == "application/geo+json"
    server.store.delete_item("alpha", "odd")


def test_one_who_asks_too_often_waits_and_others_do_not(tmp_path):
    config = CatalogueConfig(policy="open-data", requests_per_second=0.02, burst=30)
    with api_serving(tmp_path, config=config) as server:
        with server.client() as greedy, ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: greedy.get("/stac/conformance"), range(60)))
        statuses = [answer.status_code for answer in answers]
        assert 30 <= statuses.count(200) <= 31
        late = next(answer for answer in answers if answer.status_code == 429)
        refused(late, 429)
        assert int(late.headers["retry-after"]) >= 1
        with server.client() as disguised:
            header = {"Authorization": "Bearer another"}
            refused(disguised.get("/stac/conformance", headers=header), 429)
        with server.client(operator=True) as other:
            assert other.get("/stac/conformance").status_code == 200
