"""Lists of checksums in a package and beside it: what has not come, and what is not what was sent."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from processing.model.errors import BadInput
from processing.readers.checksums import agrees, is_checksum_list, listed_digests


def missing(package: Path, files: Sequence[Path]) -> tuple[str | None, dict[Path, str]]:
    """The first file that a list inside a package names and that has not come; and all that its lists state.

    Parameters
    ----------
    package, files
        A package, and all files in it.

    Raises
    ------
    BadInput
        ``package.size`` for a list that is too large.
    """
    if not package.is_dir():
        return None, {}
    stated: dict[Path, str] = {}
    for path in files:
        if is_checksum_list(path.name) and not path.is_symlink():
            for name, digest in listed_digests(path).items():
                target = path.parent / name
                if not target.resolve().is_relative_to(package.resolve()):
                    continue  # out of the package: its reader will refuse it
                if not target.is_file():
                    return name, {}
                stated[target] = digest
    return None, stated


def agreeing(package: Path) -> bool:
    """Whether a package agrees with every list in it, and nothing that they name is missing.

    Raises
    ------
    BadInput
        ``package.size`` for a list that is too large.
    """
    absent, stated = missing(package, [path for path in package.rglob("*") if path.is_file()])
    return absent is None and all(agree(stated))


def agree(stated: Mapping[Path, str]) -> Iterator[bool]:
    """For each file whether it has the digest that is stated of it."""
    return (agrees(path, digest) for path, digest in stated.items())


def check_alone(package: Path, lists: Sequence[Path]) -> None:
    """Hold a file against the lists beside it, which name it or stand for it by their own names.

    Raises
    ------
    BadInput
        ``checksum``, ``package.size``.
    """
    for path in lists:
        stated = listed_digests(path)
        bare = path.read_text(encoding="utf-8", errors="replace").split()
        digest = stated.get(package.name) or (bare[0].lower() if bare and not stated else None)
        if digest is not None and not agrees(package, digest):
            raise BadInput(
                f"'{package.name}' does not have the checksum of '{path.name}'",
                kind="checksum",
                where=package.name,
                remedy="Transfer the package again; the copy differs from what the producer sent.",
            )
