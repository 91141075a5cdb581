"""What a derived item says of the items it derives from, to whom they are all known.

A policy's rules about places, collections or single items may hide an item of which a part went into another: then the
other may be known, and none of what would tell of the hidden one.
"""

from collections.abc import Iterable
from typing import Any

from catalogs.api.principal import Principal
from catalogs.api.rights import OF_PARENTS
from catalogs.store.protocol import MAX_LIMIT, CatalogueStore, Item, SearchRequest

_NAMES = "qyran:parents"
REPORT = "quality"
"""Asset whose file names them."""


def known_parents(store: CatalogueStore, asking: Principal, items: Iterable[Item]) -> frozenset[str]:
    """Which of the items that some derive from the asker may know of, as ``COLLECTION/ID``."""
    names = {name for item in items for name in item["properties"].get(_NAMES, ())}
    if not names or asking.entitlement.unlimited:
        return frozenset(names)
    ids = sorted({name.rpartition("/")[2] for name in names})[:MAX_LIMIT]
    found = store.search(SearchRequest(ids=tuple(ids), limit=MAX_LIMIT), asking.entitlement)
    return frozenset(names & {f"{one['collection']}/{one['id']}" for one in found.items if asking.rights.shows(one)})


def tells_of_hidden(item: Item, known: frozenset[str]) -> bool:
    """Whether an item derives from one that is not among those known."""
    return not known.issuperset(item["properties"].get(_NAMES, ()))


def without_parents(published: Item) -> Item:
    """An item that says nothing of what it derives from."""
    found: dict[str, Any] = dict(published)
    found["properties"] = {name: value for name, value in found["properties"].items() if name not in OF_PARENTS}
    found["links"] = [link for link in found["links"] if link["rel"] != "derived_from"]
    found["assets"] = {key: asset for key, asset in found["assets"].items() if key != REPORT}
    return found
