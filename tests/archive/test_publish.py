import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import dask
import numpy as np
import pytest

from processing.archive import write
from processing.archive.manifest import check_product
from processing.archive.open import open_product
from processing.archive.write import publish_product
from processing.archive.write import published as published_product
from processing.model.errors import BadInput, Conflict, Defect, Retryable
from processing.model.image import Arrays
from processing.model.product import Product
from tests.archive import synthetic
from tests.archive.publisher import STAGES, scene

COLLECTION, ITEM = "kazeosat-1-l1c", "KZ1_20260424T052011_00000000_L1C"
PUBLISHER = Path(__file__).with_name("publisher.py")


def small(seed=1):
    return synthetic.scene((60, 80), seed=seed)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def visible(home: Path) -> set[str]:
    """Whatever a user or the catalogue could come upon."""
    links = {path.name for path in (home / "archive").glob("*/*.zarr")} if (home / "archive").exists() else set()
    files = {path.name for path in (home / "products").glob("*/*")} if (home / "products").exists() else set()
    return links | files


def assert_whole(home: Path) -> None:
    link = home / "archive" / COLLECTION / f"{ITEM}.zarr"
    product = published_product(home, COLLECTION, ITEM)
    assert product is not None
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == (home / product.archive_href).resolve()
    assert check_product(link) == []
    subprocess.run(
        ["sha256sum", "--check", "--strict", "manifest.sha256"],
        cwd=home / "products" / COLLECTION / ITEM,
        check=True,
        capture_output=True,
    )
    assert not list((home / "staging").iterdir())


@pytest.fixture
def killed_by_touch():
    """An image whose computation is a failure."""
    image = small()

    def refuse(block):
        raise AssertionError("computed again")

    refusing = image.pixels.data.map_blocks(refuse, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    return replace(image, arrays=Arrays(pixels=image.pixels.copy(data=refusing), qa=image.qa))


def test_publishing_again_computes_nothing(tmp_path, killed_by_touch):
    first = publish_product(tmp_path, synthetic.draft(), [small()])
    before = digests(tmp_path)
    assert publish_product(tmp_path, synthetic.draft(), [killed_by_touch]) == first
    assert digests(tmp_path) == before
    assert_whole(tmp_path)


def test_a_lost_link_is_put_back(tmp_path):
    publish_product(tmp_path, synthetic.draft(), [small()])
    (tmp_path / "archive" / COLLECTION / f"{ITEM}.zarr").unlink()
    publish_product(tmp_path, synthetic.draft(), [small()])
    assert_whole(tmp_path)


def test_same_id_from_another_package_is_refused(tmp_path):
    publish_product(tmp_path, synthetic.draft(), [small()])
    before = digests(tmp_path)
    with pytest.raises(Conflict) as caught:
        publish_product(tmp_path, synthetic.draft(package="cd"), [small(2)])
    assert caught.value.kind == "id.conflict"
    assert digests(tmp_path) == before


DELIVERIES = {"nrt": ("PREDICTED", "ab"), "between": ("", "cd"), "final": ("CORRECTED", "ef")}


def delivered(home, name):
    """Publish one delivery of the same scene; whether it was taken."""
    orbit, package = DELIVERIES[name]
    facts = {"orbit_source": orbit, "attitude_source": "ACCURATE"}
    try:
        publish_product(home, synthetic.draft(package=package, facts=facts), [small(len(name))])
    except Conflict as refused:
        if refused.kind != "scene.better_published":
            raise
        return False
    return True


@pytest.mark.parametrize("order", list(permutations(DELIVERIES)), ids=" ".join)
def test_the_best_delivery_of_a_scene_stays_in_whatever_order_they_come(tmp_path, order):
    rank = list(DELIVERIES)
    best = -1
    for name in order:
        assert delivered(tmp_path, name) == (rank.index(name) > best)
        best = max(best, rank.index(name))
        now = published_product(tmp_path, COLLECTION, ITEM)
        assert now.lineage.input_of("package").sha256 == DELIVERIES[rank[best]][1] * 32
        assert_whole(tmp_path)


def test_deliveries_of_a_scene_that_come_at_once_leave_the_best(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        assert any(pool.map(lambda name: delivered(tmp_path, name), DELIVERIES))
    assert published_product(tmp_path, COLLECTION, ITEM).facts["orbit_source"] == "CORRECTED"
    assert_whole(tmp_path)


def test_a_new_revision_takes_over_and_the_old_store_stays(tmp_path):
    old = publish_product(tmp_path, synthetic.draft(), [small()])
    old_store = digests(tmp_path / old.archive_href)
    old_files = digests(tmp_path / "products" / COLLECTION / ITEM)
    new = publish_product(tmp_path, synthetic.draft(lineage=synthetic.lineage(resampling="lanczos")), [small(2)])
    assert new.revision != old.revision
    assert published_product(tmp_path, COLLECTION, ITEM) == new
    assert_whole(tmp_path)
    assert digests(tmp_path / old.archive_href) == old_store
    shelf = (tmp_path / old.archive_href).with_suffix(".files")
    assert digests(shelf) == old_files

    again = publish_product(tmp_path, synthetic.draft(), [small()])
    assert (again.revision, again.manifest_sha256) == (old.revision, old.manifest_sha256)
    assert_whole(tmp_path)


def test_pixels_do_not_depend_on_how_they_were_computed(tmp_path):
    """More than one shard, and an edge that is not a whole one; other chunks, other workers, other processes."""
    shape = (2510, 130)
    names = ("pan",)
    draft = synthetic.draft(names, visual=("pan",))
    stores = []
    for number, (scheduler, workers, chunks) in enumerate(
        [
            ("synchronous", 1, (2500, 130)),
            ("threads", 2, (700, 60)),
            ("threads", 5, (2510, 33)),
            ("processes", 1, (1300, 65)),
        ]
    ):
        image = synthetic.image(
            synthetic.values(shape, 1), synthetic.geobox(shape, 1.0), names, group="pan", chunks=chunks
        )
        with dask.config.set(scheduler=scheduler, num_workers=workers):
            product = publish_product(tmp_path / str(number), draft, [image])
        stores.append(
            (digests(tmp_path / str(number) / product.archive_href), product.model_copy(update={"created": None}))
        )
    for store, product in stores[1:]:
        assert store == stores[0][0]
        assert product == stores[0][1]
    assert sum("/pan/c/" in key and "r1m" in key for key in stores[0][0]) == 2


def test_two_bands_of_one_name_are_refused_before_anything_runs(tmp_path):
    twice = [
        small(),
        synthetic.image(synthetic.values((60, 80), 1), synthetic.geobox((60, 80)), ("red",), group="other"),
    ]
    with pytest.raises(Defect) as caught:
        publish_product(tmp_path, synthetic.draft(), twice)
    assert caught.value.kind == "archive.bands"
    assert visible(tmp_path) == set()


def test_a_product_without_a_value_is_refused(tmp_path):
    pixels = np.full((4, 60, 80), np.nan, np.float32)
    image = synthetic.image(pixels, synthetic.geobox((60, 80)), ("blue", "green", "red", "nir"))
    with pytest.raises(BadInput) as caught:
        publish_product(tmp_path, synthetic.draft(), [image])
    assert caught.value.kind == "product.empty"
    assert visible(tmp_path) == set()
    assert not list((tmp_path / "staging").iterdir())


def test_too_little_room_is_said_before_anything_is_computed(tmp_path, monkeypatch, killed_by_touch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 0, 10))
    with pytest.raises(Retryable) as caught:
        publish_product(tmp_path, synthetic.draft(), [killed_by_touch])
    assert caught.value.kind == "disk.full"
    assert visible(tmp_path) == set()


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "consolidate", full)
    with pytest.raises(Retryable) as caught:
        publish_product(tmp_path, synthetic.draft(), [small()])
    assert caught.value.kind == "disk.full"
    assert visible(tmp_path) == set()
    assert not list((tmp_path / "staging").iterdir())


