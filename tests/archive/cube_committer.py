"""Processes that publish scenes of one tile and bring them into its cube, once and ten times more.

Usage: cube_committer HOME COUNT: as many processes, all at once. Prints how often each had to commit.

They are forked from one process that has imported all that takes long, but not Icechunk: it starts threads of its own,
and a process forked after that hangs.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from processing.archive.write import publish_product
from tests.archive import synthetic

TIMES = 11
"""Once, and ten duplicates."""


def work(home: Path, number: int) -> int:
    """Commits that one process found necessary."""
    from processing.archive.cube_keep import keep_cube, note_product

    assert "icechunk" in sys.modules
    shape, names = (500, 500), ("red", "nir")
    draft = synthetic.draft(
        names,
        item=f"KZ1_{number}",
        visual=(),
        acquired=synthetic.ACQUIRED + timedelta(days=number % 7),
        lineage=synthetic.lineage(f"{number:02d}"),
    )
    commits = 0
    for _ in range(TIMES):
        image = synthetic.image(synthetic.values(shape, 2, seed=number), synthetic.geobox(shape), names)
        product = publish_product(home, draft, [image])
        for tile in note_product(home, product):
            keep_cube(home, product.collection, tile)
            commits += 1
    return commits


def start(home: Path, number: int) -> tuple[int, int]:
    """Fork a worker: its process id, and the pipe for its answer."""
    answer_in, answer_out = os.pipe()
    process = os.fork()
    if process == 0:
        os.write(answer_out, str(work(home, number)).encode())
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
    workers = [start(Path(sys.argv[1]), number) for number in range(int(sys.argv[2]))]
    sys.stdout.write(json.dumps([finish(*worker) for worker in workers]))
