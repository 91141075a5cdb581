"""What others find when they open a store with their own tools."""

import json
import warnings

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers the accessor
import xarray as xr
import zarr
from pyproj import CRS

from processing.archive.encode import encode
from processing.archive.layout import chunk_and_shard
from processing.model.qa import Qa
from tests.archive.synthetic import REFLECTANCE

BASE = "measurements/reflectance/r4m"


def test_zarr_alone_reads_what_was_encoded(published):
    stored, clipped = encode(published.pixels, REFLECTANCE)
    group = zarr.open_group(published.store, mode="r")[BASE]
    for number, name in enumerate(("blue", "green", "red", "nir")):
        np.testing.assert_array_equal(group[name][:], stored[number])
    qa = group["qa"][:]
    assert np.array_equal(qa & Qa.OUT_OF_RANGE > 0, clipped.any(axis=0))
    assert np.array_equal(qa & Qa.NODATA > 0, np.isnan(published.pixels).any(axis=0))
    assert np.array_equal(qa & Qa.CLOUD_NOT_TESTED > 0, np.ones(qa.shape, bool))


def test_codecs_are_the_promised_ones(published):
    array = zarr.open_array(published.store, path=f"{BASE}/blue", mode="r")
    assert (array.chunks, array.shards) == ((500, 500), (1000, 1000))
    (sharding,) = array.metadata.to_dict()["codecs"]
    inner = [codec["name"] for codec in sharding["configuration"]["codecs"]]
    assert inner == ["bytes", "blosc", "crc32c"]
    blosc = sharding["configuration"]["codecs"][1]["configuration"]
    assert (blosc["cname"], blosc["clevel"], blosc["shuffle"]) == ("zstd", 1, "shuffle")
    assert [codec["name"] for codec in sharding["configuration"]["index_codecs"]] == ["bytes", "crc32c"]


def test_full_arrays_get_the_archive_sizes():
    assert [chunk_and_shard(length) for length in (1, 499, 500, 501, 2500, 2501, 10_000)] == [
        (1, 1), (499, 499), (500, 500), (500, 1000), (500, 2500), (500, 2500), (500, 2500),
    ]  # fmt: skip


def test_xarray_alone_finds_place_scale_and_nodata(published):
    dataset = xr.open_zarr(published.store, group=BASE)
    blue = dataset.blue
    np.testing.assert_allclose(blue.values, np.clip(published.pixels[0], None, 6.4535), atol=0.5e-4 + 1e-7)
    assert np.array_equal(np.isnan(blue.values), np.isnan(published.pixels[0]))
    assert dataset.x.values[0] == 650_002.0
    assert dataset.y.values[-1] == 4_800_000.0 - 4.0 * 699.5
    mapping = dataset[blue.attrs["grid_mapping"]].attrs
    assert CRS.from_wkt(mapping["crs_wkt"]) == CRS.from_epsg(32643)
    assert [float(part) for part in mapping["GeoTransform"].split()] == [650_000.0, 4.0, 0.0, 4_800_000.0, 0.0, -4.0]


def test_xarray_opens_a_level_without_a_warning(published):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.open_zarr(published.store, group="measurements/pan/r4m", consolidated=True)
        xr.open_datatree(published.store, engine="zarr", group="measurements")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rioxarray multiplies affines the old way
@pytest.mark.parametrize("decode_coords", [True, "all"])
def test_rioxarray_finds_place_and_nodata(published, decode_coords):
    dataset = xr.open_dataset(published.store, engine="zarr", group=BASE, decode_coords=decode_coords)
    assert dataset.rio.crs == dataset.red.rio.crs == rasterio.CRS.from_epsg(32643)
    assert tuple(dataset.red.rio.transform())[:6] == (4.0, 0.0, 650_000.0, 0.0, -4.0, 4_800_000.0)
    assert dataset.red.rio.encoded_nodata == 0
    assert dataset.rio.bounds() == (650_000.0, 4_797_200.0, 653_600.0, 4_800_000.0)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_rioxarray_reads_the_conventions_without_cf(published):
    dataset = xr.open_zarr(published.store, group=BASE, decode_cf=False)
    bare = dataset.drop_vars("spatial_ref").red
    bare.attrs.pop("grid_mapping")
    assert bare.rio.crs == rasterio.CRS.from_epsg(32643)
    assert tuple(bare.rio.transform())[:6] == (4.0, 0.0, 650_000.0, 0.0, -4.0, 4_800_000.0)


def test_conventions_are_declared_by_their_constants(published):
    attributes = json.loads((published.store / "measurements/reflectance/zarr.json").read_bytes())["attributes"]
    declared = {entry["name"]: entry["uuid"] for entry in attributes["zarr_conventions"]}
    # As registered at https://github.com/zarr-conventions (proj, spatial, multiscales; tag v0.1).
    assert declared == {
        "multiscales": "d35379db-88df-4056-af3a-620245f8e347",
        "proj": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "spatial": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "proj:": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "spatial:": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    }
    layout = attributes["multiscales"]["layout"]
    assert [entry["asset"] for entry in layout] == ["r4m", "r8m"]
    assert layout[1]["derived_from"] == "r4m"
    assert layout[1]["spatial:transform"] == [8.0, 0.0, 650_000.0, 0.0, -8.0, 4_800_000.0]
    assert attributes["proj:code"] == "EPSG:32643"
    assert "proj:wkt2" not in attributes


@pytest.mark.parametrize("path", ["", "measurements/reflectance", "measurements/pan", BASE])
def test_groups_are_consolidated_themselves(published, path):
    group = zarr.open_group(published.store, path=path, mode="r", use_consolidated=True)
    names = {key for key, _ in group.members(max_depth=None)}
    assert any(name.endswith("qa") for name in names)


def test_coarser_levels_are_means_of_what_is_below(published):
    group = zarr.open_group(published.store, mode="r")["measurements/pan"]
    fine, coarse = group["r2m/pan"][:].astype(float), group["r4m/pan"][:].astype(float)
    assert coarse.shape == (700, 900)
    fine = np.pad(np.where(fine == 0, np.nan, fine), ((0, 1), (0, 1)), constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of windows without a value
        mean = np.nanmean(np.stack([fine[i::2, j::2] for i in (0, 1) for j in (0, 1)]), axis=0)
    np.testing.assert_array_equal(coarse, np.rint(np.nan_to_num(mean)))


def test_flags_say_what_they_mean(published):
    attributes = zarr.open_array(published.store, path=f"{BASE}/qa", mode="r").attrs
    meanings = dict(zip(attributes["flag_meanings"].split(), attributes["flag_masks"], strict=True))
    assert meanings == {flag.name.lower(): flag.value for flag in Qa}


def test_provenance_is_complete_and_timeless(published):
    attributes = zarr.open_group(published.store, mode="r").attrs
    assert attributes["provenance"] == published.product.lineage.model_dump(mode="json")
    assert attributes["revision"] == published.product.lineage.digest[:16] == published.store.stem
    created = published.product.created.isoformat()[:16]
    assert created not in json.dumps(dict(attributes))
