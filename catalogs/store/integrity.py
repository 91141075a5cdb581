"""Whether the embedded catalogue's file is whole: asked of SQLite, read-only, while others read and write."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

FILE = "catalogue.sqlite"
_TREES = re.compile(r"CREATE VIRTUAL TABLE (?:IF NOT EXISTS )?(\w+) USING rtree", re.IGNORECASE)


def check_database(folder: Path, *, deep: bool) -> tuple[str, ...]:
    """What is wrong with the database in a folder, in SQLite's words; empty if nothing is, or there is none.

    Parameters
    ----------
    folder
        ``HOME/catalogue``.
    deep
        Also that every index says what its table says, and every reference leads somewhere; else the pages alone.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        # Not mode=ro: a database in WAL mode whose other readers are gone could then not be opened at all.
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute("PRAGMA query_only = ON")
            check = "integrity_check" if deep else "quick_check"
            said = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(20)")]
            if deep:
                for tree in _TREES.findall(" ".join(_definitions(connection))):
                    said += [str(row[0]) for row in connection.execute("SELECT rtreecheck(?)", (tree,))]
                said += [f"{row[0]} refers to nothing" for row in connection.execute("PRAGMA foreign_key_check")][:20]
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return tuple(word for word in said if word != "ok")


def _definitions(connection: sqlite3.Connection) -> list[str]:
    return [str(row[0]) for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
