"""Tiles, previews and values of products whose pixels lie in their Zarr store alone, against those from COGs."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from rasterio.features import geometry_mask
from rasterio.warp import transform_bounds, transform_geom
from shapely.geometry import shape

from catalogs.api import tiles_layers, tiles_pictures
from catalogs.api.refused import NotFound
from catalogs.api.rights import WHOLE, Reduced
from catalogs.api.tiles_layers import Layer, Shown, Source
from catalogs.item import to_item
from configs.registry import load_registry
from processing.archive import open_levels
from processing.archive.layout import COG_TYPE, BandPlace
from processing.archive.write import publish_product
from processing.model.product import Product
from tests.archive import synthetic
from tests.catalogs.test_tiles import address, middle, register
from tests.policy.shipped import altered
from tests.policy.test_enforcement import Running, excluded_in, served
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services
NAMES = ("blue", "green", "red", "nir")
SHAPE, PAN_SHAPE = (520, 640), (1041, 1283)
"""Two levels whose pixels divide the image's, and three that do not."""


@dataclass(frozen=True)
class Kept:
    """One product three times: with its COGs, with a record of COGs that are gone, and with its store alone."""

    homes: dict[str, Path]
    items: dict[str, dict[str, Any]]


def published(home: Path, pixels: np.ndarray, pan: np.ndarray) -> Product:
    images = [
        synthetic.image(pixels, synthetic.geobox(SHAPE), NAMES),
        synthetic.image(pan, synthetic.geobox(PAN_SHAPE, 2.0), ("pan",), group="pan"),
    ]
    return publish_product(home, synthetic.draft((*NAMES, "pan"), gsd_m=1.0), images)


def item_of(product: Product) -> dict[str, Any]:
    known = load_registry()
    return to_item(
        product, known.missions[product.mission], known.sensors[product.sensor], known.recipes[product.recipe]
    )


def without_cogs(home: Path, item: dict[str, Any], *, listed: bool) -> dict[str, Any]:
    """Remove all COGs of an item, and unless they stay listed, what the item says of them."""
    folder = home / "products" / item["collection"] / item["id"]
    left = json.loads(json.dumps(item))
    for key, asset in item["assets"].items():
        if asset["type"] == COG_TYPE:
            (folder / asset["href"]).unlink()
            if not listed:
                del left["assets"][key]
    return left


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Kept:
    home = tmp_path_factory.mktemp("kept")
    item = item_of(published(home / "cogs", synthetic.values(SHAPE, 4), synthetic.values(PAN_SHAPE, 1)))
    for name in ("lost", "store"):
        shutil.copytree(home / "cogs", home / name, symlinks=True)
    items = {
        "cogs": item,
        "lost": without_cogs(home / "lost", item, listed=True),
        "store": without_cogs(home / "store", item, listed=False),
    }
    return Kept({name: home / name for name in items}, items)


@pytest.fixture(scope="module")
def clients(kept) -> Iterator[dict[str, httpx.Client]]:
    with ExitStack() as stack:
        found = {}
        for name, item in kept.items.items():
            server: ApiServer = stack.enter_context(api_serving(kept.homes[name]))
            register(server.store, item)
            found[name] = stack.enter_context(server.client())
        yield found


@pytest.fixture(scope="module")
def place(kept) -> str:
    return f"/tiles/{kept.items['cogs']['collection']}/{kept.items['cogs']['id']}"


def picture(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)


def tiles(item: dict[str, Any], zoom: int) -> list[str]:
    """The tile in the middle, and three beside it."""
    x, y = address(*middle(item), zoom)
    side = 2**zoom
    return [f"{zoom}/{(x + i) % side}/{y + j}.png" for i in (0, 1) for j in (-1, 0) if 0 <= y + j < side]


def test_tiles_are_those_of_the_cogs(kept, clients, place, monkeypatch):
    """Every byte, at every zoom, where the pixels of all levels divide the image's; windows of every level."""
    monkeypatch.setattr(open_levels, "_WHOLE_PX", 16)
    opaque = 0
    for zoom in (0, 11, 13, 14, 16):
        for tile in tiles(kept.items["cogs"], zoom):
            for layer in ("true-colour", "qa"):
                cogs = clients["cogs"].get(f"{place}/{layer}/{tile}")
                for name in ("lost", "store"):
                    assert clients[name].get(f"{place}/{layer}/{tile}").content == cogs.content, (layer, tile, name)
                opaque += int(picture(cogs)[..., 3].any())
    assert opaque > 15


