"""The whole trade in a browser: a customer abroad, a state body, officers who decide, and the report of the month."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pypdf
import pytest
import rasterio
import shapely
from playwright.sync_api import Browser, Page, expect
from pyproj import Transformer
from rasterio.features import geometry_mask
from shapely.geometry import mapping, shape

from catalogs.customers.accounts import Contract, Details
from catalogs.customers.store import open_customers
from catalogs.item import to_item
from catalogs.policy.terms import CustomerClass
from configs.registry import load_registry
from configs.schema.catalogue import CatalogueConfig
from processing.archive.write import publish_product
from tests.archive import synthetic
from tests.portal.conftest import SMALL, Portal, made, register
from tests.portal.test_people import barriers
from tests.services.api import api_serving
from tests.services.chromium import PHONE, picture, watched

pytestmark = pytest.mark.services
POLICY = "kazakhstan-example"
NAMES = ("blue", "green", "red", "nir")
SHAPE, PIXEL_M = (320, 400), 10.0
PLACES = {"plain": 0, "sensitive": 1, "part": 2, "secret": 3}
"""Items by what the policy makes of them, and how many times 30 km east of the first each lies."""
PEOPLE = {
    "Orbital Trade": Details(customer_class=CustomerClass.EXPORT_ALLY, country="UZ"),
    "Akimat": Details(customer_class=CustomerClass.GOV_DOMESTIC, country="KZ", region="KZ-75"),
    "Aigul": Details(customer_class=CustomerClass.GOV_DOMESTIC, country="KZ", officer=True),
    "Daniyar": Details(customer_class=CustomerClass.GOV_DOMESTIC, country="KZ", officer=True),
}
BUFFER_M = 500
"""Of the excluded area, as the policy says."""


@dataclass(frozen=True)
class Trade:
    """A running installation that sells, and everybody's tokens."""

    portal: Portal
    home: Path
    items: dict[str, dict[str, Any]]
    tokens: dict[str, str]
    excluded: shapely.Geometry
    """The excluded ground in the grid of ``part``, buffer included."""

    def key(self, kind: str) -> str:
        return f"{self.items[kind]['collection']}/{self.items[kind]['id']}"

    def client(self, name: str | None) -> httpx.Client:
        headers = {} if name is None else {"Authorization": f"Bearer {self.tokens[name]}"}
        return httpx.Client(base_url=self.portal.url, headers=headers, trust_env=False, timeout=60)


def box_of(kind: str):
    return synthetic.geobox(SHAPE, PIXEL_M, origin=(620_000.0 + 30_000 * PLACES[kind], 4_800_000.0))


def one_published(home: Path, kind: str) -> dict[str, Any]:
    registry = load_registry()
    picture = synthetic.image(synthetic.values(SHAPE, 4, seed=PLACES[kind] + 1), box_of(kind), NAMES)
    name = f"KZ1_20260424T052011_0000000{PLACES[kind]}_L1C"
    product = publish_product(home, synthetic.draft(NAMES, item=name, gsd_m=1.0, accuracy={"ce90_m": 12.0}), [picture])
    settled = registry.missions[product.mission], registry.sensors[product.sensor], registry.recipes[product.recipe]
    return to_item(product, *settled)


def ground(kind: str, west: float, east: float) -> shapely.Geometry:
    """A band of an item's square by shares of its width, and as much beyond it north and south; degrees."""
    left, bottom, right, top = box_of(kind).boundingbox.bbox
    wide = right - left
    square = shapely.box(left + west * wide, bottom - 1000, left + east * wide, top + 1000)
    to_degrees = Transformer.from_crs(32643, 4326, always_xy=True)
    return shapely.transform(shapely.segmentize(square, 200), to_degrees.transform, interleaved=False)


@pytest.fixture(scope="module")
def trade(tmp_path_factory) -> Iterator[Trade]:
    home = tmp_path_factory.mktemp("trade")
    items = {kind: one_published(home, kind) for kind in PLACES}
    areas = home / "configs" / "policies" / "areas"
    areas.mkdir(parents=True)
    excluded = ground("part", 0.2, 0.3)
    for name, grounds in (
        ("sensitive", [ground("sensitive", 0.4, 0.6)]), ("excluded", [excluded, ground("secret", -1, 2)]),
    ):  # fmt: skip
        features = [{"type": "Feature", "properties": {}, "geometry": mapping(one)} for one in grounds]
        (areas / f"kazakhstan-{name}.geojson").write_text(
            json.dumps({"type": "FeatureCollection", "features": features})
        )
    (home / "configs" / "catalogue.yaml").write_text(f"policy: {POLICY}\n")
    tokens = {}
    customers = open_customers(home)
    for name, details in PEOPLE.items():
        customers.add(name, details)
        customers.put_contract(name, Contract(number=f"N-{name}", starts=synthetic.ACQUIRED))
        tokens[name] = customers.new_token(name, "test").token
    customers.close()
    to_grid = Transformer.from_crs(4326, 32643, always_xy=True)
    in_grid = shapely.transform(excluded, to_grid.transform, interleaved=False)
    config = CatalogueConfig(requests_per_second=1e6, burst=1_000_000, policy=POLICY)
    with api_serving(home, config=config) as server:
        register(server.store, tuple(items.values()))
        yield Trade(Portal(server, tuple(items.values())), home, items, tokens, in_grid.buffer(BUFFER_M))


