"""Tiles, previews and values of a published product, through HTTP, against other ways to the same pixels."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

from catalogs import open_store
from catalogs.api import tiles_layers, tiles_pictures, tiles_values
from catalogs.api.tiles_layers import Layer, Source
from catalogs.item import to_item
from catalogs.store.protocol import CatalogueStore
from configs.schema.catalogue import CatalogueConfig
from tests.services.api import UNHURRIED, ApiServer, api_serving

pytestmark = pytest.mark.services
EDGE = 20_037_508.342789244


@dataclass(frozen=True)
class Published:
    """A running server, a client of it, and what it serves."""

    server: ApiServer
    client: httpx.Client
    item: dict[str, Any]
    index: dict[str, Any]

    @property
    def place(self) -> str:
        return f"/tiles/{self.item['collection']}/{self.item['id']}"

    @property
    def index_place(self) -> str:
        return f"/tiles/{self.index['collection']}/{self.index['id']}"

    def cog(self, key: str, item: dict[str, Any] | None = None):
        shown = item or self.item
        folder = self.server.home / "products" / shown["collection"] / shown["id"]
        return rasterio.open(folder / shown["assets"][key]["href"])


def items_of(archived) -> tuple[dict[str, Any], ...]:
    registry = archived.registry
    return tuple(
        to_item(
            product, registry.missions[product.mission], registry.sensors[product.sensor],
            registry.recipes[product.recipe],
        )
        for product in (archived.l1c, archived.ndvi)
    )  # fmt: skip


def register(store: CatalogueStore, item: dict[str, Any]) -> None:
    collection = {
        "type": "Collection", "id": item["collection"], "stac_version": "1.1.0", "description": "-",
        "license": "other", "links": [],
        "extent": {"spatial": {"bbox": [item["bbox"]]}, "temporal": {"interval": [[None, None]]}},
    }  # fmt: skip
    store.put_collection(collection)
    store.put_item(item)


@pytest.fixture(scope="module")
def published(archived) -> Iterator[Published]:
    item, index = items_of(archived)
    with api_serving(archived.home) as server, server.client() as client:
        for one in (item, index):
            register(server.store, one)
        yield Published(server, client, item, index)


def outline(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    side = 2 * EDGE / 2**z
    return x * side - EDGE, EDGE - (y + 1) * side, (x + 1) * side - EDGE, EDGE - y * side


def address(lon: float, lat: float, z: int) -> tuple[int, int]:
    """Column and row of the tile over a place."""
    east, north = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    side = 2 * EDGE / 2**z
    return int((east + EDGE) // side), int((EDGE - north) // side)


def middle(item: dict[str, Any]) -> tuple[float, float]:
    west, south, east, north = item["bbox"]
    return (west + east) / 2, (south + north) / 2


def picture(answer: httpx.Response, media: str = "image/png") -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def warped(dataset, z: int, x: int, y: int, *, resampling=Resampling.bilinear, size: int = 256) -> np.ndarray:
    """Stored numbers on a tile, NaN where there are none: another call to the warper, without rio-tiler."""
    west, _, east, north = outline(z, x, y)
    pixel = (east - west) / size
    target = np.full((size, size), np.nan, np.float32)
    stored = dataset.read(1).astype(np.float32)
    stored[stored == dataset.nodata] = np.nan
    reproject(
        stored, target, src_transform=dataset.transform, src_crs=dataset.crs, src_nodata=np.nan, dst_nodata=np.nan,
        dst_transform=Affine(pixel, 0, west, 0, -pixel, north), dst_crs="EPSG:3857", resampling=resampling,
    )  # fmt: skip
    return target


@pytest.mark.parametrize("z", [13, 14, 15, 17])
def test_a_tile_shows_the_bands_where_they_are(published, z):
    x, y = address(*middle(published.item), z)
    shown = picture(published.client.get(f"{published.place}/true-colour/{z}/{x}/{y}.png"))
    assert shown.shape == (256, 256, 4)
    truth = []
    for band in ("red", "green", "blue"):
        with published.cog(band) as dataset:
            truth.append(warped(dataset, z, x, y) * dataset.scales[0] + dataset.offsets[0])
    stack = np.stack(truth, axis=-1)
    there = np.isfinite(stack).all(axis=-1)
    assert there.any()
    # Tiles of coarser levels are made from overviews: their edges and noise differ by what averaging does.
    own = z >= 15
    assert ((shown[..., 3] == 255) != there).mean() < (0.0005 if own else 0.01)
    both = there & (shown[..., 3] == 255)
    expected = np.clip(stack / 0.3, 0, 1) * 255
    error = np.abs(shown[..., :3][both] - expected[both])
    assert error.max() <= 1.6 if own else error.mean() < 4
    assert not shown[~there & (shown[..., 3] == 0)].any()


def test_a_large_tile_and_the_other_format(published):
    z = 15
    x, y = address(*middle(published.item), z)
    large = picture(published.client.get(f"{published.place}/red/{z}/{x}/{y}@2x.png"))
    assert large.shape == (512, 512, 4)
    small = picture(published.client.get(f"{published.place}/red/{z}/{x}/{y}.png"))
    assert (large[::2, ::2, 3] == small[..., 3]).mean() > 0.98
    webp = picture(published.client.get(f"{published.place}/red/{z}/{x}/{y}.webp"), "image/webp")
    opaque = small[..., 3] == 255
    assert np.abs(webp[opaque][:, :3].astype(int) - small[opaque][:, :3]).mean() < 6


def test_an_index_has_its_palette(published):
    z = 15
    x, y = address(*middle(published.index), z)
    shown = picture(published.client.get(f"{published.index_place}/ndvi/{z}/{x}/{y}.png"))
    with published.cog("ndvi", published.index) as dataset:
        index = warped(dataset, z, x, y) * 1e-4
    low, high = (shown[(index > limit - 0.03) & (index < limit + 0.03)][:, :3] for limit in (0.0, 0.13))
    assert len(low) > 0
    assert len(high) > 0
    # From -0.2 (dark red) to 0.9 (dark green) low values are redder, higher ones yellower.
    assert high[:, 1].mean() > low[:, 1].mean() + 20
    assert (shown[..., 0] > shown[..., 2])[np.isfinite(index) & (shown[..., 3] == 255)].mean() > 0.99


def test_flags_are_seen_in_colours_and_unnamed_ground_is_not(published):
    z = 15
    x, y = address(*middle(published.item), z)
    shown = picture(published.client.get(f"{published.place}/qa/{z}/{x}/{y}.png"))
    with published.cog("qa") as dataset:
        flags = warped(dataset, z, x, y, resampling=Resampling.nearest)
    nothing = ~np.isfinite(flags) | (np.nan_to_num(flags).astype(int) & 1 == 1)
    assert ((shown[..., 3] == 0) != nothing).mean() < 0.0005
    assert nothing.any()
    assert not nothing.all()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("40/1/1.png", 404), ("-1/0/0.png", 404), ("1/-1/0.png", 404), ("1/2/0.png", 404), ("1/0/2.png", 404),
        ("a/0/0.png", 404), ("1/0/0.gif", 404), ("1/0/0.tif", 404), ("1/1e1/0.png", 404), ("1/²/0.png", 404),
        ("99999999999999999999/0/0.png", 404), ("1/0/0@3x.png", 404), ("0/0/0.png", 200), ("24/0/0.png", 200),
        ("24/16777215/16777215.webp", 200), ("1/1/1.png", 200),
    ],
)  # fmt: skip
def test_addresses_of_tiles(published, path, status):
    answer = published.client.get(f"{published.place}/true-colour/{path}")
    assert answer.status_code == status
    if status == 200 and path != "0/0/0.png":  # beside the image: an empty picture
        assert not np.asarray(Image.open(io.BytesIO(answer.content))).any()


def test_bad_addresses_are_answered_at_once(published, monkeypatch):
    """The catalogue is not even asked: nothing is opened."""
    monkeypatch.setattr(published.server.store, "get_item", None)
    for path in ("40/1/1.png", "1/-1/0.png", "1/0/2.png"):
        assert published.client.get(f"{published.place}/true-colour/{path}").status_code == 404


def test_a_point_has_the_values_of_its_pixel(published):
    lon, lat = middle(published.item)
    answer = published.client.get(f"{published.place}/point", params={"lon": lon, "lat": lat}).json()
    assert set(answer["values"]) == {"blue", "green", "red", "nir", "pan"}
    for band, found in answer["values"].items():
        with published.cog(band) as dataset:
            place = Transformer.from_crs(4326, dataset.crs, always_xy=True).transform(lon, lat)
            (stored,) = next(dataset.sample([place]))
            assert found["value"] == pytest.approx(stored * dataset.scales[0] + dataset.offsets[0], abs=1e-9)
            assert found["unit"] == "1"
    assert answer["qa"] == {"qa": ["cloud_not_tested"], "qa_pan": ["cloud_not_tested"]}


def test_where_nothing_is_there_are_nulls(published):
    with published.cog("red") as dataset:
        corner = dataset.transform @ (0.5, 0.5)
        lon, lat = Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(*corner)
    at_corner = published.client.get(f"{published.place}/point", params={"lon": lon, "lat": lat}).json()
    assert {found["value"] for found in at_corner["values"].values()} == {None}
    assert "nodata" in at_corner["qa"]["qa"]
    far = published.client.get(f"{published.place}/point", params={"lon": -150, "lat": -89.9}).json()
    assert {found["value"] for found in far["values"].values()} == {None}
    assert far["qa"] == {"qa": None, "qa_pan": None}


@pytest.mark.parametrize("place", [("x", "1"), ("nan", "1"), ("181", "1"), ("1", "90.1"), ("inf", "0"), ("", "")])
def test_no_place_on_earth(published, place):
    answer = published.client.get(f"{published.place}/point", params=dict(zip(("lon", "lat"), place, strict=True)))
    assert answer.status_code == 400


def test_a_profile_is_points(published):
    west, south, east, north = published.item["bbox"]
    line = f"{west},{south},{east},{north}"
    answer = published.client.get(f"{published.place}/profile", params={"line": line, "points": 5}).json()
    assert len(answer["points"]) == 5
    third = answer["points"][2]
    alone = published.client.get(f"{published.place}/point", params={"lon": third["lon"], "lat": third["lat"]}).json()
    assert third["values"] == alone["values"]
    assert third["values"]["red"]["value"] is not None
    assert published.client.get(f"{published.place}/profile?line={line}&points=5000").status_code == 422
    assert published.client.get(f"{published.place}/profile?line=1,2,3").status_code == 400


def inside_of(dataset, box: tuple[float, float, float, float]) -> np.ndarray:
    """Which pixels have their centre in a box of longitude and latitude: each is asked."""
    rows, columns = np.mgrid[: dataset.height, : dataset.width]
    across, down = dataset.transform @ (columns + 0.5, rows + 0.5)
    lon, lat = Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(across, down)
    west, south, east, north = box
    return (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)


def test_statistics_are_those_of_the_pixels_in_the_box(published):
    lon, lat = middle(published.item)
    box = (lon - 0.001, lat - 0.0007, lon + 0.002, lat + 0.0011)
    answer = published.client.get(f"{published.place}/nir/statistics", params={"bbox": ",".join(map(repr, box))}).json()
    with published.cog("nir") as dataset:
        inside, stored = inside_of(dataset, box), dataset.read(1)
        values = (stored * dataset.scales[0] + dataset.offsets[0])[inside & (stored != dataset.nodata)]
    assert answer["pixels"] == inside.sum()
    assert answer["valid_percent"] == pytest.approx(100 * values.size / inside.sum())
    expected = {"minimum": values.min(), "maximum": values.max(), "mean": values.mean(), "stddev": values.std(),
                "percentile_50": np.median(values)}  # fmt: skip
    assert {name: answer[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert sum(answer["histogram"]["counts"]) == values.size


def test_statistics_of_all_agree_with_the_catalogue(published):
    for key in ("red", "pan"):
        answer = published.client.get(f"{published.place}/{key}/statistics").json()
        kept = published.item["assets"][key]["statistics"]
        for name in ("minimum", "maximum", "mean", "stddev"):
            assert answer[name] == pytest.approx(kept[name], abs=2e-6)


def test_statistics_of_flags_of_nothing_and_of_pictures(published):
    flags = published.client.get(f"{published.place}/qa/statistics").json()["flags_percent"]
    with published.cog("qa") as dataset:
        assert flags["nodata"] == pytest.approx((dataset.read(1) & 1).mean() * 100)
    nothing = published.client.get(f"{published.place}/red/statistics?bbox=0,0,1,1").json()
    assert (nothing["pixels"], nothing["mean"], nothing["histogram"]) == (0, None, None)
    around = published.client.get(f"{published.place}/red/statistics?bbox=170,-10,-170,10").json()
    assert around["pixels"] == 0
    assert published.client.get(f"{published.place}/visual/statistics").status_code == 404
    for bad in ("1,2,3", "nan,0,1,1", "0,5,1,1", "a,b,c,d", "0,0,1,1,1"):
        assert published.client.get(f"{published.place}/red/statistics?bbox={bad}").status_code == 400


def test_too_much_at_once_is_refused_with_advice(published, monkeypatch):
    answer = published.client.get(f"{published.place}/preview.webp?width=1000000000")
    assert answer.status_code == 422
    assert "order" in answer.json()["description"]
    monkeypatch.setattr(tiles_values, "MAX_PIXELS", 5_000)
    answer = published.client.get(f"{published.place}/red/statistics")
    assert answer.status_code == 422
    assert "approximate=true" in answer.json()["description"]
    about = published.client.get(f"{published.place}/red/statistics?approximate=true").json()
    assert about["coarser"] == 2
    assert about["mean"] == pytest.approx(published.item["assets"]["red"]["statistics"]["mean"], abs=0.003)


def test_previews(published):
    whole = picture(published.client.get(f"{published.place}/preview.webp?width=150"), "image/webp")
    assert whole.shape == (120, 150, 4)
    red = picture(published.client.get(f"{published.place}/true-colour/preview.png?width=150"))
    with published.cog("red") as dataset:
        stored = dataset.read(1)
        expected = np.clip((stored * 1e-4 - 0.1) / 0.3, 0, 1) * 255
        there = stored != dataset.nodata
    assert ((red[..., 3] == 255) == there).all()
    assert np.abs(red[..., 0][there] - expected[there]).max() <= 0.51


def test_tilejson(published):
    document = published.client.get(f"{published.place}/true-colour/tilejson.json").json()
    assert document["tilejson"] == "3.0.0"
    west, south, east, north = document["bounds"]
    assert [west, south, east, north] == published.item["bbox"]
    assert document["minzoom"] == 0
    # 4 m at 43 degrees north: 3.5 m a pixel at level 15.
    assert document["maxzoom"] == 15
    lon, lat, zoom = document["center"]
    x, y = address(lon, lat, zoom)
    (template,) = document["tiles"]
    for part, number in (("{z}", zoom), ("{x}", x), ("{y}", y)):
        template = template.replace(part, str(number))
    assert np.asarray(Image.open(io.BytesIO(published.client.get(template).content)))[..., 3].any()


def test_all_layers_are_listed_and_answer(published):
    document = published.client.get(published.place).json()
    names = [layer["name"] for layer in document["layers"]]
    assert names == ["visual", "true-colour", "false-colour", "blue", "green", "red", "nir", "pan", "qa", "qa_pan"]
    for layer in document["layers"]:
        assert published.client.get(layer["tilejson"]).status_code == 200
        assert published.client.get(layer["preview"], params={"width": 32}).status_code == 200


def test_items_lead_to_their_maps(published):
    item = published.client.get(f"/stac/collections/{published.item['collection']}/items/{published.item['id']}").json()
    links = [link for link in item["links"] if link["rel"] in ("tilejson", "wmts")]
    assert [link["rel"] for link in links] == ["tilejson", "tilejson", "wmts"]
    assert links[-1]["wmts:layer"] == ["true-colour", "false-colour"]
    for link in links:
        assert published.client.get(link["href"]).headers["content-type"] == link["type"]


def test_desktop_gis_opens_the_capabilities(published):
    place = f"{published.server.url}{published.place}/WMTSCapabilities.xml"
    with rasterio.open(f"WMTS:{place},layer=true-colour") as dataset:
        assert dataset.crs.to_epsg() == 3857
        west, south, east, north = dataset.bounds
        pixels = dataset.read(out_shape=(4, dataset.height // 4, dataset.width // 4))
    corners = Transformer.from_crs(4326, 3857, always_xy=True).transform_bounds(*published.item["bbox"])
    assert (west, south, east, north) == pytest.approx(corners, abs=2)
    opaque = pixels[3] == 255
    assert opaque.mean() > 0.5
    assert 60 < pixels[0][opaque].mean() < 255


def test_asked_again_it_says_unchanged(published):
    for path in ("/true-colour/0/0/0.png", "/preview.webp?width=64", "/red/statistics", "/red/tilejson.json", ""):
        first = published.client.get(published.place + path)
        again = published.client.get(published.place + path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert published.client.head(published.place + path).status_code == 200
        assert first.headers["cache-control"] == "public, max-age=60"
    other = published.client.get(
        f"{published.place}/true-colour/1/1/0.png", headers={"If-None-Match": first.headers["etag"]}
    )
    assert other.status_code == 200
    with published.server.client(operator=True) as operator:
        assert operator.get(f"{published.place}/preview.webp").headers["cache-control"].startswith("private")


def test_what_may_not_be_seen_is_not_there(archived, tmp_path):
    """Nothing tells a hidden item from one that never was: neither words nor headers."""
    hidden = items_of(archived)[0]
    config = CatalogueConfig(policy="open-data", public_collections=(), requests_per_second=1e6, burst=1_000_000)
    store = open_store(tmp_path / "catalogue")
    with api_serving(archived.home, config=config, store=store) as server:
        register(store, hidden)
        place = f"/tiles/{hidden['collection']}/{hidden['id']}"
        none = f"/tiles/{hidden['collection']}/nobody"
        paths = (
            "", "/preview.webp", "/true-colour/0/0/0.png", "/red/statistics", "/red/tilejson.json",
            "/point?lon=76&lat=43", "/profile?line=1,1,2,2", "/WMTSCapabilities.xml", "/red/preview.png",
        )  # fmt: skip
        with server.client() as anybody, server.client(operator=True) as operator:
            for path in paths:
                answer, truly = anybody.get(place + path), anybody.get(none + path)
                assert answer.status_code == 404, path
                assert answer.content == truly.content
                assert operator.get(place + path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%252e%252e%252f", "%00", "red%00", "/etc/passwd",
        "http%3A%2F%2F127.0.0.1%2Fx.tif", "%2Fvsicurl%2Fhttp%3A%2F%2F127.0.0.1%2Fx.tif", "red.tif", "thumbnail", "zarr",
        "manifest", "quality",
    ],
)  # fmt: skip
def test_only_names_of_layers_lead_anywhere(published, path):
    for end in ("/0/0/0.png", "/preview.png", "/tilejson.json", "/statistics"):
        answer = published.client.get(f"{published.place}/{path}{end}?url=http://127.0.0.1:1/x.tif")
        assert answer.status_code == 404
        assert "etc" not in answer.text


def test_an_item_that_points_elsewhere_leads_nowhere(archived, tmp_path):
    """Whoever may write the catalogue may still not read files beside the product."""
    item = json.loads(json.dumps(items_of(archived)[0]))
    item["assets"]["red"]["href"] = "../../../../../../etc/passwd"
    item["assets"]["green"]["href"] = "http://127.0.0.1:1/x.tif"
    item["assets"]["blue"]["href"] = "/vsicurl/http://127.0.0.1:1/x.tif"
    store = open_store(tmp_path / "catalogue")
    with api_serving(archived.home, config=UNHURRIED, store=store) as server, server.client() as client:
        register(store, item)
        for band in ("red", "green", "blue"):
            assert client.get(f"/tiles/{item['collection']}/{item['id']}/{band}/preview.png").status_code == 404


def test_an_image_across_the_antimeridian_is_on_both_sides(tmp_path):
    path = tmp_path / "across.tif"
    profile = {"driver": "GTiff", "width": 400, "height": 400, "count": 1, "dtype": "uint16", "nodata": 0}
    grid = Affine(1000, 0, 100_000, 0, -1000, 7_300_000)  # zone 1, from 175 E to 177 W
    with rasterio.open(path, "w", crs="EPSG:32601", transform=grid, **profile) as dataset:
        dataset.write(np.full((400, 400), 2000, np.uint16), 1)
    source = Source(key="red", title="", place=path, digest="", scale=1.0, offset=0.0, unit="1", flags=())
    layer = Layer(name="red", title="", sources=(source,), rescale=((0, 4000),))
    item = {"bbox": [174.0, 61.0, -176.0, 66.0]}
    z, y = 5, address(180, 64, 5)[1]
    for x, near, far in ((0, (-178.5, 64), (-170, 64)), (31, (178, 64), (170, 64))):
        assert tiles_layers.touches(item, z, x, y)
        shown = np.asarray(Image.open(io.BytesIO(tiles_pictures.tile(layer, outline(z, x, y), 256, "png"))))
        west, _, east, north = outline(z, x, y)
        for place, there in ((near, True), (far, False)):
            across, up = Transformer.from_crs(4326, 3857, always_xy=True).transform(*place)
            column, row = int((across - west) / (east - west) * 256), int((north - up) / (east - west) * 256)
            assert (shown[row, column, 3] == 255) is np.bool_(there)
    assert not tiles_layers.touches(item, z, 16, y)


def test_other_commands_do_not_pay_for_it():
    code = "import sys, catalogs.api.app; sys.exit(any(name in sys.modules for name in ('rio_tiler', 'rasterio')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
