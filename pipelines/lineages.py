"""The lineage of a product that is about to be made: all that it takes to make it again."""

from collections.abc import Sequence
from typing import Any

from configs.registry import Registry
from configs.schema import RecipeConfig, SensorConfig
from pipelines.configuration import config_record, config_records
from pipelines.refinement import SceneRefinements
from pipelines.requests import SceneRequest
from pipelines.software import software_versions
from processing.geometry.terrain import Terrain
from processing.model.image import OrthoImage
from processing.model.lineage import InputRecord, Lineage
from processing.model.product import Product
from processing.model.scene import Delivery
from processing.products.composite import UNCLEAR


def package_record(delivery_id: str, sha256: str) -> InputRecord:
    """The package in a product's lineage."""
    return InputRecord(role="package", name=delivery_id, sha256=sha256)


def parent_record(parent: Product) -> InputRecord:
    """The very revision of a product that another derives from."""
    name = f"{parent.collection}/{parent.id}@{parent.revision}"
    return InputRecord(role="parent", name=name, sha256=parent.manifest_sha256)


def scene_lineage(
    delivery: Delivery,
    images: Sequence[OrthoImage],
    *,
    request: SceneRequest,
    registry: Registry,
    terrain: Terrain,
    package: InputRecord,
    refined: SceneRefinements,
) -> Lineage:
    """The lineage of a product made from a delivered package.

    The package, every elevation tile and geoid grid that was read, reference images, and the configuration by their
    digests; what was asked for; what followed from it (grids, calibration, corrections with their tie points).
    """
    first = delivery.scenes[0]
    sensor: SensorConfig = registry.sensors[first.sensor]
    recipe: RecipeConfig = registry.recipes[request.recipe]
    return Lineage(
        recipe=recipe.id,
        recipe_version=recipe.version,
        inputs=(
            package,
            *terrain.sources,
            *refined.sources(),
            *config_records(sensor, registry.missions[first.mission], recipe),
        ),
        parameters=_requested(request) | _followed(delivery, images, recipe, terrain) | refined.parameters(),
        software=software_versions(),
    )


def derived_lineage(parent: Product, image: OrthoImage, recipe: RecipeConfig) -> Lineage:
    """The lineage of a product derived from an archived one."""
    return Lineage(
        recipe=recipe.id,
        recipe_version=recipe.version,
        inputs=(parent_record(parent), *parent.lineage.inputs_of("package"), config_record("recipe", recipe)),
        parameters={
            "expressions": {output.name: output.expression for output in recipe.outputs},
            "grid": _grid(image),
        },
        software=software_versions(),
    )


def composite_lineage(
    parents: Sequence[Product], image: OrthoImage, recipe: RecipeConfig, requested: dict[str, Any]
) -> Lineage:
    """The lineage of a product composed of several archived ones, in the order of their acquisition.

    Their packages are in their own lineages: what makes a composite the same one is what was asked for, not those.
    """
    return Lineage(
        recipe=recipe.id,
        recipe_version=recipe.version,
        inputs=(*map(parent_record, parents), config_record("recipe", recipe)),
        parameters={"requested": requested, "unclear": int(UNCLEAR), "grid": _grid(image)},
        software=software_versions(),
    )


def _requested(request: SceneRequest) -> dict[str, Any]:
    """What an operator chose, as far as it decides a pixel and is no file."""
    asked: dict[str, Any] = {"vertical_datum": request.vertical_datum.value}
    if request.first_line is not None and request.lines is not None:
        asked["segment"] = [request.first_line, request.lines]
    return {"requested": asked}


def _followed(
    delivery: Delivery, images: Sequence[OrthoImage], recipe: RecipeConfig, terrain: Terrain
) -> dict[str, Any]:
    """What decides a pixel and is not an input, a choice or a version."""
    return {
        "stages": list(recipe.stages),
        "quantity": sorted({str(image.quantity) for image in images}),
        "resampling": recipe.resampling,
        "vertical_datum": terrain.datum_note,
        "grids": {image.group: _grid(image) for image in images},
        "calibration": {
            band.name: {
                "rule": str(cal.rule),
                "gain": cal.gain,
                "bias": cal.bias,
                "esun": cal.esun,
                "from": cal.esun_source,
            }
            for scene in delivery.scenes
            for band in scene.bands
            if (cal := band.calibration) is not None
        },
    } | _segment(delivery)


def _segment(delivery: Delivery) -> dict[str, Any]:
    """First line and number of lines of each image, where it is a segment."""
    cut = {
        scene.group: [scene.platform_facts[f"first_line_{scene.group}"], scene.platform_facts[f"lines_{scene.group}"]]
        for scene in delivery.scenes
        if f"first_line_{scene.group}" in scene.platform_facts
    }
    return {"lines": cut} if cut else {}


def _grid(image: OrthoImage) -> dict[str, Any]:
    return {
        "crs": str(image.geobox.crs),
        "transform": [float(value) for value in tuple(image.geobox.affine)[:6]],
        "shape": [int(size) for size in image.geobox.shape],
    }
