"""A catalogue with pictures, dates and many footprints, served with its page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from catalogs.delivery.order import OrderState
from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.order_tending import package_folder
from catalogs.iso19139 import iso_document
from catalogs.item import to_item
from catalogs.store.protocol import CatalogueStore
from configs.registry import load_registry
from configs.settings import Home
from pipelines.deliver_package import Workplace, make_package
from processing.archive.layout import ISO
from processing.archive.write import publish_product
from tests.archive import synthetic
from tests.catalogs import synthetic_items
from tests.services.api import ApiServer, api_serving
from tests.services.chromium import watched

NAMES = ("blue", "green", "red", "nir")
SHAPE = (240, 300)
SMALL = (960, 640)
"""A window of a desk that a processor draws quickly."""
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
DAYS = (
    datetime(2026, 4, 24, 5, 20, tzinfo=UTC),
    datetime(2026, 5, 10, 5, 35, tzinfo=UTC),
    datetime(2026, 5, 22, 5, 41, tzinfo=UTC),
)
CLOUDS = (3.0, 41.0, None)


@dataclass(frozen=True)
class Portal:
    """A running server with its page, and what it serves."""

    server: ApiServer
    items: tuple[dict[str, Any], ...]
    """With pictures, the earliest first."""

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def key(self) -> str:
        """``COLLECTION/ID`` of the latest."""
        return self.key_of(-1)

    def key_of(self, place: int) -> str:
        return f"{self.items[place]['collection']}/{self.items[place]['id']}"


def published(home: Path) -> tuple[dict[str, Any], ...]:
    """Items of one place on three days, with real files."""
    registry, found = load_registry(), []
    for number, day in enumerate(DAYS):
        image = synthetic.image(
            synthetic.values(SHAPE, 4, seed=number + 1),
            synthetic.geobox(SHAPE, origin=(650_000.0 + 60 * number, 4_800_000.0)),
            NAMES,
        )
        draft = synthetic.draft(NAMES, item=f"KZ1_{day:%Y%m%dT%H%M%S}_0000000{number}_L1C", acquired=day)
        product = publish_product(home, draft, [image])
        settled = registry.missions[product.mission], registry.sensors[product.sensor], registry.recipes[product.recipe]
        (home / "products" / product.collection / product.id / ISO).write_bytes(iso_document(product, *settled))
        item = to_item(product, *settled)
        if CLOUDS[number] is not None:
            item["properties"]["eo:cloud_cover"] = CLOUDS[number]
        found.append(item)
    return tuple(found)


def register(store: CatalogueStore, items: tuple[dict[str, Any], ...]) -> None:
    box = items[0]["bbox"]
    known = items[0]["properties"]
    store.put_collection({
        "type": "Collection", "id": items[0]["collection"], "stac_version": "1.1.0", "description": "-",
        "license": "other", "links": [], "title": known["title"], "qyran:titles": known["qyran:titles"],
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [[None, None]]}},
    })  # fmt: skip
    for item in items:
        store.put_item(item)


def made(home: Path, order: str) -> Path:
    """What the worker does with an order; its package."""
    with open_desk(home) as desk:
        place = Workplace(home=Home(home), registry=load_registry(), desk=desk)
        assert make_package(place, order).state == OrderState.READY
    return package_folder(home, order)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[dict[str, Any], ...]]:
    home = tmp_path_factory.mktemp("portal")
    return home, published(home)


@pytest.fixture(scope="module")
def portal(installation) -> Iterator[Portal]:
    home, items = installation
    with api_serving(home) as server:
        register(server.store, items)
        server.store.put_collection(synthetic_items.collection("kz-archive"))
        for one in synthetic_items.items(60, home="kz-archive"):
            del one["assets"]["thumbnail"]
            server.store.put_item(one)
        hostile = next(synthetic_items.items(1, home="kz-archive", seed=9))
        hostile |= {
            "id": "hostile",
            "properties": hostile["properties"] | {"title": HOSTILE, "datetime": "2026-06-01T00:00:00Z"},
        }
        hostile["assets"] = {"red": {"href": "javascript:document.title=3", "type": "text/html", "title": HOSTILE}}
        server.store.put_item(hostile)
        yield Portal(server, items)


@pytest.fixture
def opened(chromium: Browser, portal: Portal) -> Iterator[Callable[..., Page]]:
    """Opens a watched page at an address, waits until it has content, and fails the test for what it did wrong."""
    held: list[Any] = []

    def open_at(path: str = "/", **options: Any) -> Page:
        context = watched(chromium, portal.url, **{"size": SMALL, **options})
        page = context.__enter__()
        held.append(context)
        page.goto(path)
        page.locator("main h1").first.wait_for()
        return page

    yield open_at
    faults = []
    for context in held:
        try:
            context.__exit__(None, None, None)
        except AssertionError as error:
            faults.append(str(error))
    assert not faults, "\n".join(faults)


def idle(page: Page) -> None:
    """Wait until the map has drawn everything."""
    page.wait_for_function(
        "() => { const held = document.querySelector('.map-canvas').held; return held && held.map.loaded(); }",
        timeout=60_000,
    )


def spot(page: Page, lon: float, lat: float) -> tuple[float, float]:
    """Where a place lies in the window."""
    x, y = page.evaluate(
        """([lon, lat]) => {
            const { map, element } = document.querySelector('.map-canvas').held;
            const at = map.project([lon, lat]), box = element.getBoundingClientRect();
            return [at.x + box.left, at.y + box.top];
        }""",
        [lon, lat],
    )
    return x, y


def answer(portal: Portal, path: str) -> httpx.Response:
    with portal.server.client() as client:
        return client.get(path)
