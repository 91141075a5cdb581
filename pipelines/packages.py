"""A package on its way in: hashed, unpacked, understood; or kept in quarantine with the reason."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from configs.schema import SensorConfig
from configs.settings import Home
from pipelines.outcomes import Stop
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.leftover import Leftover
from processing.archive.space import require_space
from processing.model.errors import BadInput
from processing.model.scene import Delivery
from processing.readers.checksums import verify_delivery
from processing.readers.inventory import inventory, package_digest
from processing.readers.unpack import is_archive

UNPACKED = "unpacked"
"""In ``HOME/staging``: packages taken out of their archives."""
_REASON = "reason.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_held: dict[Path, int] = {}
"""Workspaces of this process, and the descriptors that lock them."""


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
    mission: str | None = None
    acquired: AwareDatetime | None = None
    """Of its first scene."""


def ingest_package(package: Path, home: Home, sensors: Mapping[str, SensorConfig]) -> Ingested:
    """Hash every byte of a package, unpack it if it is an archive, have a reader understand it, check its checksums.

    Raises
    ------
    BadInput
        If it is damaged, hostile, incomplete or unknown.
    Retryable
        ``disk.full`` if there is no room to unpack it.
    """
    # Imported where a package is read: whoever only moves packages needs no reader.
    from processing.readers.find import open_delivery

    files = inventory(package)
    digest = package_digest(files)
    if package.is_file() and is_archive(package):
        require_space(home.staging, sum(file.size for file in files), what=f"unpacking {package.name}")
    with disk_faults(home.staging):
        workspace = _take_workspace(home, digest)
        try:
            delivery = open_delivery(package, sensors=sensors, workspace=workspace)
            verify_delivery(delivery, files)
        except BaseException:
            _give_up(workspace)
            raise
    unpacked = delivery.root.resolve().is_relative_to(workspace.resolve())
    if not unpacked:
        _give_up(workspace)
    return Ingested(
        package=str(package),
        opened=str(delivery.root if unpacked else package),
        workspace=str(workspace) if unpacked else None,
        delivery_id=delivery.delivery_id,
        format=delivery.format,
        sha256=digest,
        files=len(files),
        size=sum(file.size for file in files),
        mission=delivery.scenes[0].mission,
        acquired=delivery.scenes[0].acquired,
    )


def reopen(ingested: Ingested, sensors: Mapping[str, SensorConfig]) -> Delivery:
    """The delivery again, in another task: only its metadata is read, nothing is unpacked twice."""
    from processing.readers.find import open_delivery

    return open_delivery(Path(ingested.opened), sensors=sensors)


def leave_workspace(ingested: Ingested) -> None:
    """Remove what was unpacked."""
    if ingested.workspace is not None:
        _give_up(Path(ingested.workspace))


def _take_workspace(home: Home, digest: str) -> Path:
    """A folder to unpack into, of this run alone, locked until it is given up or this process ends."""
    folder = home.staging / UNPACKED
    workspace = folder / f"{digest[:16]}-{secrets.token_hex(4)}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    with _closing(durable.hold_folder(folder)):  # nobody clears up between its making and its locking
        workspace.mkdir(mode=0o700)
        _held[workspace] = durable.hold_folder(workspace)
    return workspace


def _give_up(workspace: Path) -> None:
    shutil.rmtree(workspace, ignore_errors=True)
    descriptor = _held.pop(workspace, None)
    if descriptor is not None:
        os.close(descriptor)


def clear_workspaces(home: Home) -> tuple[Leftover, ...]:
    """Remove what runs unpacked that were killed."""
    folder = home.staging / UNPACKED
    if not folder.is_dir():
        return ()
    found = []
    with _closing(durable.hold_folder(folder)):
        for workspace in sorted(folder.iterdir()):
            if not durable.is_held(workspace):
                shutil.rmtree(workspace)
                where = workspace.relative_to(home.path).as_posix()
                found.append(Leftover(what="an unpacked package", where=where, done="cleared"))
    return tuple(found)


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def quarantine_package(package: Path, home: Home, stop: Stop) -> Path:
    """Keep a copy of a bad package, untouched, beside the reason. The original stays where it is.

    The folder's name comes from the content, so the same bad package again changes nothing but the time. Links are
    copied as links, never followed; devices and pipes are left out.

    Returns
    -------
    Path
        ``HOME/quarantine/<id>``, with the package under its own name and ``reason.json``.
    """
    digest = content_digest(package)
    name = f"{_UNSAFE.sub('-', package.name)[:80].strip('-.') or 'package'}_{digest[:12]}"
    folder, staging = home.quarantine / name, home.staging / f"{home.quarantine.name}--{name}"
    reason = {
        "reason": stop.reason,
        "message": stop.message,
        "where": stop.where,
        "remedy": stop.remedy,
        "package": str(package),
        "sha256": digest,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    written = (json.dumps(reason, indent=2, ensure_ascii=False) + "\n").encode()
    with disk_faults(staging), durable.exclusive(staging.with_name(f"{staging.name}.lock")):
        if (folder / package.name).exists():
            durable.write_file(folder / _REASON, written)
            return folder
        try:
            _replace_folder(staging)
            _copy(package, staging / package.name)
            (staging / _REASON).write_bytes(written)
            durable.make_folders(home.quarantine)
            durable.sync_tree(staging)
            if folder.exists():
                shutil.rmtree(folder)  # without the package in it, it was never finished
            durable.move(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def _replace_folder(folder: Path) -> None:
    """An empty folder that only its owner can enter; what a killed run left in it is gone."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def content_digest(package: Path) -> str:
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
    """Copy as it is: links as links; devices and pipes left out. Unlike ``copytree``, it stops at the first error."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        for entry in sorted(source.iterdir()):
            _copy(entry, target / entry.name)
        shutil.copystat(source, target)
    elif source.is_file():
        shutil.copy2(source, target)
