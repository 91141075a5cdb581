"""What a derived item says of the items it derives from, to whom they are all known.

A policy's rules about places, collections or single items may hide an item of which a part went into another: then the
other may be known, and none of what would tell of the hidden one.
"""

from collections.abc import Iterable
from typing import Any

from catalogs.api.principal import Principal
from catalogs.api.rights import OF_PARENTS
from catalogs.store.protocol import CatalogueStore, Item, SearchRequest
from processing.model.errors import BadInput

_NAMES = "qyran:parents"
NAMING = frozenset({"quality", "iso19139", "zarr"})
"""Assets whose files name them: the report, the description, and the lineage in a store's own metadata."""
_COUNTING = frozenset({"qyran:composite_items", "qyran:warnings"})
"""Properties that say how many they are."""
MOST = 1_000
"""Names that are looked up for one answer."""


def known_parents(store: CatalogueStore, asking: Principal, items: Iterable[Item]) -> frozenset[str]:
    """Which of the items that some derive from the asker may know of, as ``COLLECTION/ID``.

    At most a thousand are looked up, those of the first items first; the others count as not known. Alone, an item is
    told whole.
    """
    names = dict.fromkeys(name for item in items for name in item["properties"].get(_NAMES, ()))
    if not names or asking.entitlement.unlimited:
        return frozenset(names)
    asked = [name.rpartition("/") for name in list(names)[:MOST]]
    request = SearchRequest(
        ids=tuple({item_id: None for _, _, item_id in asked}),
        collections=tuple({collection: None for collection, _, _ in asked}),
        limit=MOST,
    )
    try:
        found = store.search(request, asking.entitlement).items
    except BadInput:  # it took too long
        return frozenset()
    return frozenset(f"{one['collection']}/{one['id']}" for one in found if asking.rights.shows(one))


def tells_of_hidden(item: Item, known: frozenset[str]) -> bool:
    """Whether an item derives from one that is not among those known."""
    return not known.issuperset(item["properties"].get(_NAMES, ()))


def without_parents(published: Item) -> Item:
    """An item that says nothing of what it derives from."""
    found: dict[str, Any] = dict(published)
    found["properties"] = {
        name: value for name, value in found["properties"].items() if name not in OF_PARENTS | _COUNTING
    }
    found["links"] = [link for link in found["links"] if link["rel"] != "derived_from"]
    found["assets"] = {key: asset for key, asset in found["assets"].items() if key not in NAMING}
    return found
