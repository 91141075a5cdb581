"""What computed a product: names and versions, for its lineage."""

import hashlib
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pyproj

import pipelines
from processing.readers.versions import gdal_version

_DECIDING = ("qyran", "numpy", "numba", "rasterio", "pyproj", "zarr", "scipy", "egm96")
"""Packages whose version may decide a pixel's value or the bytes it is stored in."""


@cache
def software_versions() -> dict[str, str]:
    """Name and version of everything that decides a pixel, and the digest of the lock file where there is one."""
    found = {name: version(name) for name in _DECIDING}
    found |= {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "gdal": gdal_version(),
        "proj": pyproj.proj_version_str,
    }
    lock = lock_digest()
    return found | ({"requirements.lock": lock} if lock else {})


def lock_digest() -> str | None:
    """SHA-256 of the lock file beside the sources, or inside the installed package; None where there is none."""
    room = Path(pipelines.__file__).parent
    for place in (room / "requirements.lock", room.parent / "requirements.lock"):
        if place.is_file():
            return hashlib.sha256(place.read_bytes()).hexdigest()
    return None
