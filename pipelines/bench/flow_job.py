"""The work of ``process-scene`` without Prefect, in a process of its own: JSON on stdout.

Wall and processor seconds of each package by its name.

``python -m pipelines.bench.flow_job HOME WARM PACKAGE...``: hash, plan, compute, archive, describe, catalogue, and
all that derives from it, as the landing zone's rules ask for.
"""

import json
import sys
import time
from pathlib import Path

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from pipelines.cluster import compute_in
from pipelines.configuration import keep_configs
from pipelines.derivation import derived_image, derived_recipe
from pipelines.drafts import applicable_recipes, derived_draft
from pipelines.outcomes import Stop
from pipelines.packages import ingest_package, leave_workspace
from pipelines.planning import keep_what_made, plan_scene
from pipelines.requests import SceneRequest
from pipelines.revisions import as_before
from processing.archive.write import publish_product
from processing.model.errors import Defect
from processing.model.product import Product


def work(home: Home, registry: Registry, package: Path) -> float:
    """Process one package; seconds."""
    began = time.perf_counter()
    request = SceneRequest(package=str(package), home=str(home.path))
    ingested = ingest_package(package, home, registry.sensors)
    try:
        with compute_in(home):
            planned = plan_scene(request, ingested, home, registry)
            if isinstance(planned, Stop):
                raise Defect(f"{package.name}: {planned.message}", kind="bench.stopped")
            product = publish_product(home.path, as_before(home, planned.draft), planned.images)
            keep_what_made(request, home, registry, planned.draft.lineage)
    finally:
        leave_workspace(ingested)
    catalogue_product(product, home, registry)
    for recipe in applicable_recipes(product, registry):
        _derive(home, registry, product, recipe)
    return time.perf_counter() - began


def _derive(home: Home, registry: Registry, parent: Product, name: str) -> None:
    recipe = derived_recipe(name, registry)
    image = derived_image(home.path / parent.archive_href, parent, recipe)
    draft = derived_draft(parent, image, recipe=recipe, mission=registry.missions[parent.mission])
    with compute_in(home):
        product = publish_product(home.path, as_before(home, draft), [image])
    keep_configs(home, draft.lineage, registry)
    catalogue_product(product, home, registry)


def main() -> None:
    """Process what the command line names; the first ``WARM`` take longer, for imports, and do not count."""
    home = Home.resolve(Path(sys.argv[1]))
    registry = load_registry(home.configs)
    warm, packages = int(sys.argv[2]), list(map(Path, sys.argv[3:]))
    for package in packages[:warm]:
        work(home, registry, package)
    seen = {}
    for package in packages[warm:]:
        before = time.process_time()
        seconds = work(home, registry, package)
        seen[package.name] = (seconds, time.process_time() - before)
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
