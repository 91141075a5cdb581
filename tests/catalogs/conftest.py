"""A published product with two groups, and one derived from it, with what the registry says of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from catalogs.iso19139 import iso_document
from configs.registry import Registry, load_registry
from processing.archive.layout import ISO
from processing.archive.write import publish_product
from processing.model.lineage import InputRecord, Lineage
from processing.model.product import Encoding, Product
from tests.archive import synthetic


@dataclass(frozen=True)
class Archived:
    """Two products and the installation they are in."""

    home: Path
    registry: Registry
    l1c: Product
    ndvi: Product

    def iso(self, product: Product) -> bytes:
        """The ISO 19139 document of one of them."""
        known = self.registry
        return iso_document(
            product, known.missions[product.mission], known.sensors[product.sensor], known.recipes[product.recipe]
        )


@pytest.fixture(scope="session")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    home = tmp_path_factory.mktemp("home")
    names = ("blue", "green", "red", "nir")
    pixels = synthetic.values((120, 150), 4)
    images = [
        synthetic.image(pixels, synthetic.geobox((120, 150)), names),
        synthetic.image(synthetic.values((240, 300), 1), synthetic.geobox((240, 300), 2.0), ("pan",), group="pan"),
    ]
    l1c = publish_product(home, synthetic.draft((*names, "pan"), gsd_m=1.0), images)
    parent = f"{l1c.collection}/{l1c.id}"
    index = ((pixels[3] - pixels[2]) / (pixels[3] + pixels[2]))[None].astype(np.float32)
    ndvi = publish_product(
        home,
        synthetic.draft(
            ("ndvi",),
            item=l1c.id.replace("_L1C", "_NDVI"),
            collection="kazeosat-1-ndvi",
            recipe="ndvi",
            level="derived",
            encodings={"ndvi": Encoding(title="NDVI", dtype="int16", scale=1e-4, offset=0.0, nodata=-32768)},
            visual=("ndvi",),
            visual_range=(-0.2, 0.9),
            palette="rdylgn",
            accuracy={},
            parents=(parent,),
            lineage=Lineage(
                recipe="ndvi",
                recipe_version="0.1.0",
                inputs=(InputRecord(role="parent", name=parent, sha256=l1c.manifest_sha256),),
                parameters={"expressions": {"ndvi": "(nir - red) / (nir + red)"}},
                software={"qyran": "0.1.0"},
            ),
        ),
        [synthetic.image(index, synthetic.geobox((120, 150)), ("ndvi",), group="index", quantity="ndvi")],
    )
    made = Archived(home=home, registry=load_registry(), l1c=l1c, ndvi=ndvi)
    for product in (l1c, ndvi):
        (home / "products" / product.collection / product.id / ISO).write_bytes(made.iso(product))
    return made
