"""Items for those who may know of them, and where their files lie."""

import os
from pathlib import Path

from catalogs.api.principal import Principal
from catalogs.store.protocol import CatalogueStore, Item


def item_of(store: CatalogueStore, asking: Principal, collection: str, item_id: str, version: str) -> Item | None:
    """An item in its latest or an earlier version; None if there is none, or not for this asker."""
    latest = store.get_item(collection, item_id, asking.entitlement)
    if latest is None or not asking.rights.shows(latest):
        hidden = store.get_item(collection, item_id)
        if hidden is not None:
            asking.rights.note_refusal(hidden)
        return None
    if not version:
        return latest
    kept = store.versions(collection, item_id, asking.entitlement)
    return next((found for found in kept if found["properties"].get("version") == version), None)


def place_of(home: Path, item: Item, href: str, *, earlier: bool) -> Path | None:
    """Where an asset lies; None if that is not among the files of its own product."""
    collection, item_id = str(item["collection"]), str(item["id"])
    nominal = _nominal(home, item, href, earlier=earlier)
    if nominal is None:
        return None
    try:
        real, base = nominal.resolve(strict=True), home.resolve()
    except (OSError, RuntimeError):
        return None
    within = real.relative_to(base).parts if real.is_relative_to(base) else ()
    # products/COLLECTION/ID/..., or archive/COLLECTION/YYYY/MM/DD/ID/...
    own = within[:3] == ("products", collection, item_id) or (
        within[:2] == ("archive", collection) and within[5:6] == (item_id,)
    )
    return nominal if own else None


def is_lost(home: Path, item: Item, href: str, *, earlier: bool) -> bool:
    """Whether an asset should lie among its product's own files, and nothing does."""
    nominal = _nominal(home, item, href, earlier=earlier)
    folder = home / "products" / str(item["collection"]) / str(item["id"])
    own = folder if not earlier else _superseded(home, item, folder)
    return nominal is not None and nominal.is_relative_to(own) and not os.path.lexists(nominal)


def _nominal(home: Path, item: Item, href: str, *, earlier: bool) -> Path | None:
    """Where an asset says it lies; None where it names a place elsewhere."""
    if "://" in href or "\0" in href:
        return None
    folder = home / "products" / str(item["collection"]) / str(item["id"])
    nominal = Path(os.path.normpath(folder / href))
    if earlier and nominal.is_relative_to(folder):
        return _superseded(home, item, folder) / nominal.relative_to(folder)
    return nominal


def _superseded(home: Path, item: Item, folder: Path) -> Path:
    """Where the files of an earlier version lie: beside its store."""
    href = str(item.get("assets", {}).get("zarr", {}).get("href", ""))
    store = Path(os.path.normpath(folder / href))
    return store.with_suffix(".files") if store.suffix == ".zarr" and store.is_relative_to(home) else folder
