"""The rules of subscriptions and notices of an installation."""

from pathlib import Path

from configs.load import read_config
from configs.schema.subscriptions import SubscriptionsConfig


def load_subscriptions(folder: Path) -> SubscriptionsConfig:
    """``subscriptions.yaml`` of an operator's configs, or the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = folder / "subscriptions.yaml"
    return read_config(path, SubscriptionsConfig) if path.is_file() else SubscriptionsConfig()
