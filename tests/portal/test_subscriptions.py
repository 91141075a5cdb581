"""From a search to what comes by itself, and its end: below the orders."""

import pytest
from playwright.sync_api import expect

from tests.portal.conftest import SMALL
from tests.portal.test_orders import shop  # noqa: F401 - a fixture
from tests.portal.test_people import barriers
from tests.services.chromium import watched

pytestmark = pytest.mark.services


def test_a_search_is_subscribed_to_and_the_subscription_ended(chromium, shop):  # noqa: F811
    west, south, east, north = shop.portal.items[0]["bbox"]
    corners = ((west, south), (east, south), (east, north), (west, north))
    area = ",".join(f"{lon} {lat}" for lon, lat in corners)
    with watched(chromium, shop.portal.url, size=SMALL) as page:
        page.goto("/account")
        page.locator("#sign-token").fill(shop.token("subscriber"))
        page.locator("form button").first.click()
        page.get_by_role("button", name="Sign out").wait_for()
        page.goto(f"/?area={area}")
        page.get_by_role("link", name="My orders").first.click()
        expect(page.get_by_text("Nothing comes by itself yet.")).to_be_visible()
        page.get_by_role("button", name="Subscribe to the last search").click()
        subscribe = page.get_by_role("button", name="Subscribe", exact=True)
        expect(subscribe).to_be_disabled()
        assert barriers(page) == []
        page.get_by_role("checkbox", name="I accept the terms of the licence kz-export-eula-2").check()
        subscribe.click()
        expect(page.locator(".subscriptions .state")).to_have_text("active")
        assert barriers(page) == []
        page.get_by_role("button", name="End", exact=True).click()
        expect(page.get_by_text("Nothing comes by itself yet.")).to_be_visible()
