"""The same questions to both stores: the same ids in the same order. And from one to the other and back."""

import json
import random
import threading
from contextlib import closing
from itertools import product

import psycopg
import pytest
import shapely
from typer.testing import CliRunner

from catalogs import open_at, open_store, server_url
from catalogs.entitlement import Entitlement, Hidden
from catalogs.store import pgstac_edges
from catalogs.store.embedded import EmbeddedStore
from catalogs.store.pgstac import PgstacStore
from catalogs.store.protocol import AGGREGATIONS, SearchRequest, SortKey
from pipelines.cli import app
from processing.model.errors import BadInput, QyranError, Retryable
from tests.catalogs.test_edges import HIDDEN, scattered
from tests.contracts.catalogue_store import EPOCH, collection, ids, item
from tests.services import postgres

pytestmark = pytest.mark.services

PLATFORMS = ("kz-1", "KZ-2", "Straße", "Ақ_100%", "ΣΊΣΥΦΟΣ", "café", "İstanbul", "a\\b")
FIELDS = (
    "id",
    "collection",
    "datetime",
    "platform",
    "eo:cloud_cover",
    "gsd",
    "created",
    "properties.ok",
    "tags",
    "odd",
)
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


def moment(day: float) -> str:
    from datetime import timedelta

    return (EPOCH + timedelta(days=day)).isoformat().replace("+00:00", "Z")


def some_items(dice: random.Random, count: int):
    for number in range(count):
        west, south = dice.randint(-180, 178), dice.randint(-80, 78)
        place = shapely.box(west, south, west + dice.choice((1, 2)), south + 1)
        if number % 9 == 0:
            place = shapely.Polygon([(west, south), (west + 2, south), (west, south + 2)])
        if number % 11 == 0:
            place = shapely.MultiPolygon(
                [shapely.box(178, south, 180, south + 1), shapely.box(-180, south, -179, south + 1)]
            )
        facts = {
            "platform": dice.choice(PLATFORMS),
            "eo:cloud_cover": dice.choice((0, 5, 12.5, 80, "unknown", None, 0.1 + 0.2)),
            "gsd": dice.choice((0.5, 4, 4.0, 10)), "ok": dice.choice((True, False)),
            "tags": dice.sample(["x", "y", "z", 1], 2),
            "created": dice.choice((moment(number), "2020-02-03t04:05:06.123456789+05:00", "soon", 7)),
            "odd": dice.choice((1, True, "1", {"a": 1}, None, [1], -2.5)), "title": f"Scene {number % 7} of Алматы",
        }  # fmt: skip
        drop = dice.sample(sorted(facts), dice.randint(0, 3))
        until = None if number % 3 else (number % 40) + dice.choice((0, 1.5, 20))
        facts = {name: value for name, value in facts.items() if name not in drop}
        found = item(
            f"{dice.choice('aZö')}{number:03d}",
            place=place,
            day=number % 40,
            until=until,
            home=dice.choice("ab"),
            **facts,
        )
        if until is not None and number % 2:
            found["properties"]["datetime"] = moment((number % 40 + until) / 2)
        yield found


def some_request(dice: random.Random) -> SearchRequest:
    wanted: dict = {"limit": dice.choice((1, 3, 10, 50, 200))}
    if dice.random() < 0.4:
        west, east = dice.randint(-180, 180), dice.randint(-180, 180)
        south, north = sorted((dice.randint(-90, 90), dice.randint(-90, 90)))
        wanted["bbox"] = (west, south, east, north) if dice.random() < 0.6 else (west, south, -10, east, north, 8848)
    elif dice.random() < 0.3:
        ring = [(dice.randint(-170, 170), dice.randint(-80, 80)) for _ in range(3)]
        wanted["intersects"] = shapely.geometry.mapping(shapely.MultiPoint(ring).convex_hull)
    if dice.random() < 0.4:
        start, stop = sorted((dice.randint(0, 50), dice.randint(0, 60)))
        wanted["datetime"] = dice.choice(
            (
                f"{moment(start)}/{moment(stop)}",
                f"../{moment(stop)}",
                f"{moment(start)}/..",
                moment(start),
                moment(start)[:10],
            )
        )
    if dice.random() < 0.7:
        wanted["filter"] = dice.choice((some_text, some_json))(dice)
    if dice.random() < 0.15:
        wanted["text"] = tuple(dice.sample(["алматы", "Scene 3", "KZ 1", "strasse", "cafe"], dice.randint(1, 2)))
    if dice.random() < 0.2:
        wanted["collections"] = dice.choice((("a",), ("b", "a"), ("nobody",)))
    names = dice.sample(FIELDS, dice.randint(0, 3))
    wanted["sortby"] = tuple(SortKey(field=name, direction=dice.choice(("asc", "desc"))) for name in names)
    return SearchRequest(**wanted)


