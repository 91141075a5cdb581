"""Whose a file was: the fingerprint in delivered pixels, found again in parts and copies, and in nothing else."""

import json
import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window
from typer.testing import CliRunner

from catalogs.delivery.order import OrderState
from catalogs.delivery.package import DELIVERY, open_delivery
from configs.settings import Home
from pipelines.cli import app
from pipelines.order_trace import trace_file
from processing.archive.encode import decode
from processing.archive.marked import _marked
from processing.model.errors import BadInput
from processing.model.product import Encoding
from processing.model.qa import Qa
from processing.products.fingerprint import BLOCK, SHARE, evidence, marks, order_key

pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")
LICENCE = {"licence_accepted": "kz-export-eula-2"}
KEY = order_key(b"secret", "o-1")


def made(house, customer, **asked):
    order = house.make(house.order(customer, **(LICENCE if customer == "buyer" else {}) | asked).id)
    assert order.state == OrderState.READY, order.history[-1]
    return order


@pytest.fixture
def sold(house):
    """A clean delivery, and two with fingerprints: one of everything, one of a part."""
    inner = house.inner(0.2, 0.2, 0.9, 0.9)
    return house, made(house, "akimat"), made(house, "buyer"), made(house, "buyer", clip=inner, bands=["red"])


def read(path):
    with rasterio.open(path) as source:
        return source.read(1), source.profile


def part(source, target, window):
    with rasterio.open(source) as opened:
        profile = opened.profile | {
            "width": window.width, "height": window.height, "transform": opened.window_transform(window),
            "driver": "GTiff", "tiled": False, "count": 2, "compress": None, "blockysize": 1,
        }  # fmt: skip
        profile.pop("blockxsize", None)
        pixels = opened.read(1, window=window)
    with rasterio.open(target, "w", **profile) as opened:
        opened.write(np.full_like(pixels, 7), 1)
        opened.write(pixels, 2)
    return target


def test_pixels_carry_it_and_nothing_else_changes(sold):
    house, clean, bought, _ = sold
    for name in ("red", "pan"):
        original, profile = read(house.files(clean.id) / f"{name}.tif")
        pixels, _ = read(house.files(bought.id) / f"{name}.tif")
        flags, _ = read(house.files(clean.id) / ("qa_pan.tif" if name == "pan" else "qa.tif"))
        changed = pixels != original
        assert np.abs(pixels.astype(int) - original.astype(int)).max() == 1
        sound = ((flags & ~np.uint16(Qa.CLOUD_NOT_TESTED)) == 0) & (original != profile["nodata"])
        assert not changed[~sound].any()
        assert changed[sound].mean() == pytest.approx(SHARE, rel=0.2)
        assert ((pixels == profile["nodata"]) == (original == profile["nodata"])).all()
    for path in house.files(clean.id).glob("qa*.tif"):
        assert (read(path)[0] == read(house.files(bought.id) / path.name)[0]).all()
    item = json.loads((house.files(bought.id) / "item.json").read_bytes())
    assert item["properties"]["qyran:fingerprint"]["largest_change_counts"] == 1
    assert "qyran:fingerprint" not in json.loads((house.files(clean.id) / "item.json").read_bytes())["properties"]
    told = open_delivery((house.package(bought.id) / DELIVERY).read_bytes(), None)
    assert "fingerprint" in json.dumps(told.payload)


def test_the_right_order_is_found_in_parts_and_copies(sold, tmp_path):
    house, clean, bought, other = sold
    place, home = house.files(bought.id) / "red.tif", Home(house.home)
    cut = part(place, tmp_path / "cut.tif", Window(90, 70, 210, 150))
    for path in (place, cut):
        found = trace_file(home, path)
        assert [trace.order for trace in found.traces] == [bought.id]
        assert found.orders == 2
        assert found.traces[0].band == "red"
        assert found.traces[0].evidence.log10_p < -30
    assert [trace.order for trace in trace_file(home, house.files(other.id) / "red.tif").traces] == [other.id]
    for band in ("red", "pan", "nir"):
        assert trace_file(home, house.files(clean.id) / f"{band}.tif").traces == ()
    shown = CliRunner().invoke(app, ["order", "trace", str(cut), "--home", str(house.home), "--json"])
    assert shown.exit_code == 0, (shown.output, shown.exception)
    assert json.loads(shown.stdout)["order"] == bought.id
    (tmp_path / "no.tif").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="cannot be traced"):
        trace_file(home, tmp_path / "no.tif")


def test_the_same_order_made_again_has_the_same_bytes(sold):
    house, _, bought, _ = sold
    before = {path.name: path.read_bytes() for path in house.files(bought.id).iterdir() if path.is_file()}
    house.make(bought.id, again=True)
    assert {path.name: path.read_bytes() for path in house.files(bought.id).iterdir() if path.is_file()} == before


def test_on_another_map_it_is_found_too(house):
    order = made(house, "buyer", crs="EPSG:3857", bands=["red"])
    assert [one.order for one in trace_file(Home(house.home), house.files(order.id) / "red.tif").traces] == [order.id]


@given(row=st.integers(-300, 300), column=st.integers(-300, 300), rows=st.integers(1, 150), columns=st.integers(1, 150))
def test_a_window_has_the_pattern_of_the_whole(row, column, rows, columns):
    whole = marks(KEY, "red", (-5 * BLOCK, -5 * BLOCK), (15 * BLOCK, 15 * BLOCK))
    top, left = row + 5 * BLOCK, column + 5 * BLOCK
    assert (marks(KEY, "red", (row, column), (rows, columns)) == whole[top : top + rows, left : left + columns]).all()


@given(low=st.integers(0, 65_535), seed=st.integers(0, 99))
def test_no_value_becomes_nodata_or_leaves_its_range(low, seed):
    """Whatever is stored, the ends of the range among it: only sound pixels between the ends change, by one."""
    encoding = Encoding(title="-", dtype="uint16", scale=1e-4, offset=-0.1, nodata=0)
    stored = np.clip(low + np.random.default_rng(seed).integers(-2, 3, (64, 64)), 0, 65_535).astype(np.uint16)
    flags = np.random.default_rng(seed).integers(0, 3, (64, 64)).astype(np.uint16)
    plane = decode(stored, encoding)
    pattern = marks(KEY, "red", (0, 0), (64, 64))
    after = np.rint((_marked(plane, flags, encoding, pattern).astype(float) - encoding.offset) / encoding.scale)
    may = (flags == 0) & (stored > 1) & (stored < 65_535)
    kept = np.isfinite(plane)
    assert (np.isnan(after) == ~kept).all()
    assert (after[kept] - stored[kept] == np.where(may, pattern, 0)[kept]).all()


def test_chance_finds_nothing():
    """2,000 patterns of other orders against one that is there, and against noise: none is found."""
    there = np.ones((128, 128), bool)
    own = marks(KEY, "red", (0, 0), there.shape)
    noise = np.random.default_rng(1).integers(-1, 2, there.shape)
    assert evidence(own, there, own).found
    worst = 0.0
    for number in range(1_000):
        other = marks(order_key(b"secret", f"o-x{number}"), "red", (0, 0), there.shape)
        worst = min(worst, evidence(own, there, other).log10_p, evidence(noise, there, other).log10_p)
    assert worst > -6, worst
    assert math.isclose(evidence(np.zeros_like(own), there, own).log10_p, 0.0, abs_tol=1e-9)
