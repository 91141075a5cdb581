"""What is installed, what is missing, what to do about it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import pyproj
from pydantic import BaseModel, ConfigDict

from catalogs.store.integrity import check_database
from configs.load import ConfigError
from configs.registry import load_registry
from configs.settings import Home
from pipelines.archive_place import archive_place
from pipelines.recovery import left_behind
from pipelines.software import lock_digest
from processing.archive.objects import open_objects
from processing.geometry.datum import undulation
from processing.kernel_cache import choose_kernel_cache
from processing.model.errors import BadInput
from processing.readers.versions import gdal_version

GDAL_FLOOR = (3, 12)
"""Older ones read files outside a delivery when its own files ask for it."""
_FREE_GB = 10
_LANDLOCK_ABI = Path("/sys/kernel/security/landlock")
_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


class Finding(BaseModel):
    """One thing looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    state: Literal["ok", "note", "missing"]
    """``note``: works without, but worth knowing. ``missing``: something will fail."""
    found: str
    remedy: str | None = None


def examine(home: Path | None) -> list[Finding]:
    """Look over the installation. Changes nothing, and asks nothing of the network."""
    place = Home.resolve(home)
    return [*_software(), *_geodesy(), *_installation(place), *_machine(place)]


def _software() -> Iterator[Finding]:
    yield Finding(what="Qyran", state="ok", found=f"{version('qyran')}, Python {platform.python_version()}")
    gdal = gdal_version()
    old = tuple(int(part) for part in gdal.split(".")[:2]) < GDAL_FLOOR
    yield Finding(
        what="GDAL",
        state="missing" if old else "ok",
        found=gdal,
        remedy="Install rasterio 1.5.2 or later: older GDAL reads files that a delivery must not reach."
        if old
        else None,
    )
    yield Finding(what="PROJ", state="ok", found=pyproj.proj_version_str)
    for name in ("numpy", "numba", "dask", "zarr", "xarray", "prefect"):
        yield _package(name)
    for name, below in (("fastapi", (0, 151)), ("sqlalchemy", (2, 1))):
        yield _package(name, below)
    lock = lock_digest()
    yield Finding(
        what="lock file",
        state="ok" if lock else "note",
        found=f"sha256 {lock[:16]}" if lock else "none beside the sources",
        remedy=None
        if lock
        else "Products are reproducible only with the same versions: install from requirements.lock.",
    )


def _package(name: str, below: tuple[int, int] | None = None) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(what=name, state="missing", found="not installed", remedy="Run: make install")
    if below and tuple(int(part) for part in found.split(".")[:2]) >= below:
        cap = ".".join(str(part) for part in below)
        return Finding(
            what=name,
            state="missing",
            found=found,
            remedy=f"Install {name}<{cap}: with newer ones Prefect's server starts but schedules nothing.",
        )
    return Finding(what=name, state="ok", found=found)


def _geodesy() -> Iterator[Finding]:
    # Almaty: EGM96 lies some 44 m below the ellipsoid there. A PROJ without grids would say 0.
    found = float(undulation(76.9, 43.2))
    right = -60 < found < -30
    yield Finding(
        what="EGM96 geoid",
        state="ok" if right else "missing",
        found=f"{found:.2f} m at Almaty",
        remedy=None if right else "Reinstall the egm96 package: heights would be wrong by tens of metres.",
    )


def _installation(home: Home) -> Iterator[Finding]:
    exists = home.path.is_dir()
    yield Finding(
        what="HOME",
        state="ok" if exists else "note",
        found=f"{home.path}{'' if exists else ' (not there yet)'}",
        remedy=None if exists else "It is made by the first qyran process.",
    )
    try:
        registry = load_registry(home.configs)
        yield Finding(
            what="configuration",
            state="ok",
            found=f"{len(registry.missions)} missions, {len(registry.sensors)} sensors, recipes "
            + ", ".join(sorted(registry.recipes)),
        )
    except ConfigError as error:
        yield Finding(what="configuration", state="missing", found=str(error), remedy="Correct that file.")
    yield _second_place(home)
    tiles = sum(1 for pattern in ("**/*.tif", "**/*.hgt") for _ in home.dem.glob(pattern)) if home.dem.is_dir() else 0
    yield Finding(
        what="DEM",
        state="ok" if tiles else "note",
        found=f"{tiles} tiles in {home.dem}",
        remedy=None if tiles else "Put GeoTIFFs there (Copernicus GLO-30 names work), or give --dem to each command.",
    )
    if exists:
        yield _leftovers(home)
    writable = os.access(home.path if exists else _existing_parent(home.path), os.W_OK)
    if not writable:
        yield Finding(what="HOME", state="missing", found="not writable", remedy="Choose another --home.")


def _second_place(home: Home) -> Finding:
    """Where products are published besides HOME, and whether there are keys for it; nobody is asked."""
    try:
        place = archive_place(home)
        if place is not None:
            open_objects(place)
    except BadInput as error:
        return Finding(what="second place", state="missing", found=error.message, remedy=error.remedy)
    return Finding(
        what="second place",
        state="note" if place is None else "ok",
        found="none" if place is None else str(place),
        remedy="Products exist once. Name a bucket or folder in HOME/configs/archive.yaml." if place is None else None,
    )


def _leftovers(home: Home) -> Finding:
    """What interrupted runs left behind, and whether the catalogue's file is whole."""
    damage = check_database(home.catalogue, deep=False)
    if damage:
        return Finding(
            what="catalogue", state="missing", found=f"damaged: {damage[0]}", remedy="Run: qyran catalogue rebuild"
        )
    left = left_behind(home)
    return Finding(
        what="interrupted runs",
        state="note" if left else "ok",
        found=f"{len(left)} left something, such as {left[0]}" if left else "nothing left behind",
        remedy="The next start settles it; or now: qyran recover" if left else None,
    )


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())


def _machine(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(home.path if home.path.exists() else _existing_parent(home.path)).free / 1e9
    yield Finding(
        what="disk",
        state="ok" if free > _FREE_GB else "note",
        found=f"{free:.0f} GB free",
        remedy=None
        if free > _FREE_GB
        else f"A scene needs several GB while it is made; {_FREE_GB} GB are comfortable.",
    )
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    yield Finding(what="cores", state="ok", found=str(cores))
    yield _kernel_cache()
    yield _sandbox()


def _kernel_cache() -> Finding:
    """Where compiled kernels are kept; were it not writable, each start would compile anew."""
    folder = choose_kernel_cache()
    kept = os.access(_existing_parent(folder / "x"), os.W_OK)
    return Finding(
        what="kernel cache",
        state="ok" if kept else "note",
        found=str(folder),
        remedy=None
        if kept
        else "Not writable: set NUMBA_CACHE_DIR to a folder that is, or every start compiles for 30 s.",
    )


def _sandbox() -> Finding:
    """What the kernel offers to wall off decoders of foreign files."""
    features = []
    if _LANDLOCK_ABI.exists() or "landlock" in _read(Path("/sys/kernel/security/lsm")):
        features.append("Landlock")
    if _read(_USER_NAMESPACES).strip() not in ("", "0"):
        features.append("user namespaces")
    return Finding(what="sandbox", state="note" if not features else "ok", found=", ".join(features) or "none offered")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
