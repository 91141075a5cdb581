"""Searching: by drawing, by writing, by dates and filters; cards and footprints point at each other."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.portal.conftest import HOSTILE, idle, spot

pytestmark = pytest.mark.services
ALL = 64


def heading(page: Page):
    return page.locator(".results h2")


def cards(page: Page):
    return page.locator(".card")


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_everything_is_listed_newest_first_and_further_pages_follow(opened):
    page = opened("/")
    expect(heading(page)).to_have_text(re.compile(rf"\b{ALL} images"))
    expect(cards(page)).to_have_count(24)
    while page.get_by_role("button", name="Show more").is_visible():
        count = cards(page).count()
        page.get_by_role("button", name="Show more").click()
        expect(cards(page)).not_to_have_count(count)
    dates = [
        link.split("/")[-1]
        for link in page.locator(".card h3 a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    ]
    assert len(dates) == len(set(dates)) == ALL


def test_a_rectangle_is_drawn_and_found_in_the_address(opened, portal):
    page = opened("/")
    expect(cards(page).first).to_be_visible()
    idle(page)
    west, south, east, north = portal.items[0]["bbox"]
    page.evaluate(
        "box => document.querySelector('.map-canvas').held.show(box, { jump: true })",
        [west - 0.1, south - 0.1, east + 0.1, north + 0.1],
    )
    idle(page)
    page.get_by_role("button", name="Rectangle").click()
    expect(page.locator(".map-hint")).to_be_visible()
    page.wait_for_function("() => document.querySelector('.map-canvas').held.drawing")
    first, second = spot(page, west - 0.02, south - 0.02), spot(page, east + 0.02, north + 0.02)
    page.mouse.move(*first)
    page.mouse.click(*first)
    page.mouse.move(*second, steps=4)
    page.mouse.click(*second)
    expect(heading(page)).to_have_text("3 images")
    drawn = [[float(number) for number in point.split()] for point in asked(page)["area"][0].split(",")]
    assert min(x for x, _ in drawn) == pytest.approx(west - 0.02, abs=0.003)
    assert max(y for _, y in drawn) == pytest.approx(north + 0.02, abs=0.003)
    # The address alone is the search.
    other = opened(page.url.removeprefix(portal.url))
    expect(heading(other)).to_have_text("3 images")


def test_a_polygon_is_drawn_and_escape_gives_a_drawing_up(opened, portal):
    page = opened("/")
    expect(cards(page).first).to_be_visible()
    idle(page)
    west, south, east, north = portal.items[0]["bbox"]
    page.evaluate(
        "box => document.querySelector('.map-canvas').held.show(box, { jump: true })",
        [west - 0.1, south - 0.1, east + 0.1, north + 0.1],
    )
    idle(page)
    page.get_by_role("button", name="Polygon").click()
    page.wait_for_function("() => document.querySelector('.map-canvas').held.drawing")
    page.keyboard.press("Escape")
    expect(page.locator(".map-hint")).to_have_count(0)
    page.get_by_role("button", name="Polygon").click()
    page.wait_for_function("() => document.querySelector('.map-canvas').held.drawing")
    corners = [(west - 0.05, south - 0.05), (east + 0.05, south - 0.05), ((west + east) / 2, north + 0.05)]
    for corner in [*corners, corners[0]]:
        page.mouse.move(*spot(page, *corner), steps=3)
        page.mouse.click(*spot(page, *corner))
    expect(heading(page)).to_have_text("3 images")
    assert asked(page)["area"][0].count(",") == 2


def test_an_area_is_written_as_a_box_or_as_geojson_and_refused_in_plain_words(opened, portal):
    page = opened("/")
    page.get_by_role("button", name="Type").click()
    text = page.get_by_label("Area", exact=True)
    for wrong, words in {
        "1, 2, 3": "neither four numbers", "1, 2, 3, 400": "no such place", "5, 50, 6, 49": "South must be less",
        '{"type": "Point", "coordinates": [1, 2]}': "no polygon", "{": "neither four numbers",
    }.items():  # fmt: skip
        text.fill(wrong)
        page.get_by_role("button", name="Search here").click()
        expect(page.locator("#area-error")).to_contain_text(words)
    west, south, east, north = portal.items[0]["bbox"]
    text.fill(f"{west}, {south}, {east}, {north}")
    page.get_by_role("button", name="Search here").click()
    expect(heading(page)).to_have_text("3 images")
    ring = [[west, south], [east, south], [east, north], [west, south]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    text.fill(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    page.get_by_role("button", name="Search here").click()
    expect(heading(page)).to_have_text("3 images")
    page.get_by_role("button", name="Remove the area").click()
    expect(heading(page)).to_have_text(re.compile(rf"\b{ALL} images"))


def test_dates_cloud_satellites_products_and_words_narrow_it(opened):
    page = opened("/")
    page.get_by_label("From", exact=True).first.fill("2026-04-01")
    expect(heading(page)).to_have_text("4 images")
    page.get_by_label("To", exact=True).first.fill("2026-05-15")
    expect(heading(page)).to_have_text("2 images")
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Cloud", exact=True).fill("10")
    expect(heading(page)).to_have_text("1 image")
    page.get_by_role("button", name="Clear all").click()
    expect(heading(page)).to_have_text(re.compile(rf"\b{ALL} images"))
    page.get_by_role("checkbox", name=re.compile("kazeosat-1")).check()
    expect(heading(page)).to_have_text("3 images")
    page.get_by_role("checkbox", name="Also where cloud was not measured").uncheck()
    expect(heading(page)).to_have_text("2 images")
    page.get_by_role("button", name="Clear all").click()
    page.get_by_role("checkbox", name=re.compile("Scenes of kz-archive")).check()
    expect(heading(page)).to_have_text(re.compile(r"61 images"))
    page.get_by_role("searchbox", name="Words").fill("nothing-is-called-so")
    expect(page.locator(".notices")).to_contain_text("Nothing was found")


def test_the_slider_moves_the_dates_by_keyboard(opened):
    page = opened("/")
    handle = page.get_by_role("slider", name="From")
    handle.focus()
    handle.press("End")
    # Beyond the other end it does not go: one day is left.
    expect(page.get_by_label("From", exact=True).first).to_have_value("2026-06-01")
    expect(heading(page)).to_have_text("1 image")
    handle.press("Home")
    expect(heading(page)).to_have_text(re.compile(rf"\b{ALL} images"))


def test_back_undoes_a_filter_and_returns_from_an_item_to_the_same_list(opened, portal):
    page = opened("/")
    expect(cards(page).first).to_be_visible()
    page.get_by_label("From", exact=True).first.fill("2026-04-01")
    expect(heading(page)).to_have_text("4 images")
    page.locator(f".card a[href$='{portal.items[-1]['id']}']").click()
    expect(page.locator("article h1")).to_contain_text("22 May 2026")
    page.go_back()
    expect(heading(page)).to_have_text("4 images")
    page.go_back()
    expect(heading(page)).to_have_text(re.compile(rf"\b{ALL} images"))


def test_cards_and_footprints_point_at_each_other(opened, portal):
    page = opened("/?collection=kazeosat-1-l1c&from=2026-05-15")
    expect(cards(page)).to_have_count(1)
    idle(page)
    west, south, east, north = portal.items[-1]["bbox"]
    page.evaluate(
        "box => document.querySelector('.map-canvas').held.show(box, { jump: true })", [west, south, east, north]
    )
    idle(page)
    feature = f"{{ source: 'results', id: {portal.key!r} }}"
    state = f"() => document.querySelector('.map-canvas').held.map.getFeatureState({feature})"
    cards(page).first.hover()
    page.wait_for_function(f"({state})().hover")
    page.mouse.move(*spot(page, west - (east - west), (south + north) / 2))
    expect(page.locator(".card.hover")).to_have_count(0)
    page.mouse.move(*spot(page, (west + east) / 2, (south + north) / 2), steps=3)
    expect(page.locator(".card.hover")).to_have_count(1)
    page.mouse.click(*spot(page, (west + east) / 2, (south + north) / 2))
    expect(page.locator(".card.chosen")).to_have_count(1)
    assert page.evaluate(f"({state})().chosen")


def test_a_picture_is_laid_on_the_map(opened, portal):
    page = opened("/?collection=kazeosat-1-l1c&from=2026-05-15")
    with page.expect_response(re.compile(r"/tiles/.+\.webp")) as tile:
        page.locator("[data-act=map]").click()
    assert tile.value.status == 200
    expect(page.locator("[data-act=map]")).to_have_attribute("aria-pressed", "true")
    idle(page)
    page.locator("[data-act=map]").click()
    assert page.evaluate("() => document.querySelector('.map-canvas').held.pictures.size") == 0


def test_what_a_title_says_is_only_text(opened):
    page = opened("/?from=2026-06-01")
    expect(page.locator(".card-title").first).to_have_text(HOSTILE)
    page.locator(".card h3 a").first.click()
    expect(page.locator(".eyebrow")).to_have_text(HOSTILE)
    assert page.locator("main img[src='x'], main script").count() == 0
    links = page.locator("main a").evaluate_all("all => all.map(one => one.href)")
    assert links
    assert not [link for link in links if link.startswith("javascript")]
    assert page.title() not in "123"
