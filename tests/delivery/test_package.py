"""What is in a package: held against other ways to the same pixels, and against programs that know nothing of us."""

import io
import json
import shutil
import subprocess

import bagit
import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.warp import Resampling, reproject
from shapely import transform
from shapely.geometry import shape

from catalogs.delivery.order import OrderState
from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.package import DELIVERY, check_package, open_delivery, signed
from catalogs.delivery.package_keys import signing_key
from catalogs.policy.audit import AuditLog
from catalogs.validate import validate_collection, validate_item
from pipelines.deliver_send import send_package
from processing.archive.open import open_product
from processing.model.errors import BadInput, Conflict, Denied, Retryable
from tests.delivery.conftest import NAMES, stored

# odc-geo warps with a function of shapely's that shapely discourages.
pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")


def made(house, customer="akimat", **asked):
    order = house.make(house.order(customer, **asked).id)
    assert order.state == OrderState.READY, order.history[-1]
    return order


def covered(path, area, *, touched: bool) -> np.ndarray:
    """Which pixels of a raster lie in an area, by GDAL's own rasterizer."""
    with rasterio.open(path) as source:
        mover = Transformer.from_crs(4326, source.crs, always_xy=True)
        drawn = transform(shape(area).segmentize(1e-4), mover.transform, interleaved=False)
        return rasterize([drawn], source.shape, transform=source.transform, all_touched=touched).astype(bool)


def test_a_package_is_a_bag_that_other_programs_accept(house):
    order = made(house)
    folder = house.package(order.id)
    bagit.Bag(str(folder)).validate()
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "manifest-sha256.txt"], cwd=folder, check=True)
    item = json.loads((house.files(order.id) / "item.json").read_bytes())
    validate_item(item)
    validate_collection(json.loads((house.files(order.id).parent / "collection.json").read_bytes()))
    assert item["properties"]["order:id"] == order.id
    for key, asset in item["assets"].items():
        path = house.files(order.id) / asset["href"]
        assert path.is_file(), key
        assert path.stat().st_size == asset["file:size"]
    assert {*NAMES, "pan", "qa", "visual", "thumbnail", "quality"} <= set(item["assets"])
    assert "kz-domestic-gov-1" in (folder / "data" / "LICENCE.txt").read_text()
    with rasterio.open(house.files(order.id) / "red.tif") as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.tags()["QYRAN_ORDER"] == order.id


def test_a_whole_scene_is_delivered_as_it_is_archived(house):
    order = made(house)
    archived = house.home / "products" / house.name
    for name in (*NAMES, "pan", "qa"):
        assert np.array_equal(stored(house.files(order.id) / f"{name}.tif"), stored(archived / f"{name}.tif"))


def test_a_clip_holds_exactly_what_lies_in_it(house):
    area = {"type": "Polygon", "coordinates": [[
        np.array(house.item["bbox"][:2]) + np.array(at) for at in ((0.004, 0.002), (0.012, 0.004), (0.009, 0.009))
    ]]}  # fmt: skip
    ring = [list(map(float, point)) for point in area["coordinates"][0]]
    area["coordinates"] = [[*ring, ring[0]]]
    order = made(house, clip=area)
    archived, cut = house.home / "products" / house.name / "red.tif", house.files(order.id) / "red.tif"
    with rasterio.open(cut) as part, rasterio.open(archived) as whole:
        window = rasterio.windows.from_bounds(*part.bounds, transform=whole.transform)
        original = whole.read(1, window=window)
        got = part.read(1)
        inside = covered(cut, area, touched=False)
        assert inside.any()
        assert np.array_equal(got, np.where(inside, original, part.nodata))
        flags = stored(house.files(order.id) / "qa.tif")
        assert (flags[~inside] == 1).all()
    item = json.loads((house.files(order.id) / "item.json").read_bytes())
    assert shape(item["geometry"]).within(shape(area).buffer(1e-4))
    assert float(order.km2) == pytest.approx(
        shape(item["geometry"]).area * 111.19**2 * np.cos(np.radians(43.3)), rel=0.1
    )


