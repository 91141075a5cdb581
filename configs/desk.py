"""The rules of the quality desk: the shipped ones, or the operator's own in their place."""

from importlib.resources import files
from pathlib import Path

from configs.load import read_config
from configs.schema.desk import DeskConfig

_FILE = "desk.yaml"


def load_desk(overlay: Path | None = None) -> DeskConfig:
    """Read ``desk.yaml`` of ``overlay`` (HOME/configs), else the shipped one.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    own = overlay / _FILE if overlay is not None else None
    return read_config(own if own is not None and own.is_file() else Path(str(files("configs") / _FILE)), DeskConfig)
