"""Policy in force: what customers get through HTTP, and what they cannot find out."""

import io
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom
from shapely.geometry import shape

from catalogs.customers.accounts import Details
from catalogs.customers.store import open_customers
from catalogs.policy.terms import CustomerClass
from configs.load import ConfigError
from configs.schema.catalogue import CatalogueConfig
from tests.catalogs.test_tiles import items_of, register
from tests.policy.shipped import altered
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services
CONFIG = CatalogueConfig(requests_per_second=1e6, burst=1_000_000)
PARTIES = {
    "gov": Details(customer_class=CustomerClass.GOV_DOMESTIC, clearance=1, country="KZ"),
    "cleared": Details(customer_class=CustomerClass.GOV_DOMESTIC, clearance=2, country="KZ"),
    "domestic": Details(customer_class=CustomerClass.DOMESTIC, country="KZ"),
    "ally": Details(customer_class=CustomerClass.EXPORT_ALLY, country="UZ"),
    "listed": Details(customer_class=CustomerClass.EXPORT_ALLY, legal_name="EXAMPLE front company, L.L.C."),
}


@dataclass(frozen=True)
class Running:
    """A server, and a client of each customer's."""

    server: ApiServer
    clients: dict[str, httpx.Client]
    items: tuple[dict[str, Any], ...]

    @property
    def item(self) -> dict[str, Any]:
        return self.items[0]

    @property
    def name(self) -> str:
        return f"{self.item['collection']}/{self.item['id']}"


def served(home: Path, items: tuple[dict[str, Any], ...], stack: ExitStack) -> Running:
    server = stack.enter_context(api_serving(home, config=CONFIG))
    for item in items:
        register(server.store, item)
    customers = open_customers(home)
    clients = {
        "anybody": stack.enter_context(server.client()),
        "operator": stack.enter_context(server.client(operator=True)),
    }
    for name, details in PARTIES.items():
        if name not in {account.name for account in customers.all()}:
            customers.add(name, details)
        client = stack.enter_context(server.client())
        client.headers["Authorization"] = f"Bearer {customers.new_token(name, 'test').token}"
        clients[name] = client
    customers.close()
    return Running(server, clients, items)


def excluded_in(item: dict[str, Any]) -> dict[str, Any]:
    """The west third of an item."""
    west, south, east, north = shape(item["geometry"]).bounds
    edge = west + (east - west) / 3
    return {"type": "Polygon", "coordinates": [[[west - 0.01, south - 0.01], [edge, south - 0.01], [edge, north + 0.01],
                                                [west - 0.01, north + 0.01], [west - 0.01, south - 0.01]]]}  # fmt: skip


@pytest.fixture(scope="module")
def plain(archived, tmp_path_factory) -> Iterator[Running]:
    """The shipped default policy over a product of 1 m, seven months old, in no area."""
    home = tmp_path_factory.mktemp("plain") / "home"
    shutil.copytree(archived.home, home)
    with ExitStack() as stack:
        yield served(home, items_of(archived), stack)


@pytest.fixture(scope="module")
def masked(archived, tmp_path_factory) -> Iterator[Running]:
    """The same with a third of the product in an excluded area."""
    home = tmp_path_factory.mktemp("masked") / "home"
    shutil.copytree(archived.home, home)
    items = items_of(archived)
    altered(home, "kazakhstan-example", excluded=excluded_in(items[0]), buffer_m=0)
    with ExitStack() as stack:
        yield served(home, items, stack)


def asset_path(item: dict[str, Any], key: str) -> str:
    return f"/download/{item['collection']}/{item['id']}/{key}/{Path(item['assets'][key]['href']).name}"


def answers(status: int, *responses: httpx.Response) -> bool:
    return all(response.status_code == status for response in responses)


