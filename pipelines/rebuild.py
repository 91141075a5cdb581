"""The catalogue made anew from the products: what a row says stands beside the files it speaks of."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from catalogs import open_store
from catalogs.collection import to_collection
from catalogs.store.integrity import FILE, check_database
from catalogs.store.protocol import CatalogueStore
from configs.registry import Registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from pipelines.recovery import all_products
from pipelines.revisions import product_versions
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.layout import MANIFEST
from processing.archive.manifest import check_product, fingerprint
from processing.model.product import Product

_AT_ONCE = 200


class Skipped(BaseModel):
    """A product that got no row, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    why: str


class Rebuilt(BaseModel):
    """What a rebuild did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    damage: tuple[str, ...]
    """What was wrong with the database, in SQLite's words."""
    set_aside: str | None
    """Folder that the damaged database lies in now."""
    rows: int
    """Items that the catalogue holds now."""
    removed: tuple[str, ...]
    """``collection/id`` of rows that no product stood behind."""
    skipped: tuple[Skipped, ...]


def rebuild_catalogue(home: Home, registry: Registry) -> Rebuilt:
    """Make the catalogue say what the archive holds.

    A damaged database is set aside, never thrown away, and a new one takes its place; one that is whole is corrected
    where it is. No other process may have a damaged one open: what it wrote there would be lost.

    Parameters
    ----------
    home, registry
        The installation.

    Returns
    -------
    rebuilt
        What was done. A product whose bytes are not all there gets no row.

    Raises
    ------
    Retryable
        ``disk.*``, ``catalogue.busy``.
    """
    lock = home.staging / f"{home.catalogue.name}--rebuild.lock"
    with disk_faults(home.catalogue), durable.exclusive(lock):
        damage = check_database(home.catalogue, deep=True)
        aside = _set_aside(home) if damage else None
        skipped, whole = [], []
        for product in all_products(home):
            why = _what_is_missing(home, product)
            if why is None:
                whole.append(product)
            else:
                skipped.append(Skipped(item=f"{product.collection}/{product.id}", why=why))
        with closing(open_store(home.catalogue)) as store:
            removed = tuple(_without_product(home, store))
            rows = _put_back(store, whole, home, registry)
    return Rebuilt(
        damage=damage,
        set_aside=None if aside is None else str(aside),
        rows=rows,
        removed=removed,
        skipped=tuple(skipped),
    )


def _set_aside(home: Home) -> Path:
    """The database with its log and index, in a folder of their own: a log belongs to the file it was written for."""
    folder = home.catalogue / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    durable.make_folders(folder)
    for path in sorted(home.catalogue.glob(f"{FILE}*")):
        durable.move(path, folder / path.name)
    return folder


def _what_is_missing(home: Home, product: Product) -> str | None:
    store = home.path / product.archive_href
    if not (store / MANIFEST).is_file() or fingerprint(store / MANIFEST) != product.manifest_sha256:
        return "its store's manifest is not the one that was published"
    faults = check_product(store, deep=False)
    if faults:
        return f"{faults[0].key} in its store: {faults[0].kind}"
    for file in product.files:
        path = home.path / file.href
        if not path.is_dir() and (not path.is_file() or path.stat().st_size != file.size):
            return f"{path.name} is missing or cut"
    return None


def _without_product(home: Home, store: CatalogueStore) -> Iterator[str]:
    """Rows of which not even a record is left."""
    for item in list(store.items()):
        if not (home.products / item["collection"] / item["id"]).is_dir():
            store.delete_item(item["collection"], item["id"])
            yield f"{item['collection']}/{item['id']}"


def _put_back(store: CatalogueStore, products: list[Product], home: Home, registry: Registry) -> int:
    """Rows as their items stand beside the products; described anew where there is none, or one of another revision."""
    collections = {product.collection: product for product in products}
    for product in collections.values():
        mission, sensor = registry.missions[product.mission], registry.sensors[product.sensor]
        store.put_collection(to_collection(mission, sensor, registry.recipes[product.recipe]))
    for start in range(0, len(products), _AT_ONCE):
        part = [(product, _kept_item(home, product)) for product in products[start : start + _AT_ONCE]]
        store.put_items(item for _, item in part if item is not None)
        for product, item in part:
            if item is None:
                catalogue_product(product, home, registry)
            for earlier in _earlier_items(home, product):
                store.put_version(earlier)
    return len(products)


def _kept_item(home: Home, product: Product) -> dict[str, Any] | None:
    latest, *_ = product_versions(home, product)
    item = _read(latest.item_path)
    return item if item is not None and item["properties"].get("version") == product.revision else None


def _earlier_items(home: Home, product: Product) -> Iterator[dict[str, Any]]:
    for version in reversed(product_versions(home, product)[1:]):
        item = _read(version.item_path)
        if item is not None:
            yield item


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document.get("properties"), dict) else None