def test_levels_that_do_not_divide_the_image_lie_where_their_pixels_are(kept, clients, place):
    """GDAL stretches an overview of 641 columns over 1283; those of a level are twice as wide, and the last sticks out.

    So coarser tiles differ by what less than a pixel of the level does, and the finest do not.
    """
    for zoom in (12, 13, 14, 16):
        x, y = address(*middle(kept.items["cogs"]), zoom)
        one, two = (picture(clients[name].get(f"{place}/pan/{zoom}/{x}/{y}.png")) for name in ("cogs", "lost"))
        both = (one[..., 3] == 255) & (two[..., 3] == 255)
        assert both.any()
        difference = np.abs(one - two)[both].max(axis=-1)
        if zoom >= 16:
            assert not difference.any()
            assert (one == two).all()
        assert difference.mean() < 6
        assert ((one[..., 3] == 255) != (two[..., 3] == 255)).mean() < 0.01


def test_values_are_those_of_the_cogs(kept, clients, place):
    west, south, east, north = kept.items["cogs"]["bbox"]
    lon, lat = middle(kept.items["cogs"])
    inner = f"{lon - 0.004},{lat - 0.003},{lon + 0.003},{lat + 0.004}"
    paths = [
        *(f"/{key}/statistics{query}" for key in (*NAMES, "pan", "qa", "qa_pan")
          for query in ("", f"?bbox={inner}", "?bbox=0,0,1,1")),
        f"/point?lon={lon}&lat={lat}", f"/point?lon={west}&lat={north}", "/point?lon=-150&lat=-89.9",
        f"/profile?line={west},{south},{lon},{north},{east},{south}&points=77",
    ]  # fmt: skip
    for path in paths:
        answers = {name: client.get(place + path) for name, client in clients.items()}
        assert answers["cogs"].status_code == 200, path
        cogs = answers["cogs"].json()
        for name in ("lost", "store"):
            assert answers[name].json() == cogs, (path, name)
    middle_value = clients["store"].get(f"{place}/point?lon={lon}&lat={lat}").json()["values"]
    assert set(middle_value) == {*NAMES, "pan"}
    assert all(found["value"] is not None for found in middle_value.values())


def test_previews_are_those_of_the_cogs(clients, place):
    for path in (
        "/true-colour/preview.png?width=640",
        "/true-colour/preview.png?width=200",
        "/qa/preview.png?width=320",
        "/false-colour/preview.webp?width=33",
    ):
        cogs = clients["cogs"].get(place + path)
        assert cogs.status_code == 200
        for name in ("lost", "store"):
            assert clients[name].get(place + path).content == cogs.content, (path, name)
    # Without the picture for the eye the first preset stands for the item.
    first, whole = (clients["store"].get(f"{place}{layer}/preview.png?width=100") for layer in ("/true-colour", ""))
    assert whole.content == first.content


def test_approximate_figures_are_of_as_many_pixels(clients, place, monkeypatch):
    from catalogs.api import tiles_values

    monkeypatch.setattr(tiles_values, "MAX_PIXELS", 20_000)
    assert clients["store"].get(f"{place}/red/statistics").status_code == 422
    one, two = (clients[name].get(f"{place}/red/statistics?approximate=true").json() for name in ("cogs", "store"))
    assert (one["pixels"], one["coarser"]) == (two["pixels"], two["coarser"])
    for name in ("mean", "stddev", "valid_percent"):
        assert two[name] == pytest.approx(one[name], rel=0.02)


def test_an_item_with_its_store_alone_leads_to_maps(kept, clients, place):
    item = kept.items["store"]
    client = clients["store"]
    found = client.get(f"/stac/collections/{item['collection']}/items/{item['id']}").json()
    links = [link for link in found["links"] if link["rel"] in ("tilejson", "wmts")]
    assert [link["rel"] for link in links] == ["tilejson", "tilejson", "wmts"]
    document = client.get(place).json()
    assert [layer["name"] for layer in document["layers"]] == [
        "true-colour", "false-colour", *NAMES, "pan", "qa", "qa_pan"
    ]  # fmt: skip
    for layer in document["layers"]:
        tilejson = client.get(layer["tilejson"]).json()
        assert tilejson["maxzoom"] == (16 if layer["name"] in ("pan", "qa_pan") else 15)
        assert client.get(layer["preview"], params={"width": 32}).status_code == 200
    with_cogs = clients["cogs"].get(place).json()["layers"]
    assert [layer["title"] for layer in document["layers"]] == [
        layer["title"] for layer in with_cogs if layer["name"] != "visual"
    ]
    assert client.get(f"{place}/WMTSCapabilities.xml").status_code == 200
    assert client.get(f"{place}/visual/preview.png").status_code == 404


