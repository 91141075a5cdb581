"""Damage is found, and never read as pixels."""

import shutil
from pathlib import Path

import pytest
import rioxarray  # noqa: F401 - registers the accessor
import xarray as xr
import zarr

from processing.archive.manifest import Fault, check_product, read_manifest
from processing.archive.open import list_groups, open_product
from processing.model.errors import BadInput, Defect

SHARD = "measurements/reflectance/r4m/red/c/0/0"


@pytest.fixture
def store(published, tmp_path) -> Path:
    """A copy to damage."""
    return shutil.copytree(published.store, tmp_path / "copy.zarr")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << 3
    path.write_bytes(content)


def test_a_whole_store_has_no_fault(published):
    assert check_product(published.store) == []
    assert (
        check_product(published.home / "archive" / published.product.collection / f"{published.product.id}.zarr") == []
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_found_and_does_not_pass_as_pixels(store, share):
    flip(store / SHARD, int((store / SHARD).stat().st_size * share))
    assert [(fault.key, fault.kind) for fault in check_product(store)] == [(SHARD, "sha256")]
    assert check_product(store, deep=False) == []
    with pytest.raises(Defect, match="checksum"):
        open_product(store, group="reflectance").red.compute()


def test_a_missing_shard_is_found_and_raises(store):
    (store / SHARD).unlink()
    assert check_product(store) == check_product(store, deep=False) == [Fault(SHARD, "missing")]
    dataset = open_product(store, group="reflectance")
    with pytest.raises(Defect) as caught:
        dataset.red.compute()
    assert caught.value.kind == "archive.missing"
    dataset.blue.compute()
    # What the promise is worth: the plain reader takes the loss for nodata.
    assert xr.open_zarr(store, group="measurements/reflectance/r4m").red.isnull().all()


def test_a_cut_shard_is_found(store):
    content = (store / SHARD).read_bytes()
    (store / SHARD).write_bytes(content[:-1000])
    (fault,) = check_product(store, deep=False)
    assert (fault.key, fault.kind) == (SHARD, "size")
    with pytest.raises(Defect) as caught:
        open_product(store, group="reflectance").red.compute()
    assert caught.value.kind == "archive.corrupt"


def test_what_nobody_wrote_is_found(store):
    (store / "measurements/extra").write_text("x")
    assert check_product(store) == [Fault("measurements/extra", "unexpected")]


def test_a_store_without_its_manifest_was_never_finished(store):
    (store / "manifest.json").unlink()
    assert [fault.kind for fault in check_product(store)] == ["manifest"]
    with pytest.raises(Defect):
        read_manifest(store)


def test_every_object_is_in_the_manifest(published):
    keys = {path.relative_to(published.store).as_posix() for path in published.store.rglob("*") if path.is_file()}
    assert keys - {"manifest.json"} == set(read_manifest(published.store))


def test_opening_is_lazy_and_blocks_are_shards(published, no_compute):
    dataset = open_product(published.store, group="pan")
    assert dataset.pan.dtype == "float32"
    assert dataset.qa.dtype == "uint16"
    assert dataset.pan.chunks == ((1399,), (1799,))
    assert list_groups(published.store) == {"pan": ("r2m", "r4m", "r8m"), "reflectance": ("r4m", "r8m")}
    assert open_product(published.store, group="pan").pan.data.name == dataset.pan.data.name


def test_values_are_those_of_the_stored_numbers(published):
    dataset = open_product(published.store, group="reflectance").load()
    stored = open_product(published.store, group="reflectance", masked=False).load()
    assert stored.red.dtype == "uint16"
    expected = stored.red.where(stored.red > 0) * 1e-4 - 0.1
    xr.testing.assert_allclose(dataset.red, expected.astype("float32"), rtol=1e-6, atol=1e-7)
    assert (dataset.red.isnull() == (stored.red == 0)).all()
    assert dataset.rio.crs.to_epsg() == 32643


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [({}, "product.group"), ({"group": "thermal"}, "product.group"), ({"group": "pan", "level": 9}, "product.level")],
)
def test_what_is_not_there_is_said(published, arguments, kind):
    with pytest.raises(BadInput) as caught:
        open_product(published.store, **arguments)
    assert caught.value.kind == kind


def test_a_folder_that_is_no_product_is_said(tmp_path):
    with pytest.raises(BadInput) as caught:
        open_product(tmp_path)
    assert caught.value.kind == "product.not_found"
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(BadInput):
        open_product(tmp_path / "other.zarr")
