"""The catalogue: items, collections, and the stores that answer searches."""

from pathlib import Path

from catalogs.store.embedded import EmbeddedStore
from catalogs.store.protocol import CatalogueStore

__all__ = ["open_store"]


def open_store(catalogue_dir: Path) -> CatalogueStore:
    """The catalogue of an installation: today always the embedded one, created when it is not there yet."""
    return EmbeddedStore(catalogue_dir)
