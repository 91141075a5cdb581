"""The files of one delivered package: regular files under one root, listed once."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processing.model.errors import BadInput

MAX_FILES = 10_000
MAX_LEVELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFiles:
    """What lies in a package. ``paths`` are relative to ``root``, with forward slashes, sorted."""

    package: Path
    """What was handed in."""
    root: Path
    """Resolved folder the paths are relative to."""
    paths: tuple[str, ...]

    def absolute(self, path: str) -> Path:
        """Absolute path of one of the files."""
        return self.root / path

    def ending(self, *suffixes: str) -> tuple[Path, ...]:
        """Absolute paths of the files whose names end so, whatever their case."""
        wanted = tuple(suffix.lower() for suffix in suffixes)
        return tuple(self.root / path for path in self.paths if path.lower().endswith(wanted))


def list_folder(folder: Path) -> PackageFiles:
    """The regular files of a folder and its subfolders.

    Raises
    ------
    BadInput
        ``package.link`` for a symbolic link, device, socket or pipe: none belongs in a delivery and all can lead
        out of it; ``package.size`` for more than 10,000 files or 32 levels.
    """
    root = folder.resolve()
    paths = tuple(sorted(_walk(root, root, 0)))
    if len(paths) > MAX_FILES:
        raise BadInput(f"'{folder.name}' holds more than {MAX_FILES} files", kind="package.size", where=folder.name)
    return PackageFiles(package=folder, root=root, paths=paths)


def single_file(path: Path) -> PackageFiles:
    """One file as a package: its neighbours are none of our business."""
    resolved = path.resolve()
    return PackageFiles(package=path, root=resolved.parent, paths=(resolved.name,))


def _walk(root: Path, folder: Path, level: int) -> Iterator[str]:
    if level > MAX_LEVELS:
        raise BadInput(f"'{root.name}' nests folders deeper than {MAX_LEVELS}", kind="package.size", where=root.name)
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            count += 1
            if count > MAX_FILES:
                return
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, Path(entry.path), level + 1)
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path).relative_to(root).as_posix()
            else:
                raise BadInput(
                    f"'{entry.name}' is a link or special file",
                    kind="package.link",
                    where=entry.name,
                    remedy="Deliver regular files only.",
                )
