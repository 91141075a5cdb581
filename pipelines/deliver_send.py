"""Where a package goes: a folder of this machine, or the customer's own bucket. It is there whole, or not at all."""

import hashlib
import shutil
from pathlib import Path

from catalogs.delivery.package import DELIVERY, Opened
from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.manifest import ObjectRecord
from processing.archive.objects import Place, is_url
from processing.archive.remote_objects import Room
from processing.archive.remote_send import Part, ensure
from processing.model.errors import BadInput


def send_package(folder: Path, name: str, to: str, opened: Opened) -> str:
    """Bring a package to where it is wanted.

    Parameters
    ----------
    folder
        The package.
    name
        What it is called there: the order's id.
    to
        A folder, in which it becomes ``NAME/``; or ``s3://bucket/prefix``. Keys come from the environment alone.
    opened
        Its delivery document.

    Returns
    -------
    address
        Of the package there.

    Raises
    ------
    BadInput
        ``place.url``, ``s3.*``; ``delivery.to`` if other things have that name there.
    Retryable
        ``s3.unavailable``, ``disk.*``.
    """
    return _to_bucket(folder, name, to, opened) if is_url(to) else _to_folder(folder, name, Path(to))


def _to_folder(folder: Path, name: str, to: Path) -> str:
    target = to.expanduser().absolute() / name
    if target.exists():
        if (target / DELIVERY).is_file() and (target / DELIVERY).read_bytes() == (folder / DELIVERY).read_bytes():
            return str(target)
        raise BadInput("something else has this name there", kind="delivery.to", where=str(target),
                       remedy="Move it away, or name another folder.")  # fmt: skip
    partial = target.with_name(f".{name}.partial")
    durable.make_folders(target.parent)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_faults(partial):
            shutil.copytree(folder, partial)
            durable.sync_tree(partial)
            durable.move(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(target)


def _to_bucket(folder: Path, name: str, to: str, opened: Opened) -> str:
    """Every object is read back after it was sent; the delivery document goes last: with it, the package is there."""
    place = Place.of(to) / name
    if not place.is_s3:
        return _to_folder(folder, name, place.folder.parent)
    room = Room(place)
    for file in opened.delivered.files:
        part = Part(ObjectRecord(file.path, file.size, file.sha256), folder / file.path)
        ensure(room, part, there=room.exists(file.path))
    content = (folder / DELIVERY).read_bytes()
    last = Part(ObjectRecord(DELIVERY, len(content), hashlib.sha256(content).hexdigest()), content)
    ensure(room, last, there=room.exists(DELIVERY))
    return str(place)
