"""The catalogue: items, collections, and the stores that answer searches."""

import os
from pathlib import Path

from catalogs.store.embedded import EmbeddedStore
from catalogs.store.protocol import CatalogueStore
from configs.catalogue import load_catalogue_config

__all__ = ["URL_VARIABLE", "catalogue_exists", "open_at", "open_store", "server_url"]

URL_VARIABLE = "QYRAN_CATALOGUE_URL"
"""Environment variable that names the catalogue's PostgreSQL database."""


def open_store(catalogue_dir: Path) -> CatalogueStore:
    """The catalogue of an installation, made ready when it is not there yet.

    Parameters
    ----------
    catalogue_dir
        ``HOME/catalogue``: where the embedded store lies, unless a server is set.
    """
    url = server_url(catalogue_dir)
    return EmbeddedStore(catalogue_dir) if url is None else open_at(url)


def open_at(url: str) -> CatalogueStore:
    """The catalogue in a PostgreSQL database, ``postgresql://user@host:port/name``."""
    # Its driver is imported where there is a server: most installations have none.
    from catalogs.store.pgstac import PgstacStore

    return PgstacStore(url)


def server_url(catalogue_dir: Path) -> str | None:
    """The database that the operator set: by the environment, else by ``HOME/configs/catalogue.yaml``; or None."""
    given = os.environ.get(URL_VARIABLE)
    return given or load_catalogue_config(catalogue_dir.parent / "configs").url


def catalogue_exists(catalogue_dir: Path) -> bool:
    """Whether something may have been catalogued: a server is asked, not guessed about."""
    return catalogue_dir.is_dir() or server_url(catalogue_dir) is not None
