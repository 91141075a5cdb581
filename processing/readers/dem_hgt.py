"""SRTM tiles: raw big-endian counts, placed by their names, bare or zipped."""

import re
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine

from processing.model.errors import BadInput

VOID = -32768
_SIDES = {2 * side * side: side for side in (1201, 3601)}
"""Nodes a side by size in bytes: 3" and 1" tiles."""
_NAME = re.compile(r"(?P<ns>[NS])(?P<lat>\d{2})(?P<ew>[EW])(?P<lon>\d{3})(?![0-9A-Z])", flags=re.IGNORECASE)
_REMEDY = "An SRTM tile is called like N43E076.hgt and has 1201 or 3601 nodes a side."


def is_hgt(path: Path) -> bool:
    """Whether a file is called like an SRTM tile: ``.hgt`` or ``.hgt.zip``."""
    return path.name.lower().endswith((".hgt", ".hgt.zip"))


def hgt_grid(path: Path) -> tuple[Affine, tuple[int, int]]:
    """Grid of an SRTM tile: its name is its south-west corner's node, its size says how many nodes.

    Raises
    ------
    BadInput
        ``dem.grid`` for another name, size or archive.
    """
    named = _NAME.match(path.name)
    side = _SIDES.get(_member(path).file_size if _zipped(path) else path.stat().st_size)
    if named is None or side is None:
        raise BadInput(f"'{path.name}' is not an SRTM tile", kind="dem.grid", where=path.name, remedy=_REMEDY)
    lat = int(named["lat"]) * (1 if named["ns"] in "nN" else -1)
    lon = int(named["lon"]) * (1 if named["ew"] in "eE" else -1)
    pitch = 1.0 / (side - 1)
    return Affine(pitch, 0.0, lon - pitch / 2, 0.0, -pitch, lat + 1 + pitch / 2), (side, side)


def hgt_counts(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Whole metres of a tile as they are stored, :data:`VOID` for none.

    Raises
    ------
    BadInput
        ``dem.grid`` for an archive that does not unpack to what it declares.
    """
    if _zipped(path):
        try:
            with zipfile.ZipFile(path) as archive, archive.open(_member(path)) as member:
                content = member.read(2 * shape[0] * shape[1] + 1)  # never more than its grid holds
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
            raise _damaged(path, str(error)) from error
        if len(content) != 2 * shape[0] * shape[1]:
            raise _damaged(path, "it unpacks to another size than it declares")
        return np.frombuffer(content, dtype=">i2").reshape(shape)
    return np.memmap(path, dtype=">i2", mode="r", shape=shape)


def hgt_elevations(counts: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Elevations, metres, NaN where void, of stored counts."""
    window = np.asarray(counts)
    return np.where(window == VOID, np.nan, window.astype(np.float64))


def _zipped(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _member(path: Path) -> zipfile.ZipInfo:
    """The one tile in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            tiles = [info for info in archive.infolist() if info.filename.lower().endswith(".hgt")]
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, str(error)) from error
    if len(tiles) != 1:
        raise _damaged(path, f"it holds {len(tiles)} tiles")
    return tiles[0]


def _damaged(path: Path, why: str) -> BadInput:
    return BadInput(f"'{path.name}' is no zipped SRTM tile: {why}", kind="dem.grid", where=path.name, remedy=_REMEDY)
