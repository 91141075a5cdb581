"""The empty database that new homes begin with."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipelines import new_database
from pipelines.new_database import DATABASE, empty_database, make_empty_database, place_database


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """The copy of this environment, or one that is made now, where a test may spoil it."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    made = empty_database()
    assert made.is_relative_to(tmp_path)
    return made


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_it_is_as_new_as_prefects_own_and_nothing_is_in_it(kept, tmp_path):
    from alembic.script import ScriptDirectory
    from prefect.server.database import _migrations

    kept.parent.mkdir(parents=True)
    older = kept.with_name("prefect-0.1.db")
    older.touch()
    make_empty_database()
    assert not older.exists()
    home = tmp_path / "home"
    home.mkdir()
    place_database(home)
    (migrations,) = _migrations.__path__
    own = ScriptDirectory(migrations, version_locations=[f"{migrations}/versions/sqlite"])
    assert revision(home / DATABASE) == own.get_current_head()
    assert (home / DATABASE).stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(home / DATABASE)) as connection:
        for table in ("flow_run", "deployment", "block_document", "configuration"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert [path.name for path in home.iterdir()] == [DATABASE]


def test_a_database_that_is_there_stays(kept, tmp_path):
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"new")
    (tmp_path / DATABASE).write_bytes(b"mine")
    place_database(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == b"mine"


def test_without_the_copy_prefect_does_it_itself(kept, tmp_path, monkeypatch):
    place_database(tmp_path)
    assert not (tmp_path / DATABASE).exists()
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"new")
    monkeypatch.setattr(new_database, "version", lambda _: "99.0")
    place_database(tmp_path)
    assert not (tmp_path / DATABASE).exists()
