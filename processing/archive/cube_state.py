"""What a cube holds, written down beside it: the word that its index is held to, each time it is opened.

An Icechunk repository on a local disk survives no power cut by itself, and a reference that was lost would read as
nodata. So ``cube.json`` is written last and durably. It names the snapshot, the SHA-256 of every file that the
snapshot is made of, and for each scene the chunks that must be there.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from processing.archive.durable import write_file
from processing.archive.layout import CUBE_RECORD
from processing.model.errors import BadInput, Defect
from processing.model.product import Encoding


class Slice(BaseModel):
    """One scene in a cube."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    acquired: AwareDatetime
    revision: str
    store: str
    """Relative to HOME."""
    manifest_sha256: str
    group: str
    """Path of the finest level inside the store."""
    bands: tuple[str, ...]
    rows: tuple[int, int]
    columns: tuple[int, int]
    """Chunks of the tile that the scene fills: first, and first no more."""
    first: tuple[int, int]
    """Row and column, in chunks of the tile, of the scene's own first chunk; outside the tile where it begins there."""

    @property
    def chunk_count(self) -> int:
        """Chunks of one array of it."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


class Stack(BaseModel):
    """The arrays of one measurement group at one resolution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: float
    bands: dict[str, Encoding]
    """How their numbers are kept."""
    slices: tuple[Slice, ...]


class LeftOut(BaseModel):
    """A product that should be in the cube, and why it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    revision: str
    reason: str


class CubeState(BaseModel):
    """All that a cube is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["qyran-cube/1"] = "qyran-cube/1"
    collection: str
    tile: str
    repository: str
    """Folder of the index, beside this record."""
    snapshot: str
    files: dict[str, str]
    """SHA-256 of every file of the snapshot, by its path in the repository."""
    stacks: dict[str, Stack]
    """By ``group/level``."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def items(self) -> dict[str, str]:
        """Revision of every product that was looked at, by item."""
        held = {part.item: part.revision for stack in self.stacks.values() for part in stack.slices}
        return held | {part.item: part.revision for part in self.left_out}


def read_state(folder: Path) -> CubeState | None:
    """The record of a cube; None where there is no cube.

    Raises
    ------
    Defect
        ``cube.damaged`` if it cannot be read.
    """
    path = folder / CUBE_RECORD
    try:
        return CubeState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        raise damaged(f"its record cannot be read: {type(error).__name__}", path) from error


def write_state(folder: Path, state: CubeState) -> None:
    """Put the record in its place, durably, in one step: from now on this is the cube."""
    write_file(folder / CUBE_RECORD, state.model_dump_json(indent=1).encode() + b"\n")


def check_files(folder: Path, state: CubeState) -> None:
    """Hold the files of a cube's snapshot to its record.

    Raises
    ------
    Defect
        ``cube.damaged`` if one is missing or other than it was written.
    """
    for name, digest in state.files.items():
        path = folder / state.repository / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise damaged(f"{name} of its index is missing", path) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise damaged(f"{name} of its index is not what was written", path)


def damaged(what: str, where: Path | str) -> Defect:
    """The error of a cube that cannot be believed. Nothing is lost with it."""
    return Defect(f"the cube is damaged: {what}", kind="cube.damaged", where=str(where), remedy="Run: qyran cube build")


def missing_cube(collection: str, tile: str, where: Path) -> BadInput:
    """The error of a cube that is not there."""
    return BadInput(
        f"there is no cube of {collection} over {tile}",
        kind="cube.not_found",
        where=str(where),
        remedy="See: qyran cube list. Or make them: qyran cube build",
    )
