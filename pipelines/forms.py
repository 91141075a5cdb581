"""What the forms of Prefect's pages offer: the recipes and collections of this installation, in lists to choose from.

The models of :mod:`pipelines.requests` say what a field is; which recipes there are is known only where a deployment is
registered. An operator's own recipes are offered after the next start of ``qyran up``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from configs.registry import Registry
from pipelines.composite_select import source_collections
from pipelines.requests import EVERY_RECIPE

_LAST = ("home",)
"""Fields that are seldom filled in."""


def choices(registry: Registry) -> Mapping[tuple[str, str], list[str]]:
    """What may be chosen, by model and field."""
    recipes = registry.recipes.values()
    scenes = [recipe.id for recipe in recipes if recipe.level != "derived"]
    composites = [recipe.id for recipe in recipes if recipe.is_composite]
    derived = [recipe.id for recipe in recipes if recipe.level == "derived" and not recipe.is_composite]
    sources = {name for recipe in recipes if recipe.is_composite for name in source_collections(recipe, registry)}
    collections = sorted(recipe.collection(mission) for mission in registry.missions for recipe in recipes)
    return {
        ("SceneRequest", "recipe"): scenes,
        ("SceneRequest", "derive"): [EVERY_RECIPE, *derived],
        ("ProductRequest", "recipe"): derived,
        ("CompositeRequest", "collection"): sorted(sources),
        ("CompositeRequest", "recipe"): composites,
        ("ReprocessRequest", "recipe"): ["", *scenes, *derived, *composites],
        ("ReprocessRequest", "collection"): ["", *collections],
    }


def offer(definitions: Mapping[str, Any], offered: Mapping[tuple[str, str], Iterable[str]]) -> dict[str, Any]:
    """The definitions of a form's schema with the choices in them, and seldom used fields last.

    Parameters
    ----------
    definitions
        JSON schemas by model, as Prefect makes them from a flow's parameters.
    offered
        As :func:`choices`.
    """
    made = {}
    for model, schema in definitions.items():
        fields = dict(schema.get("properties", {}))
        for name, field in fields.items():
            values = offered.get((model, name))
            if values is not None:
                fields[name] = _limited(field, list(values))
        ordered = [name for name in fields if name not in _LAST] + [name for name in _LAST if name in fields]
        made[model] = {**schema, "properties": {name: fields[name] for name in ordered}} if fields else schema
    return made


def _limited(field: dict[str, Any], values: list[str]) -> dict[str, Any]:
    if field.get("type") == "array":
        return {**field, "items": {**field["items"], "enum": values}, "uniqueItems": True}
    return {**field, "enum": values}
