import json
import os
import random
import sqlite3
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import shapely
from numcodecs import lz4, zstd

from catalogs import open_store
from catalogs.entitlement import Entitlement
from catalogs.store import database, pages, schema, slices
from catalogs.store.embedded import EmbeddedStore
from catalogs.store.protocol import CatalogueStore, SearchRequest, SortKey
from catalogs.store.rows import to_item
from catalogs.store.words import item_words
from processing.model.errors import Defect
from tests.contracts.catalogue_store import CatalogueStoreContract, collection, ids, item


class TestEmbeddedStore(CatalogueStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = EmbeddedStore(tmp_path / "catalogue")
        assert isinstance(store, CatalogueStore)
        yield store
        store.close()


def test_it_is_there_the_next_time(tmp_path):
    first = open_store(tmp_path / "new" / "catalogue")
    first.put_collection(collection("a"))
    first.put_item(item("one"))
    first.close()
    second = open_store(tmp_path / "new" / "catalogue")
    assert ids(second) == ["one"]
    second.close()


def test_acknowledged_means_on_the_disk(tmp_path):
    store = EmbeddedStore(tmp_path)
    connection = store._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    store.close()
    with pytest.raises(Defect):
        store.collections()


FIRST_SCHEMA = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (1);
CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (key INTEGER PRIMARY KEY, collection TEXT NOT NULL REFERENCES collections (id),
 id TEXT NOT NULL, moment INTEGER NOT NULL, starts INTEGER NOT NULL, stops INTEGER NOT NULL,
 west REAL, south REAL, east REAL, north REAL, shape BLOB, document TEXT NOT NULL, UNIQUE (collection, id));
CREATE INDEX items_by_id ON items (id);
CREATE INDEX items_by_moment ON items (moment DESC, collection, id);
CREATE INDEX items_by_collection_and_moment ON items (collection, moment DESC, id);
CREATE VIRTUAL TABLE boxes USING rtree (part, west, east, south, north);
CREATE TABLE parts (part INTEGER PRIMARY KEY, item INTEGER NOT NULL REFERENCES items (key) ON DELETE CASCADE);
CREATE INDEX parts_by_item ON parts (item);
"""


def test_a_catalogue_of_the_first_release_becomes_one_of_today(tmp_path):
    database = sqlite3.connect(tmp_path / "catalogue.sqlite")
    database.executescript(FIRST_SCHEMA)
    with database:
        database.execute("INSERT INTO collections VALUES ('a', ?)", (json.dumps(collection("a")),))
        for name in ("one", "two"):
            document = json.dumps(item(name, title="Алматы"))
            database.execute(
                "INSERT INTO items (collection, id, moment, starts, stops, document) VALUES ('a', ?, 0, 0, 0, ?)",
                (name, document),
            )
    database.close()
    store = open_store(tmp_path)
    assert ids(store) == ids(store, bbox=(76, 43, 77, 44)) == ids(store, text=("алматы",)) == ["one", "two"]
    assert store.get_item("a", "one") == item("one", title="Алматы")
    assert store.get_collection("a")["extent"]["spatial"] == {"bbox": [[76, 43, 77, 44]]}
    store.close()
    again = open_store(tmp_path)
    assert len(ids(again)) == 2
    again.close()


def as_packed_then(database: sqlite3.Connection, version: int) -> None:
    """Before the fifth schema, what is never searched was packed by Zstandard."""
    for table in ("items", "versions"):
        rows = database.execute(f"SELECT rowid, rest FROM {table}").fetchall()
        old = [(zstd.compress(lz4.decompress(rest), 1), row) for row, rest in rows]
        database.executemany(f"UPDATE {table} SET rest = ? WHERE rowid = ?", old)
    database.execute("UPDATE schema_version SET version = ?", (version,))


def test_a_catalogue_of_the_fourth_schema_is_packed_anew(tmp_path):
    kept = [item("one", version="2") | {"assets": {"pan": {"href": "x"}}}, item("two")]
    with closing(open_store(tmp_path)) as store:
        store.put_collection(collection("a"))
        store.put_items([item("one", version="1"), *kept])
        (earlier,) = store.versions("a", "one")
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as database, database:
        as_packed_then(database, 4)
    for _ in range(2):
        with closing(open_store(tmp_path)) as store:
            assert list(store.items()) == kept
            assert store.versions("a", "one") == (earlier,)
            assert ids(store, ids=("one",)) == ["one"]
            assert store._connection.execute("SELECT version FROM schema_version").fetchone() == (schema.VERSION,)


@pytest.mark.parametrize("damage", [b"", b"\xff\xff\xff\x7f", b"\x10\x00\x00\x00\xff\xff"])
def test_a_damaged_row_takes_no_memory_and_is_told_of(damage):
    with pytest.raises(ValueError, match=r"row|JSON|input|unexpected"):
        to_item(b"{}", damage)


def test_a_catalogue_of_the_second_schema_finds_titles_in_every_language(tmp_path):
    """It had the words of one language: what it holds is said anew, once, and goes with its items as ever."""
    spoken = item("one", title="Snow", **{"qyran:titles": {"kk": "Қар", "en": "Snow"}})
    with closing(open_store(tmp_path)) as store:
        store.put_collection(collection("a"))
        store.put_items([spoken, item("two", title="Rain")])
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as database, database:
        database.execute("INSERT INTO words (words) VALUES ('delete-all')")
        rows = database.execute("SELECT key, id FROM items").fetchall()
        words = {"one": "one . a . snow", "two": "two . a . rain"}
        database.executemany("INSERT INTO words (rowid, spoken) VALUES (?, ?)", [(k, words[name]) for k, name in rows])
        database.execute("DROP TABLE doubts")
        as_packed_then(database, 2)
    for _ in range(2):
        with closing(open_store(tmp_path)) as store:
            assert ids(store, text=("қар",)) == ids(store, text=("snow",)) == ["one"]
            assert ids(store, text=("rain",)) == ["two"]
            assert store._connection.execute("SELECT version FROM schema_version").fetchone() == (schema.VERSION,)
    with closing(open_store(tmp_path)) as store:
        store.delete_item("a", "one")
        assert ids(store, text=("қар",)) == []
        store._connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")


def test_a_catalogue_of_the_third_schema_learns_what_to_doubt(tmp_path):
    """It believed an item that calls itself coarser than its own asset."""
    with closing(open_store(tmp_path)) as store:
        store.put_collection(collection("a"))
        store.put_items([item("plain", gsd=5), item("odd", gsd=5) | {"assets": {"pan": {"href": "x", "gsd": 1}}}])
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as database, database:
        database.execute("DROP TABLE doubts")
        as_packed_then(database, 3)
    coarse = Entitlement(condition={"op": ">=", "args": [{"fact": "gsd", "is": "number"}, 5]})
    with closing(open_store(tmp_path)) as store:
        assert [found["id"] for found in store.search(SearchRequest(), coarse).items] == ["plain"]
        store.put_item(item("odd", gsd=5))
        assert store.search(SearchRequest(count=True), coarse).matched == 2
        store.delete_item("a", "odd")
        assert store._connection.execute("SELECT count(*) FROM doubts").fetchone() == (0,)


def test_a_newer_catalogue_is_not_touched(tmp_path):
    open_store(tmp_path).close()
    database = sqlite3.connect(tmp_path / "catalogue.sqlite")
    with database:
        database.execute("UPDATE schema_version SET version = 99")
    database.close()
    with pytest.raises(Defect) as caught:
        open_store(tmp_path)
    assert caught.value.kind == "catalogue.version"


def test_a_file_that_is_no_catalogue_is_said(tmp_path):
    (tmp_path / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Defect) as caught:
        open_store(tmp_path)
    assert caught.value.kind == "catalogue.file"


def test_threads_share_a_store(tmp_path):
    store = open_store(tmp_path)
    store.put_collection(collection("a"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put_item(item(f"i{number}", day=number)), range(80)))
        found = set(pool.map(lambda _: len(ids(store)), range(16)))
    assert found == {80}
    store.close()


WRITER = """
import sys
from pathlib import Path
from catalogs import open_store
from tests.contracts.catalogue_store import collection, item
store = open_store(Path(sys.argv[1]))
store.put_collection(collection("a"))
for number in range(40):
    store.put_item(item(f"{sys.argv[2]}-{number}", day=number))
    print(number, flush=True)
"""


def test_processes_write_at_once_and_a_killed_one_loses_nothing_it_was_told(tmp_path):
    """Four writers race from the creation of the database on; one is killed amid its work."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    victim = writers[0]
    told = [victim.stdout.readline() for _ in range(5)]
    victim.kill()
    with victim:
        told += victim.stdout.read().splitlines()
    outputs = [writer.communicate(timeout=120)[0] for writer in writers[1:]]
    assert [writer.returncode for writer in writers[1:]] == [0, 0, 0]
    assert all(len(output.splitlines()) == 40 for output in outputs)
    store = open_store(tmp_path)
    found = set(ids(store))
    expected = {f"{n}-{number}" for n in (1, 2, 3) for number in range(40)} | {f"0-{line.strip()}" for line in told}
    assert expected <= found
    assert len(found - expected) <= 1  # written, but killed before it could say so
    assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for table, counted in (("boxes", "count(*)"), ("words", "count(*)"), ("extents", "sum(items)")):
        assert store._connection.execute(f"SELECT {counted} FROM {table}").fetchone() == (len(found),)
    store.close()


def test_a_forked_process_gets_a_connection_of_its_own(tmp_path):
    store = open_store(tmp_path)
    store.put_collection(collection("a"))
    store.put_item(item("one"))
    mine = id(store._connection)
    process = os.fork()
    if process == 0:
        fine = id(store._connection) != mine and len(store.search(SearchRequest()).items) == 1
        os._exit(0 if fine else 1)
    assert os.waitpid(process, 0)[1] == 0
    store.put_item(item("two"))
    assert len(ids(store)) == 2
    store.close()


def test_memory_does_not_grow_with_what_is_done(tmp_path):
    """Tens of thousands of statements leave nothing behind: a server lives for months."""
    store = open_store(tmp_path)
    store.put_collection(collection("a"))
    store.put_items(item(f"i{number}") for number in range(50))

    def ask(times):
        for _ in range(times):
            store.search(SearchRequest(limit=1, bbox=(76, 43, 77, 44)))
            store.put_items(item(f"i{number}") for number in range(20))

    ask(50)
    tracemalloc.start()
    try:
        ask(20)
        before, _ = tracemalloc.get_traced_memory()
        ask(100)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 300_000
    store.close()


@pytest.fixture(scope="module")
def scattered(tmp_path_factory):
    """Items that share moments, reach over days, lie on both sides of the antimeridian, or are of one instant."""
    dice = random.Random(11)
    with closing(open_store(tmp_path_factory.mktemp("scattered"))) as store:
        store.put_collection(collection("a"))
        made = []
        for number in range(400):
            west, south = dice.uniform(-179, 170), dice.uniform(-60, 60)
            place = shapely.box(west, south, west + 8, south + 8)
            if number % 10 == 0:
                place = shapely.MultiPolygon([shapely.box(176, 0, 180, 9), shapely.box(-180, 0, -172, 9)])
            day = dice.choice((dice.uniform(-30_000, 9_000), dice.randint(0, 3), 5 + dice.random() / 1e5))
            until = day + dice.choice((1, 40)) if number % 7 == 0 else None
            cloud = dice.choice((None, 5, 50))
            made.append(item(f"i{number:03d}", place=place, day=day, until=until, **{"eo:cloud_cover": cloud}))
        store.put_items(made)
        yield store


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize(("many", "glance"), [(10**6, 0), (20, 0), (20, 10**6)], ids=["slices", "order", "glance"])
def test_every_way_to_a_page_has_the_same_answer(scattered, monkeypatch, direction, many, glance):
    """One by one, slice by slice of time, and along the order: the limits between them are for speed alone."""
    dice = random.Random(direction)
    for _ in range(12):
        west, east, south = dice.uniform(-180, 180), dice.uniform(-180, 180), dice.uniform(-70, 0)
        asked = {"bbox": (west, south, east, dice.uniform(south, 70)), "count": True}
        if dice.random() < 0.3:
            asked["datetime"] = f"1990-01-01T00:00:00Z/{2000 + dice.randint(0, 40)}-01-01T00:00:00Z"
        if dice.random() < 0.6:
            asked["filter"] = dice.choice(('"eo:cloud_cover" < 20', '"eo:cloud_cover" IS NULL', "id > 'i5'"))
        keys = [SortKey(field="datetime", direction=direction), SortKey(field="eo:cloud_cover")]
        asked["sortby"] = tuple(keys[: dice.randint(1, 2)])
        whole = scattered.search(SearchRequest(limit=10_000, **asked))
        with monkeypatch.context() as patch:
            for name, value in (("FEW", 3), ("MANY", many), ("_GLANCE_STEPS", glance)):
                patch.setattr(pages, name, value)
            patch.setattr(database, "_STEPS", 100)
            patch.setattr(slices, "_FIRST", 5)
            found, token, limit = [], None, dice.choice((9, 50))
            for _ in range(1 + 400 // limit):
                page = scattered.search(SearchRequest(limit=limit, token=token, **asked))
                assert page.matched in (whole.matched, None)
                found += page.items
                token = page.next
                if token is None:
                    break
        assert [one["id"] for one in found] == [one["id"] for one in whole.items], asked


@pytest.mark.parametrize("value", [7, 1.5, True, None, {"a": 1}, ["Landsat", 7], []])
def test_words_of_an_item_are_its_texts_whatever_else_stands_there(value):
    found = item_words("A1", "fields", {"platform": value, "title": "Qyran"})
    assert "qyran" in found.split()
    assert ("landsat" in found.split()) == (value == ["Landsat", 7])