def told(response: httpx.Response) -> tuple[object, ...]:
    """Everything of an answer but its date."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.status_code, response.content, tuple(sorted(headers.items()))


def test_anybody_discovers_and_looks_but_has_no_files(plain):
    client, item = plain.clients["anybody"], plain.item
    found = client.get(f"/stac/collections/{item['collection']}/items/{item['id']}").json()
    assert found["id"] == item["id"]
    assert {"thumbnail", "quality"} <= set(found["assets"])
    assert not {"red", "zarr", "visual", "manifest"} & set(found["assets"])
    for asset in found["assets"].values():
        assert client.get(asset["href"]).status_code == 200
    for key in ("red", "visual", "qa", "manifest"):
        assert client.get(asset_path(item, key)).status_code == 404
    assert client.get(asset_path(item, "zarr") + "/zarr.json").status_code == 404
    search = client.get("/stac/search").json()
    assert search["numberMatched"] == 2
    assert client.get(f"/tiles/{plain.name}").status_code == 200


@pytest.mark.parametrize("who", ["operator", "gov", "cleared"])
def test_the_state_and_operators_have_every_file(plain, who):
    client, item = plain.clients[who], plain.item
    found = client.get(f"/stac/collections/{item['collection']}/items/{item['id']}").json()
    assert set(found["assets"]) == set(item["assets"])
    for key in ("red", "visual", "thumbnail"):
        answer = client.get(asset_path(item, key))
        folder = plain.server.home / "products" / item["collection"] / item["id"]
        assert answer.content == (folder / item["assets"][key]["href"]).read_bytes()
    assert client.get(asset_path(item, "zarr") + "/zarr.json").status_code == 200


def block_means(running: Running, key: str, factor: int) -> np.ndarray:
    """Means of the stored band's pixels, the slow way."""
    folder = running.server.home / "products" / running.item["collection"] / running.item["id"]
    with rasterio.open(folder / running.item["assets"][key]["href"]) as dataset:
        stored = dataset.read(1, masked=True).astype(float)
    rows, columns = (size // factor for size in stored.shape)
    return stored[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor).mean(axis=(1, 3))


def test_what_anybody_sees_is_averaged_to_the_floor(plain):
    """Values at points are means over 20 m: the same all over such a pixel, and those that numpy makes."""
    client, item = plain.clients["anybody"], plain.item
    means = (
        block_means(plain, "red", 5) * item["assets"]["red"]["raster:scale"] + item["assets"]["red"]["raster:offset"]
    )
    folder = plain.server.home / "products" / item["collection"] / item["id"]
    with rasterio.open(folder / item["assets"]["red"]["href"]) as dataset:
        transform, crs = dataset.transform, dataset.crs
    checked = 0
    for row, column in ((3, 4), (10, 20), (22, 11)):
        seen = set()
        for inside in ((0.5, 0.5), (2.5, 2.5), (4.5, 4.5)):
            x, y = transform @ (column * 5 + inside[1], row * 5 + inside[0])
            ((lon, lat),) = [transform_geom(crs, "EPSG:4326", {"type": "Point", "coordinates": (x, y)})["coordinates"]]
            answer = client.get(f"/tiles/{plain.name}/point", params={"lon": lon, "lat": lat}).json()
            seen.add(answer["values"]["red"]["value"])
        assert len(seen) == 1
        (value,) = seen
        if not np.ma.is_masked(means[row, column]):
            assert value == pytest.approx(means[row, column], abs=1.01 * item["assets"]["red"]["raster:scale"])
            checked += 1
    assert checked
    figures = client.get(f"/tiles/{plain.name}/red/statistics").json()
    assert figures["pixels"] == 24 * 30
    full = plain.clients["gov"].get(f"/tiles/{plain.name}/red/statistics").json()
    assert full["pixels"] == 120 * 150
    assert full["minimum"] < figures["minimum"] < figures["maximum"] < full["maximum"]


def test_zoom_levels_end_at_the_floor(plain):
    coarse = plain.clients["anybody"].get(f"/tiles/{plain.name}/visual/tilejson.json").json()
    fine = plain.clients["gov"].get(f"/tiles/{plain.name}/visual/tilejson.json").json()
    assert coarse["maxzoom"] < fine["maxzoom"]


def test_a_stored_thumbnail_finer_than_the_floor_is_made_anew(plain):
    """480 m over some hundred pixels: the stored one shows 4 m."""
    stored = plain.clients["gov"].get(asset_path(plain.item, "thumbnail")).content
    answer = plain.clients["anybody"].get(asset_path(plain.item, "thumbnail"))
    assert answer.status_code == 200
    assert answer.content != stored
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(float)
    # Of an image averaged to 24 rows, neighbouring pixels of the picture hardly differ; of the full one they do.
    full = np.asarray(Image.open(io.BytesIO(stored)).convert("RGB").resize(picture.shape[1::-1])).astype(float)
    assert np.abs(np.diff(picture, axis=0)).mean() < 0.6 * np.abs(np.diff(full, axis=0)).mean()


def test_copies_that_others_are_making_are_in_nobodys_way(plain):
    """One that goes away while room is made, and a draft: neither is an error, and neither is removed."""
    folder = plain.server.home / "cache" / "degraded"
    shutil.rmtree(folder, ignore_errors=True)  # what other tests have made already
    folder.mkdir(parents=True)
    draft, gone = folder / ".draft-x.tif", folder / "gone.tif"
    draft.touch()
    gone.symlink_to(folder / "not there")
    before = set(folder.iterdir())
    assert plain.clients["anybody"].get(f"/tiles/{plain.name}/nir/preview.png").status_code == 200
    assert set(folder.iterdir()) > before, "no copy was made"
    draft.unlink()
    gone.unlink()


def every_address(item: dict[str, Any], other: str | None = None) -> list[str]:
    """Every address under which something of an item could be had; ``other``: of an item that is not there."""
    collection, name = str(item["collection"]), other or str(item["id"])
    found = [
        f"/stac/collections/{collection}/items/{name}", f"/stac/collections/{collection}/items/{name}/versions",
        f"/stac/collections/{collection}/items/{name}/versions/{item['properties']['version']}",
        f"/tiles/{collection}/{name}", f"/tiles/{collection}/{name}/WMTSCapabilities.xml",
        f"/tiles/{collection}/{name}/preview.webp", f"/tiles/{collection}/{name}/preview.png?width=32",
        f"/tiles/{collection}/{name}/visual/preview.png", f"/tiles/{collection}/{name}/visual/tilejson.json",
        f"/tiles/{collection}/{name}/red/statistics", f"/tiles/{collection}/{name}/qa/statistics",
        f"/tiles/{collection}/{name}/point?lon=76.9&lat=43.3",
        f"/tiles/{collection}/{name}/profile?line=76.9,43.3,76.8,43.2",
        *(f"/tiles/{collection}/{name}/visual/{zoom}/{2**zoom // 2}/{2**zoom // 3}.png" for zoom in (0, 9, 14, 19)),
    ]  # fmt: skip
    for key, asset in item["assets"].items():
        found.append(f"/download/{collection}/{name}/{key}/{Path(asset['href']).name}")
    return [*found, f"/download/{collection}/{name}/zarr/{Path(item['assets']['zarr']['href']).name}/zarr.json",
            f"/download/{collection}/{name}@{item['properties']['version']}/red/red.tif"]  # fmt: skip


def test_whom_nothing_is_shown_cannot_tell_it_from_nothing(plain):
    """A customer on a sanctions list: every address of what there is answers as that of what there is not."""
    client = plain.clients["listed"]
    for real, invented in zip(
        every_address(plain.item), every_address(plain.item, "KZ1_20200101T000000_00000000_L1C"), strict=True
    ):
        assert told(client.get(real)) == told(client.get(invented)), real
        assert client.get(real).status_code == 404
    page = client.get("/stac/search").json()
    assert (page["features"], page["numberMatched"]) == ([], 0)
    empty = client.get("/stac/aggregate", params={"aggregations": "total_count"}).json()
    assert empty["aggregations"][0]["value"] == 0


def test_a_refusal_takes_as_long_as_nothing(plain):
    client = plain.clients["listed"]
    real, invented = every_address(plain.item)[0], every_address(plain.item, "KZ1_20200101T000000_00000000_L1C")[0]
    times: dict[str, list[float]] = {real: [], invented: []}
    for _ in range(60):
        for address, found in times.items():
            started = time.perf_counter()
            client.get(address)
            found.append(time.perf_counter() - started)
    one, other = (statistics.median(found) for found in times.values())
    # On a machine with other work, everything takes longer, and varies likewise.
    assert abs(one - other) < 0.003 + min(one, other) / 4, (one, other)


def test_grave_refusals_and_downloads_are_on_record(plain):
    from catalogs.policy.audit import AuditLog

    plain.clients["listed"].get(asset_path(plain.item, "red"))
    plain.clients["gov"].get(asset_path(plain.item, "blue"))
    log = AuditLog.open(plain.server.home)
    for _ in range(50):
        rows = [(entry.document.get("action"), entry.document.get("rule")) for entry in log.entries()]
        if ("refused.discover", "R00-sanctions") in rows:
            break
        time.sleep(0.1)
    assert ("refused.discover", "R00-sanctions") in rows
    assert ("download", "R03-gov") in rows


def rewritten(running: Running, target: Path, seed: int | None) -> tuple[dict[str, Any], ...]:
    """A copy of an installation, all its COGs written again: with other pixels under its mask, or the same."""
    shutil.copytree(
        running.server.home, target, ignore=shutil.ignore_patterns("cache", "catalogue", "customers", "audit")
    )
    hidden = excluded_in(running.item)
    dice = np.random.default_rng(seed)
    items = json.loads(json.dumps(running.items))
    for item in items:
        folder = target / "products" / item["collection"] / item["id"]
        for asset in item["assets"].values():
            if not asset["href"].endswith(".tif"):
                continue
            path = folder / asset["href"]
            with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
                inside = geometry_mask([transform_geom("EPSG:4326", dataset.crs, hidden)], dataset.shape,
                                       dataset.transform, invert=True)  # fmt: skip
                assert 0 < inside.sum() < inside.size
                pixels = dataset.read()
                top = 255 if dataset.dtypes[0] == "uint8" else 9_000
                if seed is not None:
                    pixels[:, inside] = dice.integers(1, top, pixels[:, inside].shape)
                if dataset.count == 4:
                    pixels[3] = 255
                dataset.write(pixels)
                factors = dataset.overviews(1)
                if factors:
                    dataset.build_overviews(factors, Resampling.average)
            asset["file:size"] = path.stat().st_size
        thumbnail = folder / item["assets"]["thumbnail"]["href"]
        if seed is not None:
            Image.new("RGB", (150, 120), (255, 0, 0)).save(thumbnail)
        item["assets"]["thumbnail"]["file:size"] = thumbnail.stat().st_size
    return tuple(items)


def test_nothing_under_a_mask_changes_any_answer(masked, tmp_path):
    """Two installations that differ only under the mask: whoever is masked gets the same bytes from both."""
    addresses = [
        address for address in every_address(masked.item)
        if "qa" not in address and not address.endswith((".zarr/zarr.json", "quality.json"))
    ]  # fmt: skip
    west, south, east, north = masked.item["bbox"]
    x, y = tile_of((west + east) / 2, (south + north) / 2, 16)
    addresses += [
        f"/tiles/{masked.name}/{layer}/16/{column}/{row}.png"
        for layer in ("visual", "red", "pan") for column in (x - 1, x, x + 1) for row in (y - 1, y, y + 1)
    ]  # fmt: skip
    addresses += [f"/tiles/{masked.name}/{band}/statistics" for band in ("blue", "nir", "pan")]
    with ExitStack() as stack:
        same_pixels, other = (
            served(tmp_path / name, rewritten(masked, tmp_path / name, seed), stack)
            for name, seed in (("same", None), ("other", 7))
        )
        differing = {"cleared": 0, "gov": 0, "anybody": 0, "domestic": 0}
        for who in differing:
            for address in addresses:
                one, two = same_pixels.clients[who].get(address), other.clients[who].get(address)
                same = (one.status_code, one.content.replace(same_pixels.server.url.encode(), b"")) == (
                    two.status_code, two.content.replace(other.server.url.encode(), b""))  # fmt: skip
                differing[who] += not same
                assert same or who == "cleared", (who, address)
    assert differing["cleared"] > 20, "the cleared one sees what is under the mask, so the test can fail"


def tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    scale = 2**zoom
    row = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * scale
    return int((lon + 180) / 360 * scale), int(row)


def test_a_masked_product_is_not_given_as_it_lies(masked):
    gov, item = masked.clients["gov"], masked.item
    found = gov.get(f"/stac/collections/{item['collection']}/items/{item['id']}").json()
    assert not {"red", "visual", "zarr", "quality", "iso19139"} & set(found["assets"])
    assert not shape(found["geometry"]).intersects(shape(excluded_in(item)))
    assert shape(found["geometry"]).within(shape(item["geometry"]).buffer(1e-9))
    for key in ("red", "visual", "quality", "manifest"):
        assert gov.get(asset_path(item, key)).status_code == 404
    cleared = masked.clients["cleared"]
    assert cleared.get(asset_path(item, "red")).status_code == 200
    whole = cleared.get(f"/stac/collections/{item['collection']}/items/{item['id']}").json()
    assert shape(whole["geometry"]).equals(shape(item["geometry"]))


def test_a_point_under_the_mask_has_no_value(masked):
    west, south, east, north = shape(masked.item["geometry"]).bounds
    place = {"lon": west + (east - west) / 6, "lat": (south + north) / 2}
    hidden = masked.clients["gov"].get(f"/tiles/{masked.name}/point", params=place).json()
    seen = masked.clients["cleared"].get(f"/tiles/{masked.name}/point", params=place).json()
    assert hidden["values"]["pan"]["value"] is None
    assert seen["values"]["pan"]["value"] is not None


def test_a_new_policy_bites_at_once_and_a_wrong_one_never(archived, tmp_path):
    """Open links and searches of a running server, a second after the policy's files have changed."""
    home = tmp_path / "home"
    shutil.copytree(archived.home, home)
    with ExitStack() as stack:
        running = served(home, items_of(archived), stack)
        gov, address = running.clients["gov"], asset_path(running.item, "red")
        assert gov.get(address).status_code == 200
        folder = home / "configs" / "policies" / "directives"
        folder.mkdir(parents=True)
        (folder / "order-1.yaml").write_text("id: order-1\ntitle: nothing\nsince: 2026-01-01T00:00:00Z\n")
        time.sleep(1.2)
        assert gov.get(address).status_code == 200, "a directive that is no directive changes nothing"
        (folder / "order-1.yaml").write_text(json.dumps({
            "id": "order-1", "title": "limited operations", "since": "2026-01-01T00:00:00Z",
            "until": "2099-01-01T00:00:00Z", "geometry": running.item["geometry"],
        }))  # fmt: skip
        started = time.monotonic()
        while gov.get(address).status_code != 404 and time.monotonic() - started < 60:
            time.sleep(0.1)
        assert time.monotonic() - started < 5
        assert gov.get("/stac/search").json()["numberMatched"] == 0
        assert gov.get(f"/tiles/{running.name}/preview.webp").status_code == 404
        assert running.clients["operator"].get(address).status_code == 200
        (home / "configs" / "catalogue.yaml").write_text("policy: open-data\n")
        (folder / "order-1.yaml").unlink()
        time.sleep(1.2)
        assert running.clients["anybody"].get(address).status_code == 200


def test_a_server_does_not_start_with_a_policy_that_fails_its_tests(archived, tmp_path):
    folder = tmp_path / "configs" / "policies"
    folder.mkdir(parents=True)
    text = (Path("configs/policies/open-data.yaml")).read_text().replace("expect: allow", "expect: deny", 1)
    (folder / "kazakhstan-example.yaml").write_text(text.replace("id: open-data", "id: kazakhstan-example"))
    with pytest.raises(Exception, match="fails 1 of its own 2 tests") as failed, api_serving(tmp_path, config=CONFIG):
        pass
    assert not isinstance(failed.value, ConfigError)


def test_tokens_that_are_none_are_refused(plain):
    from joserfc import jwt
    from joserfc.jwk import OctKey

    claims = {"sub": "operator", "iss": "qyran", "aud": "qyran", "exp": 4_000_000_000}
    forged = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("guessed-secret-of-some-length"))
    good = plain.clients["gov"].headers["Authorization"]
    nobody = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9."
    for token in (
        f"Bearer {forged}",
        f"Bearer {nobody}",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        "Bearer x",
        "Basic eDp5",
    ):
        with plain.server.client() as client:
            assert client.get("/stac/search", headers={"Authorization": token}).status_code == 401