def test_with_all_its_cogs_no_store_is_opened(kept, clients, place):
    (store,) = (kept.homes["cogs"] / "archive" / kept.items["cogs"]["collection"]).glob("*/*/*/*/*.zarr")
    aside = store.with_name("aside")
    store.rename(aside)
    try:
        assert clients["cogs"].get(f"{place}/red/statistics?approximate=true").status_code == 200
        assert clients["cogs"].get(f"{place}/true-colour/preview.png").status_code == 200
    finally:
        aside.rename(store)


@pytest.fixture
def damaged(kept, tmp_path) -> Iterator[tuple[Path, httpx.Client]]:
    """A store of one's own to break, and a client of what serves it."""
    home = tmp_path / "home"
    shutil.copytree(kept.homes["store"], home, symlinks=True)
    with api_serving(home) as server, server.client() as client:
        register(server.store, kept.items["store"])
        (store,) = (home / "archive" / kept.items["store"]["collection"]).glob("*/*/*/*/*.zarr")
        yield store, client


def answers(client: httpx.Client, place: str) -> set[tuple[int, str]]:
    """Status and code of whatever needs the pixels of a band."""
    paths = ("/red/statistics", "/true-colour/preview.png", "/red/12/3000/1500.png", "/red/preview.png")
    found = [client.get(place + path) for path in (*paths, "/point?lon=76.85&lat=43.34")]
    for answer in found:
        assert "/" not in answer.json()["description"] if answer.status_code != 200 else True
    return {(answer.status_code, answer.json()["code"]) for answer in found if answer.status_code != 200}


def test_a_store_that_lacks_a_shard_is_told_of(damaged, place):
    store, client = damaged
    assert client.get(f"{place}/red/statistics").status_code == 200
    (store / "measurements/reflectance/r4m/red/c/0/0").unlink()
    assert answers(client, place) == {(500, "archive.missing")}
    assert client.get(f"{place}/green/statistics").status_code == 200


def test_a_store_with_a_damaged_shard_is_told_of(damaged, place):
    store, client = damaged
    for level in ("r4m", "r8m"):
        shard = store / f"measurements/reflectance/{level}/red/c/0/0"
        content = bytearray(shard.read_bytes())
        content[1000] ^= 4
        shard.write_bytes(content)
    assert answers(client, place) == {(500, "archive.corrupt")}
    shard.write_bytes(content[:700])
    assert client.get(f"{place}/red/statistics").json()["code"] == "archive.corrupt"


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("zarr.json", lambda text: text.replace('"scale_factor": 0.0001', '"scale_factor": 0.0002'), "archive.corrupt"),
        ("manifest.json", lambda text: text.replace("1", "2", 1), "archive.corrupt"),
        ("manifest.json", None, "archive.missing"),
        ("zarr.json", None, "archive.missing"),
    ],
)
def test_a_store_that_is_not_what_was_published_is_told_of(damaged, place, name, change, expected):
    store, client = damaged
    path = store / name
    if change is None:
        path.unlink()
    else:
        text = path.read_text()
        assert change(text) != text
        path.write_text(change(text))
    assert answers(client, place) == {(500, expected)}


def test_what_has_a_cog_is_shown_beside_a_damaged_store(kept, tmp_path):
    home, item = tmp_path / "home", kept.items["cogs"]
    shutil.copytree(kept.homes["cogs"], home, symlinks=True)
    (home / "products" / item["collection"] / item["id"] / "red.tif").unlink()
    assert "red" in Shown.of(item, home, WHOLE, earlier=False).data
    (store,) = (home / "archive" / item["collection"]).glob("*/*/*/*/*.zarr")
    (store / "manifest.json").write_text("{}")
    found = Shown.of(item, home, WHOLE, earlier=False)
    assert "green" in found.data
    assert "red" not in (*found.data, *found.names)


def test_a_store_that_is_not_there_leads_nowhere(damaged, place):
    store, client = damaged
    shutil.rmtree(store)
    assert client.get(place).json()["layers"] == []
    for path in ("/red/statistics", "/preview.png", "/red/0/0/0.png", "/red/tilejson.json"):
        assert client.get(place + path).status_code == 404


