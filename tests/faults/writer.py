"""Publishes one scene after the other into a home, and says of each that it is safe once it was told so.

``python -m tests.faults.writer HOME [careless]``: one line ``number revision`` for each product that was acknowledged.
Careless, it leaves out everything that makes bytes durable: what the others do, and what a power cut must show.
"""

import itertools
import os
import sqlite3
import sys
from pathlib import Path

from catalogs.store import database
from pipelines import describe
from processing.archive import durable, space
from tests.faults import work


def forget_the_disk() -> None:
    """Take all that makes bytes durable out of this process."""
    os.fsync = lambda _: None
    durable.sync_tree = lambda _: None
    connect = database.connect

    def unsynced(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    database.connect = unsynced


def main() -> None:
    """Publish until killed."""
    home, known = Path(sys.argv[1]), work.registry()
    describe.validate_item = lambda item: None
    space.RESERVE_BYTES = 0
    if "careless" in sys.argv:
        forget_the_disk()
    for number in itertools.count(1):
        product = work.ingest(home, work.draft(number), known)
        os.write(1, f"{number} {product.revision}\n".encode())


if __name__ == "__main__":
    main()
