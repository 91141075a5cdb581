"""The rules by which an installation keeps its archive: the shipped ones, or the operator's own in their place."""

from importlib.resources import files
from pathlib import Path

from configs.load import read_config
from configs.schema.keeping import KeepingConfig

_FILE = "keeping.yaml"


def load_keeping(overlay: Path | None = None) -> KeepingConfig:
    """Read ``keeping.yaml`` of ``overlay`` (HOME/configs), else the shipped one.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    own = overlay / _FILE if overlay is not None else None
    return read_config(own if own is not None and own.is_file() else Path(str(files("configs") / _FILE)), KeepingConfig)
