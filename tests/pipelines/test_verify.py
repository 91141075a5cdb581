"""Whatever is lost, damaged, swapped or too much is told of by its own name, and nothing else is."""

import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from catalogs import open_store
from configs.settings import Home
from pipelines import verify as verifying
from pipelines.verify import verify
from processing.archive import durable
from processing.archive.write import published as published_product
from tests.pipelines.archived import COLLECTION, PLAIN, REVISED, damaged, fill, flip, objects

TRIALS = 200
KINDS = {
    "shard": r"archive/.*\.zarr/.*/c/\d+/\d+",
    "coordinate": r"archive/.*\.zarr/.*/(x/c/0|y/c/0|spatial_ref/c)",
    "zarr.json": r"archive/.*\.zarr/(.*/)?zarr\.json",
    "manifest.json": r"archive/.*\.zarr/manifest\.json",
    "cog": r".*\.tif",
    "thumbnail": r".*\.webp",
    "product.json": r".*/product\.json",
    "quality.json": r".*/quality\.json",
    "item.json": r".*/item\.json",
    "iso19139.xml": r".*/iso19139\.xml",
    "manifest.sha256": r".*/manifest\.sha256",
    "collection.json": r"products/[^/]*/collection\.json",
    "versions.json": r"archive/.*/versions\.json",
}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is under way in these tests: what is young is not looked at twice."""
    monkeypatch.setattr(verifying, "_YOUNG_S", -1.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One installation; every test leaves it as it was."""
    place = Home.resolve(tmp_path_factory.mktemp("kept"))
    fill(place)
    return place


@pytest.fixture
def own(home: Home, tmp_path: Path) -> Home:
    """A copy to take apart, which was never scrubbed."""
    shutil.copytree(home.path, tmp_path / "home", symlinks=True, ignore=shutil.ignore_patterns("scrub"))
    return Home.resolve(tmp_path / "home")


def found(home: Home, *, deep: bool = True) -> dict[str, str]:
    return {finding.object: finding.kind for finding in verify(home, deep=deep, anew=True).findings}


def store_of(home: Home, item: str) -> Path:
    product = published_product(home.path, COLLECTION, item)
    assert product is not None
    return home.path / product.archive_href


def test_a_whole_archive_is_in_order(home):
    for deep in (False, True):
        report = verify(home, deep=deep)
        assert report.ok, report.findings
        assert report.checked == 3
        assert report.hashed == (3 if deep else 0)
    assert report.coverage["percent_30_days"] == 100.0
    assert report.hashed_bytes == report.coverage["total_bytes"] > 0


def test_an_installation_that_has_nothing_is_in_order(tmp_path):
    report = verify(Home.resolve(tmp_path / "nothing"), deep=True)
    assert report.ok
    assert report.checked == 0
    assert not (tmp_path / "nothing" / "catalogue").exists()