def some_text(dice: random.Random) -> str:
    name = dice.choice(("platform", '"eo:cloud_cover"', "gsd", "ok", "odd", "id", "nobody", "created"))
    literal = dice.choice(("'kz-1'", "5", "0.3", "4", "TRUE", "'1'", "-2.5", "'Straße'", "'m'"))
    west = dice.randint(-180, 100)
    simple = dice.choice((
        f"{name} {dice.choice(COMPARISONS)} {literal}",
        f"{name} IS NULL", f"{name} IS NOT NULL",
        f"{name} IN ({literal}, 'KZ-2', 80)",
        '"eo:cloud_cover" BETWEEN 0.3 AND 12.5',
        f"platform LIKE '{dice.choice(('%a%', 'k_-1', '%\\\\_%', '_____', '%', 'KZ%'))}'",
        f"CASEI(platform) LIKE CASEI('{dice.choice(('STRASSE', '%σ', 'ақ%', 'i%', 'k%'))}')",
        "CASEI(platform) = CASEI('σίσυφος')", "ACCENTI(platform) = ACCENTI('cafe')",
        f"gsd * 2 {dice.choice('+-*')} 0.1 > 8.1", 'gsd / "eo:cloud_cover" > 0.5', "gsd % 3 = 1", "gsd ^ 2 = 16",
        f"S_INTERSECTS(geometry, BBOX({west}, -60, {west + 80}, 60))",
        f"S_WITHIN(geometry, POLYGON(({west} -80, {west + 70} -80, {west + 70} 80, {west} 80, {west} -80)))",
        f"S_DISJOINT(geometry, BBOX({west}, -60, {west + 80}, 60))",
        f"datetime > TIMESTAMP('{moment(20)}')", f"datetime = DATE('{moment(7)[:10]}')",
        f"T_INTERSECTS(datetime, INTERVAL('{moment(10)}', '..'))",
        f"T_DURING(datetime, INTERVAL('{moment(3)}', '{moment(30)}'))",
        f"T_AFTER(created, TIMESTAMP('{moment(25)}'))", "T_BEFORE(created, TIMESTAMP('2020-02-02T23:05:06.123457Z'))",
        "A_CONTAINS(tags, ('x'))", "A_OVERLAPS(tags, ('y', 1))", "A_CONTAINEDBY(tags, ('x', 'y', 'z'))",
    ))  # fmt: skip
    if dice.random() < 0.3:
        return f"NOT ({simple})"
    if dice.random() < 0.4:
        return f"({simple}) {dice.choice(('AND', 'OR'))} ({some_text(dice)})"
    return simple


def some_json(dice: random.Random) -> dict:
    one = {
        "op": dice.choice(COMPARISONS),
        "args": [
            {"property": dice.choice(("gsd", "eo:cloud_cover", "platform", "odd"))},
            dice.choice((4, 5, "kz-1", "unknown", 0.5)),
        ],
    }
    return {
        "op": dice.choice(("and", "or")),
        "args": [one, {"op": "isNull", "args": [{"property": dice.choice(FIELDS)}]}],
    }


def all_pages(store, request: SearchRequest) -> tuple[list[str], int | None]:
    found, token, matched = [], None, None
    for _ in range(40):
        page = store.search(request.model_copy(update={"token": token, "count": True}))
        found += [f"{entry['collection']}/{entry['id']}" for entry in page.items]
        token, matched = page.next, page.matched
        if token is None:
            break
    return found, matched


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    reason = postgres.why_not()
    if reason is not None:
        postgres.refuse(reason)
    with postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def both(server, tmp_path_factory):
    with (
        closing(EmbeddedStore(tmp_path_factory.mktemp("embedded"))) as one,
        closing(PgstacStore(server.fresh("both"))) as other,
    ):
        for store in (one, other):
            for name in ("a", "b"):
                store.put_collection(collection(name))
            assert store.put_items(some_items(random.Random(5), 240)) == 240
        yield one, other


