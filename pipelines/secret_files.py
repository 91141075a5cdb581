"""Secrets of an installation: made once, in files that only their owner reads."""

import secrets
from pathlib import Path

from catalogs.private_files import make_once
from configs.settings import Home


def prefect_auth(home: Home) -> str:
    """``user:password`` of the operators at Prefect, from ``HOME/prefect/auth``."""
    return _kept(home.prefect / "auth", "qyran:")


def operator_token(home: Home) -> str:
    """The operators' token at the catalogue's API, from ``HOME/catalogue/operator-token``."""
    return _kept(operator_token_path(home), "")


def operator_token_path(home: Home) -> Path:
    """Where the operators' token lies."""
    return home.catalogue / "operator-token"


def _kept(path: Path, prefix: str) -> str:
    """What a file says; where there is none, it is made."""
    make_once(path, f"{prefix}{secrets.token_urlsafe(24)}\n".encode)
    return path.read_text().strip()
