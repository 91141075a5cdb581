"""Windows, levels, masks, points and lines: what a reader asks of a product, against the plain readers' answers."""

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers the accessor
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from processing.archive import shard_read
from processing.archive.open import mask_bits, open_product
from processing.archive.shard_read import ArrayLayout, read_window
from processing.archive.source import read_metadata
from processing.archive.window import onto, read_points, read_profile
from processing.model.errors import BadInput
from processing.model.qa import Qa

# rioxarray and odc multiply affines the old way, and odc calls shapely the old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

BASE = "measurements/reflectance/r4m"
LEFT, TOP = 650_000.0, 4_800_000.0


@st.composite
def windows(draw, shape=(1399, 1799)):
    def span(length):
        start = draw(st.integers(0, length))
        return slice(start, draw(st.integers(start, length)))

    return span(shape[0]), span(shape[1])


@pytest.mark.parametrize("threads", [1, 2])
@given(region=windows())
def test_any_window_is_what_zarr_reads(published, threads, region):
    path = "measurements/pan/r2m/pan"
    layout = ArrayLayout.of(read_metadata(published.store, path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_read, "_processors", lambda: threads)
        found = read_window(published.store, path, layout, region)
    expected = np.asarray(zarr.open_array(published.store, path=path, mode="r")[region])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_every_array_is_what_zarr_reads(published):
    root = zarr.open_group(published.store, mode="r")
    arrays = [(path, node) for path, node in root.members(max_depth=None) if getattr(node, "shards", None)]
    read = 0
    for path, array in arrays:
        layout = ArrayLayout.of(read_metadata(published.store, path))
        if array.ndim == 2:
            whole = tuple(slice(0, length) for length in array.shape)
            np.testing.assert_array_equal(read_window(published.store, path, layout, whole), array[:])
            read += 1
    assert read == 5 * 2 + 2 * 3


def test_arrays_of_others_are_left_to_others(tmp_path):
    for number, options in enumerate(({}, {"shards": (8, 8)}, {"shards": (8, 8), "compressors": None})):
        zarr.create_array(tmp_path / str(number), shape=(8, 8), chunks=(4, 4), dtype="u2", **options)
        assert ArrayLayout.of(read_metadata(tmp_path / str(number), "")) is None


def test_a_window_is_whole_pixels_around_its_bounds(published):
    inside = (LEFT + 401.0, TOP - 1203.0, LEFT + 799.0, TOP - 800.0)
    found = open_product(published.store, group="reflectance", bounds=inside)
    whole = open_product(published.store, group="reflectance")
    xr.testing.assert_identical(
        found.drop_attrs().load(), whole.isel(y=slice(200, 301), x=slice(100, 200)).drop_attrs()
    )
    assert found.rio.bounds() == (LEFT + 400, TOP - 1204, LEFT + 800, TOP - 800)
    assert tuple(found.rio.transform())[:6] == (4.0, 0.0, LEFT + 400, 0.0, -4.0, TOP - 800)
    assert found.odc.geobox == found.red.odc.geobox == whole.odc.geobox[200:301, 100:200]


def test_bounds_on_pixel_edges_take_in_no_neighbour(published):
    found = open_product(published.store, group="reflectance", bounds=(LEFT + 40, TOP - 80, LEFT + 80, TOP - 40))
    assert found.red.shape == (10, 10)
    box = GeoBox.from_bbox((LEFT + 40, TOP - 80, LEFT + 80, TOP - 40), "EPSG:32643", resolution=8)
    assert open_product(published.store, group="reflectance", bounds=box).odc.geobox == found.odc.geobox


def test_degrees_are_carried_to_the_map(published):
    to_degrees = Transformer.from_crs("EPSG:32643", "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(LEFT + 800, TOP - 1600, LEFT + 1600, TOP - 800)
    found = open_product(published.store, group="reflectance", bounds=(west, south, east, north), crs="EPSG:4326")
    left, bottom, right, top = found.rio.bounds()
    assert left <= LEFT + 800 < left + 30
    assert right >= LEFT + 1600 > right - 30
    assert bottom <= TOP - 1600 < bottom + 30
    assert top >= TOP - 800 > top - 30


@pytest.mark.parametrize(
    ("resolution", "pixel"), [(1.0, 2.0), (2.0, 2.0), (3.99, 2.0), (4.0, 4.0), (7.0, 4.0), (8.0, 8.0), (500.0, 8.0)]
)
def test_a_resolution_picks_the_coarsest_level_that_is_fine_enough(published, resolution, pixel):
    found = open_product(published.store, group="pan", resolution=resolution)
    assert abs(found.rio.resolution()[0]) == pixel


def test_coordinates_are_those_in_the_store(published):
    for level, name in enumerate(("r2m", "r4m", "r8m")):
        found = open_product(published.store, group="pan", level=level)
        plain = xr.open_zarr(published.store, group=f"measurements/pan/{name}")
        np.testing.assert_array_equal(found.x, plain.x)
        np.testing.assert_array_equal(found.y, plain.y)


def test_flags_that_are_asked_for_are_nodata(published):
    whole = open_product(published.store, group="reflectance").load()
    masked = open_product(published.store, group="reflectance", mask=("out_of_range", "nodata")).load()
    out = (whole.qa & int(Qa.OUT_OF_RANGE | Qa.NODATA)) != 0
    assert int(out.sum()) > int((whole.qa & int(Qa.NODATA) != 0).sum())
    xr.testing.assert_equal(masked.red, whole.red.where(~out))
    xr.testing.assert_equal(masked.qa, whole.qa)
    assert masked.green.dtype == "float32"
    stored = open_product(published.store, group="reflectance", masked=False, mask="out_of_range").load()
    assert stored.blue.dtype == "uint16"
    assert stored.blue.values[300, 400] == 0
    assert mask_bits(("cloud", "shadow")) == Qa.CLOUD | Qa.SHADOW


def test_a_slice_of_a_lazy_product_reads_the_chunks_under_it(published, monkeypatch):
    decoded = []
    decode = shard_read.decode_chunk
    monkeypatch.setattr(shard_read, "decode_chunk", lambda *given: decoded.append(given[2]) or decode(*given))
    dataset = open_product(published.store, group="pan", mask=("cloud",))
    dataset.pan[510:520, 510:520].compute()
    assert len(decoded) == 2  # one chunk of pixels, one of flags
    dataset.pan.isel(x=slice(490, 510), y=7).compute()
    assert len(decoded) == 6


@pytest.mark.parametrize(
    "region",
    [
        (slice(None, None, 3), 7), (slice(690, 3, -7), slice(None)), (slice(None, None, -1), slice(4, 4)), (-1, -1),
        (slice(5), slice(-6, None, 2)), ([5, 3, 600], slice(2, 9)),
    ],
)  # fmt: skip
def test_slices_of_any_kind_are_numpys(published, region):
    lazy = open_product(published.store, group="reflectance").red
    np.testing.assert_array_equal(lazy[region].values, lazy.values[region])
    np.testing.assert_array_equal(lazy[2:, 1:][region].values, lazy.values[2:, 1:][region])


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"bounds": (0, 0, 1, 1)}, "window.outside"),
        ({"bounds": (2, 0, 1, 1)}, "window.bounds"),
        ({"bounds": (0, float("nan"), 1, 1)}, "window.bounds"),
        ({"bounds": (0, 0, 1, 1), "crs": "EPSG:0"}, "crs.unknown"),
        ({"mask": ("clouds",)}, "product.mask"),
        ({"level": 0, "resolution": 4}, "product.level"),
        ({"resolution": -4}, "product.level"),
        ({"level": -1}, "product.level"),
    ],
)
def test_what_cannot_be_is_said(published, arguments, kind):
    with pytest.raises(BadInput) as caught:
        open_product(published.store, group="reflectance", **arguments)
    assert caught.value.kind == kind


