"""The work that faults are injected into: one small product from its draft to its row in the catalogue, for real."""

from pathlib import Path

import dask

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from processing.archive import write
from processing.model.lineage import Lineage
from processing.model.product import Product, ProductDraft
from tests.archive import synthetic

NAMES = ("pan",)
SHAPE = (48, 60)


def registry() -> Registry:
    """The shipped configuration, without an operator's."""
    return load_registry(Path("nobody's"))


def draft(number: int = 1, *, resampling: str = "cubic", package: str = "ab") -> ProductDraft:
    """A scene; each number is another one, each resampling another revision, each package other bytes."""
    lineage: Lineage = synthetic.lineage(package, resampling=resampling)
    return synthetic.draft(
        NAMES, item=f"KZ1_20260424T052011_{number:08d}_L1C", lineage=lineage, visual=NAMES, visual_range=(0.0, 0.4)
    )


def publish(home: Path, what: ProductDraft, *, seed: int = 1) -> Product:
    """Compute it into the archive, and nothing else."""
    image = synthetic.image(synthetic.values(SHAPE, 1, seed), synthetic.geobox(SHAPE), NAMES, group="pan")
    with dask.config.set(scheduler="synchronous"):
        return write.publish_product(home, what, [image])


def ingest(home: Path, what: ProductDraft, known: Registry, *, seed: int = 1) -> Product:
    """Compute it into the archive and put it in the catalogue. What this returns is acknowledged."""
    product = publish(home, what, seed=seed)
    catalogue_product(product, Home(home), known)
    return product