def test_what_is_taken_out_is_in_no_file_at_no_level(house):
    area = house.inner(0.4, 0.4, 0.6, 0.6)
    clean = made(house, "aigul")
    house.excluded(area)
    order = made(house)
    assert order.package.rulings[house.name].masks == ("excluded",)
    folder = house.files(order.id)
    for name in (*NAMES, "pan"):
        hidden = covered(folder / f"{name}.tif", area, touched=True)
        with rasterio.open(folder / f"{name}.tif") as source:
            assert (source.read(1)[hidden] == source.nodata).all()
            whole = stored(house.files(clean.id) / f"{name}.tif")
            kept = source.read(1) != source.nodata
            assert kept.any()
            assert np.array_equal(source.read(1)[kept], whole[kept])
            factors = source.overviews(1)
        for number, factor in enumerate(factors):
            with rasterio.open(folder / f"{name}.tif", overview_level=number) as coarse:
                rows, columns = coarse.shape
                inner = hidden[: rows * factor : factor, : columns * factor : factor]
                full = np.ones((rows, columns), bool)
                block = np.zeros((rows * factor, columns * factor), bool)
                block[: hidden.shape[0], : hidden.shape[1]] = hidden[: block.shape[0], : block.shape[1]]
                full &= block.reshape(rows, factor, columns, factor).all(axis=(1, 3))
                assert inner.any()
                assert (coarse.read(1)[full] == coarse.nodata).all()
    picture = np.asarray(Image.open(io.BytesIO((folder / "thumbnail.webp").read_bytes())).convert("RGBA"))
    rows, columns = picture.shape[:2]
    assert (picture[int(rows * 0.48) : int(rows * 0.52), int(columns * 0.48) : int(columns * 0.52), 3] == 0).all()
    report = json.loads((folder / "quality.json").read_bytes())
    values = stored(folder / "red.tif").astype(float)
    valid = values[values != 0] * 1e-4 - 0.1
    assert report["bands"]["red"]["mean"] == pytest.approx(valid.mean(), abs=1e-6)
    assert report["bands"]["red"]["maximum"] == pytest.approx(valid.max(), abs=1e-6)
    # And what was hidden lies hidden in the signed words too.
    told = (house.package(order.id) / DELIVERY).read_text()
    assert "excluded" not in told
    assert '"masked": true' in told


def test_coarser_means_coarser_on_the_ground(house, monkeypatch):
    from dataclasses import replace

    from catalogs.delivery import quote
    from catalogs.policy.decide import decide

    monkeypatch.setattr(quote, "decide", lambda *given: replace(decide(*given), gsd_m=20.0))
    for crs in (None, "EPSG:4326", "EPSG:32644"):
        order = made(house, crs=crs)
        with rasterio.open(house.files(order.id) / "red.tif") as source:
            west, north = source.transform @ (0, 0)
            east, south = source.transform @ (1, 1)
            if source.crs.is_geographic:
                across = (east - west) * 111_320 * np.cos(np.radians(north))
                assert min(across, (north - south) * 110_900) >= 19.9
            else:
                assert min(east - west, north - south) >= 19.9
            got = source.read(1)
            target = np.zeros(source.shape, np.float32)
            with rasterio.open(house.home / "products" / house.name / "red.tif") as whole:
                reproject(rasterio.band(whole, 1), target, src_nodata=0, dst_nodata=0, dst_transform=source.transform,
                          dst_crs=source.crs, resampling=Resampling.average)  # fmt: skip
        both = (got > 0) & (target > 0)
        assert both.mean() > 0.5
        assert np.abs(got[both] - target[both]).max() <= 3
        item = json.loads((house.files(order.id) / "item.json").read_bytes())
        assert item["properties"]["gsd"] == 20.0


def test_another_map_is_gdals_own_warp(house):
    order = made(house, crs="EPSG:4326", bands=("red",))
    with rasterio.open(house.files(order.id) / "red.tif") as source:
        assert source.crs.to_epsg() == 4326
        got, target = source.read(1), np.full(source.shape, np.nan, np.float32)
        with rasterio.open(house.home / "products" / house.name / "red.tif") as whole:
            values = np.where(whole.read(1) == 0, np.nan, whole.read(1)).astype(np.float32)
            reproject(values, target, src_transform=whole.transform, src_crs=whole.crs, src_nodata=np.nan,
                      dst_nodata=np.nan, dst_transform=source.transform, dst_crs=source.crs,
                      resampling=Resampling.cubic)  # fmt: skip
    both = (got > 0) & np.isfinite(target)
    assert both.sum() > 0.99 * (got > 0).sum()
    assert np.percentile(np.abs(got[both] - target[both]), 99) <= 8
    assert sorted(path.stem for path in house.files(order.id).glob("*.tif")) == ["qa", "red", "visual"]


def test_zarr_is_the_same_pixels(house):
    clip = house.inner(0.3, 0.3, 0.7, 0.7)
    cogs, store = made(house, clip=clip), made(house, clip=clip, format="zarr")
    folder = house.files(store.id)
    opened = open_product(folder / f"{house.product.id}.zarr", group="reflectance", masked=False)
    for name in NAMES:
        assert np.array_equal(opened[name].values, stored(house.files(cogs.id) / f"{name}.tif"))
    validate_item(json.loads((folder / "item.json").read_bytes()))
    assert not list(folder.glob("*.tif"))


