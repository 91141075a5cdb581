"""Twenty scenes of one place at once, each asked for again and again, by threads and by processes."""

import json
import subprocess
import sys
from collections import Counter

from processing.model.product import Product
from tests.faults import witness, work

SCENES, DUPLICATES = 20, 200
PROCESSES, THREADS = 4, 5


def test_twenty_scenes_at_once_and_two_hundred_duplicates_make_one_product_each(fast_folder):
    home = fast_folder / "crowd"
    home.mkdir()
    numbers = [str(number) for number in (PROCESSES, THREADS, SCENES, DUPLICATES)]
    subprocess.run([sys.executable, "-m", "tests.faults.crowd", str(home), *numbers], check=True, timeout=600)
    ends = [json.loads((fast_folder / f"crowd-{number}.json").read_text()) for number in range(PROCESSES)]
    assert [error for end in ends for error in end["errors"]] == []
    records = [Product.model_validate_json(record) for end in ends for record in end["records"]]
    asked = Counter(record.id for record in records)
    assert sum(asked.values()) == SCENES + DUPLICATES
    assert len(asked) == SCENES
    # Everybody who asked for a scene was told of the same product, made once.
    assert len({record.model_dump_json() for record in records}) == SCENES
    assert len(list(home.glob("archive/*/*/*/*/*/*.zarr"))) == SCENES
    assert set(witness.rows(home)) == {("kazeosat-1-l1c", work.draft(number).id) for number in range(1, SCENES + 1)}
    assert witness.faults_of(home, None, at_rest=True) == []
    assert list((home / "staging").iterdir()) == []
