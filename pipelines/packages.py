"""A package on its way in: hashed, unpacked, understood; or kept in quarantine with the reason."""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from configs.schema import SensorConfig
from configs.settings import Home
from pipelines.outcomes import Stop
from processing.model.errors import BadInput
from processing.model.scene import Delivery
from processing.readers.checksums import verify_delivery
from processing.readers.find import open_delivery
from processing.readers.inventory import inventory, package_digest

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


class Ingested(BaseModel):
    """A package that a reader understood."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    """What was handed in."""
    opened: str
    """What to open: the package itself, or the folder an archive was unpacked to."""
    workspace: str | None
    """Folder to remove when the run is over."""
    delivery_id: str
    format: str
    sha256: str
    files: int
    size: int


def ingest_package(package: Path, home: Home, sensors: Mapping[str, SensorConfig]) -> Ingested:
    """Hash every byte of a package, unpack it if it is an archive, have a reader understand it, check its checksums.

    Raises
    ------
    BadInput
        If it is damaged, hostile, incomplete or unknown.
    """
    files = inventory(package)
    digest = package_digest(files)
    workspace = home.staging / "unpacked" / f"{digest[:16]}-{os.getpid()}"
    workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        delivery = open_delivery(package, sensors=sensors, workspace=workspace)
        verify_delivery(delivery, files)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise
    unpacked = delivery.root.resolve().is_relative_to(workspace.resolve())
    if not unpacked:
        shutil.rmtree(workspace, ignore_errors=True)
    return Ingested(
        package=str(package),
        opened=str(delivery.root if unpacked else package),
        workspace=str(workspace) if unpacked else None,
        delivery_id=delivery.delivery_id,
        format=delivery.format,
        sha256=digest,
        files=len(files),
        size=sum(file.size for file in files),
    )


def reopen(ingested: Ingested, sensors: Mapping[str, SensorConfig]) -> Delivery:
    """The delivery again, in another task: only its metadata is read, nothing is unpacked twice."""
    return open_delivery(Path(ingested.opened), sensors=sensors)


def leave_workspace(ingested: Ingested) -> None:
    """Remove what was unpacked."""
    if ingested.workspace is not None:
        shutil.rmtree(ingested.workspace, ignore_errors=True)


def quarantine_package(package: Path, home: Home, stop: Stop) -> Path:
    """Keep a copy of a bad package, untouched, beside the reason. The original stays where it is.

    The folder's name comes from the content, so the same bad package again changes nothing but the time. Links are
    copied as links, never followed; devices and pipes are left out.

    Returns
    -------
    Path
        ``HOME/quarantine/<id>``, with the package under its own name and ``reason.json``.
    """
    digest = _content_digest(package)
    folder = home.quarantine / f"{_UNSAFE.sub('-', package.name)[:80].strip('-.') or 'package'}_{digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = folder / package.name
    if not copy.exists():
        partial = folder / f".partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        _copy(package, partial / package.name)
        (partial / package.name).rename(copy)
        partial.rmdir()
    reason = {
        "reason": stop.reason,
        "message": stop.message,
        "where": stop.where,
        "remedy": stop.remedy,
        "package": str(package),
        "sha256": digest,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    written = folder / f".reason-{os.getpid()}"
    written.write_text(json.dumps(reason, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    written.replace(folder / "reason.json")
    return folder


def _content_digest(package: Path) -> str:
    """The package's digest; for one too broken to be listed, that of the bytes that are there."""
    with contextlib.suppress(BadInput):
        return package_digest(inventory(package))
    digest = hashlib.sha256()
    for path in _regular_files(package):
        digest.update(path.name.encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _regular_files(package: Path) -> list[Path]:
    if package.is_file():
        return [package]
    found = (Path(folder) / name for folder, _, names in os.walk(package) for name in names)
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=_special_files)
    else:
        shutil.copy2(source, target)


def _special_files(folder: str, names: list[str]) -> set[str]:
    paths = {name: Path(folder, name) for name in names}
    return {name for name, path in paths.items() if not (path.is_symlink() or path.is_file() or path.is_dir())}