@pytest.mark.parametrize("form", ["cog", "zarr"])
def test_twice_made_is_the_same_to_the_byte(house, form):
    order = made(house, format=form, clip=house.inner(0.2, 0.2, 0.6, 0.7), crs="EPSG:32644")
    folder = house.package(order.id)
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    rows = sum(1 for _ in AuditLog.open(house.home).entries())
    assert house.make(order.id, again=True).state == OrderState.READY
    again = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert first == again
    assert sum(1 for _ in AuditLog.open(house.home).entries()) == rows


def test_every_changed_byte_is_noticed_and_no_other_key_will_do(house, tmp_path):
    order = made(house, bands=("red",), clip=house.inner(0.4, 0.4, 0.5, 0.5))
    key = signing_key(house.home)
    folder = shutil.copytree(house.package(order.id), tmp_path / "copy")
    content = (folder / DELIVERY).read_bytes()
    opened = open_delivery(content, key.public)
    assert check_package(folder, opened) == ()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DELIVERY):
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert [finding.what for finding in check_package(folder, opened)] == ["sha256"], path
        path.write_bytes(good)
    (folder / "data" / "more.tif").write_bytes(b"x")
    (folder / "data" / "LICENCE.txt").unlink()
    assert {finding.what for finding in check_package(folder, opened)} == {"unexpected", "missing"}
    document = json.loads(content)
    for place in range(0, len(content), 97):
        changed = bytes([*content[:place], content[place] ^ 1, *content[place + 1 :]])
        try:
            same = open_delivery(changed, key.public).payload
        except BadInput:
            continue
        assert same == opened.payload, place  # white space, or the key's own name, which is not what is believed
    other = signing_key(tmp_path / "elsewhere")
    with pytest.raises(BadInput) as caught:
        open_delivery(signed(document["payload"], other), key.public)
    assert caught.value.kind == "delivery.signature"


def test_no_record_no_delivery(house, monkeypatch):
    order = house.order("akimat")

    def full(*_, **__):
        raise Retryable("the disk is full", kind="disk.full")

    monkeypatch.setattr(AuditLog, "append", full)
    with pytest.raises(Retryable):
        house.make(order.id)
    assert not house.package(order.id).exists()
    assert house.find(order.id).package is None
    monkeypatch.undo()
    assert house.make(order.id).state == OrderState.READY


def test_the_audit_holds_what_was_delivered(house):
    order = made(house)
    payload = json.loads((house.package(order.id) / DELIVERY).read_bytes())["payload"]
    entry = next(row for row in AuditLog.open(house.home).entries() if row.document["action"] == "order.deliver")
    assert entry.document["objects"][0] == {"id": order.id, "sha256": payload["manifest_sha256"]}
    assert entry.hash in json.dumps(payload["audit"])
    assert "akimat" not in json.dumps(entry.document)


def test_what_policy_takes_away_in_between_is_not_made(house):
    order = house.order("buyer", licence_accepted="kz-export-eula-2")
    with open_desk(house.home) as desk:
        desk.customers.withdraw_licence("buyer", "kz-export-eula-2")
    assert house.make(order.id).state == OrderState.REJECTED
    area = house.order("akimat", clip=house.inner(0.4, 0.4, 0.5, 0.5))
    house.excluded(house.inner(0.3, 0.3, 0.6, 0.6))
    assert house.make(area.id).state == OrderState.REJECTED
    with pytest.raises(Conflict):
        house.make(area.id)
    ready = house.find(order.id)
    assert ready.package is None
    with pytest.raises(Denied):
        house.order("akimat", clip=house.inner(0.4, 0.4, 0.5, 0.5))


@pytest.mark.services
def test_into_the_customers_bucket(house, s3, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    order = made(house, clip=house.inner(0.4, 0.4, 0.6, 0.6))
    folder, bucket = house.package(order.id), s3.new_bucket()
    opened = open_delivery((folder / DELIVERY).read_bytes(), None)
    for _ in range(2):  # a second time sends nothing and spoils nothing
        assert send_package(folder, order.id, f"s3://{bucket}/in", opened) == f"s3://{bucket}/in/{order.id}"
    store = s3.store(bucket, f"in/{order.id}")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert bytes(store.get(path.relative_to(folder).as_posix()).bytes()) == path.read_bytes()
    other = made(house, clip=house.inner(0.4, 0.4, 0.7, 0.6))
    opened = open_delivery((house.package(other.id) / DELIVERY).read_bytes(), None)
    with pytest.raises(Conflict):
        send_package(house.package(other.id), order.id, f"s3://{bucket}/in", opened)
