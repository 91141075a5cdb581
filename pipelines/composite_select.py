"""Which catalogued items a composite is made of."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import shapely

from catalogs.store.protocol import MAX_LIMIT, SearchRequest
from configs.registry import Registry
from configs.schema import RecipeConfig
from configs.settings import Home
from pipelines.catalogue import store_of
from pipelines.composite_request import CompositeRequest
from pipelines.desk_rules import cloud_percent
from processing.archive.write import published
from processing.model.errors import BadInput
from processing.model.product import Product, StoredBand, StoredGroup

MOST_ITEMS = 1000
"""A composite of more is a mistake in the span or the area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One product to compose, and where its pixels are."""

    product: Product
    store: Path

    @property
    def name(self) -> str:
        """``COLLECTION/ID``."""
        return f"{self.product.collection}/{self.product.id}"

    def group(self, name: str) -> StoredGroup:
        """The grid of a measurement group that it has."""
        return next(group for group in self.product.groups if group.name == name)

    def bands(self, group: str) -> tuple[StoredBand, ...]:
        """Bands of a measurement group, in their order."""
        return tuple(band for band in self.product.bands if band.group == group)


def composite_recipe(request: CompositeRequest, registry: Registry) -> RecipeConfig:
    """The recipe of a composite, fit for the collection that it is to be made from.

    Raises
    ------
    BadInput
        ``recipe.unknown`` if it is no composite's; ``composite.collection`` if no recipe of the level it starts from
        makes items of that collection.
    """
    recipe = registry.recipes.get(request.recipe)
    if recipe is None or not recipe.is_composite:
        known = sorted(recipe.id for recipe in registry.recipes.values() if recipe.is_composite)
        raise BadInput(
            f"'{request.recipe}' is not a recipe for composites",
            kind="recipe.unknown",
            remedy=f"Known: {', '.join(known)}.",
        )
    sources = source_collections(recipe, registry)
    if request.collection not in sources:
        raise BadInput(
            f"a {recipe.id} is made from {recipe.parent} items, and '{request.collection}' is no collection of such",
            kind="composite.collection",
            remedy=f"Known: {', '.join(sorted(sources))}.",
        )
    return recipe


def source_collections(recipe: RecipeConfig, registry: Registry) -> dict[str, str]:
    """Collections that a composite may be made from, and the mission of each."""
    return {
        made.collection(mission): mission
        for made in registry.recipes.values()
        if made.level == recipe.parent
        for mission in registry.missions
    }


def selected_inputs(request: CompositeRequest, home: Home) -> tuple[Input, ...]:
    """Every catalogued item of the collection that a request means, in the order of acquisition.

    Raises
    ------
    BadInput
        ``composite.no_items``, or ``composite.too_many``; ``catalogue.missing``.
    """
    found = _in_area_and_span(request, home)
    with_group = [each for each in found if any(group.name == request.group for group in each.product.groups)]
    on_map = [each for each in with_group if not request.crs or each.group(request.group).crs == request.crs]
    taken = [each for each in on_map if (cloud_percent(each.product) or 0.0) <= request.max_cloud]
    if not taken:
        counts = f"{len(found)} in area and span, {len(with_group)} with '{request.group}', {len(on_map)} on the map"
        raise BadInput(
            f"no item of {request.collection} is left to compose: {counts}, none with {request.max_cloud:g} % of cloud "
            "or less",
            kind="composite.no_items",
            where=f"{request.interval}",
            remedy="Choose another area or span, or allow more cloud.",
        )
    if len(taken) > MOST_ITEMS:
        raise BadInput(
            f"{len(taken)} items are more than the {MOST_ITEMS} that one composite is made of",
            kind="composite.too_many",
            remedy="Choose a smaller area or span.",
        )
    return tuple(sorted(taken, key=lambda each: (each.product.acquired, each.product.id)))


def _in_area_and_span(request: CompositeRequest, home: Home) -> list[Input]:
    area = shapely.geometry.mapping(request.geometry)
    found, token = [], None
    with closing(store_of(home)) as store:
        while True:
            asked = SearchRequest(
                collections=(request.collection,), intersects=area, datetime=request.interval, limit=MAX_LIMIT,
                token=token,
            )  # fmt: skip
            page = store.search(asked)
            found += [published(home.path, str(item["collection"]), str(item["id"])) for item in page.items]
            token = page.next
            if token is None:
                break
    return [Input(product=each, store=home.path / each.archive_href) for each in found if each is not None]


def require_one_kind(inputs: Sequence[Input], group: str) -> None:
    """Refuse to compose what does not mean the same.

    Raises
    ------
    BadInput
        ``composite.mixed`` naming the first that differs from the first, and in what.
    """
    first = _kind(inputs[0], group)
    for each in inputs[1:]:
        for name, value in _kind(each, group).items():
            if value != first[name]:
                raise BadInput(
                    f"{each.name} is of another {name} than {inputs[0].name}: {value}, not {first[name]}",
                    kind="composite.mixed",
                    remedy="Process the items again with one recipe and sensor: qyran reprocess.",
                )


def _kind(each: Input, group: str) -> dict[str, object]:
    product = each.product
    return {
        "level": product.level,
        "sensor": product.sensor,
        "set of bands": {
            band.name: (band.dtype, band.scale, band.offset, band.nodata, band.units) for band in each.bands(group)
        },
    }
