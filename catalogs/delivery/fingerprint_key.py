"""The installation's secret behind the fingerprints of orders: in ``HOME/secrets``, never renewed."""

import secrets
from pathlib import Path

from catalogs.private_files import kept

WATERMARK = "watermark"
"""The obligation by which policy asks for a fingerprint."""
_BYTES = 32


def fingerprint_secret(home: Path) -> bytes:
    """The secret; made now if there is none. Whoever loses it cannot tell whose a file was.

    Raises
    ------
    Defect
        ``secret.exposed`` if others than its owner may read it.
    """
    return bytes.fromhex(kept(home / "secrets" / "fingerprint.key", _new).decode().strip())


def _new() -> bytes:
    return secrets.token_hex(_BYTES).encode() + b"\n"
