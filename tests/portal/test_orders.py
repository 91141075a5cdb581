"""From an image to its files: basket, price, licence, order, what became of it, download; and an order called off."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from catalogs.customers.accounts import Contract, Details
from catalogs.customers.store import open_customers
from catalogs.policy.terms import CustomerClass
from configs.schema.catalogue import CatalogueConfig
from tests.archive import synthetic
from tests.portal.conftest import SMALL, Portal, made, published, register
from tests.portal.test_people import barriers
from tests.services.api import api_serving
from tests.services.chromium import PHONE, watched

pytestmark = pytest.mark.services
POLICY = "kazakhstan-example"


@dataclass(frozen=True)
class Shop:
    """A server with a policy."""

    portal: Portal
    home: Path

    def token(self, name: str) -> str:
        """Of a new customer, with a contract and no licence accepted yet."""
        customers = open_customers(self.home)
        try:
            customers.add(name, Details(customer_class=CustomerClass("export_ally"), country="UZ"))
            customers.put_contract(name, Contract(number=name, starts=synthetic.ACQUIRED))
            return customers.new_token(name, "test").token
        finally:
            customers.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("shop")
    items = published(home)
    (home / "configs").mkdir()
    (home / "configs" / "catalogue.yaml").write_text(f"policy: {POLICY}\n")
    config = CatalogueConfig(requests_per_second=1e6, burst=1_000_000, policy=POLICY)
    with api_serving(home, config=config) as server:
        register(server.store, items)
        yield Shop(Portal(server, items), home)


def test_an_order_from_the_image_to_its_files(chromium, shop, tmp_path):
    with watched(chromium, shop.portal.url, size=SMALL) as page:
        page.goto(f"/item/{shop.portal.key}")
        page.get_by_role("button", name="Order", exact=True).click()
        page.get_by_role("button", name="In the basket").click()
        # Nobody is asked who he is before it matters; then the way leads back to the basket.
        page.locator("main").get_by_role("link", name="Sign in").click()
        page.get_by_label("Token").fill(shop.token("buyer"))
        page.get_by_role("button", name="Sign in").first.click()
        expect(page.locator(".total .sum")).to_contain_text("$")
        assert barriers(page) == []
        place = page.get_by_role("button", name="Place the order")
        expect(place).to_be_disabled()
        page.get_by_role("checkbox", name="I accept the terms of the licence kz-export-eula-2").check()
        place.click()
        expect(page.locator(".standing .state")).to_have_text("accepted")
        order = page.url.rsplit("/", 1)[1]
        package = made(shop.home, order)
        # The page looks again by itself.
        expect(page.locator(".standing .state")).to_have_text("ready")
        assert barriers(page) == []
        name = f"{shop.portal.key}/red.tif"
        link = page.locator(f".file a[aria-label$='{name}']")
        with page.expect_download() as waited:
            link.click()
        waited.value.save_as(tmp_path / "red.tif")
        (kept,) = (path for path in package.rglob("red.tif"))
        assert (
            hashlib.sha256((tmp_path / "red.tif").read_bytes()).digest() == hashlib.sha256(kept.read_bytes()).digest()
        )
        page.get_by_role("link", name="My orders").first.click()
        expect(page.locator(".orders li")).to_have_count(1)
        expect(page.locator(".count")).to_have_count(0)


def test_an_order_is_called_off_on_a_telephone(chromium, shop):
    with watched(chromium, shop.portal.url, size=PHONE, has_touch=True, locale="ru") as page:
        page.goto("/account")
        page.locator("#sign-token").fill(shop.token("caller"))
        page.locator("form button").first.click()
        page.get_by_role("button", name="Выйти").wait_for()
        page.goto(f"/item/{shop.portal.key_of(0)}")
        page.locator(".actions .main").click()
        page.locator(".actions .main").click()
        page.locator("#licence").check()
        page.get_by_role("button", name="Заказать", exact=True).click()
        page.get_by_role("button", name="Отменить заказ").click()
        expect(page.locator(".standing .state")).to_have_text("отменён")
        expect(page.get_by_role("button", name="Отменить заказ")).to_have_count(0)
        assert barriers(page) == []
