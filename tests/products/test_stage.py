"""Derived images: lazy, chunk-independent, with quality carried through."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from configs.registry import load_registry
from configs.schema import RecipeConfig
from processing.model.errors import BadInput, Defect
from processing.model.image import OrthoImage
from processing.model.qa import Qa
from processing.products.stage import derive

SHAPE = (40, 30)
GRID = GeoBox(SHAPE, Affine(4, 0, 660_000, 0, -4, 4_780_000), "EPSG:32643")


def _parent(chunks: int = 16) -> xr.Dataset:
    random = np.random.default_rng(5)
    red = random.uniform(-0.05, 0.4, SHAPE).astype(np.float32)
    nir = random.uniform(0.0, 0.6, SHAPE).astype(np.float32)
    red[0, 0], nir[0, 1] = np.nan, np.nan
    red[1, 0], nir[1, 0] = 0.0, 0.0
    red[1, 1], nir[1, 1] = -0.04, 0.05
    qa = np.zeros(SHAPE, np.uint16)
    qa[5, 5] = Qa.SATURATED | Qa.CLOUD
    qa[0, 0] = Qa.NO_TERRAIN
    bands = {"red": red, "nir": nir, "qa": qa}
    return xr.Dataset({name: (("y", "x"), da.from_array(band, chunks=chunks)) for name, band in bands.items()})


def _ndvi(parent: xr.Dataset) -> OrthoImage:
    return derive(parent, load_registry().recipes["ndvi"], GRID)


def test_ndvi_against_arithmetic_in_double_precision() -> None:
    parent = _parent()
    image = _ndvi(parent)
    red, nir = (parent[name].to_numpy().astype(np.float64) for name in ("red", "nir"))
    with np.errstate(all="ignore"):
        expected = (nir - red) / (nir + red)
    found = image.pixels.sel(band="ndvi").to_numpy()
    inside = np.isfinite(expected) & (np.abs(expected) <= 1)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32


def test_quality_is_carried_and_added_to() -> None:
    image = _ndvi(_parent())
    found, qa = image.pixels.to_numpy()[0], image.qa.to_numpy()
    assert qa.dtype == np.uint16
    assert qa[5, 5] & (Qa.SATURATED | Qa.CLOUD) == Qa.SATURATED | Qa.CLOUD
    assert np.isnan(found[0, 0])
    assert qa[0, 0] == Qa.NO_TERRAIN | Qa.NODATA
    assert np.isnan(found[0, 1])
    assert qa[0, 1] == Qa.NODATA
    assert np.isnan(found[1, 0]), "0 / 0 has no value"
    assert qa[1, 0] == Qa.NODATA
    assert found[1, 1] == 1.0, "0.09 / 0.01 is clipped"
    assert qa[1, 1] == Qa.OUT_OF_RANGE
    np.testing.assert_array_equal(np.isnan(found), (qa & Qa.NODATA) != 0)


def test_stays_lazy_and_keeps_the_chunks(no_compute: None) -> None:
    image = _ndvi(_parent())
    assert image.pixels.chunks == ((1,), (16, 16, 8), (16, 14))
    assert image.qa.chunks == ((16, 16, 8), (16, 14))
    assert image.geobox == GRID


def test_same_pixels_whatever_the_chunks_and_workers() -> None:
    whole = dask.compute(_ndvi(_parent(64)).pixels, _ndvi(_parent(64)).qa, scheduler="synchronous")
    parts = dask.compute(_ndvi(_parent(7)).pixels, _ndvi(_parent(7)).qa, scheduler="threads", num_workers=3)
    for one, other in zip(whole, parts, strict=True):
        assert one.to_numpy().tobytes() == other.to_numpy().tobytes()


def test_same_input_same_task_names() -> None:
    assert _ndvi(_parent()).pixels.data.name == _ndvi(_parent()).pixels.data.name
    assert _ndvi(_parent()).pixels.data.name != _ndvi(_parent(8)).pixels.data.name


def test_a_parent_without_the_band_is_refused() -> None:
    with pytest.raises(BadInput, match="needs nir") as refused:
        _ndvi(_parent().drop_vars("nir"))
    assert refused.value.kind == "recipe.bands_missing"


def test_a_parent_on_another_grid_is_refused() -> None:
    with pytest.raises(Defect, match="grid"):
        derive(_parent(), load_registry().recipes["ndvi"], GRID.pad(1))


@pytest.mark.parametrize("expression", [None, "(nir - red) / green"])
def test_a_recipe_must_say_how(expression: str | None) -> None:
    ndvi = load_registry().recipes["ndvi"]
    output = ndvi.outputs[0].model_copy(update={"expression": expression})
    recipe = RecipeConfig.model_validate(ndvi.model_dump() | {"outputs": [output.model_dump()]})
    with pytest.raises(BadInput) as refused:
        derive(_parent(), recipe, GRID)
    assert refused.value.kind == "recipe.expression"
