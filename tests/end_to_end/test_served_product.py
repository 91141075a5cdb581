"""A published product through the catalogue's API, as the tools of customers use it."""

import hashlib
import json
import shutil
import subprocess
import warnings
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import rasterio
import zarr
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

from catalogs.validate import validate_collection, validate_item
from configs.registry import load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from processing.archive.manifest import read_manifest
from processing.archive.write import publish_product
from processing.model.product import Product
from tests.archive import synthetic
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services
BANDS = ("blue", "green", "red", "nir")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Product]:
    """Two revisions of one product, published and catalogued one after the other."""
    home = Home.resolve(tmp_path_factory.mktemp("home"))
    registry = load_registry()
    for resampling in ("cubic", "lanczos"):
        image = synthetic.image(synthetic.values((120, 150), 4), synthetic.geobox((120, 150)), BANDS)
        draft = synthetic.draft(BANDS, lineage=synthetic.lineage(resampling=resampling))
        published = publish_product(home.path, draft, [image])
        catalogue_product(published, home, registry)
    return home, published


@pytest.fixture(scope="module")
def server(product: tuple[Home, Product]) -> Iterator[ApiServer]:
    with api_serving(product[0].path) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: ApiServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def item(api, server, product):
    answer = api.get(f"{server.stac}/collections/{product[1].collection}/items/{product[1].id}")
    assert answer.status_code == 200
    return answer.json()


def test_what_goes_out_is_valid(api, server, item):
    validate_item(item)
    for collection in api.get(f"{server.stac}/collections").json()["collections"]:
        validate_collection(collection)
    hrefs = [entry["href"] for entry in (*item["links"], *item["assets"].values())]
    assert all(href.startswith(server.url) for href in hrefs)
    for link in item["links"]:
        assert api.get(link["href"]).status_code == 200, link


def test_pystac_client_finds_it_without_a_warning(server, product):
    import pystac_client

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        catalogue = pystac_client.Client.open(server.stac)
        assert [one.id for one in catalogue.get_collections()] == [product[1].collection]
        search = catalogue.search(
            collections=[product[1].collection], bbox=list(product[1].bbox), datetime="2000/2100", limit=1,
            filter="gsd < 100 AND platform IS NOT NULL", sortby="-datetime", max_items=5,
        )  # fmt: skip
        (found,) = search.items()
        assert found.id == product[1].id
        assert search.matched() == 1
        tree = {"op": "=", "args": [{"property": "id"}, product[1].id]}
        assert len(list(catalogue.search(filter=tree, filter_lang="cql2-json").items())) == 1
        assert found.get_collection().id == product[1].collection
        assert list(catalogue.search(query=["gsd>1000"]).items()) == []
        words = found.get_collection().title.split()
        assert len(list(catalogue.collection_search(q=words[0]).collections())) == 1
        assert list(catalogue.collection_search(q="nothing-of-the-kind").collections()) == []


def test_downloads_hash_as_the_manifest_says(api, item, product):
    home, published = product
    written = (home.products / published.collection / published.id / "manifest.sha256").read_text().splitlines()
    sums = dict(reversed(line.split(maxsplit=1)) for line in written)
    checked = 0
    for asset in item["assets"].values():
        name = asset["href"].rsplit("/", 1)[1]
        if name in sums:
            content = api.get(asset["href"]).content
            assert hashlib.sha256(content).hexdigest() == sums[name]
            assert asset["file:checksum"] == f"1220{sums[name]}"
            checked += 1
    assert checked >= len(BANDS) + 3


def test_every_object_of_the_zarr_store_and_nothing_else(api, item, product):
    base = item["assets"]["zarr"]["href"]
    records = read_manifest(product[0].path / product[1].archive_href)
    for key, record in records.items():
        content = api.get(f"{base}/{key}").content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (record.size, record.sha256)
    assert api.get(f"{base}/manifest.json").status_code == 200
    for key in ("", "nothing", "measurements", "zarr.json/", "zarr.json/x"):
        assert api.get(f"{base}/{key}").status_code == 404, key


def test_zarr_reads_it_over_http(item, product):
    web = HTTPStore.from_url(item["assets"]["zarr"]["href"], client_options={"allow_http": True})
    there = zarr.open_group(ObjectStore(web, read_only=True), mode="r")
    here = zarr.open_group(str(product[0].path / product[1].archive_href), mode="r")
    path = f"{product[1].groups[0].path}/red"
    np.testing.assert_array_equal(there[path][:], here[path][:])


