"""Secrets of an installation: made once, in files that only their owner reads."""

import os
import secrets
from pathlib import Path

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
    """What a file says; where there is none, it is made, whole or not at all: two who come at once agree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{prefix}{secrets.token_urlsafe(24)}\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
