"""All revisions of a product: the latest, and the earlier ones that lie beside it."""

from dataclasses import dataclass
from pathlib import Path

from configs.settings import Home
from processing.archive.compare import Places
from processing.archive.layout import ITEM, PRODUCT_RECORD, ProductPaths
from processing.archive.write import published
from processing.model.product import Product, ProductDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One revision of a product, and where its parts lie now."""

    product: Product
    """As it was published: what it says of the places of its files held until it was superseded."""
    places: Places
    latest: bool

    @property
    def item_path(self) -> Path:
        """Its STAC item."""
        return self.places.files / ITEM


def product_versions(home: Home, latest: Product) -> tuple[Version, ...]:
    """Every revision of a product that the archive holds, newest first.

    Parameters
    ----------
    latest
        The one its id stands for.
    """
    paths = ProductPaths.of(home.path, latest)
    found = [Version(product=latest, places=Places(store=paths.store, files=paths.files), latest=True)]
    for record in sorted(paths.revisions.glob(f"*.files/{PRODUCT_RECORD}")):
        product = Product.model_validate_json(record.read_bytes())
        if product.revision != latest.revision:  # one that came back leaves its earlier files behind
            store = ProductPaths.of(home.path, product).store
            places = Places(store=store, files=record.parent)
            found.append(Version(product=product, places=places, latest=False))
    return tuple(sorted(found, key=lambda each: (each.latest, each.product.created), reverse=True))


def recorded_version(home: Home, name: str) -> Version | None:
    """The revision that a lineage names ``COLLECTION/ID@REVISION``; None if it is gone. Needs no catalogue."""
    item, _, revision = name.partition("@")
    collection, _, item_id = item.rpartition("/")
    latest = published(home.path, collection, item_id)
    versions = () if latest is None else product_versions(home, latest)
    return next((version for version in versions if version.product.revision == revision), None)


def as_before(home: Home, draft: ProductDraft) -> ProductDraft:
    """A draft of a revision that was published before and superseded: when it comes back, it is the same bytes."""
    paths = ProductPaths.of(home.path, draft)
    record = paths.superseded_files(paths.revision) / PRODUCT_RECORD
    if not record.is_file():
        return draft
    return draft.model_copy(update={"created": Product.model_validate_json(record.read_bytes()).created})