def test_a_store_elsewhere_leads_nowhere(kept, tmp_path):
    item = json.loads(json.dumps(kept.items["store"]))
    outside = tmp_path / "elsewhere.zarr"
    (store,) = (kept.homes["store"] / "archive" / item["collection"]).glob("*/*/*/*/*.zarr")
    shutil.copytree(store, outside)
    for href in (str(outside), "http://127.0.0.1:1/x.zarr", "s3://bucket/x.zarr", "../../../../elsewhere.zarr"):
        item["assets"]["zarr"]["href"] = href
        found = Shown.of(item, kept.homes["store"], WHOLE, earlier=False)
        assert found.names == ()
        with pytest.raises(NotFound):
            found.layer("red")


def test_bands_that_policy_drops_are_in_no_level(kept):
    for name in ("lost", "store"):
        reduced = Reduced(20.0, None, ("nir",))
        found = Shown.of(kept.items[name], kept.homes[name], reduced, earlier=False)
        assert "nir" not in (*found.names, *found.data)
        assert not {"visual", "false-colour"} & set(found.names)
        for layer in ("nir", "false-colour", "visual"):
            with pytest.raises(NotFound):
                found.layer(layer)
        with pytest.raises(NotFound):
            found.source("nir")
        assert isinstance(found.source("red").place, Path), "a copy with coarser pixels, not the store"


# What policy leaves.


@pytest.fixture(scope="module")
def masked(kept, tmp_path_factory) -> Iterator[dict[str, Running]]:
    """A third of the product in an excluded area: with COGs, with its store alone, and with other pixels in there."""
    home = tmp_path_factory.mktemp("masked")
    hidden = excluded_in(kept.items["cogs"])
    homes = {name: home / name for name in ("cogs", "lost", "other")}
    for name in ("cogs", "lost"):
        shutil.copytree(kept.homes[name], homes[name], symlinks=True)
    pixels, pan = synthetic.values(SHAPE, 4), synthetic.values(PAN_SHAPE, 1)
    dice = np.random.default_rng(7)
    for array, grid in ((pixels, synthetic.geobox(SHAPE)), (pan, synthetic.geobox(PAN_SHAPE, 2.0))):
        there = geometry_mask(
            [transform_geom("EPSG:4326", str(grid.crs), hidden)], grid.shape, grid.affine, invert=True
        )
        there &= np.isfinite(array[0])
        assert 0 < there.sum() < there.size
        array[:, there] = dice.uniform(0.01, 0.9, (len(array), int(there.sum())))
    other = item_of(published(homes["other"], pixels, pan))
    item = json.loads(json.dumps(kept.items["lost"]))
    # What its record tells of pixels is the same: only the pixels differ.
    item["assets"]["manifest"] |= {name: other["assets"]["manifest"][name] for name in ("file:size", "file:checksum")}
    without_cogs(homes["other"], other, listed=True)
    with ExitStack() as stack:
        running = {}
        for name, place in homes.items():
            altered(place, "kazakhstan-example", excluded=hidden, buffer_m=0)
            running[name] = served(place, (item if name == "other" else kept.items[name],), stack)
        yield running


def looks(running: Running) -> list[str]:
    west, south, east, north = shape(running.item["geometry"]).bounds
    lon, lat = west + (east - west) / 6, (south + north) / 2
    base = f"/tiles/{running.name}"
    pictures = [
        f"{base}/{layer}/{tile}" for zoom in (12, 15) for tile in tiles(running.item, zoom)
        for layer in ("true-colour", "qa")
    ]  # fmt: skip
    values = [f"{base}/{key}/statistics" for key in ("red", "nir", "qa")]
    return [
        *pictures, *values, f"{base}/point?lon={lon}&lat={lat}", f"{base}/point?lon={(west + east) / 2}&lat={lat}",
        f"{base}/profile?line={west},{lat},{east},{lat}&points=40", f"{base}/true-colour/preview.png?width=300",
        f"{base}/red/tilejson.json", f"{base}/red/statistics?bbox={west},{south},{lon},{north}",
    ]  # fmt: skip


def told(answer: httpx.Response) -> tuple[int, bytes]:
    return answer.status_code, answer.content.replace(
        str(answer.request.url.copy_with(path="/", query=None)).encode(), b""
    )


