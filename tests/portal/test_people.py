"""Whoever uses the page: in three languages, by keyboard, on a telephone, with a screen reader, without luck."""

import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from configs.schema.catalogue import CatalogueConfig
from tests.portal.conftest import SMALL, idle
from tests.services.api import TOKEN, api_serving
from tests.services.chromium import PHONE, watched

pytestmark = pytest.mark.services
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
TITLES = {"kk": "Суреттерді іздеу", "ru": "Поиск снимков", "en": "Find images"}


def barriers(page: Page) -> list[str]:
    """Serious and critical faults that axe-core finds. It is run beside the page: the page's policy would refuse it."""
    if not AXE.is_file():
        pytest.skip("axe-core is not there: npm ci --prefix tests/portal/node")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in found["violations"] if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]  # fmt: skip


def sign_in(page: Page) -> None:
    page.goto("/account")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").first.click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.mark.parametrize("language", TITLES)
def test_the_browsers_language_is_spoken(opened, language):
    page = opened("/", locale=language)
    expect(page.locator("main h1")).to_have_text(TITLES[language])
    assert page.locator("html").get_attribute("lang") == language


def test_the_language_is_switched_and_kept(opened, portal):
    page = opened(f"/item/{portal.key}")
    for language, words in {"kk": "Сапасы", "ru": "Качество", "en": "Quality"}.items():
        page.get_by_role("combobox").first.select_option(language)
        expect(page.locator("#quality h2")).to_have_text(words)
        title = portal.items[-1]["properties"]["qyran:titles"][language]
        expect(page.locator(".eyebrow").first).to_have_text(title)
    page.get_by_role("combobox").first.select_option("kk")
    expect(page.locator("#quality h2")).to_have_text("Сапасы")
    page.goto("/")
    expect(page.locator("main h1")).to_have_text(TITLES["kk"])


def test_search_item_and_basket_by_keyboard_alone(opened, portal):
    page = opened("/?collection=kazeosat-1-l1c")
    expect(page.locator(".card")).to_have_count(3)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    def tab_to(matches: str, *, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("matches => document.activeElement.matches(matches)", matches):
                return
        pytest.fail(f"no way to {matches} by keyboard")

    tab_to(".tool:nth-of-type(4)")
    page.keyboard.press("Enter")
    expect(page.locator("#area-text")).to_be_focused()
    west, south, east, north = portal.items[-1]["bbox"]
    page.keyboard.type(f"{west},{south},{east},{north}")
    tab_to(".written button")
    page.keyboard.press("Enter")
    tab_to(".card h3 a")
    page.keyboard.press("Enter")
    expect(page.locator("article h1")).to_contain_text("22 May 2026")
    expect(page.locator("main")).to_be_focused()
    tab_to(".actions .main")
    page.keyboard.press("Enter")
    expect(page.locator(".actions .main")).to_contain_text("In the basket")
    page.keyboard.press("Enter")
    expect(page.locator(".basket li")).to_have_count(1)


@pytest.mark.parametrize(
    "path", ["/", "/item/{key}", "/compare?a={first}&b={key}", "/basket", "/my-orders", "/account"]
)
def test_a_telephone_shows_all_of_it_and_a_reader_finds_no_barrier(opened, portal, path):
    page = opened(path.format(key=portal.key, first=portal.key_of(0)), size=PHONE, has_touch=True, is_mobile=True)
    page.wait_for_load_state("networkidle")
    # Nothing stands out at the side.
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE[0]
    assert barriers(page) == []


def test_no_barrier_at_a_desk(opened, portal):
    page = opened("/")
    expect(page.locator(".card").first).to_be_visible()
    page.locator("summary", has_text="Filters").click()
    page.get_by_role("button", name="Type").click()
    page.get_by_role("button", name="Search here").click()
    page.locator("[data-act=compare]").first.click()
    assert barriers(page) == []
    for path in (f"/item/{portal.key}", f"/compare?a={portal.key_of(0)}&b={portal.key}", "/my-orders", "/item/a/b"):
        other = opened(path, statuses=frozenset({404}))
        other.wait_for_load_state("networkidle")
        for one in other.locator("details").all():
            one.locator("summary").click()
        assert barriers(other) == [], path


def test_an_empty_catalogue_is_no_fault(chromium, tmp_path):
    with api_serving(tmp_path) as server, watched(chromium, server.url, size=SMALL) as page:
        page.goto("/")
        expect(page.locator(".notice.empty h3")).to_have_text("The catalogue is still empty")
        assert barriers(page) == []


def test_too_many_requests_are_said_so(chromium, portal):
    slow = CatalogueConfig(requests_per_second=0.02, burst=150, policy="open-data")
    with (
        api_serving(portal.server.home, config=slow) as server,
        watched(chromium, server.url, size=SMALL, statuses=frozenset({429})) as page,
    ):
        page.goto("/")
        expect(page.locator(".card").first).to_be_visible()
        idle(page)
        page.evaluate("() => Promise.all(Array.from({ length: 160 }, () => fetch('/healthz')))")
        page.get_by_label("From", exact=True).first.fill("2026-04-01")
        expect(page.locator(".notice.bad")).to_contain_text(re.compile(r"Too many requests\. Wait \d+ s"))
        assert barriers(page) == []


def test_a_lost_connection_is_said_in_plain_words(opened):
    page = opened("/")
    expect(page.locator(".card").first).to_be_visible()
    idle(page)
    page.context.set_offline(True)
    page.get_by_label("From", exact=True).first.fill("2026-04-01")
    expect(page.locator(".notice.bad")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".results h2")).to_have_text("4 images")


