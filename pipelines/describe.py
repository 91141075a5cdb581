"""Items of all revisions of a product: the latest in its place, the earlier ones where their files went."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from pystac import Asset

from catalogs import catalogue_exists, open_store
from catalogs.composed import inherited
from catalogs.iso19139 import ISO_KEY, iso_document
from catalogs.item import iso_asset, to_item
from catalogs.store.protocol import MAX_LIMIT, SearchRequest
from catalogs.validate import validate_item
from catalogs.versions import HISTORY, Chain, moved
from configs.registry import Registry
from configs.settings import Home
from pipelines.desk_decisions import with_review
from pipelines.drafts import derived_id
from pipelines.revisions import Version, product_versions, recorded_version
from processing.archive import durable
from processing.archive.layout import ISO, ITEM, ProductPaths, relative_href
from processing.archive.write import published
from processing.model.product import Product

Item = dict[str, Any]


def describe_product(product: Product, home: Home, registry: Registry) -> Item:
    """The valid STAC item of a product's latest revision, with links to the earlier ones, which are brought up to date.

    An earlier revision's item stays what it was when it was the latest, but for the places of its files, the links,
    and ``deprecated``. The ISO 19139 document of each is written beside where its item lies.
    """
    versions = product_versions(home, product)
    paths = ProductPaths.of(home.path, product)
    # A revision that came back has its files in their place again, byte for byte.
    shutil.rmtree(paths.superseded_files(product.revision), ignore_errors=True)
    chain = Chain(
        items=tuple(relative_href(version.item_path, home.path) for version in versions),
        history=relative_href(paths.revisions / HISTORY, home.path),
    )
    items = [_with_iso(version, _own_item(version, home, registry), registry) for version in versions]
    items = [chain.linked(item, path) for item, path in zip(items, chain.items, strict=True)]
    for version, item in zip(versions[1:], items[1:], strict=True):
        write_json(version, item)
    if len(versions) > 1:
        durable.write_file(paths.revisions / HISTORY, document(chain.catalog(items)))
    validate_item(items[0])
    return items[0]


def write_json(version: Version, item: Item) -> None:
    """Write a revision's item, unless it says so already."""
    content = document(item)
    if not version.item_path.is_file() or version.item_path.read_bytes() != content:
        durable.write_file(version.item_path, content)


def document(content: Mapping[str, Any]) -> bytes:
    """JSON as it lies in files."""
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _own_item(version: Version, home: Home, registry: Registry) -> Item:
    product = version.product
    place = f"products/{product.collection}/{product.id}"
    if not version.latest and version.item_path.is_file():
        item: Item = json.loads(version.item_path.read_bytes())
        shelved = "deprecated" in item["properties"]
    else:
        # Also where it was superseded before it was ever catalogued.
        recipe = registry.recipes[product.recipe]
        item = to_item(product, registry.missions[product.mission], registry.sensors[product.sensor], recipe)
        item, shelved = with_staleness(with_review(item, product, home), product, home), False
    if version.latest or shelved:
        return item
    return moved(item, place, relative_href(version.places.files, home.path))


def _with_iso(version: Version, item: Item, registry: Registry) -> Item:
    """See to it that an item's ISO 19139 document lies beside it, and is what it says; an earlier one's stays.

    Items of before there were such documents get one.
    """
    path, product = version.places.files / ISO, version.product
    held = path.read_bytes() if path.is_file() else None
    stated = item["assets"].get(ISO_KEY, {}).get("file:checksum", "")
    if held is not None and stated.endswith(hashlib.sha256(held).hexdigest()):
        return item
    mission, sensor = registry.missions[product.mission], registry.sensors[product.sensor]
    content = iso_document(product, mission, sensor, registry.recipes[product.recipe])
    if held != content:
        durable.write_file(path, content)
    asset = iso_asset(content)
    if stated == asset["file:checksum"]:
        return item
    return item | {"assets": item["assets"] | {ISO_KEY: Asset.from_dict(asset).to_dict()}}


