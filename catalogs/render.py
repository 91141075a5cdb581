"""How a viewer should show a product, in the words of STAC's render extension."""

from collections.abc import Mapping
from typing import Any

from catalogs import texts
from configs.schema import RecipeConfig
from configs.schema.recipes import RenderPreset


def renders(recipe: RecipeConfig, storage: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The recipe's pictures whose bands are all there.

    Parameters
    ----------
    storage
        (scale, offset) by band. ``rescale`` speaks of stored numbers, because those are what a tile server
        stretches unless told to unscale.
    """
    found = {}
    for name, preset in recipe.renders.items():
        if all(band in storage for band in preset.bands):
            limits = [[_stored(value, *storage[band]) for value in preset.rescale] for band in preset.bands]
            found[name] = _render(preset, limits)
    return found


def _stored(value: float, scale: float, offset: float) -> float:
    return round((value - offset) / scale, 6)


def _render(preset: RenderPreset, rescale: list[list[float]]) -> dict[str, Any]:
    render: dict[str, Any] = {
        "title": preset.title,
        "assets": list(preset.bands),
        "rescale": rescale,
        "resampling": "average",
    }
    if preset.palette:
        render["colormap_name"] = preset.palette
    if preset.titles:
        render["qyran:titles"] = {texts.MAIN: preset.title, **preset.titles}
    return render