def test_progress_counts_up_to_its_end(tmp_path):
    seen = []
    publish_product(tmp_path, synthetic.draft(), [small()], progress=lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total, _ in seen} == {len(seen)}


@dataclass(frozen=True)
class Ended:
    """What became of the processes: the homes of those that were killed, and the one where three raced."""

    killed: dict[str, Path]
    raced: Path
    racers: list[dict]


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Ended:
    """All the processes of this module, run at once: starting one interpreter costs more than publishing."""
    homes = {stage: tmp_path_factory.mktemp("killed") for stage in STAGES}
    raced = tmp_path_factory.mktemp("raced")
    jobs = [f"{home}={stage}" for stage, home in homes.items()] + [str(raced)] * 3
    done = subprocess.run(
        [sys.executable, str(PUBLISHER), *jobs], check=True, capture_output=True, text=True, timeout=300
    )
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert [end["status"] for end in ends] == [signal.SIGKILL] * len(STAGES) + [0] * 3, done.stderr
    return Ended(killed=homes, raced=raced, racers=ends[len(STAGES) :])


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_step_it_is_all_or_nothing(ended, stage):
    home = ended.killed[stage]
    if stage == "before the link":  # the files are in their place: published
        assert published_product(home, COLLECTION, ITEM) is not None
    elif stage == "before the exchange":  # the earlier revision is what is there, untouched
        assert published_product(home, COLLECTION, ITEM).lineage == synthetic.lineage()
        assert check_product(home / "archive" / COLLECTION / f"{ITEM}.zarr") == []
    else:
        assert visible(home) == set()
    draft = synthetic.draft()
    if stage == "before the exchange":
        draft = synthetic.draft(lineage=synthetic.lineage(resampling="lanczos"))
    product = publish_product(home, draft, [scene(stage)])
    assert_whole(home)
    assert product == published_product(home, COLLECTION, ITEM)
    assert open_product(home / product.archive_href).red.mean().compute() > 0


def test_three_processes_at_once_make_one_product(ended):
    assert sum(end["wrote"] for end in ended.racers) == 1
    records = {end["record"] for end in ended.racers}
    assert len(records) == 1
    assert Product.model_validate_json(records.pop()) == published_product(ended.raced, COLLECTION, ITEM)
    assert_whole(ended.raced)
    assert len(list((ended.raced / "archive").rglob("manifest.json"))) == 1
