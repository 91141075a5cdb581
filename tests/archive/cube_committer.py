"""Processes that bring published products into their cubes, ten times each, as a flow and its duplicates do.

Usage: cube_committer HOME ITEM... with a process for each item, all at once. Prints how often each had to commit.

They are forked from one process that has imported all that takes long, but not Icechunk: it starts threads of its own,
and a process forked after that hangs.
"""

import json
import os
import sys
from pathlib import Path

from processing.archive.write import published

COLLECTION = "kazeosat-1-l1c"
TIMES = 10


def work(home: Path, item: str) -> int:
    """Commits that one process found necessary."""
    from processing.archive.cube_keep import keep_cube, note_product

    assert "icechunk" in sys.modules
    product = published(home, COLLECTION, item)
    assert product is not None
    commits = 0
    for _ in range(TIMES):
        for tile in note_product(home, product):
            keep_cube(home, COLLECTION, tile)
            commits += 1
    return commits


def start(home: Path, item: str) -> tuple[int, int]:
    """Fork a worker: its process id, and the pipe for its answer."""
    answer_in, answer_out = os.pipe()
    process = os.fork()
    if process == 0:
        os.write(answer_out, str(work(home, item)).encode())
        os._exit(0)
    os.close(answer_out)
    return process, answer_in


def finish(process: int, answer: int) -> int:
    """Wait for a worker; it must have answered and ended well."""
    with os.fdopen(answer) as stream:
        commits = int(stream.read())
    assert os.waitpid(process, 0)[1] == 0
    return commits


if __name__ == "__main__":
    assert "icechunk" not in sys.modules
    workers = [start(Path(sys.argv[1]), item) for item in sys.argv[2:]]
    sys.stdout.write(json.dumps([finish(*worker) for worker in workers]))
