"""What is lost or damaged comes back from the second place, byte for byte; never from a copy that is wrong itself."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from catalogs import open_store
from configs.registry import load_registry
from configs.settings import Home
from pipelines import verify as verifying
from pipelines.mirror import mirror
from pipelines.verify import verify
from pipelines.verify_repair import verify_and_repair
from pipelines.verify_report import VerifyReport
from processing.archive.write import published as published_product
from tests.pipelines.archived import COLLECTION, PLAIN, REVISED, fill, flip, objects


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_YOUNG_S", -1.0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an installation and its second place, as they are before a test takes them apart."""
    folder = tmp_path_factory.mktemp("pair")
    home = Home.resolve(folder / "home")
    (folder / "second").mkdir()
    home.configs.mkdir(parents=True)
    fill(home, load_registry(home.configs))
    (home.configs / "archive.yaml").write_text(f"url: {folder / 'second'}\n")
    assert {each.outcome for each in mirror(home)} == {"published"}
    assert {each.outcome for each in mirror(home)} == {"present"}
    assert verify(home, deep=True).ok
    shutil.copytree(folder, folder.with_name("as-made"), symlinks=True)
    return folder


@pytest.fixture
def home(pair: Path) -> Iterator[Home]:
    """It; whatever is done to it, the next test finds it whole. Its items name where the copies are: it stays there."""
    yield Home.resolve(pair / "home")
    shutil.rmtree(pair)
    shutil.copytree(pair.with_name("as-made"), pair, symlinks=True)


@pytest.fixture
def second(pair: Path) -> Path:
    return pair / "second"


def contents(home: Home) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in objects(home).items()}


def store_of(home: Home, item: str) -> Path:
    product = published_product(home.path, COLLECTION, item)
    assert product is not None
    return home.path / product.archive_href


def outcomes(report: VerifyReport) -> dict[str, str]:
    return {repair["object"]: repair["outcome"] for repair in report.repairs}


def test_every_kind_of_damage_is_put_right_byte_for_byte(home):
    before = contents(home)
    store, files = store_of(home, PLAIN), home.products / COLLECTION / PLAIN
    (shelf,) = home.archive.rglob("*.files")
    flip(store / "measurements/reflectance/r4m/red/c/0/0", 999)
    (store / "measurements/reflectance/r4m/nir/c/0/0").unlink()
    (store / "manifest.json").write_bytes(b"{}")
    flip(files / "blue.tif", 4321)
    (files / "thumbnail.webp").unlink()
    flip(files / "product.json", 2000)
    flip(files / "manifest.sha256", 20)
    flip(shelf / "red.tif", 100)
    flip(shelf.with_suffix(".zarr") / "zarr.json", 100)
    (home.archive / COLLECTION / f"{REVISED}.zarr").unlink()
    flip(home.products / COLLECTION / "collection.json", 64)
    flip(home.products / COLLECTION / REVISED / "item.json", 640)
    damaged = contents(home)

    trial = verify_and_repair(home, deep=True, act=False)
    assert not trial.ok
    assert set(outcomes(trial).values()) == {"repairable"}
    assert contents(home) == damaged, "a trial run changes nothing"

    done = verify_and_repair(home, deep=True, act=True)
    assert done.ok, done.findings
    assert set(outcomes(done).values()) == {"repaired"}
    assert set(outcomes(trial)) == set(outcomes(done))
    assert contents(home) == before
    assert verify(home, deep=True, anew=True).ok


