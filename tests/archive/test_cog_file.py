"""A GeoTIFF of our own, in the eyes of two readers that had no part in it."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from rio_cogeo.cogeo import cog_validate

from processing.archive import cog_file
from processing.archive.cog_blocks import BLOCK_PX, CogBlocks
from processing.archive.cog_file import TILE_PX, CogFile, Raster
from processing.archive.pyramid import halve
from processing.archive.tiff_tags import gdal_tags
from processing.model.errors import Defect

CRS, TRANSFORM = "EPSG:32643", Affine(2.5, 0, 650_000, 0, -2.5, 4_800_000)
FILLS = {"uint8": 0, "uint16": 65535, "int16": -32768, "float32": np.nan}


def raster_of(shape, bands, dtype):
    profile = {"count": bands, "dtype": dtype, "nodata": FILLS[dtype], "crs": CRS, "transform": TRANSFORM}
    names = tuple(f"band_{number}" for number in range(bands))
    tags = gdal_tags(profile, {"descriptions": names, "tags": {"QUANTITY": "dn"}})
    return Raster(shape=shape, bands=bands, dtype=dtype, fill=FILLS[dtype], tags=tags)


def pixels_of(shape, bands, dtype, seed=1):
    """Smooth ground, noise, and a corner of nothing: what differences and deflate get to see."""
    drawn = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) / 40
    values = 40 + ramp + drawn.normal(0, 9, (bands, *shape))
    values = values * -0.37 if dtype == "float32" else np.clip(values, 1, 250 if dtype == "uint8" else 30_000)
    values = values.astype(dtype)
    values[:, : shape[0] // 3, : shape[1] // 4] = FILLS[dtype]
    return values


def write(path, pixels, raster, *, seed=0, threads=1):
    """All blocks, dealt out in a random order."""
    file = CogFile(path, raster)
    blocks = CogBlocks(file)
    places = [(row, col) for row in range(0, raster.shape[0], BLOCK_PX) for col in range(0, raster.shape[1], BLOCK_PX)]
    random.Random(seed).shuffle(places)

    def put(at):
        part = pixels[:, at[0] : at[0] + BLOCK_PX, at[1] : at[1] + BLOCK_PX]
        rows = range(0, part.shape[1], TILE_PX)
        blocks.put(at, ((first, tuple(part[:, first : first + TILE_PX])) for first in rows))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(put, places))
    blocks.finish()
    file.close()


@pytest.mark.parametrize("dtype", FILLS)
@pytest.mark.parametrize(("shape", "bands"), [((1, 1), 1), ((512, 512), 3), ((513, 700), 2), ((2049, 4700), 1)])
def test_gdal_and_tifffile_read_what_was_written(tmp_path, dtype, shape, bands):
    pixels, path = pixels_of(shape, bands, dtype), tmp_path / "out.tif"
    write(path, pixels, raster_of(shape, bands, dtype))
    valid, errors, warned = cog_validate(path, strict=True)
    assert valid, (errors, warned)
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(), pixels)
        assert (source.crs, source.transform) == (rasterio.CRS.from_string(CRS), TRANSFORM)
        np.testing.assert_equal(source.nodata, FILLS[dtype])
        assert source.descriptions == tuple(f"band_{number}" for number in range(bands))
        assert source.tags()["QUANTITY"] == "dn"
        factors = source.overviews(1)
    levels = [pixels]
    for _ in factors:
        levels.append(np.stack([halve(band, FILLS[dtype]) for band in levels[-1]]))
    assert max(levels[-1].shape[1:]) <= TILE_PX
    for number, expected in enumerate(levels[1:]):
        with rasterio.open(path, OVERVIEW_LEVEL=number) as source:
            np.testing.assert_array_equal(source.read(), expected)
    with tifffile.TiffFile(path) as found:
        assert not found.is_bigtiff
        assert len(found.pages) == len(levels)
        # Differences of real numbers it cannot undo without a further library.
        for page, expected in zip(found.pages, levels, strict=True) if dtype != "float32" else ():
            np.testing.assert_array_equal(page.asarray().reshape(expected.shape), expected)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.tif"]


def test_overviews_are_means_of_what_is_there(tmp_path):
    pixels, path = pixels_of((1200, 900), 1, "float32"), tmp_path / "out.tif"
    write(path, pixels, raster_of((1200, 900), 1, "float32"))
    with rasterio.open(path, OVERVIEW_LEVEL=1) as source, np.errstate(invalid="ignore"):
        coarse = source.read(1)
        assert np.isnan(source.nodata)
    # Away from the hole, the mean of sixteen.
    means = pixels[0].astype(np.float64).reshape(300, 4, 225, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse[110:], means[110:], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(coarse[:90, :50]), np.ones((90, 50), dtype=bool))


def test_bytes_depend_on_pixels_alone(tmp_path):
    pixels, raster = pixels_of((4200, 2100), 2, "uint16"), raster_of((4200, 2100), 2, "uint16")
    for number, (seed, threads) in enumerate(((1, 1), (2, 2), (3, 5))):
        write(tmp_path / f"{number}.tif", pixels, raster, seed=seed, threads=threads)
    first, *others = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert all(other == first for other in others)
    pixels[0, 4000, 2000] += 1
    write(tmp_path / "other.tif", pixels, raster)
    assert (tmp_path / "other.tif").read_bytes() != first


def test_beyond_four_gigabytes_it_is_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(cog_file, "_CLASSIC_BYTES", 1000)
    pixels, path = pixels_of((1100, 700), 3, "int16"), tmp_path / "out.tif"
    write(path, pixels, raster_of((1100, 700), 3, "int16"))
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(), pixels)
        assert (source.crs.to_epsg(), source.transform, source.nodata) == (32643, TRANSFORM, -32768)
    with tifffile.TiffFile(path) as found:
        assert found.is_bigtiff
        np.testing.assert_array_equal(found.asarray(), pixels)


def test_what_is_not_whole_is_no_file(tmp_path):
    file = CogFile(tmp_path / "out.tif", raster_of((600, 600), 1, "uint8"))
    file.put(0, 0, (0, 0), np.ones((512, 600), dtype=np.uint8))
    with pytest.raises(Defect) as caught:
        file.close()
    assert caught.value.kind == "cog.incomplete"
    file.abandon()
    assert list(tmp_path.iterdir()) == []
