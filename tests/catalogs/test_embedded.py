import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from catalogs import open_store
from catalogs.store.embedded import EmbeddedStore
from catalogs.store.protocol import CatalogueStore, SearchRequest
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
    told += victim.communicate(timeout=60)[0].splitlines()
    outputs = [writer.communicate(timeout=120)[0] for writer in writers[1:]]
    assert [writer.returncode for writer in writers[1:]] == [0, 0, 0]
    assert all(len(output.splitlines()) == 40 for output in outputs)
    store = open_store(tmp_path)
    found = set(ids(store))
    expected = {f"{n}-{number}" for n in (1, 2, 3) for number in range(40)} | {f"0-{line.strip()}" for line in told}
    assert expected <= found
    assert len(found - expected) <= 1  # written, but killed before it could say so
    assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    boxes, parts = (store._connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("boxes", "parts"))
    assert boxes == parts == (len(found),)
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
