"""Settings of an installation's page for customers."""

from pathlib import Path

from configs.load import read_config
from configs.schema.portal import PortalConfig


def load_portal_config(folder: Path) -> PortalConfig:
    """``portal.yaml`` of an operator's configs, or the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = folder / "portal.yaml"
    return read_config(path, PortalConfig) if path.is_file() else PortalConfig()
