"""How a viewer should show a product, in the words of STAC's render extension."""

from collections.abc import Mapping
from typing import Any

from configs.schema import RecipeConfig


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
            found[name] = _render(preset.title, preset.bands, limits, preset.palette)
    return found


def _stored(value: float, scale: float, offset: float) -> float:
    return round((value - offset) / scale, 6)


def _render(title: str, bands: tuple[str, ...], rescale: list[list[float]], palette: str | None) -> dict[str, Any]:
    render: dict[str, Any] = {"title": title, "assets": list(bands), "rescale": rescale, "resampling": "average"}
    return render | ({"colormap_name": palette} if palette else {})
