"""A composite before a pixel of it is made: its grid, what its inputs have to give, its identity and its lineage."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from configs.registry import Registry
from configs.schema import RecipeConfig
from pipelines.composite_request import CompositeRequest
from pipelines.composite_select import Input, require_one_kind
from pipelines.drafts import picture
from pipelines.lineages import composite_lineage
from pipelines.observe import Report
from pipelines.planning import PlannedProduct
from processing.archive.common_grid import common_grid
from processing.archive.compose import composed_images, survey_inputs
from processing.archive.composed_area import near, rings_on, share
from processing.archive.composition import Composition, Layer, Survey, by_preference
from processing.archive.cut import bands_of
from processing.model.composite_layers import (
    COVERAGE,
    ITEMS,
    LAYERS,
    METHOD,
    OBSERVED_FROM,
    OBSERVED_UNTIL,
    UNSURE,
    encoding_of,
)
from processing.model.errors import BadInput
from processing.model.product import Product, ProductDraft, item_id

_LITTLE_PERCENT = 0.1
"""Less of an area than this is told in figures that count, not as nothing."""


def plan_composite(
    request: CompositeRequest, inputs: Sequence[Input], registry: Registry, *, report: Report | None = None
) -> PlannedProduct:
    """Plan a composite. Flags of all inputs are read; inputs without a clear pixel in the area are no part of it.

    Parameters
    ----------
    request
        What is wanted.
    inputs
        What to make it of, in any order.
    registry
        Recipes and missions.
    report
        Called with (done, total, what).

    Raises
    ------
    BadInput
        ``composite.mixed``, ``composite.grids``, ``composite.outside``, ``composite.group``, ``composite.area``;
        ``composite.nothing_clear`` if no pixel of the area has clear observations enough.
    """
    ordered = sorted(inputs, key=lambda each: (each.product.acquired, each.name))
    require_one_kind(ordered, request.group)
    figures, kept = _surveyed(request, ordered, report)
    while _area(request, kept) != _area(request, ordered):
        # What is cut off goes by the items, and a record names only those that have a part in it.
        ordered = kept
        figures, kept = _surveyed(request, ordered, report)
    # The grid is that of what has a part in it: so it is found again from the record, which names nothing else.
    return _planned(request, _composition(request, kept), kept, figures, registry)


def _surveyed(
    request: CompositeRequest, inputs: Sequence[Input], report: Report | None
) -> tuple["_Figures", list[Input]]:
    """What flags say of the area, and the inputs with a clear pixel in it."""
    composition = _composition(request, inputs)
    found = survey_inputs(composition, progress=report)
    if not found.covered:
        raise BadInput(
            f"no pixel of the area has {request.min_observations} clear observation(s) in {len(inputs)} item(s)",
            kind="composite.nothing_clear",
            where=request.interval,
            remedy="Choose a longer span, allow more cloud, or ask for fewer observations.",
        )
    figures = _Figures.of(composition, found)
    return figures, [each for each in inputs if figures.inputs[each.name][0]]


class _Figures(NamedTuple):
    """What a survey found, by input."""

    total: Survey
    inputs: Mapping[str, tuple[int, int]]
    """Clear and used pixels."""

    @classmethod
    def of(cls, composition: Composition, found: Survey) -> "_Figures":
        names = (layer.name for layer in composition.layers)
        return cls(found, dict(zip(names, zip(found.clear, found.used, strict=True), strict=True)))


def _area(request: CompositeRequest, inputs: Sequence[Input]) -> BaseGeometry:
    """What of the area is around the inputs: who asks for more than there is gets all there is."""
    return near(request.geometry, [shape(each.product.geometry) for each in inputs])


def _composition(request: CompositeRequest, inputs: Sequence[Input]) -> Composition:
    groups = [each.group(request.group) for each in inputs]
    rings = rings_on(_area(request, inputs), groups[0].crs)
    edges = [ring.bounds for ring in rings]
    bounds = (
        min(edge[0] for edge in edges),
        min(edge[1] for edge in edges),
        max(edge[2] for edge in edges),
        max(edge[3] for edge in edges),
    )
    box, extents = common_grid(groups, bounds)
    layers = [
        Layer.of(
            each.store,
            request.group,
            each.name,
            each.product.acquired,
            each.product.angles.get("view_zenith_deg"),
            part,
        )
        for each, part in zip(inputs, extents, strict=True)
    ]
    quantities = {layer.quantity for layer in layers}
    if len(quantities) > 1:
        raise BadInput(f"the items hold different quantities: {sorted(quantities)}", kind="composite.mixed")
    return Composition(
        geobox=box,
        layers=by_preference(layers, request.method),
        bands=tuple(band.name for band in inputs[0].bands(request.group)),
        method=request.method,
        minimum=request.min_observations,
        rings=rings,
    )


def _planned(
    request: CompositeRequest, composition: Composition, inputs: Sequence[Input], figures: _Figures, registry: Registry
) -> PlannedProduct:
    products = [each.product for each in inputs]
    bands = inputs[0].bands(request.group)
    recipe, mission = registry.recipes[request.recipe], registry.missions[products[0].mission]
    lineage_inputs = [product.manifest_sha256 for product in products]
    token = hashlib.sha256(json.dumps([request.asked, lineage_inputs], sort_keys=True).encode()).hexdigest()[:16]
    images = composed_images(
        composition,
        group=request.group,
        bands=bands_of(bands),
        quantity=composition.layers[0].quantity,
        token=token,
    )
    report = _report(request, composition, inputs, figures)
    draft = ProductDraft(
        id=composite_id(request, mission.code, recipe),
        collection=recipe.collection(mission.id),
        mission=mission.id,
        sensor=products[0].sensor,
        recipe=recipe.id,
        level=recipe.level,
        acquired=request.since,
        encodings={band.name: band.encoding for band in bands}
        | {layer: encoding_of(layer) for layer in LAYERS if layer in composition.said},
        angles={},
        facts=joint_facts(request, products) | {COVERAGE: report["coverage_percent"]},
        gsd_m=min(product.gsd_m for product in products),
        accuracy=joint_accuracy(products),
        warnings=_warnings(products),
        composition=report,
        parents=tuple(each.name for each in inputs),
        lineage=composite_lineage(products, images[0], recipe, request.asked),
        **picture(recipe, [band.name for band in bands]),
    )
    return PlannedProduct(draft=draft, images=images)


def composite_id(request: CompositeRequest, code: str, recipe: RecipeConfig) -> str:
    """Id of a composite: the same for whoever asks for the same, whatever items there are by then."""
    asked = json.dumps(request.asked, sort_keys=True, separators=(",", ":"))
    return item_id(code, request.since, asked, recipe.collection_suffix)


def joint_facts(request: CompositeRequest, products: Sequence[Product]) -> dict[str, str | float | int]:
    """When a composite was taken, and how it is made."""
    first, last = (each(product.acquired for product in products) for each in (min, max))
    facts: dict[str, str | float | int] = {
        OBSERVED_FROM: first.isoformat(),
        OBSERVED_UNTIL: last.isoformat(),
        METHOD: request.method.value,
        ITEMS: len(products),
    }
    stated = {"ce90_m" in product.accuracy for product in products}
    if len(stated) > 1:
        facts[UNSURE] = 1
    return facts


def joint_accuracy(products: Sequence[Product]) -> dict[str, float]:
    """How well it is located: as its worst part, and for the best located part ``ce90_finest_m``.

    Nothing where some inputs do not say.
    """
    found = {}
    for name in ("ce90_m", "rmse_m"):
        stated = [product.accuracy[name] for product in products if name in product.accuracy]
        if len(stated) == len(products):
            found[name] = max(stated)
            if name == "ce90_m" and min(stated) < max(stated):
                found["ce90_finest_m"] = min(stated)
    return found


def _warnings(products: Sequence[Product]) -> tuple[str, ...]:
    untested = [
        product.id
        for product in products
        if any(flags.get("cloud_not_tested", 0.0) for flags in product.quality.get("flags_percent", {}).values())
    ]
    unsure = [product.id for product in products if "ce90_m" not in product.accuracy]
    found = []
    if untested:
        found.append(
            f"cloud was not looked for in {len(untested)} of {len(products)} items: it may be in the composite"
        )
    if unsure and len(unsure) < len(products):
        found.append(
            f"{len(unsure)} of {len(products)} items state no accuracy: policy takes that of the composite as unknown"
        )
    return tuple(found)


def _report(
    request: CompositeRequest, composition: Composition, inputs: Sequence[Input], figures: _Figures
) -> dict[str, Any]:
    """What the survey says, for the quality report: percent of the area that was asked for."""
    size = abs(composition.geobox.affine.a)
    area = composition.area / size**2 / share(_area(request, inputs), request.geometry)
    total = figures.total

    def percent(pixels: int) -> float:
        exact = min(100.0 * pixels / area, 100.0)
        return round(exact, 3) if exact >= _LITTLE_PERCENT else float(f"{exact:.3g}")

    return {
        "method": request.method.value,
        "minimum_observations": request.min_observations,
        "coverage_percent": percent(total.covered),
        "observations_mean": round(total.observations / total.covered, 4),
        "observations_most": total.most,
        "items": {
            each.name: {
                "acquired": each.product.acquired.isoformat(),
                "clear_percent": percent(figures.inputs[each.name][0]),
                "used_percent": percent(figures.inputs[each.name][1]),
            }
            for each in inputs
        },
    }
