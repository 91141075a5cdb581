import hashlib
import json
import subprocess

import numpy as np
import pytest
import rasterio
import zarr
from PIL import Image
from rio_cogeo.cogeo import cog_validate

from processing.archive.encode import encode
from processing.model.product import Product
from tests.archive.synthetic import REFLECTANCE

BANDS = ("blue", "green", "red", "nir")


@pytest.mark.parametrize("name", [*BANDS, "pan", "qa", "qa_pan", "visual"])
def test_every_raster_is_a_valid_cog(published, name):
    valid, errors, warned = cog_validate(published.files / f"{name}.tif", strict=True)
    assert valid, (errors, warned)


@pytest.mark.parametrize("number", range(4))
def test_bands_hold_the_stored_numbers_and_say_what_they_mean(published, number):
    name = BANDS[number]
    with rasterio.open(published.files / f"{name}.tif") as source:
        np.testing.assert_array_equal(source.read(1), encode(published.pixels[number], REFLECTANCE)[0])
        assert source.crs == rasterio.CRS.from_epsg(32643)
        assert tuple(source.transform)[:6] == (4.0, 0.0, 650_000.0, 0.0, -4.0, 4_800_000.0)
        assert (source.nodata, source.scales, source.offsets) == (0, (1e-4,), (-0.1,))
        assert (source.units, source.descriptions) == (("1",), (name,))
        assert source.tags()["QYRAN_ITEM"] == f"{published.product.collection}/{published.product.id}"


@pytest.mark.parametrize("name", ["pan", "qa_pan"])
def test_overviews_are_the_levels_of_the_archive(published, name):
    with rasterio.open(published.files / f"{name}.tif") as source:
        assert source.overviews(1) == [2, 4]
    for number, level in enumerate(("r4m", "r8m")):
        stored = zarr.open_array(
            published.store, path=f"measurements/pan/{level}/{name.removesuffix('_pan')}", mode="r"
        )
        with rasterio.open(published.files / f"{name}.tif", OVERVIEW_LEVEL=number) as source:
            np.testing.assert_array_equal(source.read(1), stored[:])


def test_finer_group_keeps_its_own_grid(published):
    with rasterio.open(published.files / "pan.tif") as source:
        assert (source.shape, source.transform.a) == ((1399, 1799), 2.0)


def test_picture_is_transparent_where_nothing_is(published):
    with rasterio.open(published.files / "visual.tif") as source:
        assert source.count == 3
        assert source.compression.name == "jpeg"
        mask = source.dataset_mask() > 0
        shown = np.isfinite(published.pixels[:3]).all(axis=0)
        assert np.array_equal(mask, shown)
        difference = source.read(1) - (1 + 254 * np.clip(published.pixels[2] / 0.3, 0, 1))
    # JPEG keeps the colour of a neighbourhood, not the noise of a pixel.
    blocks = difference[200:520, 300:620].reshape(40, 8, 40, 8).mean(axis=(1, 3))
    assert np.abs(blocks).mean() < 1
    assert abs(np.nanmean(difference)) < 0.3


def test_thumbnail_shows_the_valid_area_only(published):
    with Image.open(published.files / "thumbnail.webp") as picture:
        assert picture.format == "WEBP"
        assert max(picture.size) == 512
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        valid = np.isfinite(published.pixels[:3]).all(axis=0)
        rows, columns = (np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0))
        aspect = (columns[-1] - columns[0] + 1) / (rows[-1] - rows[0] + 1)
        assert picture.width / picture.height == pytest.approx(aspect, rel=0.01)
        for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
            assert edge.any()
        assert (alpha == 0).any()


def test_checksums_hold_by_the_common_tool(published):
    subprocess.run(
        ["sha256sum", "--check", "--strict", "manifest.sha256"], cwd=published.files, check=True, capture_output=True
    )


def test_the_record_lists_every_file_as_it_is(published):
    product = Product.model_validate_json((published.files / "product.json").read_bytes())
    assert product == published.product
    assert {file.key for file in product.files} == {
        *BANDS,
        "pan",
        "qa",
        "qa_pan",
        "visual",
        "thumbnail",
        "quality",
        "zarr",
    }
    for file in product.files:
        if file.key == "zarr":
            continue
        content = (published.home / file.href).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)


def test_statistics_are_those_of_the_pixels(published):
    stored, _ = encode(published.pixels, REFLECTANCE)
    for number, band in enumerate(published.product.bands[:4]):
        valid = stored[number][stored[number] > 0].astype(np.float64) * 1e-4 - 0.1
        found = (band.minimum, band.maximum, band.mean, band.stddev)
        np.testing.assert_allclose(found, (valid.min(), valid.max(), valid.mean(), valid.std()), rtol=1e-9)
        assert 99 < band.valid_percent <= 100
    report = json.loads((published.files / "quality.json").read_bytes())
    flags = report["flags_percent"]["reflectance"]
    assert flags["cloud_not_tested"] == 100
    assert 0 < flags["out_of_range"] < 0.001
    assert flags["cloud"] == 0