def test_one_flipped_bit_anywhere_is_told_of_by_its_objects_name(home):
    """200 of 200, over every kind of object that a product has; and of nothing else."""
    everything = objects(home)
    by_kind = {kind: [name for name in everything if re.fullmatch(form, name)] for kind, form in KINDS.items()}
    assert all(by_kind.values())
    assert set(everything) == {name for names in by_kind.values() for name in names}
    assert verify(home, deep=True).ok
    chance, seen = random.Random(20260424), Counter[str]()
    for trial in range(TRIALS):
        kind = list(KINDS)[trial % len(KINDS)]
        name = chance.choice(by_kind[kind])
        with damaged(everything[name]):
            flip(everything[name], chance.randrange(8 * everything[name].stat().st_size))
            seen[kind] += set(found(home)) == {name}
    assert seen == Counter(list(KINDS)[trial % len(KINDS)] for trial in range(TRIALS))
    assert verify(home, deep=True).ok


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_object_is_missed_without_reading_pixels(home, kind):
    name, path = next((name, path) for name, path in objects(home).items() if re.fullmatch(KINDS[kind], name))
    with damaged(path):
        path.unlink()
        assert found(home, deep=False) == {name: "missing"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_object_is_noticed_without_reading_pixels(home, kind):
    name, path = next((name, path) for name, path in objects(home).items() if re.fullmatch(KINDS[kind], name))
    with damaged(path):
        path.write_bytes(path.read_bytes()[:-7])
        assert found(home, deep=False) == {name: "corrupt"}


def test_swapped_shards_are_both_told_of(own):
    store = store_of(own, PLAIN)
    one, other = (store / f"measurements/reflectance/r4m/{band}/c/0/0" for band in ("red", "nir"))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert found(own) == {path.relative_to(own.path).as_posix(): "corrupt" for path in (one, other)}


def test_the_files_of_another_product_are_not_taken_for_its_own(own):
    one, other = own.products / COLLECTION / PLAIN, own.products / COLLECTION / REVISED
    durable.exchange(one, other)
    names = set(found(own, deep=False))
    assert {f"products/{COLLECTION}/{PLAIN}/product.json", f"products/{COLLECTION}/{REVISED}/product.json"} <= names


def test_what_nobody_named_is_an_orphan(own):
    store = store_of(own, PLAIN)
    planted = [
        store / "measurements/extra",
        own.products / COLLECTION / PLAIN / "notes.txt",
        own.products / COLLECTION / PLAIN / ".item.json.0123456789abcdef",
        own.products / "stray",
        own.archive / "stray.bin",
        own.archive / COLLECTION / "stray",
        store.parent / "tmp",
    ]
    for path in planted:
        path.write_text("x")
    shutil.copytree(store, store.with_name("0123456789abcdef.zarr"))
    planted.append(store.with_name("0123456789abcdef.zarr"))
    (own.archive / COLLECTION / "GONE.zarr").symlink_to("2026")
    planted.append(own.archive / COLLECTION / "GONE.zarr")
    expected = {path.relative_to(own.path).as_posix(): "orphan" for path in planted}
    assert found(own, deep=False) == expected
    report = verify(own)
    assert set(report.orphans) == set(expected)
    assert not report.ok


def test_a_superseded_revision_is_checked_too(own):
    (shelf,) = own.archive.rglob("*.files")
    shard = next(shelf.with_suffix(".zarr").rglob("red/c/0/0"))
    flip(shard, 1000)
    (shelf / "thumbnail.webp").unlink()
    (shelf / "item.json").unlink()
    assert found(own) == {
        shard.relative_to(own.path).as_posix(): "corrupt",
        (shelf / "thumbnail.webp").relative_to(own.path).as_posix(): "missing",
        (shelf / "item.json").relative_to(own.path).as_posix(): "missing",
    }


def test_a_row_without_a_product_and_a_product_without_a_row(own):
    shutil.rmtree(own.products / COLLECTION / PLAIN)
    with closing(open_store(own.catalogue)) as store:
        store.delete_item(COLLECTION, REVISED)
    report = verify(own)
    assert f"products/{COLLECTION}/{PLAIN}" in report.missing
    assert report.unlisted == (f"products/{COLLECTION}/{REVISED}",)
    # The lost product's store is what its files can be made of again: it is not called an orphan.
    assert store_of_name(own, PLAIN) not in report.orphans


def store_of_name(home: Home, item: str) -> str:
    return (home.archive / COLLECTION / f"{item}.zarr").resolve().relative_to(home.path).as_posix()


def test_a_row_that_says_otherwise_is_told_of_and_not_the_file_that_is_right(own):
    with closing(open_store(own.catalogue)) as store:
        item = store.get_item(COLLECTION, PLAIN)
        assert item is not None
        store.put_item(item | {"properties": item["properties"] | {"gsd": 40.0}})
    assert found(own, deep=False) == {f"catalogue/{COLLECTION}/{PLAIN}": "corrupt"}


def test_a_damaged_database_is_told_of_and_the_rest_is_checked(own):
    path = own.catalogue / "catalogue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * 4096 + content[8192:])
    (store_of(own, PLAIN) / "zarr.json").unlink()
    report = verify(own, deep=True)
    assert "catalogue/catalogue.sqlite" in report.corrupt
    assert any(name.endswith(".zarr/zarr.json") for name in report.missing)


def test_a_link_that_leads_elsewhere(own):
    link = own.archive / COLLECTION / f"{REVISED}.zarr"
    (shelf,) = own.archive.rglob("*.files")
    link.unlink()
    assert found(own, deep=False) == {link.relative_to(own.path).as_posix(): "missing"}
    link.symlink_to(shelf.with_suffix(".zarr").relative_to(link.parent))
    assert found(own, deep=False) == {link.relative_to(own.path).as_posix(): "corrupt"}


def test_what_an_interrupted_run_left_is_an_orphan_once_it_is_old(own, monkeypatch):
    left = own.staging / f"{COLLECTION}--{PLAIN}"
    left.mkdir(parents=True)
    (left / "part").write_text("x")
    assert verify(own).ok
    assert verify(own).leftovers == 1
    (own.configs).mkdir()
    (own.configs / "keeping.yaml").write_text("retention: {staging_hours: 0.000001}\n")
    assert found(own, deep=False) == {f"staging/{COLLECTION}--{PLAIN}": "orphan"}
    with durable.exclusive(own.staging / f"{COLLECTION}--{PLAIN}.lock"):
        assert verify(own).ok


def test_an_interrupted_deep_check_goes_on(own, monkeypatch):
    hashed = []

    def stop_at_second(unit, *, deep):
        if len(hashed) == 2:
            raise KeyboardInterrupt
        hashed.append(unit.files.name)
        return check(unit, deep=deep)

    check = verifying.check_unit
    monkeypatch.setattr(verifying, "check_unit", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        verify(own, deep=True)
    monkeypatch.setattr(verifying, "check_unit", check)
    rest = verify(own, deep=True)
    assert (rest.resumed, rest.hashed, rest.ok) == (True, 1, True)
    assert verify(own, deep=True).hashed == 3
    # What was found damaged before the interruption is hashed again, so that it is told of.
    flip(own.products / COLLECTION / min(hashed) / "red.tif", 5000)
    hashed.clear()
    monkeypatch.setattr(verifying, "check_unit", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        verify(own, deep=True)
    monkeypatch.setattr(verifying, "check_unit", check)
    assert len(verify(own, deep=True).corrupt) == 1


def test_a_share_at_a_time_covers_everything(own):
    verify(own)
    runs = [verify(own, share=0.01) for _ in range(3)]
    assert [run.hashed for run in runs] == [1, 1, 1]
    assert [run.coverage["never_hashed"] for run in runs] == [2, 1, 0]
    assert runs[-1].coverage["percent_30_days"] == 100.0
    shard = store_of(own, PLAIN) / "measurements/reflectance/r4m/red/c/0/0"
    flip(shard, 9)
    names = {name for _ in range(3) for name in verify(own, share=0.01).corrupt}
    assert names == {shard.relative_to(own.path).as_posix()}


def test_the_command_says_it_in_words_and_in_json(own):
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", "verify", "--home", str(own.path)]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False)

    shard = store_of(own, PLAIN) / "measurements/reflectance/r4m/red/c/0/0"
    flip(shard, 77)
    name = shard.relative_to(own.path).as_posix()
    told = run("--deep")
    assert told.returncode == 1
    assert name in told.stdout
    assert "remedy" in told.stdout
    document = json.loads(run("--deep", "--json").stdout)
    assert (document["ok"], document["corrupt"], document["checked"]) == (False, [name], 3)
    assert {"checked", "missing", "corrupt", "orphans", "ok", "unlisted", "coverage"} <= document.keys()