def test_300_random_questions_have_the_same_answers(both):
    dice, empty = random.Random(20_260_424), 0
    for number in range(300):
        request = some_request(dice)
        answers = []
        for store in both:
            try:
                answers.append(all_pages(store, request))
            except BadInput as error:
                answers.append(error.kind)
        assert answers[0] == answers[1], (number, request)
        empty += answers[0] in (([], 0), "search.filter")
    assert empty < 150  # most of them do find something


def test_figures_and_entitlements_are_the_same_too(both):
    dice = random.Random(7)
    for number in range(30):
        request = some_request(dice)
        entitlement = Entitlement(collections=frozenset(dice.choice(("a", "ab"))), condition=some_json(dice))
        one, other = (store.aggregate(request, AGGREGATIONS, entitlement) for store in both)
        assert one == other, (number, request, entitlement)
        assert both[0].collections(entitlement) == both[1].collections(entitlement)


def test_extents_of_many_items_are_found_alike(server, tmp_path, monkeypatch):
    """From the edges in both: no store looks at all of its items."""
    monkeypatch.setattr(pgstac_edges, "_measured", None)
    items = list(scattered(700, 11))
    coarse, east = {"op": ">=", "args": [{"property": "gsd"}, 5]}, {"op": "<", "args": [{"property": "gsd"}, 1]}
    nothing = {"op": "=", "args": [{"property": "gsd"}, 77]}
    with closing(EmbeddedStore(tmp_path)) as one, closing(PgstacStore(server.fresh("edges"))) as other:
        for store in (one, other):
            store.put_collection(collection("a"))
            store.put_items(items)
        seen = set()
        for condition, hidden in product(
            (None, coarse, east, nothing), (None, *HIDDEN, shapely.box(-180, -90, 180, 90))
        ):
            parts = () if hidden is None else (Hidden(hidden),)
            if condition is None and not parts:
                continue
            entitlement = Entitlement(condition=condition, hidden=parts)
            found = other.get_collection("a", entitlement)
            assert one.get_collection("a", entitlement) == found, (condition, hidden)
            seen.add(json.dumps(found["extent"]))
        assert len(seen) > 6


def test_pgstacs_own_search_takes_boxes_with_heights_and_reads_our_items(both, server):
    with psycopg.connect(server.url("both")) as connection:
        connection.execute("SET search_path = pgstac, public")
        question = {"bbox": [-180, -90, -10, 180, 90, 8848], "limit": 1000}
        found = connection.execute("SELECT search(%s)", (json.dumps(question),)).fetchone()[0]
        there = {entry["id"]: entry for entry in found["features"]}
    ours = {entry["id"]: entry for entry in both[1].items()}
    assert there.keys() == ours.keys()
    name = min(ours)
    assert there[name]["properties"] == ours[name]["properties"]
    assert there[name]["geometry"] == ours[name]["geometry"]


def test_moved_there_and_back_and_exported(server, tmp_path, monkeypatch):
    url, home = server.fresh("moved"), tmp_path / "home"
    with closing(open_store(home / "catalogue")) as store:
        store.put_collection(collection("a") | {"item_assets": {"red": {"title": "Red"}}})
        store.put_collection(collection("empty"))
        for version in ("1", "2", "3"):
            store.put_item(item("one", version=version, title=f"Нұсқа {version}"))
        store.put_items(item(f"n{number}", day=number) for number in range(30))
        before = list(store.items()), store.versions("a", "one"), store.collections()
    with closing(open_at(url)) as other:  # what is there and not here goes
        other.put_collection(collection("strange"))
        other.put_item(item("stranger", home="strange"))

    def run(*arguments: str) -> dict:
        done = CliRunner().invoke(app, ["catalogue", *arguments, "--home", str(home), "--json"])
        assert done.exit_code == 0, done.output
        assert server.password not in done.output
        return json.loads(done.stdout)

    assert run("move", "--to", url) == {"collections": 2, "items": 31, "written": 31, "removed": 1}
    assert run("move", "--to", url)["written"] == 0
    monkeypatch.setenv("QYRAN_CATALOGUE_URL", url)
    with closing(open_store(home / "catalogue")) as store:
        assert isinstance(store, PgstacStore)
        assert (list(store.items()), store.versions("a", "one"), store.collections()) == before
        store.delete_item("a", "n7")
    assert run("export", str(tmp_path / "all.parquet"))["items"] == 30
    assert run("move", "--from", url)["removed"] == 1
    monkeypatch.delenv("QYRAN_CATALOGUE_URL")
    with closing(open_store(home / "catalogue")) as store:
        assert isinstance(store, EmbeddedStore)
        assert len(ids(store)) == 30
        assert store.versions("a", "one") == before[1]
    import rustac

    features = rustac.read_sync(str(tmp_path / "all.parquet"))["features"]
    assert {entry["id"] for entry in features} == {"one", *(f"n{number}" for number in range(30))} - {"n7"}
    assert features[0]["geometry"]["type"] == "Polygon"


