"""Whole products that wait to be published: made, durable, seen by nobody but an operator.

``HOME/desk/held/<collection>--<id>--<revision>`` holds ``store.zarr``, ``files`` and a record of why it waits. It comes
there, and leaves, by renames; archive, products and catalogue know nothing of it meanwhile, so that an earlier revision
goes on being what its id stands for.
"""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.layout import ISO, MANIFEST, PRODUCT_RECORD, ProductPaths
from processing.archive.manifest import fingerprint
from processing.archive.retain_staging import TRASH
from processing.archive.write import FILES, published, put_files, refuse_other_package
from processing.model.errors import Defect
from processing.model.product import Product

HELD = "desk/held"
STORE = "store.zarr"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldProduct:
    """One product that waits."""

    product: Product
    """Its places are those it will have."""
    folder: Path

    @property
    def files(self) -> Path:
        """Its pictures, images and reports."""
        return self.folder / FILES


def held_place(home: Path, product: Product) -> Path:
    """Where a product waits."""
    return home / HELD / f"{product.collection}--{product.id}--{product.revision}"


def hold(home: Path, product: Product, staging: Path) -> None:
    """Put a product that is whole and durable in its staging folder where it waits.

    If it waits already, what was made now goes: it is the same.
    """
    place = held_place(home, product)
    try:
        durable.move(staging, place)
    except FileExistsError:
        shutil.rmtree(staging)


def held_products(home: Path) -> Iterator[HeldProduct]:
    """All that wait, by name."""
    folder = home / HELD
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _read(place)
        if found is not None:
            yield HeldProduct(product=found, folder=place)


def _read(place: Path) -> Product | None:
    for record in (place / FILES / PRODUCT_RECORD, place / PRODUCT_RECORD):
        try:
            return Product.model_validate_json(record.read_bytes())
        except (FileNotFoundError, ValidationError):
            continue
    return None


def release(home: Path, held: HeldProduct) -> Product:
    """Publish a product that waited. Whoever was killed in the middle calls it again.

    Raises
    ------
    Conflict
        ``id.conflict``, ``scene.better_published`` if one of this id was made from other bytes that are not worse.
    Retryable
        ``disk.*``
    Defect
        ``archive.corrupt`` if its store is not what was written.
    """
    product, home = held.product, home.resolve()
    paths = ProductPaths.of(home, product)
    with disk_faults(paths.staging), durable.exclusive(paths.lock):
        present = published(home, product.collection, product.id)
        if present is None or present.revision != product.revision:
            if present is not None:
                refuse_other_package(present, product)
            _publish(held, paths)
    let_go(home, held)
    return product


def _publish(held: HeldProduct, paths: ProductPaths) -> None:
    waiting = held.folder / STORE
    store = waiting if waiting.is_dir() else paths.store
    if not store.is_dir() or fingerprint(store / MANIFEST) != held.product.manifest_sha256:
        raise Defect(
            f"the store of {held.product.id} is not what was written", kind="archive.corrupt", where=str(held.folder),
            remedy="Reject it, and process its package again.",
        )  # fmt: skip
    # Its record stays behind, so that it can be found again if this ends here.
    durable.write_file(held.folder / PRODUCT_RECORD, held.product.model_dump_json().encode())
    for place in (paths.store, paths.files, paths.link):
        durable.make_folders(place.parent)
    if waiting.is_dir() and not paths.store.exists():
        durable.move(waiting, paths.store)
    if paths.staging.exists() and held.files.is_dir():
        shutil.rmtree(paths.staging)
    if held.files.is_dir():
        durable.move(held.files, paths.staging / FILES)
    if (paths.files / ISO).is_file():
        # As publishing does: the earlier revision's row names it, until the new revision has a row.
        shutil.copyfile(paths.files / ISO, paths.staging / FILES / ISO)
    put_files(paths.staging / FILES, paths)
    durable.point_link(paths.link, paths.store)
    shutil.rmtree(paths.staging, ignore_errors=True)


def let_go(home: Path, held: HeldProduct) -> None:
    """Delete what waits, or what is left of it."""
    bin_ = home / "staging" / TRASH / secrets.token_hex(8)
    durable.make_folders(bin_)
    durable.move(held.folder, bin_ / held.folder.name)
    shutil.rmtree(bin_, ignore_errors=True)
