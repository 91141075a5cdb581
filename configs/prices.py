"""The price list: the operator's own, or the shipped example."""

from importlib.resources import files
from pathlib import Path

from configs.load import read_config
from configs.schema.prices import PricesConfig

_FILE = "prices.yaml"


def load_prices(overlay: Path | None = None) -> PricesConfig:
    """Read ``prices.yaml`` of ``overlay`` (HOME/configs), else the shipped one.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    own = overlay / _FILE if overlay is not None else None
    return read_config(own if own is not None and own.is_file() else Path(str(files("configs") / _FILE)), PricesConfig)
