"""Which catalogued products a request means: named, of a collection, of a recipe, or stale."""

from collections.abc import Iterator
from contextlib import closing

from catalogs.store.protocol import MAX_LIMIT, SearchRequest
from configs.registry import Registry
from configs.settings import Home
from pipelines.catalogue import find_product, store_of
from pipelines.requests import ReprocessRequest
from processing.archive.write import published
from processing.model.errors import BadInput
from processing.model.product import Product

_PAGE = min(1000, MAX_LIMIT)


def selected(request: ReprocessRequest, home: Home, registry: Registry) -> tuple[Product, ...]:
    """The products to process again, parents before what derives from them, each once.

    A derived one whose parent is processed again too, and which is derived again with it, is left out; a composite is
    not derived again with any one of its parents.

    Raises
    ------
    BadInput
        ``item.unknown``, ``item.ambiguous``, ``recipe.unknown``, ``collection.unknown``; ``reprocess.nothing`` for a
        request that names nothing.
    """
    if not (request.items or request.collection or request.recipe or request.stale):
        raise BadInput(
            "nothing was named to process again",
            kind="reprocess.nothing",
            remedy="Name items, a collection, a recipe, or ask for what is stale.",
        )
    names = [f"{each.collection}/{each.id}" for each in (find_product(home, item) for item in request.items)]
    if not request.items:
        names = list(_named_by_rule(request, home, registry))
    found = {}
    for name in names:
        collection, _, item_id = name.rpartition("/")
        product = published(home.path, collection, item_id)
        if product is not None:
            found[name] = product
    again = {name for name, product in found.items() if not product.parents}
    wanted = [
        product
        for product in found.values()
        if not (request.derive and set(product.parents) & again) or _is_composite(product, registry)
    ]
    return tuple(sorted(wanted, key=lambda product: (bool(product.parents), product.acquired, product.id)))


def _is_composite(product: Product, registry: Registry) -> bool:
    recipe = registry.recipes.get(product.recipe)
    return recipe is not None and recipe.is_composite


def _named_by_rule(request: ReprocessRequest, home: Home, registry: Registry) -> Iterator[str]:
    collections = _collections(request, home, registry)
    stale = {"op": "=", "args": [{"property": "qyran:stale"}, True]} if request.stale else None
    token = None
    with closing(store_of(home)) as store:
        while collections:
            asked = SearchRequest(collections=collections, filter=stale, limit=_PAGE, token=token)
            page = store.search(asked)
            yield from (f"{item['collection']}/{item['id']}" for item in page.items)
            token = page.next
            if token is None:
                return


def _collections(request: ReprocessRequest, home: Home, registry: Registry) -> tuple[str, ...]:
    """Those that a collection, a recipe, or both leave over."""
    with closing(store_of(home)) as store:
        known = {str(collection["id"]) for collection in store.collections()}
    if request.collection and request.collection not in known:
        raise BadInput(
            f"there is no collection '{request.collection}'",
            kind="collection.unknown",
            remedy=f"Known: {', '.join(sorted(known))}.",
        )
    wanted = {request.collection} if request.collection else known
    if request.recipe:
        recipe = registry.recipes.get(request.recipe)
        if recipe is None:
            raise BadInput(
                f"there is no recipe '{request.recipe}'",
                kind="recipe.unknown",
                remedy=f"Known: {', '.join(sorted(registry.recipes))}.",
            )
        wanted &= {recipe.collection(mission) for mission in registry.missions}
    return tuple(sorted(wanted & known))
