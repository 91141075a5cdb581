"""A recipe over an archived product: its lazy result."""

from pathlib import Path

import xarray as xr

from configs.registry import Registry
from configs.schema import RecipeConfig
from pipelines.grids import geobox_of
from processing.archive.open import open_product
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.product import Product, StoredGroup
from processing.products.stage import derive


def derived_recipe(name: str, registry: Registry) -> RecipeConfig:
    """A recipe that starts from another product.

    Raises
    ------
    BadInput
        ``recipe.unknown`` if there is none of that name, or it starts from a package or from several products.
    """
    recipe = registry.recipes.get(name)
    if recipe is None or recipe.level != "derived" or recipe.is_composite:
        known = sorted(
            recipe.id for recipe in registry.recipes.values() if recipe.level == "derived" and not recipe.is_composite
        )
        raise BadInput(
            f"'{name}' is not a recipe for derived products",
            kind="recipe.unknown",
            remedy=f"Known: {', '.join(known)}.",
        )
    return recipe


def derived_image(store: Path, parent: Product, recipe: RecipeConfig) -> OrthoImage:
    """The recipe's result over an archived parent, lazy.

    Parameters
    ----------
    store
        Where the parent's store lies.

    Raises
    ------
    BadInput
        ``recipe.parent`` if the parent is of another level, ``recipe.bands_missing`` if no group of it holds all
        bands the recipe needs.
    """
    if parent.level != recipe.parent:
        raise BadInput(
            f"recipe {recipe.id} derives from {recipe.parent} products, and {parent.id} is {parent.level}",
            kind="recipe.parent",
        )
    group = _group_with(parent, recipe)
    bands: xr.Dataset = open_product(store, group=group.name)
    return derive(bands, recipe, geobox_of(group))


def _group_with(parent: Product, recipe: RecipeConfig) -> StoredGroup:
    for group in parent.groups:
        held = {band.name for band in parent.bands if band.group == group.name}
        if held.issuperset(recipe.inputs):
            return group
    raise BadInput(
        f"recipe {recipe.id} needs {', '.join(recipe.inputs)}, which {parent.id} does not hold on one grid",
        kind="recipe.bands_missing",
        where=f"bands: {', '.join(band.name for band in parent.bands)}",
    )
