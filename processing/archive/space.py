"""Room on the disk, asked for before work begins that would run out of it."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from processing.model.errors import Retryable

RESERVE_BYTES = 64 << 20
"""Kept free on top of what is needed: for metadata, pictures, and the neighbours."""


def product_bytes(groups: Iterable[tuple[int, int]]) -> int:
    """Bytes that publishing needs if nothing compresses.

    Store with coarser levels, COGs with overviews, and one plain TIFF on the way.

    Parameters
    ----------
    groups
        Of each measurement group: pixels of its full resolution, and number of arrays (bands and flags) of two bytes.
    """
    known = tuple(groups)
    arrays = sum(pixels * 2 * count for pixels, count in known)
    return arrays * 8 // 3 + 4 * max((pixels for pixels, _ in known), default=0)


def require_space(folder: Path, needed: int, *, what: str) -> None:
    """Refuse to begin what would not fit.

    Parameters
    ----------
    folder
        On the disk that is asked; it need not be there yet.
    needed
        Bytes.
    what
        What needs them: the beginning of a sentence.

    Raises
    ------
    Retryable
        ``disk.full`` if there is less room, or nothing would be left.
    """
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed + RESERVE_BYTES:
        raise Retryable(
            f"{what} may need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            kind="disk.full",
            where=str(folder),
            remedy="Make room (qyran clean says what may go), then run it again.",
        )
