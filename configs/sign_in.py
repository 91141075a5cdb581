"""The settings of an installation about signing in."""

from pathlib import Path

from configs.load import read_config
from configs.schema.sign_in import SignInConfig


def load_sign_in_config(folder: Path) -> SignInConfig:
    """``sign_in.yaml`` of an operator's configs, or the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = folder / "sign_in.yaml"
    return read_config(path, SignInConfig) if path.is_file() else SignInConfig()
