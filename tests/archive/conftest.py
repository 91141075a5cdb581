"""One published product that the tests of this room look at, and must not change."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from processing.archive.write import publish_product
from processing.model.image import OrthoImage
from processing.model.product import Product
from tests.archive import synthetic


@dataclass(frozen=True)
class Published:
    """A product, what went in, and where it is."""

    home: Path
    product: Product
    images: tuple[OrthoImage, OrthoImage]
    pixels: np.ndarray

    @property
    def store(self) -> Path:
        return self.home / self.product.archive_href

    @property
    def files(self) -> Path:
        return self.home / "products" / self.product.collection / self.product.id


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    home = tmp_path_factory.mktemp("home")
    names = ("blue", "green", "red", "nir")
    pixels = synthetic.values((700, 900), 4)
    pixels[0, 300, 400] = 9.0  # beyond what the encoding holds
    pixels[1, 310, 410] = np.nan  # one band alone
    ms = synthetic.image(pixels, synthetic.geobox(), names)
    pan = synthetic.image(
        synthetic.values((1399, 1799), 1, seed=2), synthetic.geobox((1399, 1799), 2.0), ("pan",), group="pan"
    )
    product = publish_product(home, synthetic.draft((*names, "pan")), [ms, pan])
    return Published(home=home, product=product, images=(ms, pan), pixels=pixels)