@pytest.fixture
def headers(plain, tmp_path) -> Path:
    """A file of headers with a token of the state's, as desktop GIS takes it (GDAL_HTTP_HEADER_FILE)."""
    path = tmp_path / "headers.txt"
    path.write_text(f"Authorization: {plain.clients['gov'].headers['Authorization']}\n")
    path.chmod(0o600)
    return path


def fresh(**options: str) -> rasterio.Env:
    """GDAL that remembers nothing of addresses it has asked before: an answer may depend on who asks."""
    return rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", CPL_VSIL_CURL_NON_CACHED="/vsicurl/", **options)


def test_desktop_gis_opens_a_protected_file_with_a_token(plain, headers):
    """``/vsicurl`` reads ranges of what its token opens, and nothing without."""
    item = plain.item
    address = f"/vsicurl/{plain.server.url}{asset_path(item, 'red')}"
    folder = plain.server.home / "products" / item["collection"] / item["id"]
    with fresh(), pytest.raises(rasterio.errors.RasterioIOError):
        rasterio.open(address)
    with fresh(GDAL_HTTP_HEADER_FILE=str(headers)), rasterio.open(address) as remote:
        pixels, crs, scales = remote.read(1), remote.crs, remote.scales
    with rasterio.open(folder / item["assets"]["red"]["href"]) as local:
        assert (pixels == local.read(1)).all()
        assert (crs, scales) == (local.crs, local.scales)