def test_points_and_lines_are_what_rasterio_samples(published):
    dataset = open_product(published.store, group="reflectance")
    rng = np.random.default_rng(4)
    x, y = LEFT + rng.uniform(1, 3599, 40), TOP - rng.uniform(1, 2799, 40)
    to_degrees = Transformer.from_crs("EPSG:32643", "EPSG:4326", always_xy=True)
    found = read_points(dataset, *to_degrees.transform(x, y))
    line = read_profile(dataset, (LEFT + 1000, TOP - 2000), (LEFT + 1400, TOP - 1700), crs="EPSG:32643")
    assert line.sizes["point"] == 126
    assert float(line.distance[-1]) == 500.0
    with rasterio.open(published.files / "red.tif") as source:
        for points, places in ((found, zip(x, y, strict=True)), (line, zip(line.x.values, line.y.values, strict=True))):
            stored = np.array([value[0] for value in source.sample(places)], float)
            expected = np.where(stored == 0, np.nan, stored * 1e-4 - 0.1)
            np.testing.assert_allclose(points.red.values, expected, atol=1e-6)
    with pytest.raises(BadInput) as caught:
        read_points(dataset, [77.0, 0.0], [43.3, 0.0])
    assert caught.value.kind == "window.outside"


def test_another_grid_takes_values_between_and_flags_next(published):
    dataset = open_product(published.store, group="reflectance")
    box = GeoBox.from_bbox((LEFT + 1200, TOP - 1600, LEFT + 1600, TOP - 1200), "EPSG:32643", resolution=4)
    exact = onto(dataset, box).load()
    np.testing.assert_allclose(exact.red, dataset.red[300:400, 300:400], atol=1e-6)
    np.testing.assert_array_equal(exact.qa, dataset.qa[300:400, 300:400])
    degrees = GeoBox.from_bbox((76.86, 43.325, 76.87, 43.335), "EPSG:4326", resolution=1e-4)
    moved = onto(dataset, degrees).load()
    assert moved.red.shape == (100, 100)
    centre = read_points(dataset, [76.865], [43.330]).red[0]
    assert abs(float(moved.red[50, 50]) - float(centre)) < 0.05
