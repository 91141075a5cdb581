"""What exactly was delivered: every file with its size and SHA-256, the same for a folder and an archive of it."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from processing.model.errors import BadInput
from processing.model.scene import DeliveredFile
from processing.readers.package import list_folder
from processing.readers.unpack import is_archive, members

_BLOCK = 2**20


def inventory(package: Path) -> tuple[DeliveredFile, ...]:
    """Every file of a package, sorted by path. A folder around all files of an archive does not count.

    Parameters
    ----------
    package
        A folder, a zip or tar archive, or a single file.

    Raises
    ------
    BadInput
        ``package.missing``, and the kinds of :func:`list_folder` and :func:`members`.
    """
    if package.is_dir():
        files = list_folder(package)
        found = [_hashed(path, _blocks(files.absolute(path))) for path in files.paths]
    elif package.is_file() and is_archive(package):
        found = [_hashed(name, blocks) for name, blocks in members(package)]
    elif package.is_file():
        found = [_hashed(package.name, _blocks(package))]
    else:
        raise missing_package(package)
    return tuple(sorted(_rooted(found), key=lambda file: file.path))


def package_digest(files: Iterable[DeliveredFile]) -> str:
    """SHA-256 (hex) over the lines ``sha256  path`` of a package, sorted by path: its identity."""
    lines = sorted((file.path, file.sha256) for file in files)
    return hashlib.sha256("".join(f"{sha256}  {path}\n" for path, sha256 in lines).encode()).hexdigest()


def missing_package(package: Path) -> BadInput:
    """The error for a package that is not there."""
    return BadInput(
        f"there is no package '{package}'",
        kind="package.missing",
        where=str(package),
        remedy="Check the path.",
    )


def _rooted(files: list[DeliveredFile]) -> list[DeliveredFile]:
    """Without the one folder that holds everything: zipping a folder or its contents gives the same inventory."""
    while files and all("/" in file.path for file in files) and len({file.path.split("/")[0] for file in files}) == 1:
        files = [DeliveredFile(path=file.path.partition("/")[2], size=file.size, sha256=file.sha256) for file in files]
    return files


def _hashed(path: str, blocks: Iterator[bytes]) -> DeliveredFile:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return DeliveredFile(path=path, size=size, sha256=digest.hexdigest())


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