@pytest.fixture
def as_person(chromium: Browser, trade: Trade) -> Iterator[Callable[..., Page]]:
    """Opens a watched page for somebody who has signed in there."""
    with ExitStack() as held:

        def sign_in(name: str, **options: Any) -> Page:
            # Here maps glide as they do for most people.
            options = {"size": SMALL, "reduced_motion": "no-preference", **options}
            page = held.enter_context(watched(chromium, trade.portal.url, **options))
            page.goto("/account")
            page.locator("#sign-token").fill(trade.tokens[name])
            page.locator("form button").first.click()
            expect(page.locator("main h1")).to_have_text(name)
            return page

        yield sign_in


def ordered(page: Page, trade: Trade, kind: str, *, licence: bool) -> str:
    """Order an item from its page, as people do; the order's number."""
    page.goto(f"/item/{trade.key(kind)}")
    page.get_by_role("button", name="Order", exact=True).click()
    page.get_by_role("button", name="In the basket").click()
    expect(page.locator(".total .sum")).to_contain_text("$" if licence else "free of charge")
    if licence:
        page.get_by_role("checkbox", name="I accept the terms of the licence").check()
    picture(page, f"basket-{kind}")
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/my-orders/*")
    return page.url.rsplit("/", 1)[1]


def downloaded(page: Page, name: str, to: Path) -> Path:
    with page.expect_download() as waited:
        page.locator(f".file a[aria-label$='{name}']").click()
    waited.value.save_as(to)
    return to


def test_trade_from_search_to_the_report(as_person, trade, tmp_path):
    buyer = as_person("Orbital Trade")
    buyer.goto("/")
    # What lies whole in the excluded area is not there for a customer abroad.
    expect(buyer.locator(".card")).to_have_count(3)
    assert buyer.request.get(f"/stac/collections/{trade.key('secret').replace('/', '/items/')}").status == 404
    picture(buyer, "search-abroad")
    abroad = ordered(buyer, trade, "sensitive", licence=True)
    expect(buyer.locator(".standing .state")).to_have_text("held")
    expect(buyer.locator(".history")).to_contain_text("approval is awaited")

    aigul, daniyar = as_person("Aigul"), as_person("Daniyar", size=PHONE, has_touch=True)
    aigul.get_by_role("link", name="Desk").click()
    expect(aigul.get_by_role("button", name="Waiting 1")).to_have_attribute("aria-pressed", "true")
    assert barriers(aigul) == []
    picture(aigul, "desk")
    aigul.get_by_role("link", name="Orbital Trade").click()
    expect(aigul.locator(".standing")).to_contain_text("Approvals: 0 of 2")
    expect(aigul.locator(".orders")).to_contain_text("rule R04-sensitive")
    assert barriers(aigul) == []
    aigul.get_by_label("Why, in your words").fill("the end user is known to us")
    picture(aigul, "decision")
    aigul.get_by_role("button", name="Approve").click()
    expect(aigul.locator(".standing")).to_contain_text("Approvals: 1 of 2")

    daniyar.goto(f"/desk/{abroad}")
    expect(daniyar.locator("main")).to_contain_text("the end user is known to us")
    picture(daniyar, "decision-telephone")
    daniyar.get_by_role("button", name="Approve").click()
    expect(daniyar.locator(".standing .state")).to_have_text("accepted")
    package = made(trade.home, abroad)
    buyer.goto(f"/my-orders/{abroad}")
    expect(buyer.locator(".standing .state")).to_have_text("ready")
    picture(buyer, "order-ready")
    # Who of the house said what is the house's own matter.
    assert "Aigul" not in buyer.content()
    assert "known to us" not in buyer.request.get(f"/orders/{abroad}").text()
    got = downloaded(buyer, f"{trade.key('sensitive')}/red.tif", tmp_path / "abroad.tif")
    kept = package / "data" / trade.key("sensitive") / "red.tif"
    assert hashlib.sha256(got.read_bytes()).digest() == hashlib.sha256(kept.read_bytes()).digest()

    akimat = as_person("Akimat")
    free = ordered(akimat, trade, "part", licence=False)
    made(trade.home, free)
    expect(akimat.locator(".standing .state")).to_have_text("ready")
    verify_masked(downloaded(akimat, f"{trade.key('part')}/red.tif", tmp_path / "free.tif"), trade)

    aigul.goto("/desk")
    aigul.get_by_role("link", name="The month's report").click()
    verify_report(aigul, trade)


def verify_masked(path: Path, trade: Trade) -> None:
    """None of the excluded ground has a value, all of the rest has."""
    with (
        rasterio.open(path) as source,
        rasterio.open(next(trade.home.glob(f"products/{trade.key('part')}/red.tif"))) as all_,
    ):
        found, whole = source.read(1), all_.read(1)
        assert source.transform == all_.transform
        inside = ~geometry_mask([trade.excluded.buffer(-2 * PIXEL_M)], source.shape, source.transform, all_touched=True)
        outside = geometry_mask([trade.excluded.buffer(4 * PIXEL_M)], source.shape, source.transform, all_touched=True)
    assert (whole[inside] != 0).sum() > 5_000
    assert not found[inside].any()
    assert np.abs(found[outside].astype(int) - whole[outside]).max() <= 1  # the order's own mark
    assert ((found != 0) == (whole != 0))[outside].all()


def verify_report(page: Page, trade: Trade) -> None:
    """Export revenue beside domestic service free of charge: on the page, in the table and on paper alike."""
    summary = page.locator("section").first
    export = summary.locator("tr", has=page.get_by_role("rowheader", name="Export", exact=True))
    free = summary.locator("tr", has=page.get_by_role("rowheader", name="of which free of charge"))
    expect(export.locator("td").last).to_have_text(re.compile(r"^\$\d+\.\d\d$"))
    expect(free.locator("td").last).to_have_text("0")
    picture(page, "report")
    assert barriers(page) == []
    with page.expect_download() as waited:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(waited.value.path()).read_text(encoding="utf-8-sig"))))
    assert [(row["customer_name"], row["currency"], float(row["amount"]) > 0) for row in rows] == [
        ("Orbital Trade", "USD", True), ("Akimat", rows[1]["currency"], False),
    ]  # fmt: skip
    with page.expect_download() as waited:
        page.get_by_role("link", name="PDF").click()
    paper = "".join(one.extract_text() for one in pypdf.PdfReader(waited.value.path()).pages)
    assert f"{float(rows[0]['amount']):,.2f}".replace(",", "\u00a0") in paper
    assert datetime.now(UTC).strftime("%Y-%m") in paper


def test_an_officer_refuses_and_may_not_decide_twice(as_person, trade):
    with trade.client("Orbital Trade") as buyer:
        body = {"items": [trade.key("sensitive")], "licence_accepted": "kz-export-eula-2"}
        order = buyer.post("/orders", json=body).json()["id"]
    page = as_person("Aigul", statuses=frozenset({409}))
    page.goto(f"/desk/{order}")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".standing")).to_contain_text("Approvals: 1 of 2")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".wrong")).to_contain_text("Another officer has to approve it")
    page.get_by_label("Why, in your words").fill("not this month")
    page.get_by_role("button", name="Refuse").click()
    expect(page.locator(".standing .state")).to_have_text("rejected")
    expect(page.locator(".history")).to_contain_text("not this month")
    expect(page.get_by_role("button", name="Refuse")).to_have_count(0)


def test_the_desk_is_for_officers(as_person, trade):
    page = as_person("Orbital Trade", statuses=frozenset({403}))
    expect(page.get_by_role("link", name="Desk")).to_have_count(0)
    for path in ("/desk", "/report"):
        page.goto(path)
        expect(page.get_by_role("alert")).to_have_text("This page is for officers of the house.")
    paths = ("/officers/orders", "/officers/orders/20260101-0", "/officers/reports/2026-11")
    with trade.client("Orbital Trade") as buyer, trade.client(None) as nobody, trade.client("Aigul") as officer:
        for path in paths:
            assert (buyer.get(path).status_code, nobody.get(path).status_code) == (403, 401)
        assert officer.get(paths[1]).status_code == 404
        assert officer.get("/officers/reports/2026-13").status_code == 400
        assert officer.post("/orders/20260101-0/approve", json={"note": "x" * 1001}).status_code == 400
        # An officer decides about an order and does not get its files.
        assert all("links" not in one or not one["links"] for one in officer.get("/officers/orders").json()["orders"])


def test_shapes_are_what_the_test_says(trade):
    """The excluded ground goes through the item, and the item is larger than it."""
    footprint = shape(trade.items["part"]["geometry"])
    assert footprint.intersects(ground("part", 0.2, 0.3))
    assert not footprint.within(ground("part", 0.2, 0.3))