def with_staleness(item: Item, product: Product, home: Home) -> Item:
    """An item of a derived product that says which revisions it derives from, and whether they are still the latest.

    It bears the marks that all of them bear, as they are catalogued now.
    """
    records = product.lineage.inputs_of("parent")
    if not records:
        return item
    names = {record.name.partition("@")[0]: record.name.partition("@")[2] for record in records}
    stale = []
    for name, revision in names.items():
        collection, _, item_id = name.rpartition("/")
        latest = published(home.path, collection, item_id)
        if latest is not None and revision and latest.revision != revision:
            stale.append(f"{name} is at version {latest.revision}, and this derives from {revision}")
    properties = item["properties"] | {"qyran:parents": list(names), "qyran:parent_versions": list(names.values())}
    properties.pop("qyran:stale", None)
    properties.pop("qyran:stale_because", None)
    if stale:
        properties |= {"qyran:stale": True, "qyran:stale_because": stale}
    properties = inherited(properties, _parent_items(product, home))
    return item | {"properties": properties, "links": _to_their_versions(item["links"], names, product, home)}


def _parent_items(product: Product, home: Home) -> list[Item]:
    """Catalogued items of those that a product derives from; none unless all are there."""
    if not catalogue_exists(home.catalogue):
        return []
    found = []
    with closing(open_store(home.catalogue)) as store:
        for name in product.parents:
            collection, _, item_id = name.rpartition("/")
            item = store.get_item(collection, item_id)
            if item is None:
                return []
            found.append(item)
    return found


def _to_their_versions(
    links: list[dict[str, Any]], names: Mapping[str, str], product: Product, home: Home
) -> list[dict[str, Any]]:
    """Links to parents lead to the very revisions it derives from."""
    folder = ProductPaths.of(home.path, product).files
    kept = [link for link in links if link["rel"] != "derived_from"]
    for name, revision in names.items():
        parent = recorded_version(home, f"{name}@{revision}")
        path = home.products / name / ITEM if parent is None else parent.item_path
        href = path.relative_to(folder, walk_up=True).as_posix()
        kept.append({"rel": "derived_from", "href": href, "type": "application/geo+json"})
    return kept


def refresh_children(parent: Product, home: Home, registry: Registry) -> tuple[str, ...]:
    """Have the items that derive from a product say whether they are stale now.

    Returns
    -------
    stale
        ``COLLECTION/ID`` of those that are.
    """
    stale = []
    for recipe in registry.recipes.values():
        if recipe.parent is None:
            continue
        collection = recipe.collection(parent.mission)
        ids = composites_at(parent, collection, home) if recipe.is_composite else (derived_id(parent, recipe),)
        for item_id in ids:
            child = published(home.path, collection, item_id)
            if child is not None and f"{parent.collection}/{parent.id}" in child.parents and refresh_item(child, home):
                stale.append(f"{collection}/{item_id}")
    return tuple(stale)


def composites_at(parent: Product, collection: str, home: Home) -> tuple[str, ...]:
    """Ids of the composites of a collection that a product may have a part in: those that meet its outline."""
    if not catalogue_exists(home.catalogue):
        return ()
    found, token = [], None
    with closing(open_store(home.catalogue)) as store:
        while True:
            asked = SearchRequest(collections=(collection,), bbox=parent.bbox, limit=MAX_LIMIT, token=token)
            page = store.search(asked)
            found += [str(item["id"]) for item in page.items]
            token = page.next
            if token is None:
                return tuple(found)


def refresh_item(child: Product, home: Home) -> bool:
    """Bring a derived product's item up to date in the catalogue and beside its files; whether it is stale.

    A parent may get a new revision while its child is being catalogued. Whichever of the two looks last sees both.
    """
    if not child.parents or not catalogue_exists(home.catalogue):
        return False
    paths = ProductPaths.of(home.path, child)
    with durable.exclusive(paths.lock), closing(open_store(home.catalogue)) as store:
        latest = published(home.path, child.collection, child.id)
        item = store.get_item(child.collection, child.id)
        if latest is None or item is None or item["properties"]["version"] != latest.revision:
            return False  # it is being published, and will say so itself
        now = with_staleness(item, latest, home)
        if now != item:
            validate_item(now)
            durable.write_file(paths.files / ITEM, document(now))
            store.put_item(now)
        return "qyran:stale" in now["properties"]
