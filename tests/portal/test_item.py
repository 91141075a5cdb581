"""An item's own page: what it says, its files, its lines to copy, and two items side by side."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from tests.portal.conftest import answer, idle, spot

pytestmark = pytest.mark.services


def snippet(page: Page, name: str) -> str:
    page.get_by_role("tab", name=name).click()
    return page.locator(f"[data-snippet='{name}'] code").first.inner_text()


def test_it_says_what_is_known(opened, portal):
    item = portal.items[0]
    page = opened(f"/item/{portal.key_of(0)}")
    expect(page.locator("article h1")).to_have_text("24 Apr 2026, 05:20 UTC")
    about = page.locator("#about")
    for words in ("kazeosat-1", "naomi", "L1C", "4 m", "3 %", "EPSG:32643", item["id"]):
        expect(about).to_contain_text(words)
    quality = page.locator("#quality")
    for words in ("8.1 m", "5.2 m", "No data", "Not looked for: Cloud", "665 nm"):
        expect(quality).to_contain_text(words)
    expect(page.locator("#origin")).to_contain_text(item["properties"]["qyran:lineage_sha256"])
    expect(page.locator("#versions")).to_contain_text("only version")
    expect(page.locator("#others li")).to_have_count(2)


def test_what_is_not_there_is_said_so(opened):
    page = opened("/item/kazeosat-1-l1c/nothing", statuses=frozenset({404}))
    expect(page.locator(".notice")).to_contain_text("There is no such image")


def test_a_file_that_is_downloaded_is_the_file(opened, portal, tmp_path):
    page = opened(f"/item/{portal.key}")
    asset = portal.items[-1]["assets"]["red"]
    with page.expect_download() as waited:
        page.get_by_role("link", name="Download: red", exact=True).click()
    waited.value.save_as(tmp_path / "red.tif")
    content = (tmp_path / "red.tif").read_bytes()
    assert (len(content), "1220" + hashlib.sha256(content).hexdigest()) == (asset["file:size"], asset["file:checksum"])


def test_a_file_that_cannot_be_had_is_refused_in_plain_words(opened, portal):
    page = opened(f"/item/{portal.key}", statuses=frozenset({404}))
    page.locator("a[aria-label='Download: red']").evaluate(
        "one => { one.href = one.href.replace('red.tif', 'gone.tif'); }"
    )
    page.get_by_role("link", name="Download: red", exact=True).click()
    expect(page.locator(".file .wrong")).to_contain_text("not open to you")


def test_layers_are_chosen_and_a_point_has_values(opened, portal):
    page = opened(f"/item/{portal.key}")
    idle(page)
    with page.expect_response(re.compile(r"/tiles/.+/false-colour/\d+/\d+/\d+\.webp")) as tile:
        page.get_by_label("On the map").select_option("false-colour")
    assert tile.value.status == 200
    west, south, east, north = portal.items[-1]["bbox"]
    lon, lat = (west + east) / 2, (south + north) / 2
    idle(page)
    page.mouse.click(*spot(page, lon, lat))
    expect(page.locator(".values dt", has_text=re.compile("^red$"))).to_be_visible()
    shown = float(
        page.locator(".values dt", has_text=re.compile("^red$")).locator("xpath=following-sibling::dd[1]").inner_text()
    )
    told = answer(portal, f"/tiles/{portal.key}/point?lon={lon}&lat={lat}").json()["values"]["red"]["value"]
    assert shown == pytest.approx(told, rel=0.05)


def test_lines_to_copy_work(opened, portal, tmp_path):
    page = opened(f"/item/{portal.key}")
    surroundings = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    options = {"cwd": tmp_path, "env": surroundings, "capture_output": True, "text": True, "timeout": 300}
    for name, words in {"pystac-client": "visual", "odc-stac": "<xarray.Dataset>"}.items():
        script = tmp_path / f"{name}.py"
        script.write_text(snippet(page, name))
        done = subprocess.run([sys.executable, "-W", "error::UserWarning", script], **options)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
    done = subprocess.run(["bash", "-euc", snippet(page, "curl")], **options)
    assert done.returncode == 0, done.stderr
    assert ": OK" in done.stdout
    (fetched,) = tmp_path.glob("*.tif")
    assert (
        "1220" + hashlib.sha256(fetched.read_bytes()).hexdigest()
        == portal.items[-1]["assets"]["visual"]["file:checksum"]
    )


def test_addresses_for_qgis_open_in_gdal(opened, portal):
    import rasterio

    page = opened(f"/item/{portal.key}")
    page.get_by_role("tab", name="QGIS").click()
    cog, wmts, stac = page.locator("[data-snippet=QGIS] code").all_inner_texts()
    with (
        rasterio.Env(GDAL_HTTP_PROXY="", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        rasterio.open(f"/vsicurl/{cog}") as image,
    ):
        assert image.count == 3
    with rasterio.open(f"WMTS:{wmts},layer=visual") as layer:
        assert layer.crs.to_epsg() == 3857
        assert layer.read(1, out_shape=(64, 64)).any()
    assert answer(portal, stac.removeprefix(portal.url)).json()["type"] == "Catalog"


def test_the_copy_button_copies(opened, portal):
    page = opened(f"/item/{portal.key}", permissions=["clipboard-read", "clipboard-write"])
    page.locator("[data-snippet=pystac-client] button").click()
    expect(page.locator("[data-snippet=pystac-client] button")).to_have_text("Copied")
    assert (
        page.evaluate("() => navigator.clipboard.readText()")
        == page.locator("[data-snippet=pystac-client] code").inner_text()
    )


def test_two_dates_are_swiped(opened, portal):
    page = opened("/?collection=kazeosat-1-l1c")
    expect(page.locator(".card")).to_have_count(3)
    page.locator("[data-act=compare]").nth(0).click()
    page.locator("[data-act=compare]").nth(2).click()
    with (
        page.expect_response(re.compile(rf"/tiles/{portal.key_of(0)}/.+\.webp")),
        page.expect_response(re.compile(rf"/tiles/{portal.key}/.+\.webp")),
    ):
        page.get_by_role("button", name="Compare both").click()
    edge = page.get_by_role("slider", name="Edge between the two images")
    expect(edge).to_have_attribute("aria-valuenow", "50")
    edge.press("ArrowRight")
    expect(edge).to_have_attribute("aria-valuenow", "52")
    edge.press("Home")
    expect(edge).to_have_attribute("aria-valuenow", "0")
    box = page.locator(".stage").bounding_box()
    at = edge.bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, at["y"] + 100, steps=4)
    page.mouse.up()
    expect(edge).to_have_attribute("aria-valuenow", "25")
    assert "75%" in page.locator(".map-over").evaluate("one => one.style.clipPath")
    # Both move as one.
    idle(page)
    zoom = "document.querySelector('.map-canvas').held.map.getZoom()"
    before = page.evaluate(zoom)
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_function(f"before => {zoom} > before + 0.9", arg=before)
    page.go_back()
    expect(page.locator(".card")).to_have_count(3)
    assert page.locator(".map-over").count() == 0