def test_an_area_that_cannot_be_used_is_refused_in_plain_words(opened):
    # Its sides cross: an address may say so, where the field itself would not.
    page = opened("/?area=60 40,70 50,70 40,60 50", statuses=frozenset({422}))
    expect(page.locator(".notice.bad")).to_contain_text("sides may not cross")


def test_signing_in_and_out(opened):
    page = opened("/account", statuses=frozenset({401}))
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").first.click()
    expect(page.locator("#token-error")).to_contain_text("not the right one")
    assert barriers(page) == []
    sign_in(page)
    assert page.evaluate("() => document.cookie") == ""
    page.goto("/my-orders")
    expect(page.locator(".notice")).to_contain_text("no orders yet")
    page.goto("/account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert not [
        one
        for one in page.context.cookies()
        if one["value"] and "qyran" in one["name"] and one["expires"] != 0 and "session" in one["name"]
    ]


def test_who_signs_in_by_the_pages_head_comes_back_to_what_he_looked_at(opened, portal):
    page = opened(f"/item/{portal.key}")
    page.get_by_role("banner").get_by_role("link", name="Sign in").click()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").first.click()
    expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_have_count(0)
    expect(page).to_have_url(re.compile(f"/item/{portal.key}$"))


def test_dates_and_numbers_are_kazakh_where_the_browser_has_no_kazakh(opened, portal):
    page = opened(f"/item/{portal.key}", locale="kk")
    expect(page.locator("article h1")).to_have_text("2026 ж. 22 мам., 05:41 UTC")
    expect(page.locator("#quality")).to_contain_text("8,1 м")
    idle(page)
    names = "() => document.querySelector('.map-canvas').held.map.getSource('countries').serialize().data.features"
    labels = page.evaluate(f"() => ({names})().map(one => one.properties.label)")
    assert {"Қазақстан", "Қытай", "Ресей"} <= set(labels)


def test_the_first_view_comes_quickly(opened, capsys):
    """Stated, not asserted: a machine that does other things at the same time draws its maps when it can."""
    opened("/").locator(".card").first.wait_for()
    page = opened("/")
    page.locator(".card").first.wait_for()
    measured = page.evaluate("() => performance.now()")
    with capsys.disabled():
        sys.stdout.write(f"\nfirst view after warm-up: {measured:.0f} ms\n")
