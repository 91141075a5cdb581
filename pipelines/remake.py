"""A product again from its record: the same inputs, found by their hashes; the same choices, corrections and grids."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.composite_plan import plan_composite
from pipelines.composite_request import CompositeRequest
from pipelines.composite_select import Input
from pipelines.configuration import SCHEMAS, Config, config_digest, config_of, with_configs
from pipelines.derivation import derived_image
from pipelines.drafts import derived_draft, scenes_bounds
from pipelines.inputs import FILES, Lost, find_file, find_package, kept_content, refuse_lost
from pipelines.planning import PlannedProduct, asked_delivery, geoid_places, plan_product
from pipelines.recorded_refinement import refined_as_recorded
from pipelines.requests import SceneRequest
from pipelines.revisions import Version, recorded_version
from processing.archive.layout import MANIFEST
from processing.archive.manifest import check_product, fingerprint
from processing.model.errors import BadInput
from processing.model.lineage import InputRecord, Lineage
from processing.model.product import Product
from processing.readers.dem import open_terrain
from processing.readers.find import open_delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where an operator says that inputs are; what is not said is looked for in HOME."""

    package: Path | None = None
    dem: Path | None = None


def plan_again(home: Home, version: Version, sources: Sources, scratch: Path) -> PlannedProduct:
    """Plan a product from its record; its draft has the lineage that it would get today.

    Parameters
    ----------
    home
        Read only.
    scratch
        Folder for what must be unpacked or renamed on the way.

    Raises
    ------
    BadInput
        ``input.missing`` naming every input that is gone or has changed, with its SHA-256; ``lineage.incomplete``
        for a record of an early Qyran that does not say enough.
    """
    product = version.product
    if product.parents:
        return _derived_again(home, product)
    return _scene_again(home, product, sources, scratch)


def _derived_again(home: Home, product: Product) -> PlannedProduct:
    lineage, named = product.lineage, _name(product)
    configs, lost = _configs(home, lineage)
    parents = [_parent(home, record) for record in lineage.inputs_of("parent")]
    refuse_lost(named, [*lost, *(each for each in parents if isinstance(each, Lost))])
    parent = next((each for each in parents if isinstance(each, Version)), None)
    if parent is None:
        raise _incomplete(named, "its parent")
    registry = with_configs(load_registry(home.configs), configs)
    recipe = registry.recipes[product.recipe]
    if recipe.is_composite:
        inputs = [Input(product=each.product, store=each.places.store) for each in parents if isinstance(each, Version)]
        return plan_composite(recorded_composite(product, ""), inputs, registry)
    image = derived_image(parent.places.store, parent.product, recipe)
    draft = derived_draft(parent.product, image, recipe=recipe, mission=registry.missions[product.mission])
    return PlannedProduct(draft=draft, images=(image,))


def _parent(home: Home, record: InputRecord) -> Version | Lost:
    """A parent's very revision, its bytes checked."""
    parent = recorded_version(home, record.name)
    if parent is None or not parent.places.store.is_dir():
        return Lost(record=record)
    store = parent.places.store
    found = fingerprint(store / MANIFEST) if (store / MANIFEST).is_file() else "none"
    if found != record.sha256:
        return Lost(record=record, changed=(f"{store} (sha256 {found})",))
    faults = check_product(store)
    return Lost(record=record, changed=(f"{store / faults[0].key} ({faults[0].kind})",)) if faults else parent