def test_desktop_gis_shows_a_protected_map_with_a_token(plain, headers, tmp_path):
    """GDAL's WMTS driver: a token's layers in full, everybody's as coarse as policy says, and none where none is."""
    address = f"WMTS:{plain.server.url}/tiles/{plain.name}/WMTSCapabilities.xml,layer=true-colour"
    seen = {}
    for who, options in (("gov", {"GDAL_HTTP_HEADER_FILE": str(headers)}), ("anybody", {})):
        # GDAL keeps tiles on its user's disk by their address alone.
        kept = {"GDAL_DEFAULT_WMS_CACHE_PATH": str(tmp_path / who)}
        with fresh(**kept, **options), rasterio.open(address) as dataset:
            assert dataset.crs.to_epsg() == 3857
            seen[who] = dataset.res[0], dataset.read(out_shape=(4, 128, 128))
    assert seen["gov"][0] < seen["anybody"][0], "the floor takes zoom levels away"
    opaque = (seen["gov"][1][3] == 255) & (seen["anybody"][1][3] == 255)
    assert opaque.mean() > 0.4
    assert not (seen["gov"][1][:3, opaque] == seen["anybody"][1][:3, opaque]).all()
    refused = tmp_path / "refused.txt"
    refused.write_text(f"Authorization: {plain.clients['listed'].headers['Authorization']}\n")
    with fresh(GDAL_HTTP_HEADER_FILE=str(refused)), pytest.raises(rasterio.errors.RasterioIOError):
        rasterio.open(address)
