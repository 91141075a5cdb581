from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from processing.archive.export import export_ortho
from processing.archive.manifest import check_product
from processing.archive.open import open_product
from processing.model.errors import BadInput
from processing.model.image import Arrays, Counts
from processing.model.levels import Quantity
from processing.model.qa import Qa
from tests.archive import synthetic

NAMES = ("blue", "green")


def lazy(quantity, *, factor=1.0, shape=(300, 400), chunks=(130, 170)):
    pixels = synthetic.values(shape, 2) * np.float32(factor)
    return pixels, synthetic.image(pixels, synthetic.geobox(shape), NAMES, quantity=quantity, chunks=chunks)


def test_counts_stay_counts(tmp_path):
    pixels, image = lazy(Quantity.DN, factor=4000)
    told = export_ortho([image], tmp_path / "out.tif")
    assert cog_validate(tmp_path / "out.tif", strict=True)[0]
    with rasterio.open(tmp_path / "out.tif") as source:
        np.testing.assert_array_equal(source.read(), np.nan_to_num(np.clip(np.rint(pixels), 1, None)).astype("uint16"))
        assert (source.nodata, source.dtypes, source.descriptions) == (0, ("uint16",) * 2, NAMES)
        assert list(source.transform)[:6] == told["transform"]
        assert (source.crs.to_string(), list(source.shape)) == (told["crs"], told["shape"])
    assert (told["format"], told["dtype"], told["nodata"], told["bands"]) == ("cog", "uint16", 0, list(NAMES))
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


@pytest.mark.parametrize(
    ("delivered", "nodata", "stored", "absent"),
    [
        ("uint8", 0, "uint8", 0),
        ("uint8", None, "uint16", 65535),
        ("uint16", None, "uint16", 65535),
        ("int16", None, "int16", -32768),
        ("int16", 7, "int16", -32768),
    ],
)
@pytest.mark.parametrize("name", ["out.tif", "out.zarr"])
def test_counts_keep_their_type_and_a_true_zero(tmp_path, name, delivered, nodata, stored, absent):
    pixels, image = lazy(Quantity.DN, factor=400)
    pixels[:, 150, 200] = 0.0
    image = replace(
        image,
        arrays=Arrays(pixels=image.pixels.copy(data=da.from_array(pixels, chunks=(2, 130, 170))), qa=image.qa),
        counts=Counts(dtype=delivered, nodata=nodata),
    )
    told = export_ortho([image], tmp_path / name)
    assert (told["dtype"], told["nodata"]) == (stored, absent)
    if name == "out.tif":
        with rasterio.open(tmp_path / name) as source:
            assert (source.dtypes, source.nodata) == ((stored,) * 2, absent)
            found = np.where(source.read() == absent, np.nan, source.read())
    else:
        found = np.stack([open_product(tmp_path / name)[band].values for band in NAMES])
    # Only where zero stands for nodata does a true zero become the next number.
    np.testing.assert_array_equal(found, np.rint(pixels) if absent else np.clip(np.rint(pixels), 1, None))


@pytest.mark.parametrize("name", ["out.tif", "out.zarr"])
def test_real_numbers_stay_real(tmp_path, name):
    pixels, image = lazy(Quantity.DN, factor=-0.37, shape=(700, 800))
    export_ortho([replace(image, counts=Counts(dtype="float32", nodata=None))], tmp_path / name)
    if name == "out.tif":
        with rasterio.open(tmp_path / name) as source:
            np.testing.assert_array_equal(source.read(), pixels)
        return
    assert check_product(tmp_path / name) == []
    found = open_product(tmp_path / name)
    np.testing.assert_array_equal(found.green.values, pixels[1])
    np.testing.assert_array_equal((found.qa.values & Qa.NODATA) != 0, np.isnan(pixels).any(axis=0))
    # A part without holes: the coarser level is the mean.
    coarse = open_product(tmp_path / name, level=1).green.values[140:150, 190:200]
    quarters = pixels[1][280:300, 380:400].astype(np.float64).reshape(10, 2, 10, 2)
    np.testing.assert_allclose(coarse, quarters.mean(axis=(1, 3)), rtol=1e-6)


def test_reflectance_stays_what_it_is(tmp_path):
    pixels, image = lazy(Quantity.TOA_REFLECTANCE)
    told = export_ortho([image], tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as source:
        np.testing.assert_array_equal(source.read(), pixels)
        assert np.isnan(source.nodata)
    assert (told["dtype"], told["scale"], told["nodata"]) == ("float32", 1.0, None)


@pytest.mark.parametrize(
    ("quantity", "factor", "step"), [(Quantity.RADIANCE, 300, 0.01), (Quantity.TOA_REFLECTANCE, 1, 1e-4)]
)
def test_a_store_is_laid_out_like_the_archive(tmp_path, quantity, factor, step):
    pixels, image = lazy(quantity, factor=factor)
    told = export_ortho([image], tmp_path / "out.zarr")
    assert check_product(tmp_path / "out.zarr") == []
    found = open_product(tmp_path / "out.zarr")
    np.testing.assert_allclose(found.green.values, pixels[1], atol=step * 0.501)
    assert (told["format"], told["dtype"], told["scale"]) == ("zarr", "uint16", step)


@pytest.mark.parametrize("name", ["out.tif", "out.zarr"])
def test_an_earlier_result_is_replaced_only_by_a_whole_one(tmp_path, name):
    _, image = lazy(Quantity.DN, factor=4000)
    export_ortho([image], tmp_path / name)

    def content():
        return {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}

    before = content()
    broken = image.pixels.copy(
        data=image.pixels.data.map_blocks(lambda block: 1 / 0, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    )
    _, other = lazy(Quantity.DN, factor=3000)
    with pytest.raises(ZeroDivisionError):
        export_ortho([replace(image, arrays=Arrays(pixels=broken, qa=image.qa))], tmp_path / name)
    assert content() == before
    export_ortho([other], tmp_path / name)
    assert content() != before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_geographic_grids_are_named_in_degrees(tmp_path):
    pixels = synthetic.values((50, 60), 1)
    image = synthetic.image(pixels, synthetic.geobox((50, 60), 0.001, "EPSG:4326", (76.8, 43.3)), ("pan",), group="pan")
    export_ortho([image], tmp_path / "out.zarr")
    found = open_product(tmp_path / "out.zarr")
    assert found.x.attrs["units"] == "degrees_east"
    assert (tmp_path / "out.zarr/measurements/pan/r0.001deg").is_dir()


def test_what_cannot_be_written_is_said_before_anything_runs(tmp_path, no_compute):
    _, image = lazy(Quantity.DN)
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr/letter.txt").write_text("dear")
    for images, name, kind in (
        ([image], "out.jpg", "out.format"),
        ([image, image], "out.tif", "out.format"),
        ([image], "folder.zarr", "out.exists"),
    ):
        with pytest.raises(BadInput) as caught:
            export_ortho(images, tmp_path / name)
        assert caught.value.kind == kind