def _scene_again(home: Home, product: Product, sources: Sources, scratch: Path) -> PlannedProduct:
    lineage, named = product.lineage, _name(product)
    configs, lost = _configs(home, lineage)
    package = lineage.input_of("package")
    if package is None:
        raise _incomplete(named, "its package")
    delivered = find_package(home, package, sources.package)
    files = _files(home, lineage, sources)
    found = {"package": [delivered], **files}
    refuse_lost(named, [*lost, *(each for all_of in found.values() for each in all_of if isinstance(each, Lost))])
    assert isinstance(delivered, Path)
    registry = with_configs(load_registry(home.configs), configs)
    request = recorded_request(product, delivered)
    workspace = scratch / "unpacked"
    workspace.mkdir()
    opened = open_delivery(delivered, sensors=registry.sensors, workspace=workspace)
    delivery = asked_delivery(request, opened)
    paths = {
        role: _by_their_names(
            lineage.inputs_of(role), [each for each in files[role] if isinstance(each, Path)], scratch
        )
        for role in FILES
    }
    terrain = open_terrain(
        paths["dem"],
        bounds=scenes_bounds(delivery.scenes),
        vertical_datum=request.vertical_datum.value,
        geoids=paths["geoid"],
    )
    planned = plan_product(
        request,
        delivery,
        terrain=terrain,
        refined=refined_as_recorded(lineage, delivery.scenes, terrain),
        package=package,
        registry=registry,
    )
    # One that took the place of a part of its scene has the part's id.
    return replace(planned, draft=planned.draft.model_copy(update={"id": product.id}))


def _files(home: Home, lineage: Lineage, sources: Sources) -> dict[str, list[Path | Lost]]:
    places = {"dem": (home.dem,), "geoid": geoid_places(home)}
    return {
        role: [find_file(home, record, places[role], sources.dem) for record in lineage.inputs_of(role)]
        for role in FILES
    }


def _by_their_names(records: Sequence[InputRecord], paths: Sequence[Path], scratch: Path) -> tuple[Path, ...]:
    """Files under the names they had, in the order they had: both have a say in what a terrain is made of."""
    doubled = {name for name, count in Counter(record.name for record in records).items() if count > 1}
    named = []
    for number, (record, path) in enumerate(zip(records, paths, strict=True)):
        place = path
        if path.name != record.name or record.name in doubled:
            place = scratch / "renamed" / f"{record.role}{number:05d}" / record.name
            place.parent.mkdir(parents=True)
            shutil.copyfile(path, place)
        named.append(place)
    return tuple(named)


def _configs(home: Home, lineage: Lineage) -> tuple[dict[str, Config], list[Lost]]:
    """Configuration by role, as it was: today's where it still says the same, else as it was kept."""
    registry: Registry = load_registry(home.configs)
    found: dict[str, Config] = {}
    lost = []
    for role, schema in SCHEMAS.items():
        for record in lineage.inputs_of(role):
            config = config_of(role, record.name, registry)
            if config is None or config_digest(role, config) != record.sha256:
                text = kept_content(home, record)
                config = None if text is None else schema.model_validate_json(text)
            if config is None or config_digest(role, config) != record.sha256:
                lost.append(Lost(record=record))
            else:
                found[role] = config
    return found, lost


def recorded_request(product: Product, package: Path) -> SceneRequest:
    """What was asked for when a scene's product was made, as its lineage keeps it.

    Raises
    ------
    BadInput
        ``lineage.incomplete``.
    """
    try:
        asked: dict[str, Any] = product.lineage.parameters["requested"]
    except KeyError as error:
        raise _incomplete(_name(product), "what was asked for") from error
    first, lines = asked.get("segment", (None, None))
    return SceneRequest(
        package=str(package),
        recipe=product.recipe,
        vertical_datum=asked["vertical_datum"],
        first_line=first,
        lines=lines,
    )


def recorded_composite(product: Product, home: str) -> CompositeRequest:
    """What was asked for when a composite was made, as its lineage keeps it.

    Raises
    ------
    BadInput
        ``lineage.incomplete``.
    """
    try:
        return CompositeRequest.model_validate(product.lineage.parameters["requested"] | {"home": home})
    except (KeyError, TypeError, ValidationError) as error:
        raise _incomplete(_name(product), "what was asked for") from error


def _name(product: Product) -> str:
    return f"{product.collection}/{product.id}@{product.revision}"


def _incomplete(named: str, what: str) -> BadInput:
    return BadInput(
        f"the record of {named} does not say {what}",
        kind="lineage.incomplete",
        remedy="It was made by an early Qyran. Process its package again; the new version's record is whole.",
    )
