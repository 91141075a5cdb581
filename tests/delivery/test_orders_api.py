"""Orders and packages through HTTP: a customer's own, and nobody else's; interrupted, altered, overruled."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from catalogs.customers.store import open_customers
from catalogs.delivery.order import OrderState
from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.order_package import PackagedFile
from catalogs.delivery.package import DELIVERY, open_delivery, signed
from catalogs.delivery.package_keys import public_key, signing_key
from configs.schema.catalogue import CatalogueConfig
from pipelines import download
from pipelines.download import fetch_package, verify_folder
from processing.model.errors import BadInput, Defect
from tests.delivery.conftest import POLICY, House
from tests.delivery.cutter import cutting
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services
LICENCE = {"licence_accepted": "kz-export-eula-2"}
BIG = os.environ.get("QYRAN_BIG_DOWNLOAD") == "1"


class Shop:
    """A house that serves, and its customers' tokens."""

    def __init__(self, house: House, server: ApiServer) -> None:
        self.house, self.server = house, server
        customers = open_customers(house.home)
        self.tokens = {name: customers.new_token(name, "test").token for name in house.ids}
        customers.close()

    def client(self, name: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}
        return httpx.Client(base_url=self.server.url, headers=headers, trust_env=False, timeout=60)

    def links(self, name: str, order: str) -> dict[str, str]:
        with self.client(name) as client:
            files = client.get(f"/orders/{order}/files").json()["files"]
        return {entry["path"]: entry["href"] for entry in files}


@pytest.fixture
def shop(house):
    config = CatalogueConfig(requests_per_second=1e6, burst=1_000_000, policy=POLICY)
    (house.home / "configs").mkdir(exist_ok=True)
    (house.home / "configs" / "catalogue.yaml").write_text(f"policy: {POLICY}\n")
    with api_serving(house.home, config=config) as server:
        yield Shop(house, server)


