"""The catalogue's settings of an installation."""

from pathlib import Path

from configs.load import read_config
from configs.schema.catalogue import CatalogueConfig


def load_catalogue_config(folder: Path) -> CatalogueConfig:
    """``catalogue.yaml`` of an operator's configs, or the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = folder / "catalogue.yaml"
    return read_config(path, CatalogueConfig) if path.is_file() else CatalogueConfig()
