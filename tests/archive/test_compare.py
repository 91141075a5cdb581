"""Two makings of one product: alike to the byte, or told apart by object and amount."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr

from processing.archive.compare import Difference, Places, compare_products
from processing.archive.layout import ProductPaths
from processing.archive.write import publish_product
from processing.model.product import Product
from tests.archive import synthetic

SHAPE = (120, 150)


def _places(home: Path, product: Product) -> Places:
    paths = ProductPaths.of(home.resolve(), product)
    return Places(store=paths.store, files=paths.files)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Product, Places]:
    home = tmp_path_factory.mktemp("original")
    product = publish_product(home, synthetic.draft(), [synthetic.scene(SHAPE)])
    return product, _places(home, product)


@pytest.fixture(scope="module")
def remade(original: tuple[Product, Places], tmp_path_factory: pytest.TempPathFactory) -> Places:
    home = tmp_path_factory.mktemp("remade")
    draft = synthetic.draft(created=original[0].created)
    return _places(home, publish_product(home, draft, [synthetic.scene(SHAPE)]))


@pytest.fixture
def kept(original: tuple[Product, Places], tmp_path: Path) -> Places:
    """A copy of the archived product, to be spoilt."""
    copy = Places(store=tmp_path / "store", files=tmp_path / "files")
    shutil.copytree(original[1].store, copy.store)
    shutil.copytree(original[1].files, copy.files)
    return copy


def _compared(original: tuple[Product, Places], kept: Places, remade: Places) -> dict[str, Difference]:
    objects, found = compare_products(original[0], kept, remade)
    present = sum(path.is_file() for place in (remade.store, remade.files) for path in place.rglob("*"))
    assert objects == present
    return {difference.object: difference for difference in found}


def test_the_same_again_is_the_same_bytes(original: tuple[Product, Places], kept: Places, remade: Places) -> None:
    assert _compared(original, kept, remade) == {}


def test_other_pixels_are_counted_and_measured(original: tuple[Product, Places], kept: Places, remade: Places) -> None:
    path = "measurements/reflectance/r4m/red"
    array = zarr.open_array(kept.store, path=path, mode="r+")
    values = np.asarray(array[:])
    rows, columns = np.nonzero(values)
    for step, at in ((3, 0), (40, 17), (1, 1000)):
        values[rows[at], columns[at]] += step
    array[:] = values
    found = _compared(original, kept, remade)
    assert set(found) == {f"{path}/c/0/0"}
    difference = found[f"{path}/c/0/0"]
    assert difference.damaged
    assert difference.detail.startswith(f"3 of {values.size} pixels differ, by up to 40 as stored")


def test_each_spoilt_object_is_named(original: tuple[Product, Places], kept: Places, remade: Places) -> None:
    shard = next(kept.store.glob("**/nir/c/0/0"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 4
    shard.write_bytes(content)
    next(kept.store.glob("**/blue/c/0/0")).unlink()
    (kept.store / "left-behind").write_bytes(b"?")
    document = json.loads((kept.files / "quality.json").read_text())
    document["bands"]["red"]["mean"] += 1.0
    (kept.files / "quality.json").write_text(json.dumps(document))
    (kept.files / "thumbnail.webp").unlink()
    with rasterio.open(kept.files / "green.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        pixels = dataset.read(1)
        pixels[60, 70] += 7
        dataset.write(pixels, 1)
    found = _compared(original, kept, remade)
    level = "measurements/reflectance/r4m"
    assert set(found) == {
        f"{level}/nir/c/0/0",
        f"{level}/blue/c/0/0",
        "left-behind",
        "files/quality.json",
        "files/thumbnail.webp",
        "files/green.tif",
    }
    assert all(difference.damaged for difference in found.values())
    assert "cannot be read" in found[f"{level}/nir/c/0/0"].detail
    assert found[f"{level}/blue/c/0/0"].kind == found["files/thumbnail.webp"].kind == "missing"
    assert found["left-behind"].kind == "unexpected"
    assert "bands.red.mean" in found["files/quality.json"].detail
    assert found["files/green.tif"].detail.startswith(f"1 of {SHAPE[0] * SHAPE[1]} pixels differ, by up to 7")


def test_a_product_that_was_made_otherwise_is_not_called_damaged(
    original: tuple[Product, Places], kept: Places, tmp_path: Path
) -> None:
    """Sound in itself, but computed of other values: the software's doing, not the disk's."""
    draft = synthetic.draft(created=original[0].created)
    other = publish_product(tmp_path / "home", draft, [synthetic.scene(SHAPE, seed=2)])
    found = _compared(original, kept, _places(tmp_path / "home", other))
    assert {"measurements/reflectance/r4m/red/c/0/0", "manifest.json", "files/red.tif", "files/product.json"} <= set(
        found
    )
    assert not any(difference.damaged for difference in found.values())
    assert "pixels differ" in found["files/visual.tif"].detail
    assert "green.tif" in found["files/manifest.sha256"].detail