@pytest.mark.services
def test_objects_come_back_from_a_bucket(home, s3, monkeypatch):
    """The same from an S3 server: what it has whole, and not what it has altered."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = s3.new_bucket()
    (home.configs / "archive.yaml").write_text(f"url: s3://{bucket}/second\n")
    assert {each.outcome for each in mirror(home)} == {"published"}
    before = contents(home)
    store, files = store_of(home, PLAIN), home.products / COLLECTION / PLAIN
    altered = store / "measurements/reflectance/r4m/nir/c/0/0"
    key = f"second/{altered.relative_to(home.path).as_posix()}"
    content = bytearray(altered.read_bytes())
    content[5] ^= 1
    s3.store(bucket).put(key, bytes(content))
    flip(store / "measurements/reflectance/r4m/red/c/0/0", 999)
    (files / "blue.tif").unlink()
    altered.unlink()
    report = verify_and_repair(home, deep=True, act=True)
    assert report.missing == (altered.relative_to(home.path).as_posix(),)
    assert report.corrupt == ()
    altered.write_bytes(before[altered.relative_to(home.path).as_posix()])
    assert contents(home) == before


def test_a_lost_product_comes_back_whole(home):
    before = contents(home)
    shutil.rmtree(home.products / COLLECTION / PLAIN)
    shutil.rmtree(store_of_link(home, PLAIN))
    assert verify_and_repair(home, deep=True, act=True).ok
    after = contents(home)
    assert after == before


def store_of_link(home: Home, item: str) -> Path:
    return (home.archive / COLLECTION / f"{item}.zarr").resolve()


def test_a_copy_that_is_wrong_itself_replaces_nothing(home, second):
    shard = store_of(home, PLAIN) / "measurements/reflectance/r4m/red/c/0/0"
    name = shard.relative_to(home.path).as_posix()
    flip(shard, 999)
    flip(second / name, 1999)
    tif = home.products / COLLECTION / PLAIN / "red.tif"
    tif.unlink()
    next((second / "products" / COLLECTION / PLAIN).rglob("red.tif")).unlink()
    damaged = contents(home)
    for act in (False, True):
        report = verify_and_repair(home, deep=True, act=act)
        assert not report.ok
        assert outcomes(report) == {name: "not repaired", tif.relative_to(home.path).as_posix(): "not repaired"}
        assert contents(home) == damaged


def test_another_products_record_is_not_taken_over(home, second):
    """Where the record is gone, the copy's counts only if what is left here bears it out."""
    record = home.products / COLLECTION / PLAIN / "product.json"
    record.unlink()
    (there,) = (second / "products" / COLLECTION / PLAIN).glob("*/product.json")
    content = there.read_bytes()
    there.write_bytes(content.replace(b'"gsd_m":4.0', b'"gsd_m":5.0').replace(b'"gsd_m": 4.0', b'"gsd_m": 5.0'))
    assert there.read_bytes() != content
    report = verify_and_repair(home, deep=True, act=True)
    assert not report.ok
    assert not record.exists()
    assert any("says otherwise" in repair["detail"] for repair in report.repairs)
    there.write_bytes(content)
    assert verify_and_repair(home, deep=True, act=True).ok


def test_without_a_second_place_what_follows_from_the_rest_is_repaired(home):
    (home.configs / "archive.yaml").unlink()
    before = contents(home)
    files = home.products / COLLECTION / PLAIN
    (files / "manifest.sha256").unlink()
    (files / "item.json").write_bytes(b"{")
    (home.products / COLLECTION / "collection.json").unlink()
    shard = store_of(home, PLAIN) / "measurements/reflectance/r4m/red/c/0/0"
    content = shard.read_bytes()
    shard.unlink()
    report = verify_and_repair(home, deep=False, act=True)
    assert report.missing == (shard.relative_to(home.path).as_posix(),)
    assert report.corrupt == ()
    assert any("no second location" in repair["detail"] for repair in report.repairs)
    shard.write_bytes(content)
    # The item, described again, no longer names the place that is no more.
    item = (files / "item.json").relative_to(home.path).as_posix()
    assert {name for name, was in before.items() if contents(home)[name] != was} == {item}
    assert verify(home, deep=True, anew=True).ok


def test_a_lost_catalogue_is_filled_again_from_the_products(home):
    with closing(open_store(home.catalogue)) as store:
        rows = [store.get_item(COLLECTION, item) for item in (PLAIN, REVISED)]
    shutil.rmtree(home.catalogue)
    assert set(verify(home).unlisted) == {f"products/{COLLECTION}/{item}" for item in (PLAIN, REVISED)}
    assert verify_and_repair(home, deep=False, act=True).ok
    with closing(open_store(home.catalogue)) as store:
        assert [store.get_item(COLLECTION, item) for item in (PLAIN, REVISED)] == rows


def test_a_damaged_product_is_not_sent_to_the_second_place(home, tmp_path):
    place = tmp_path / "other"
    place.mkdir()
    flip(home.products / COLLECTION / PLAIN / "red.tif", 5000)
    results = {(each.item, each.outcome) for each in mirror(home, place)}
    assert (f"{COLLECTION}/{PLAIN}", "failed") in results
    assert (f"{COLLECTION}/{REVISED}", "published") in results