def test_ranges_and_conditions(api, item):
    href = item["assets"]["red"]["href"]
    whole = api.get(href)
    tag = whole.headers["etag"]
    assert tag == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    part = api.get(href, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert api.get(href, headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    assert api.get(href, headers={"Range": "bytes=10-19", "If-Range": '"other"'}).status_code == 200
    several = api.get(href, headers={"Range": "bytes=0-1,5-6"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert api.get(href, headers={"If-None-Match": tag}).status_code == 304
    assert api.get(href, headers={"Range": "bytes=99999999-"}).status_code == 416
    head = api.head(href)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    assert head.headers["accept-ranges"] == "bytes"


def test_gdal_reads_a_download_over_http(item, product):
    """The library of the readers, and Debian's own where it is there."""
    href = item["assets"]["red"]["href"]
    options = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
        "GDAL_HTTP_PROXY": "",
    }
    with rasterio.Env(**options), rasterio.open(f"/vsicurl/{href}") as over_http:
        there = over_http.read(1)
    with rasterio.open(product[0].products / product[1].collection / product[1].id / "red.tif") as on_disk:
        np.testing.assert_array_equal(there, on_disk.read(1))
    if shutil.which("gdalinfo"):
        shown = subprocess.run(
            ["gdalinfo", "-json", f"/vsicurl/{href}"], capture_output=True, text=True, check=True, timeout=60
        )
        assert json.loads(shown.stdout)["size"] == [150, 120]


@pytest.mark.filterwarnings("ignore")
def test_odc_stac_loads_bands_by_name(server, product):
    import odc.stac
    import pystac_client

    catalogue = pystac_client.Client.open(server.stac)
    items = list(catalogue.search(ids=[product[1].id]).items())
    loaded = odc.stac.load(items, bands=["red", "nir"], chunks={})
    assert set(loaded.data_vars) == {"red", "nir"}
    with rasterio.open(product[0].products / product[1].collection / product[1].id / "red.tif") as on_disk:
        expected = on_disk.read(1)
    np.testing.assert_array_equal(loaded["red"].isel(time=0).to_numpy(), expected)


def test_the_revision_before_still_answers(api, item, product):
    """Its items, its files and its store, by addresses of its own."""
    hrefs = {link["rel"]: link["href"] for link in item["links"]}
    earlier = api.get(hrefs["predecessor-version"]).json()
    assert earlier["properties"]["version"] != item["properties"]["version"] == product[1].revision
    assert earlier["properties"]["deprecated"] is True
    for key in ("red", "manifest", "quality"):
        answer = api.get(earlier["assets"][key]["href"])
        assert answer.status_code == 200, key
        assert f"1220{hashlib.sha256(answer.content).hexdigest()}" == earlier["assets"][key]["file:checksum"]
    assert api.get(earlier["assets"]["red"]["href"]).content != api.get(item["assets"]["red"]["href"]).content
    assert api.get(f"{earlier['assets']['zarr']['href']}/zarr.json").status_code == 200


@pytest.mark.parametrize(
    "tail",
    [
        "red/../../../../../../etc/passwd", "red/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "red/%252e%252e%252fetc%252fpasswd",
        "red/red.tif%00.png", "red//etc/passwd", "red/%2fetc%2fpasswd", "red/item.json", "red/red.tif/x", "red/",
        "red/thumbnail.webp", "nothing/red.tif", "red/..%5c..%5cetc%5cpasswd",
        "manifest/../../../../catalogue/catalogue.sqlite",
    ],
)  # fmt: skip
def test_only_what_the_catalogue_names(server, product, tail):
    """As it stands: no client tidies the path before it is sent."""
    import http.client

    home, published = product
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.putrequest("GET", f"/download/{published.collection}/{published.id}/{tail}", skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status in (400, 404), content[:200]
    assert b"root:" not in content
    assert str(home.path).encode() not in content


@pytest.mark.parametrize(
    "href",
    [
        "/etc/hostname", "../../../../../../../../etc/hostname", "../../../catalogue/catalogue.sqlite",
        "../other/item.json", "file:///etc/hostname", "link.tif",
    ],
)  # fmt: skip
def test_an_item_cannot_name_what_is_not_its_own(tmp_path, href):
    """Not even where an operator's item names it, nor through a link."""
    from tests.catalogs.synthetic_items import collection, items

    with api_serving(tmp_path) as server, server.client() as client:
        server.store.put_collection(collection("alpha"))
        (item,) = items(1, home="alpha")
        item["assets"] = {"red": {"href": href}}
        server.store.put_item(item)
        own = tmp_path / "products" / "alpha" / item["id"]
        own.mkdir(parents=True)
        (own.parent / "other").mkdir()
        (own.parent / "other" / "item.json").write_text("another's")
        (own / "link.tif").symlink_to("/etc/hostname")
        name = href.rsplit("/", 1)[1] if "/" in href else href
        assert client.get(f"/download/alpha/{item['id']}/red/{name}").status_code == 404
