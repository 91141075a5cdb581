"""What computed a product: names, versions and digests, for its lineage."""

import hashlib
import sys
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pyproj

import pipelines
import processing
from processing.readers.versions import gdal_version

_DECIDING = (
    "affine",
    "egm96",
    "llvmlite",
    "numba",
    "numcodecs",
    "numpy",
    "odc-geo",
    "pillow",
    "pyproj",
    "qyran",
    "rasterio",
    "scikit-image",
    "scipy",
    "shapely",
    "zarr",
)
"""Packages whose version may decide a pixel's value or the bytes it is stored in."""
CODE = "processing"
"""Name in the lineage of the digest of our own code that decides pixels."""
GEOID = "egm96-5.npz"
"""The grid of the embedded geoid: what raises elevations where the operator has no better one."""
LOCK = "requirements.lock"


@cache
def software_versions() -> dict[str, str]:
    """Name and version of everything that decides a pixel; digests of our own code and of the lock where there is one.

    Python counts to its minor version: nothing in a patch release decides a pixel.
    """
    found = {name: version(name) for name in _DECIDING}
    found |= {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "gdal": gdal_version(),
        "proj": pyproj.proj_version_str,
        GEOID: hashlib.sha256((files("egm96.data") / GEOID).read_bytes()).hexdigest(),
        CODE: code_digest(),
    }
    lock = lock_digest()
    return found | ({LOCK: lock} if lock else {})


@cache
def code_digest() -> str:
    """SHA-256 over every source file of ``processing`` but the simulator's: all that computes and stores pixels.

    Not the commit: an installation from a wheel has none, and a changed text of the command line changes no pixel.
    """
    root = Path(processing.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith("testing/"):
            digest.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()


def lock_digest() -> str | None:
    """SHA-256 of the lock file beside the sources, or inside the installed package; None where there is none."""
    room = Path(pipelines.__file__).parent
    for place in (room / LOCK, room.parent / LOCK):
        if place.is_file():
            return hashlib.sha256(place.read_bytes()).hexdigest()
    return None
