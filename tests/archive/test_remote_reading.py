"""A product on a real S3 server, read by our own code and by others', against the same product in a folder."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from obstore.store import S3Store
from rasterio.windows import Window

from processing.archive.open import list_groups, open_product
from processing.archive.remote import publish_remote
from processing.archive.remote_layout import RemotePaths
from processing.model.errors import BadInput, Retryable
from tests.services.proxy import fault_proxy, from_then_on

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def bucket(s3, published):
    """The session's product, in a bucket."""
    name = s3.new_bucket()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in s3.environment.items():
            patch.setenv(variable, value)
        publish_remote(published.home, published.product, f"s3://{name}/archive")
    return name


@pytest.fixture(autouse=True)
def _keys(s3, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def url(bucket, published):
    return f"s3://{bucket}/archive/{published.product.archive_href}"


def mean_of(pickled: bytes) -> float:
    return float(pickle.loads(pickled).red.mean().compute())


def test_it_is_the_same_dataset_at_every_level(url, published):
    assert list_groups(url) == list_groups(published.store)
    for group, levels in list_groups(url).items():
        for level in range(len(levels)):
            for masked in (True, False):
                there = open_product(url, group=group, level=level, masked=masked)
                here = open_product(published.store, group=group, level=level, masked=masked)
                assert all(variable.chunks for variable in there.data_vars.values())
                xr.testing.assert_identical(there.load(), here.load())


def test_a_window_costs_what_it_covers(url, published, s3):
    """Not the shards that it lies in, and not the other bands."""
    window = {"y": slice(10, 40), "x": slice(600, 640)}
    shard = (published.store / "measurements/pan/r2m/pan/c/0/0").stat().st_size
    taken = []
    with fault_proxy(s3.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        there = open_product(url, group="pan", masked=False).pan.isel(window)
        proxy.restart(lambda number, method, path: taken.append(path))
        here = open_product(published.store, group="pan", masked=False).pan.isel(window)
        np.testing.assert_array_equal(there.values, here.values)
        received = proxy.received
    pixels = [path for path in taken if "/c/" in path]
    assert pixels
    assert all("/r2m/pan/c/" in path for path in pixels)
    assert received < shard / 4  # one chunk of twelve, and the shard's index


def test_it_travels_to_another_process_as_an_address(url, published, s3):
    pickled = pickle.dumps(open_product(url, group="reflectance", level=1))
    assert s3.secret_key.encode() not in pickled
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(mean_of, pickled).result(120)
    assert there == float(open_product(published.store, group="reflectance", level=1).red.mean())


def test_a_lost_chunk_raises_and_a_flipped_bit_too(s3, published):
    bucket = s3.new_bucket()
    publish_remote(published.home, published.product, f"s3://{bucket}/a")
    url, store = f"s3://{bucket}/a/{published.product.archive_href}", s3.store(bucket)
    key = f"a/{published.product.archive_href}/measurements/reflectance/r4m/{{}}/c/0/0"
    content = bytearray(bytes(store.get(key.format("red")).bytes()))
    content[len(content) // 3] ^= 1
    store.put(key.format("red"), bytes(content))
    store.delete(key.format("nir"))
    dataset = open_product(url, group="reflectance")
    for band in ("red", "nir"):
        with pytest.raises(Exception, match=r"(?i)checksum|crc|not found|missing|lost"):
            dataset[band].load()
    assert dataset.blue.load().notnull().any()


def test_a_server_that_has_gone_is_said_so(url, s3, monkeypatch):
    monkeypatch.setattr("processing.archive.objects._RETRIES", {"max_retries": 0})
    with fault_proxy(s3.endpoint) as proxy, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        dataset = open_product(url, group="pan")
        proxy.restart(from_then_on("answer 503", 0))
        with pytest.raises(Retryable) as caught:
            dataset.pan.load()
    assert caught.value.kind == "s3.unavailable"


def test_what_is_not_published_is_not_there(url, bucket):
    for absent in (url[:-6] + "x.zarr", f"s3://{bucket}/archive", f"s3://{bucket}/other"):
        with pytest.raises(BadInput) as caught:
            open_product(absent)
        assert caught.value.kind == "product.not_found"


def test_zarr_and_xarray_open_it_by_themselves(bucket, published, s3):
    store = zarr.storage.ObjectStore(
        S3Store(bucket, prefix=f"archive/{published.product.archive_href}", client_options={"allow_http": True}),
        read_only=True,
    )
    here = zarr.open_group(published.store, mode="r")
    there = zarr.open_group(store, mode="r")
    path = "measurements/reflectance/r4m"
    np.testing.assert_array_equal(there[f"{path}/red"][:], here[f"{path}/red"][:])
    with xr.open_zarr(store, group=path, chunks=None) as dataset:
        assert dataset.rio.crs.to_epsg() == 32643 if hasattr(dataset, "rio") else "crs_wkt" in dataset.spatial_ref.attrs
        np.testing.assert_allclose(
            dataset.red.values, open_product(published.store, group="reflectance").red.values, atol=1e-6
        )


def test_gdal_reads_the_pictures_by_range_requests(bucket, published, s3, monkeypatch):
    paths = RemotePaths.of(published.product)
    gdal = {"AWS_S3_ENDPOINT": s3.endpoint.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
    for name, value in gdal.items():
        monkeypatch.setenv(name, value)
    window = Window(100, 200, 64, 48)
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        for name in ("red.tif", "visual.tif", "qa.tif"):
            key = f"/vsis3/{bucket}/archive/{paths.files}/{name}"
            with rasterio.open(key) as there, rasterio.open(published.files / name) as here:
                assert (there.crs, there.transform, there.nodata, there.overviews(1)) == (
                    here.crs, here.transform, here.nodata, here.overviews(1),
                )  # fmt: skip
                np.testing.assert_array_equal(there.read(window=window), here.read(window=window))
                small = (here.count, 50, 60)
                np.testing.assert_array_equal(there.read(out_shape=small), here.read(out_shape=small))
