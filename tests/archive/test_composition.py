"""Composites of archived products, against a plain loop over all pixels; the same in whatever pieces and order."""

import pickle
import random
from datetime import date
from pathlib import Path

import dask
import numpy as np
import pytest
import shapely

from processing.archive import compose
from processing.archive import composition as module
from processing.archive.common_grid import common_grid
from processing.archive.compose import composed_images, survey_inputs
from processing.archive.composed_area import rings_on
from processing.archive.composition import Composition, Layer, by_preference
from processing.archive.manifest import read_manifest
from processing.archive.open import open_product
from processing.archive.write import publish_product
from processing.model.composite_layers import OBSERVATIONS, encoding_of
from processing.model.errors import BadInput
from processing.model.product import Product, StoredGroup
from processing.model.qa import Qa
from processing.model.scene import Band
from processing.products.composite import Method
from tests.archive import several, synthetic
from tests.archive.several import Observation, observations, truth

CORNERS = [several.lonlat(4.2, -3), several.lonlat(11, 92.7), several.lonlat(85.6, 70), several.lonlat(70, 9)]
HOLE = [several.lonlat(30, 40), several.lonlat(30, 50), several.lonlat(41.3, 44)]
AREA = shapely.Polygon(CORNERS, [HOLE])
"""Askew, with a hole, and in the north and east beyond what there is."""


@pytest.fixture(scope="module")
def seen() -> list[Observation]:
    return observations()


@pytest.fixture(scope="module")
def archived(seen, tmp_path_factory) -> tuple[Path, list[Product]]:
    home = tmp_path_factory.mktemp("several")
    return home, [one.publish(home) for one in seen]


def composed(home: Path, products: list[Product], method: str, minimum: int = 1) -> Composition:
    groups = [product.groups[0] for product in products]
    rings = rings_on(AREA, groups[0].crs)
    box, extents = common_grid(groups, rings[0].bounds)
    layers = [
        Layer.of(
            home / product.archive_href, "reflectance", f"{product.collection}/{product.id}", product.acquired,
            product.angles["view_zenith_deg"], extent,
        )
        for product, extent in zip(products, extents, strict=True)
    ]  # fmt: skip
    return Composition(
        geobox=box, layers=by_preference(layers, Method(method)), bands=several.BANDS, method=Method(method),
        minimum=minimum, rings=rings,
    )  # fmt: skip


def published(home: Path, composition: Composition, name: str = "composite") -> Product:
    bands = [Band(name=band, label=band) for band in several.BANDS]
    images = composed_images(composition, group="reflectance", bands=bands, quantity="toa_reflectance", token=name)
    encodings = dict.fromkeys(several.BANDS, synthetic.REFLECTANCE)
    said = {layer: encoding_of(layer) for layer in composition.said}
    draft = synthetic.draft(
        several.BANDS, item=f"KZ1_{name}", collection="kazeosat-1-composite", encodings=encodings | said,
        visual=("red",), parents=("kazeosat-1-l1c/x",),
    )  # fmt: skip
    return publish_product(home, draft, images)


