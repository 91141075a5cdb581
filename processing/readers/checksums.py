"""Checksum lists that producers put into their packages: the only way to notice a flipped bit in plain pixels."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from processing.model.errors import BadInput
from processing.model.scene import DeliveredFile, Delivery
from processing.readers.dimap_xml import MAX_BYTES, safe_href
from processing.readers.package import list_folder

_LIST = re.compile(r"(checksum.*|manifest-(sha256|md5)\.txt|.*\.(sha256|md5)(sums?)?)$", flags=re.IGNORECASE)
_LINE = re.compile(r"^(?P<digest>[0-9a-fA-F]{32}|[0-9a-fA-F]{64})[ \t]+\*?(?P<path>\S.*?)\s*$")
_RELIED_ON = (".tif", ".tiff", ".jp2", ".xml", ".dim", ".rpb", "_rpc.txt")
_TRANSFER = "Transfer the package again; the copy differs from what the producer sent."


def verify_checksums(root: Path, files: Sequence[DeliveredFile]) -> int:
    """Compare a package with the checksum lists it carries.

    Understood are ``digest  path`` lines of SHA-256 or MD5, with either case of digits and either line ending, in
    files named ``*.sha256``, ``*.md5``, ``CHECKSUM*``, ``manifest-sha256.txt``. Paths are relative to the list.

    Parameters
    ----------
    root
        The package's folder, unpacked if it was an archive.
    files
        Its inventory (:func:`processing.readers.inventory.inventory`), already hashed.

    Returns
    -------
    int
        Number of files whose content agrees with a list; 0 when the package carries none.

    Raises
    ------
    BadInput
        ``checksum`` when a file differs, ``package.incomplete`` when a listed file is absent,
        ``manifest.unlisted`` when pixels or metadata lie in the package that no list names, ``path.escape``.
    """
    listing = list_folder(root)
    lists = [path for path in listing.paths if _LIST.match(Path(path).name)]
    if not lists:
        return 0
    known = _by_relative_path(listing.paths, files)
    checked: set[str] = set()
    for name in lists:
        checked |= _check_list(listing.absolute(name), listing.root, known)
    unlisted = [
        path for path in known if path.lower().endswith(_RELIED_ON) and path not in checked and path not in lists
    ]
    if checked and unlisted:
        raise BadInput(
            f"{len(unlisted)} files are in no checksum list, e.g. {unlisted[0]}",
            kind="manifest.unlisted",
            where=unlisted[0],
            remedy="The package was changed after it was made: ask for it anew.",
        )
    return len(checked)


def verify_delivery(delivery: Delivery, files: Sequence[DeliveredFile]) -> int:
    """As :func:`verify_checksums`, for an opened package; a single file has neighbours, but no list of its own.

    Raises
    ------
    BadInput
        As :func:`verify_checksums`.
    """
    alone = delivery.package.is_file() and delivery.root == delivery.package.resolve().parent
    return 0 if alone else verify_checksums(delivery.root, files)


def is_checksum_list(name: str) -> bool:
    """Whether a file of this name is read as a list of checksums."""
    return _LIST.match(name) is not None


def listed_digests(path: Path) -> dict[str, str]:
    """What a checksum list says: digests (hex, lower case) by path, as written; empty where it is no such list.

    Raises
    ------
    BadInput
        ``package.size`` if it is too large for one.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput(f"'{path.name}' is too large for a checksum list", kind="package.size", where=path.name)
    found = map(_LINE.match, path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {match["path"].removeprefix("./"): match["digest"].lower() for match in found if match is not None}


def agrees(path: Path, digest: str) -> bool:
    """Whether a file has the SHA-256 or MD5 (told by its length) that a list states."""
    if len(digest) != 64:
        return _md5(path) == digest
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _by_relative_path(paths: Sequence[str], files: Sequence[DeliveredFile]) -> dict[str, DeliveredFile]:
    """The inventory by path from the root: an inventory leaves out folders that hold everything."""
    first = min(path for path in paths)
    prefix = first[: len(first) - len(min(file.path for file in files))]
    return {prefix + file.path: file for file in files}


def _check_list(path: Path, root: Path, known: dict[str, DeliveredFile]) -> set[str]:
    """Files that one list names and that agree with it."""
    checked = set()
    for listed, digest_listed in listed_digests(path).items():
        target = safe_href(root, path.parent, listed)
        name = target.relative_to(root).as_posix()
        found = known.get(name)
        if found is None:
            raise BadInput(
                f"'{path.name}' lists {name}, which is not in the package",
                kind="package.incomplete",
                where=name,
                remedy=_TRANSFER,
            )
        digest = found.sha256 if len(digest_listed) == 64 else _md5(target)
        if digest != digest_listed:
            raise BadInput(
                f"'{name}' does not have the checksum of '{path.name}'", kind="checksum", where=name, remedy=_TRANSFER
            )
        checked.add(name)
    return checked


def _md5(path: Path) -> str:
    """MD5 as some producers still list it; it guards against accidents only."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
