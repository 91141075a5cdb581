"""Products into the catalogue, and questions to it."""

import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from catalogs import catalogue_exists, open_store
from catalogs.collection import to_collection
from catalogs.item import with_absolute_hrefs
from catalogs.store.protocol import CatalogueStore, SearchRequest
from configs.registry import Registry
from configs.settings import Home
from pipelines.outcomes import ItemLink
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.layout import COLLECTION, ITEM, ProductPaths
from processing.archive.recover import COLLECTION_LOCK
from processing.archive.write import published
from processing.model.errors import BadInput, Defect
from processing.model.product import Product


def catalogue_product(product: Product, home: Home, registry: Registry) -> ItemLink:
    """Describe a product as a STAC item, validate it, keep it beside the product's files, and put it in the store.

    Earlier revisions of it, and items that derive from it, are brought up to date before. The row is written last: what
    the catalogue names exists, at the installation's second place too where it has one. Where another process has
    published a newer revision meanwhile, that one is catalogued.
    """
    # Imported where it is used: a search need not wait for all that describes a product.
    from pipelines.archive_place import describe_elsewhere, publish_elsewhere
    from pipelines.describe import describe_product, document, refresh_children, refresh_item

    mission, sensor = registry.missions[product.mission], registry.sensors[product.sensor]
    refresh_children(product, home, registry)
    revision, place = product.revision, publish_elsewhere(product, home)
    paths = ProductPaths.of(home.path, product)
    with disk_faults(paths.files), durable.exclusive(paths.lock), closing(open_store(home.catalogue)) as store:
        product = published(home.path, product.collection, product.id) or product
        item = describe_product(product, home, registry)
        if place is not None and product.revision == revision:
            item = describe_elsewhere(item, product, place)
        path = item_path(product, home)
        durable.write_file(path, document(item))
        try:
            store.put_collection(to_collection(mission, sensor, registry.recipes[product.recipe]))
            store.put_item(item)
        except BaseException:
            # A product without its item's file is one that still has to be catalogued: so a restart finds it.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        with durable.exclusive(home.staging / f"{product.collection}--{COLLECTION_LOCK}.lock"):
            collection = store.get_collection(product.collection)
            durable.write_file(path.parent.parent / COLLECTION, document(collection or {}))
    refresh_item(product, home)
    return ItemLink(collection=product.collection, id=product.id, href=str(path))


def item_path(product: Product, home: Home) -> Path:
    """Where a product's item lies as a file."""
    return ProductPaths.of(home.path, product).files / ITEM


def is_catalogued(home: Home, product: Product) -> bool:
    """Whether the catalogue holds the item of this very revision, with its second place where there is one."""
    from catalogs.alternate import has_alternates
    from pipelines.archive_place import archive_place

    path = item_path(product, home)
    if not path.is_file() or not catalogue_exists(home.catalogue):
        return False
    with closing(open_store(home.catalogue)) as store:
        found = store.get_item(product.collection, product.id)
    if found is None or found != json.loads(path.read_bytes()):
        return False
    place = archive_place(home)
    return place is None or has_alternates(found, str(place))


def find_product(home: Home, reference: str) -> Product:
    """The product behind ``COLLECTION/ID`` or ``ID``.

    Raises
    ------
    BadInput
        ``item.unknown`` if the catalogue holds no such item.
    Defect
        ``product.record_missing`` if it does, but the product's record is gone.
    """
    with closing(store_of(home)) as store:
        item = store.find_item(reference)
    if item is None:
        raise BadInput(
            f"the catalogue holds no item '{reference}'", kind="item.unknown", remedy="See: qyran search --limit 1000"
        )
    product = published(home.path, item["collection"], item["id"])
    if product is None:
        raise Defect(f"the record of '{reference}' is missing from the archive", kind="product.record_missing")
    return product


def store_of(home: Home) -> CatalogueStore:
    """The installation's catalogue.

    Raises
    ------
    BadInput
        ``catalogue.missing`` if nothing was ever catalogued there.
    """
    if not catalogue_exists(home.catalogue):
        raise BadInput(
            "there is no catalogue here yet",
            kind="catalogue.missing",
            where=str(home.catalogue),
            remedy="Process a package first, or name another --home.",
        )
    return open_store(home.catalogue)


def search_items(
    home: Path | None,
    *,
    collection: str | None,
    bbox: tuple[float, float, float, float] | None,
    datetime: str | None,
    cql2: str | None,
    limit: int,
) -> dict[str, Any]:
    """Items as a GeoJSON FeatureCollection, their addresses fit for any program on this machine."""
    place = Home.resolve(home)
    request = SearchRequest(
        collections=(collection,) if collection else (), bbox=bbox, datetime=datetime, filter=cql2, limit=limit
    )
    with closing(store_of(place)) as store:
        items = [with_absolute_hrefs(item, place.path) for item in store.search(request).items]
    return {"type": "FeatureCollection", "features": items, "numberReturned": len(items)}