def on_common_grid(composition: Composition, array: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
    """A composite's array, and its window of the grid that observations are counted on."""
    affine = composition.geobox.affine
    row, column = round((several.NORTH - affine.f) / several.PIXEL), round((affine.c - several.EAST) / several.PIXEL)
    rows, columns = array.shape[-2:]
    return array, (slice(row, row + rows), slice(column, column + columns))


@pytest.mark.parametrize("minimum", [1, 2])
@pytest.mark.parametrize("method", ["median", "latest", "clearest"])
def test_every_pixel_is_what_a_plain_loop_makes_of_it(archived, seen, tmp_path, method, minimum):
    home, products = archived
    composition = composed(home, products, method, minimum)
    product = published(tmp_path, composition)
    image = open_product(tmp_path / product.archive_href, masked=False)
    beside = open_product(tmp_path / product.archive_href, group=OBSERVATIONS, masked=False)
    red, window = on_common_grid(composition, image.red.values)
    expected = truth(seen, method, AREA, minimum=minimum, window=window)
    assert (expected.count > 0).sum() > 1000
    assert (expected.count == 0).sum() > 1000
    assert np.array_equal(red, expected.stored[0])
    assert np.array_equal(image.nir.values, expected.stored[1])
    assert np.array_equal(image.qa.values, expected.flags)
    assert np.array_equal(beside.observations.values, expected.count)
    assert np.array_equal(beside.qa.values, expected.flags)
    if method == "median":
        assert "day" not in beside
    else:
        assert np.array_equal(beside.day.values, expected.day)
    found = survey_inputs(composition)
    assert found.covered == (expected.count > 0).sum()
    assert (found.observations, found.most) == (expected.count.sum(dtype=int), expected.count.max())
    if method != "median":
        days = [(layer.acquired.date() - several.FIRST.date()).days for layer in composition.layers]
        base = (several.FIRST.date() - date(1970, 1, 1)).days
        assert found.used == tuple(int((expected.day == base + day).sum()) for day in days)


@pytest.mark.parametrize("method", ["median", "clearest"])
def test_bytes_do_not_depend_on_pieces_order_threads_or_journeys(archived, tmp_path, monkeypatch, method):
    home, products = archived

    def made(name: str, order: list[Product]) -> dict[str, str]:
        place = tmp_path / name
        place.mkdir()
        sent = pickle.loads(pickle.dumps(composed(home, order, method)))  # as to a worker
        store = place / published(place, sent).archive_href
        return {key: record.sha256 for key, record in read_manifest(store).items()}

    with dask.config.set(scheduler="synchronous"):
        first = made("one", products)
    shuffled = random.Random(7).sample(products, len(products))
    assert shuffled != products
    with monkeypatch.context() as patch, dask.config.set(scheduler="threads", num_workers=2):
        patch.setattr(module, "_PIECE_BYTES", 1)  # ten rows at a time
        patch.setattr(module, "CHUNK_PX", 37)
        assert made("two", shuffled) == first
    with monkeypatch.context() as patch, dask.config.set(scheduler="threads", num_workers=2):
        patch.setattr(module, "SHARD_PX", 40)  # blocks that are no shards: through the lazy arrays
        patch.setattr(compose, "SHARD_PX", 40)
        assert len(composed(home, products, method).blocks()) == 9
        assert made("three", shuffled[::-1]) == first


def test_lazy_arrays_are_the_same_pixels(archived, tmp_path):
    home, products = archived
    composition = composed(home, products, "latest")
    bands = [Band(name=band, label=band) for band in several.BANDS]
    image, beside = composed_images(composition, group="reflectance", bands=bands, quantity="toa", token="t")
    stored = open_product(tmp_path / published(tmp_path, composition).archive_href)
    with dask.config.set(scheduler="synchronous"):
        assert np.array_equal(image.pixels.sel(band="nir").values, stored.nir.values, equal_nan=True)
        assert np.array_equal(image.qa.values, stored.qa.values)
        assert np.array_equal(beside.pixels.sel(band="observations").values > 0, stored.nir.notnull().values)


def test_bands_are_read_only_where_they_are_needed(archived, monkeypatch):
    """Of an input that no pixel is taken from, flags are read and nothing else; a survey reads no band at all."""
    home, products = archived
    composition = composed(home, products, "latest")
    read: list[tuple[str, str]] = []
    really = Layer.read

    def watched(layer, band, region):
        read.append((layer.name, band))
        return really(layer, band, region)

    monkeypatch.setattr(Layer, "read", watched)
    with dask.config.set(scheduler="synchronous"):
        used = survey_inputs(composition).used
        assert {band for _, band in read} == {"qa"}
        read.clear()
        list(composition.image_tiles((0, 0)))
    banded = {name for name, band in read if band != "qa"}
    assert banded == {layer.name for layer, count in zip(composition.layers, used, strict=True) if count}


def test_of_one_time_the_name_decides(tmp_path):
    """Two scenes of one second: whichever comes first in whatever order they are named, the result is the same."""
    twins = [
        Observation(
            number=number, stored=np.full((2, 20, 20), 2000 + number, np.uint16), flags=np.zeros((20, 20), np.uint16),
            row=30, column=30, zenith=5.0, days=0,
        )
        for number in range(2)
    ]  # fmt: skip
    products = [twin.publish(tmp_path) for twin in twins]
    for order in (products, products[::-1]):
        (tile,) = [tile for tile in composed(tmp_path, order, "latest").image_tiles((0, 0)) if tile.values is not None]
        stored = np.rint((tile.values[0][np.isfinite(tile.values[0])] + 0.1) / 1e-4)
        assert set(stored.tolist()) == {2000.0}


def group(left: float, top: float, *, crs: str = "EPSG:32643", size: float = 4.0, shape=(600, 700)) -> StoredGroup:
    transform = (size, 0.0, left, 0.0, -size, top)
    return StoredGroup(name="g", path="g/r", resolution_m=size, crs=crs, transform=transform, shape=shape)


def test_the_grid_is_that_of_the_lattice_and_ends_where_items_end():
    """Whole chunks from the map's origin where items reach so far: then a composite is a slice of a cube, too."""
    first, second = group(650_000, 4_800_000), group(650_000 + 4 * 500, 4_800_000 - 4 * 250)
    box, extents = common_grid([first, second], (650_000 + 4 * 520, 4_800_000 - 4 * 610, 650_000 + 4 * 530, 4_800_000))
    assert tuple(box.affine)[:6] == (4.0, 0.0, 650_000 + 4 * 500, 0.0, -4.0, 4_800_000.0)
    assert box.shape == (850, 500)
    assert extents == ((slice(0, 600), slice(-500, 200)), (slice(250, 850), slice(0, 700)))


@pytest.mark.parametrize(
    "other",
    [
        group(650_000, 4_800_000, crs="EPSG:32644"),
        group(650_002, 4_800_000),
        group(650_000, 4_800_000.1),
        group(650_000, 4_800_000, size=2.0),
    ],
    ids=["zone", "half a pixel", "a part of a pixel", "size"],
)
def test_nothing_is_moved_by_parts_of_a_pixel(other):
    with pytest.raises(BadInput, match="do not lie on one grid") as refused:
        common_grid([group(650_000, 4_800_000), other], (650_000, 4_799_000, 651_000, 4_800_000))
    assert refused.value.kind == "composite.grids"
    assert "crs" in str(refused.value.remedy)


def test_an_area_beside_the_items_is_refused():
    with pytest.raises(BadInput, match="reaches into the area") as refused:
        common_grid([group(650_000, 4_800_000)], (640_000, 4_790_000, 650_000, 4_800_000))
    assert refused.value.kind == "composite.outside"


def test_what_lies_outside_of_every_item_has_no_value_and_says_so(archived):
    home, products = archived
    alone = composed(home, products[:1], "median")
    for tile in alone.image_tiles((0, 0)):
        empty = np.ones(tile.qa.shape, bool) if tile.values is None else np.isnan(tile.values).all(axis=0)
        assert ((tile.qa & Qa.NODATA) != 0)[empty].all()