def test_the_operator_chooses_the_store(tmp_path, monkeypatch):
    folder = tmp_path / "catalogue"
    assert server_url(folder) is None
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "catalogue.yaml").write_text("url: postgresql://x@nowhere.invalid/y\n")
    assert server_url(folder) == "postgresql://x@nowhere.invalid/y"
    monkeypatch.setenv("QYRAN_CATALOGUE_URL", "postgresql://127.0.0.1:1/z")
    assert server_url(folder) == "postgresql://127.0.0.1:1/z"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://qyran:hidden@127.0.0.1:1/x", "catalogue.unreachable"),
        ("postgresql://qyran:hidden@127.0.0.1:1/x?nonsense=1", "catalogue.url"),
        ("postgresql://qyran:hidden@[", "catalogue.url"),
    ],
)
def test_no_password_is_ever_said(url, kind, caplog):
    with pytest.raises(QyranError) as caught:
        open_at(url)
    assert caught.value.kind == kind
    assert "hidden" not in f"{caught.value!r} {caught.value.remedy} {caught.value.__cause__!r} {caplog.text}"


def test_what_was_acknowledged_outlives_a_killed_server(server):
    """Four writers; the server dies among their puts without a word, twice, and comes back."""
    url = server.fresh("killed")
    with closing(PgstacStore(url)) as store:
        store.put_collection(collection("a"))
        acknowledged, refused, stop = [], [], threading.Event()

        def write(writer: int) -> None:
            number = 0
            while not stop.is_set():
                name = f"{writer}-{number}"
                try:
                    store.put_item(item(name, day=number % 50, place=shapely.box(number % 90, 0, number % 90 + 1, 1)))
                except Retryable as error:
                    refused.append(error.kind)
                    stop.wait(0.05)
                else:
                    acknowledged.append(name)
                    number += 1

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        for wanted in (25, 60):
            while len(acknowledged) < wanted:
                stop.wait(0.02)
            server.kill()
            server.start()
        while len(acknowledged) < 80:
            stop.wait(0.02)
        stop.set()
        for writer in writers:
            writer.join()
        assert set(refused) == {"catalogue.unreachable"}
        found = set(ids(store))
        assert set(acknowledged) <= found
        assert len(found - set(acknowledged)) <= 4  # under way when it was over
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT items FROM qyran.extents").fetchone() == (len(found),)
            assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_a_database_of_the_first_schema_finds_titles_in_every_language(server):
    url = server.fresh("reworded")
    with closing(PgstacStore(url)) as store:
        store.put_collection(collection("a"))
        store.put_items(item(f"n{number}", day=number, **{"qyran:titles": {"kk": "Қар"}}) for number in range(7))
    with psycopg.connect(url) as connection:
        words = "jsonb_build_object('words', lower(id) || ' . a')"
        connection.execute(f"UPDATE pgstac.items SET private = private || {words}")
        connection.execute("UPDATE qyran.schema_version SET version = 1")
    with closing(PgstacStore(url)) as store:
        assert len(ids(store, text=("қар",))) == 7
        assert ids(store, text=("n3",)) == ["n3"]


def test_several_processes_prepare_one_database(server):
    import subprocess
    import sys

    url = server.fresh("raced")
    program = "import sys; from catalogs import open_at; s = open_at(sys.argv[1]); s.collections(); s.close()"
    started = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [(one.communicate(timeout=120)[1], one.returncode) for one in started] == [("", 0)] * 3