@pytest.mark.parametrize("who", ["gov", "domestic", "anybody"])
def test_policy_leaves_of_a_store_what_it_leaves_of_cogs(masked, who):
    """The same bytes: as coarse, as masked, and nothing of what lies under the mask in any of them."""
    answered = 0
    for path in looks(masked["cogs"]):
        found = {name: told(running.clients[who].get(path)) for name, running in masked.items()}
        if "/pan/" not in path and "point" not in path and "profile" not in path:
            assert found["lost"] == found["cogs"], path
        assert found["other"] == found["lost"], path
        answered += found["lost"][0] == 200
    assert answered > 20
    cleared = [masked[name].clients["cleared"].get(f"/tiles/{masked[name].name}/red/statistics").json()["mean"]
               for name in ("lost", "other")]  # fmt: skip
    assert cleared[0] != cleared[1], "who may see it sees other pixels: so the test can fail"


def test_points_under_the_mask_have_no_value(masked):
    running = masked["lost"]
    west, south, east, north = shape(running.item["geometry"]).bounds
    place = {"lon": west + (east - west) / 6, "lat": (south + north) / 2}
    hidden = running.clients["gov"].get(f"/tiles/{running.name}/point", params=place).json()
    seen = running.clients["cleared"].get(f"/tiles/{running.name}/point", params=place).json()
    assert {found["value"] for found in hidden["values"].values()} == {None}
    assert None not in {found["value"] for found in seen["values"].values()}


def test_whom_nothing_is_shown_cannot_tell_a_store_from_nothing(masked):
    running = masked["lost"]
    for path in looks(running):
        real = running.clients["listed"].get(path)
        none = running.clients["listed"].get(path.replace(running.item["id"], "KZ1_20200101T000000_00000000_L1C"))
        assert real.status_code == none.status_code == 404
        assert real.content == none.content


def test_figures_of_a_store_are_made_once(kept, monkeypatch):
    """A grey layer without statistics in its item is stretched by figures of its pixels: not made for every tile."""
    from catalogs.api import tiles_values

    tiles_layers._kept_figures.cache_clear()
    calls: list[str] = []
    made = tiles_values.figures_of
    monkeypatch.setattr(tiles_values, "figures_of", lambda source: (calls.append(source.key), made(source))[1])
    found = Shown.of(kept.items["store"], kept.homes["store"], WHOLE, earlier=False)
    assert found.layer("red").rescale == found.layer("red").rescale
    assert calls == ["red"]


@pytest.mark.parametrize(
    ("crs", "origin", "resolution"),
    [("EPSG:32601", (100_000.0, 7_300_000.0), 1000.0), ("EPSG:4326", (76.0, 44.0), 0.002)],
    ids=["across the antimeridian", "in degrees"],
)
def test_windows_hold_what_whole_levels_do(tmp_path, monkeypatch, crs, origin, resolution):
    """Wherever a tile lies: whatever of a level is left out shows in none of its pixels."""
    box = synthetic.geobox((260, 300), resolution, crs, origin)
    image = synthetic.image(synthetic.values((260, 300), 4), box, NAMES)
    publish_product(tmp_path, synthetic.draft(NAMES, visual=()), [image])
    (store,) = (tmp_path / "archive").glob("*/*/*/*/*/*.zarr")
    place = BandPlace(store, "", "reflectance", "red")
    source = Source(key="red", title="", place=place, digest="x", scale=1e-4, offset=-0.1, unit="1", flags=())
    layer = Layer(name="red", title="", sources=(source,), rescale=((1_000, 5_000),))
    west, south, east, north = transform_bounds(crs, "EPSG:4326", *box.boundingbox)
    lon, lat = (west + east + 360 * (west > east)) / 2, (south + north) / 2
    seen = 0
    for zoom in (0, 3, 5, 6, 8, 10):
        x, y = address((lon + 180) % 360 - 180, lat, zoom)
        for column in {(x + shift) % 2**zoom for shift in (-1, 0, 1)}:
            outline = tiles_layers.tile_outline(zoom, column, y)
            made = []
            for whole in (100_000, 16):
                monkeypatch.setattr(open_levels, "_WHOLE_PX", whole)
                made.append(tiles_pictures.tile(layer, outline, 256, "png"))
            assert made[0] == made[1], (zoom, column, y)
            seen += bool(np.asarray(Image.open(io.BytesIO(made[0])))[..., 3].any())
    assert seen > 4