@pytest.fixture(autouse=True)
def _pins(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def ready(shop: Shop, name: str = "buyer", **asked) -> str:
    with shop.client(name) as client:
        answer = client.post("/orders", json={"items": [shop.house.name]} | LICENCE | asked)
        assert answer.status_code == 201, answer.text
        order = answer.json()["id"]
    assert shop.house.make(order).state == OrderState.READY
    return order


def test_a_customer_quotes_orders_and_sees_only_its_own(shop):
    body = {"items": [shop.house.name], "clip": shop.house.inner(0.3, 0.3, 0.7, 0.7)}
    with shop.client("buyer") as buyer, shop.client("rival") as rival, shop.client(None) as nobody:
        quote = buyer.post("/orders/quote", json=body).json()
        assert (quote["decision"], quote["currency"], quote["licence"]) == ("allow", "USD", "kz-export-eula-2")
        assert 0 < quote["km2"] < 2
        assert "rule" not in quote["items"][0]
        assert buyer.post("/orders?dry_run=true", json=body).json()["amount"] == quote["amount"]
        assert buyer.get("/orders").json() == {"orders": []}
        refused = buyer.post("/orders", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "order.licence")
        placed = buyer.post("/orders", json=body | LICENCE | {"submission_key": "k"})
        again = buyer.post("/orders", json=body | LICENCE | {"submission_key": "k"})
        order = placed.json()["id"]
        assert placed.status_code == 201
        assert again.json()["id"] == order
        assert [entry["id"] for entry in buyer.get("/orders").json()["orders"]] == [order]
        assert buyer.get(f"/orders/{order}").json()["price"] == {"amount": quote["amount"], "currency": "USD"}
        assert rival.get("/orders").json() == {"orders": []}
        none = "20260101-" + "0" * 32
        for method, path in (("GET", ""), ("GET", "/files"), ("DELETE", ""), ("POST", "/approve"), ("POST", "/paid")):
            for who in (rival, buyer) if path in ("/approve", "/paid") else (rival,):
                foreign, missing = (who.request(method, f"/orders/{one}{path}") for one in (order, none))
                assert foreign.status_code == missing.status_code == 404
                assert foreign.content == missing.content
        for path in ("/orders", f"/orders/{order}"):
            assert nobody.get(path).status_code == 401
        assert buyer.delete(f"/orders/{order}").json()["state"] == "cancelled"
        assert buyer.delete(f"/orders/{order}").status_code == 409
        assert buyer.post("/orders", json=body | LICENCE | {"purpose": "disaster"}).status_code == 422
        assert buyer.post("/orders", json=body | {"to": "s3://else/where"}).status_code == 400


def test_officers_approve_through_the_api(shop):
    with shop.client("rival") as rival, shop.client("aigul") as officer, shop.server.client(operator=True) as operator:
        item = shop.house.item | {"properties": shop.house.item["properties"] | {"qyran:ce90_m": 5.0}}
        with open_desk(shop.house.home) as desk:
            desk.store.put_item(item)
        order = rival.post("/orders", json={"items": [shop.house.name]} | LICENCE).json()
        assert (order["state"], order["history"][-1]["reason"]) == ("held", "approval.needed")
        later = rival.post("/orders", json={"items": [shop.house.name], "bands": ["red"]} | LICENCE).json()
        pages = [
            officer.get("/officers/orders", params={"state": "held", "limit": 1, "offset": at, "oldest_first": first})
            for first in (True, False) for at in (0, 1, 2)
        ]  # fmt: skip
        seen = [[one["id"] for one in page.json()["orders"]] for page in pages]
        assert {seen[0][0], seen[1][0]} == {order["id"], later["id"]}
        assert seen == [seen[0], seen[1], [], seen[1], seen[0], []]
        assert pages[0].json()["counts"]["held"] == 2
        assert officer.post(f"/orders/{order['id']}/approve").json()["state"] == "accepted"
        assert operator.get(f"/orders/{order['id']}").json()["officers"] == [shop.house.ids["aigul"]]
        assert "officers" not in rival.get(f"/orders/{order['id']}").json()


def test_links_open_what_they_are_for_and_nothing_else(shop):
    order, other = ready(shop), ready(shop, bands=["red"], clip=shop.house.inner(0.3, 0.3, 0.5, 0.5))
    links = shop.links("buyer", order)
    red = f"data/{shop.house.name}/red.tif"
    data = (shop.house.package(order) / red).read_bytes()
    with shop.client(None) as anybody, shop.client("rival") as rival, shop.client("buyer") as buyer:
        assert anybody.get(links[red]).content == data
        assert anybody.get(links[red], headers={"Range": "bytes=10-19"}).content == data[10:20]
        assert anybody.head(links[red]).headers["content-length"] == str(len(data))
        changed = anybody.get(links[red], headers={"Range": "bytes=10-", "If-Range": '"0"'})
        assert (changed.status_code, len(changed.content)) == (200, len(data))
        plain, _, query = links[red].partition("?")
        blue = plain.replace("red.tif", "blue.tif")
        for wrong in (
            f"{blue}?{query}", f"{plain}?{query[:-2]}xx", plain.replace(order, other) + f"?{query}",
            f"{plain}?{query}&expires=9999999999", f"{plain}?{query.replace('customer=', 'customer=x')}",
        ):  # fmt: skip
            assert anybody.get(wrong).status_code == 403, wrong
        assert anybody.get(plain).status_code == rival.get(plain).status_code == 404
        assert buyer.get(plain).status_code == 200
        for path in ("%2e%2e/%2e%2e/orders.db", "x/%2e%2e/bagit.txt", "data", "nothing", "bagit.txt%00"):
            assert buyer.get(f"/download/orders/{order}/{path}").status_code == 404, path
        with open_desk(shop.house.home) as desk:
            assert desk.orders.find(order).state == OrderState.DELIVERED
            desk.customers.revoke_links(order=order)
        assert anybody.get(links[red]).status_code == 403


def test_a_new_policy_closes_open_links(shop):
    order = ready(shop, "akimat")
    links = shop.links("akimat", order)
    with shop.client(None) as anybody:
        assert anybody.get(links["bagit.txt"]).status_code == 200
        shop.house.excluded(shop.house.inner(0.4, 0.4, 0.6, 0.6))
        for _ in range(40):
            answer = anybody.get(links["bagit.txt"])
            if answer.status_code != 200:
                break
            time.sleep(0.1)
        assert (answer.status_code, answer.json()["code"]) == (403, "order.denied")
    # Made anew it may be had again, without what may not be.
    assert shop.house.make(order).state == OrderState.READY
    with shop.client(None) as anybody:
        assert anybody.get(shop.links("akimat", order)["bagit.txt"]).status_code == 200


def sparse(shop: Shop, size: int) -> tuple[str, str]:
    """A package with one large file, mostly holes."""
    order = ready(shop, bands=["red"], clip=shop.house.inner(0.4, 0.4, 0.5, 0.5))
    folder, name = shop.house.package(order), "data/large.tif"
    with (folder / name).open("wb") as stream:
        for place in range(0, size, size // 7):
            stream.seek(place)
            stream.write(hashlib.sha256(str(place).encode()).digest())
        stream.truncate(size)
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    key = signing_key(shop.house.home)
    payload = open_delivery((folder / DELIVERY).read_bytes(), key.public).payload
    large = PackagedFile(path=name, size=size, sha256=digest, media_type="image/tiff")
    with open_desk(shop.house.home) as desk:
        package = desk.orders.find(order).package
        manifest = "".join(f"{f.sha256}  {f.path}\n" for f in (*package.files, large) if f.path.startswith("data/"))
        wider = package.model_copy(update={"files": (*package.files, large)})
        desk.orders.change(order, lambda found: found.model_copy(update={"package": wider}))
    payload |= {
        "files": [file.model_dump(mode="json") for file in wider.files],
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
    }
    (folder / DELIVERY).write_bytes(signed(payload, key))
    return order, digest


def test_a_large_download_interrupted_twenty_times_is_the_same(shop, tmp_path):
    """5 GB with QYRAN_BIG_DOWNLOAD=1; 60 MB otherwise: what resumes is the same."""
    size = 5_000_000_000 if BIG else 60_000_000
    order, digest = sparse(shop, size)
    # No connection brings more than a thirtieth: twenty are cut in the middle of the file.
    with cutting(shop.server.url, [size // 30] * 20) as proxy:
        config = shop.server.url
        token = shop.tokens["buyer"]
        links = shop.links("buyer", order)
        assert all(href.startswith(config) for href in links.values())
        found = fetch_package(proxy.url, token, order, tmp_path, key=public_key(shop.house.home))
        assert proxy.cuts == 20
    assert found.resumed >= 20
    assert found.received <= sum(path.stat().st_size for path in (tmp_path / order).rglob("*") if path.is_file()) * 1.01
    with (tmp_path / order / "data" / "large.tif").open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == digest
    opened, findings = verify_folder(tmp_path / order, public_key(shop.house.home))
    assert (findings, opened.pinned) == ([], True)
    shutil.rmtree(tmp_path / order)


def test_plain_curl_takes_up_where_it_was_left(shop, tmp_path):
    order = ready(shop)
    name = f"data/{shop.house.name}/pan.tif"
    whole, target = (shop.house.package(order) / name).read_bytes(), tmp_path / "pan.tif"
    target.write_bytes(whole[: len(whole) // 3])
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    command = [curl, "-sS", "--noproxy", "*", "-C", "-", "-o", target, shop.links("buyer", order)[name]]
    subprocess.run(command, check=True)
    assert target.read_bytes() == whole


def test_a_killed_download_goes_on_and_a_changed_part_is_noticed(shop, tmp_path):
    order = ready(shop)
    key, token = public_key(shop.house.home), shop.tokens["buyer"]
    name = Path("data") / shop.house.name / "pan.tif"
    whole = (shop.house.package(order) / name).read_bytes()
    part = tmp_path / order / f"{name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[:50_000])
    found = fetch_package(shop.server.url, token, order, tmp_path, key=key)
    assert (found.resumed, found.received) == (1, found.bytes - 50_000)
    # Nothing is fetched twice; what was damaged is fetched anew.
    assert fetch_package(shop.server.url, token, order, tmp_path, key=key).received == 0
    (tmp_path / order / name).unlink()
    part.write_bytes(b"x" + whole[1:50_000])
    found = fetch_package(shop.server.url, token, order, tmp_path, key=key)
    assert (tmp_path / order / name).read_bytes() == whole
    assert found.received == 2 * len(whole) - 50_000


def test_links_that_end_on_the_way_are_asked_for_anew(shop, tmp_path, monkeypatch):
    order = ready(shop, bands=["red"])
    real, spoiled = download.OrderServer.files, []

    def files(self, name):
        found = real(self, name)
        if not spoiled:
            spoiled.append(name)
            return {path: type(one)(one.path, one.href[:-3] + "xxx") if path != DELIVERY else one
                    for path, one in found.items()}  # fmt: skip
        return found

    monkeypatch.setattr(download.OrderServer, "files", files)
    found = fetch_package(shop.server.url, shop.tokens["buyer"], order, tmp_path, key=public_key(shop.house.home))
    assert found.files > 5


def test_the_key_of_a_server_is_pinned(shop, tmp_path):
    order = ready(shop, bands=["red"])
    token = shop.tokens["buyer"]
    fetch_package(shop.server.url, token, order, tmp_path / "a", key=None)
    pins = json.loads(download.pins_file().read_bytes())
    assert list(pins) == [shop.server.url]
    other = signing_key(tmp_path / "other").public
    download.pins_file().write_text(json.dumps({shop.server.url: str(other)}))
    with pytest.raises(BadInput) as caught:
        fetch_package(shop.server.url, token, order, tmp_path / "b", key=None)
    assert caught.value.kind == "delivery.signature"
    with pytest.raises(BadInput) as caught:
        fetch_package(shop.server.url, shop.tokens["rival"], order, tmp_path / "c", key=None)
    assert caught.value.kind == "order.unknown"
    with pytest.raises(BadInput) as caught:
        fetch_package(shop.server.url, "made-up", order, tmp_path / "c", key=None)
    assert caught.value.kind == "download.token"


def test_an_altered_file_is_never_kept(shop, tmp_path):
    order = ready(shop, bands=["red"])
    path = shop.house.files(order) / "red.tif"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(Defect) as caught:
        fetch_package(shop.server.url, shop.tokens["buyer"], order, tmp_path, key=public_key(shop.house.home))
    assert caught.value.kind == "download.altered"
    assert not list((tmp_path / order).rglob("red.tif*"))
    with pytest.raises(BadInput) as refused:
        verify_folder(tmp_path / order, public_key(shop.house.home))
    assert refused.value.kind == "delivery.missing"
