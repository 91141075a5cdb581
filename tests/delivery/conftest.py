"""An installation with one product, two customers and two officers, and a policy with an area to be taken out."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import box, mapping

from catalogs import open_store
from catalogs.customers.accounts import Contract, Details
from catalogs.customers.store import open_customers
from catalogs.delivery.order import OrderRequest
from catalogs.delivery.order_desk import HOUSE, open_desk, submit
from catalogs.delivery.order_tending import package_folder
from catalogs.item import to_item
from catalogs.policy.terms import CustomerClass
from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.deliver_package import Workplace, make_package
from processing.archive.write import publish_product
from processing.model.product import Product
from tests.archive import synthetic

NAMES = ("blue", "green", "red", "nir")
POLICY = "kazakhstan-example"


@dataclass(frozen=True)
class House:
    """An installation that sells."""

    home: Path
    product: Product
    registry: Registry
    item: dict[str, Any]
    ids: dict[str, str]
    """Customers' ids by name."""

    @property
    def name(self) -> str:
        return f"{self.product.collection}/{self.product.id}"

    def inner(self, west: float, south: float, east: float, north: float) -> dict[str, Any]:
        """A rectangle by shares of the item's box."""
        left, bottom, right, top = self.item["bbox"]
        return mapping(box(
            left + (right - left) * west, bottom + (top - bottom) * south,
            left + (right - left) * east, bottom + (top - bottom) * north,
        ))  # fmt: skip

    def order(self, customer: str | None = None, **asked: Any):
        """Submit an order, for the house or a customer."""
        request = OrderRequest(**({"items": (self.name,)} | asked))
        with open_desk(self.home) as desk:
            party = HOUSE if customer is None else desk.customers.party(self.ids[customer])
            return submit(desk, desk.asking(party), request)

    def make(self, order_id: str, **options: Any):
        """Make its package."""
        with open_desk(self.home) as desk:
            return make_package(Workplace(home=Home(self.home), registry=self.registry, desk=desk), order_id, **options)

    def find(self, order_id: str):
        with open_desk(self.home) as desk:
            return desk.orders.find(order_id)

    def package(self, order_id: str) -> Path:
        return package_folder(self.home, order_id)

    def files(self, order_id: str) -> Path:
        """Folder of the item in its package."""
        return self.package(order_id) / "data" / self.name

    def excluded(self, area: dict[str, Any]) -> None:
        """Set the area that the policy takes out."""
        content = json.dumps({"type": "Feature", "properties": {}, "geometry": area})
        path = self.home / "configs" / "policies" / "areas" / "kazakhstan-excluded.geojson"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture(scope="session")
def _published(tmp_path_factory) -> House:
    home = tmp_path_factory.mktemp("house")
    pixels = synthetic.values((300, 400), 4)
    images = [
        synthetic.image(pixels, synthetic.geobox((300, 400)), NAMES),
        synthetic.image(synthetic.values((600, 800), 1), synthetic.geobox((600, 800), 2.0), ("pan",), group="pan"),
    ]
    product = publish_product(home, synthetic.draft((*NAMES, "pan"), gsd_m=1.0, accuracy={"ce90_m": 12.0}), images)
    registry = load_registry()
    item = to_item(
        product, registry.missions[product.mission], registry.sensors[product.sensor], registry.recipes[product.recipe]
    )
    store = open_store(home / "catalogue")
    store.put_collection({
        "type": "Collection", "id": item["collection"], "stac_version": "1.1.0", "description": "-",
        "license": "other", "links": [],
        "extent": {"spatial": {"bbox": [item["bbox"]]}, "temporal": {"interval": [[None, None]]}},
    })  # fmt: skip
    store.put_item(item)
    store.close()
    ids = {}
    customers = open_customers(home)
    for name, kind, country, officer in (
        ("akimat", "gov_domestic", "KZ", False), ("buyer", "export_ally", "UZ", False),
        ("rival", "export_other", "DE", False), ("unpaid", "export_ally", "UZ", False),
        ("aigul", "gov_domestic", "KZ", True), ("daniyar", "gov_domestic", "KZ", True),
    ):  # fmt: skip
        details = Details(customer_class=CustomerClass(kind), country=country, officer=officer, region="KZ-75")
        ids[name] = customers.add(name, details).id
        if name != "unpaid":
            customers.put_contract(name, Contract(number=f"N-{name}", starts=synthetic.ACQUIRED))
    customers.close()
    return House(home=home, product=product, registry=registry, item=item, ids=ids)


@pytest.fixture
def house(_published: House, tmp_path: Path) -> House:
    """A copy that a test may change."""
    home = tmp_path / "house"
    shutil.copytree(_published.home, home, symlinks=True)
    return House(home=home, product=_published.product, registry=_published.registry, item=_published.item,
                 ids=_published.ids)  # fmt: skip


def stored(path: Path) -> np.ndarray:
    """The first band of a raster, as stored."""
    import rasterio

    with rasterio.open(path) as source:
        return source.read(1)
