"""Where in a product's files the chunks of its arrays lie: what a cube refers to, held to the product's manifest first.

The bytes of a chunk inside a shard are a chunk as any Zarr reader takes it, its checksum included; so a cube refers
to them by range, and no reader of it can take damage for pixels.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from processing.archive.cube_state import Slice
from processing.archive.layout import MANIFEST, QA
from processing.archive.manifest import ObjectRecord, parse_manifest
from processing.archive.shard_read import ABSENT, ArrayLayout, ChunkTable, read_index
from processing.archive.source import LevelFacts, level_facts
from processing.model.conventions import CHUNK_PX
from processing.model.errors import Defect


@dataclass(frozen=True, slots=True)
class References:
    """Bytes of chunks, row by row of a scene's window in a tile."""

    shape: tuple[int, int]
    """Rows and columns of chunks."""
    files: list[str]
    """Relative to the archive's folder."""
    offsets: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]


class ReferencedProduct:
    """A product's store, as far as a cube must know it.

    Parameters
    ----------
    home
        HOME.
    part
        The scene, as the cube has it.
    """

    def __init__(self, home: Path, part: Slice) -> None:
        self.archive, self.store, self.part = home / "archive", home / part.store, part

    @cached_property
    def records(self) -> dict[str, ObjectRecord]:
        """The manifest's records.

        Raises
        ------
        Defect
            ``archive.manifest`` if it is not the manifest that was published.
        """
        path = self.store / MANIFEST
        try:
            content = path.read_bytes()
            records = dict(parse_manifest(content))
        except (OSError, ValueError) as error:
            raise Defect(f"the store's manifest: {error}", kind="archive.manifest", where=str(path)) from error
        if hashlib.sha256(content).hexdigest() != self.part.manifest_sha256:
            raise Defect("the store's manifest is not the one published", kind="archive.manifest", where=str(path))
        return records

    @cached_property
    def facts(self) -> LevelFacts:
        """The finest level's metadata."""
        self._compare(f"{self.part.group}/zarr.json", deep=True)
        return level_facts(self.store, self.part.group, self.part.bands, QA)

    def references(self, band: str) -> References:
        """Where the chunks of a band, or of the flags, lie.

        Raises
        ------
        Defect
            ``archive.missing`` or ``archive.corrupt`` if a shard is not as the manifest has it, or lacks a chunk.
        """
        array = self.facts.flags if band == QA else self.facts.bands[band]
        layout = array.layout
        if layout.chunk != (CHUNK_PX, CHUNK_PX):
            raise Defect(f"chunks of {layout.chunk} px", kind="archive.layout", where=f"{self.store}/{array.path}")
        rows, columns = (
            range(low - first, high - first)
            for (low, high), first in zip((self.part.rows, self.part.columns), self.part.first, strict=True)
        )
        files, places = [], np.empty((len(rows) * len(columns), 2), dtype=np.uint64)
        tables: dict[tuple[int, int], tuple[str, ChunkTable]] = {}
        inside = layout.chunks_in_shard
        for number, (row, column) in enumerate((row, column) for row in rows for column in columns):
            shard = (row // inside[0], column // inside[1])
            if shard not in tables:
                tables[shard] = self._table(array.path, shard, layout)
            name, table = tables[shard]
            files.append(name)
            places[number] = table[row % inside[0], column % inside[1]]
        return References((len(rows), len(columns)), files, places[:, 0].copy(), places[:, 1].copy())

    def _table(self, path: str, shard: tuple[int, int], layout: ArrayLayout) -> tuple[str, ChunkTable]:
        key = f"{path}/c/{shard[0]}/{shard[1]}"
        size = self._compare(key)
        place = self.store / key
        table = read_index(place, layout)
        counts = [
            min(math.ceil(length / chunk) - number * inside, inside)
            for length, chunk, number, inside in zip(
                layout.shape, layout.chunk, shard, layout.chunks_in_shard, strict=True
            )
        ]
        held = table[: counts[0], : counts[1]]
        if (held[..., 0] == ABSENT).any() or int(held.sum(axis=-1).max()) > size - layout.index_bytes:
            raise Defect("a shard lacks chunks", kind="archive.corrupt", where=str(place))
        return place.relative_to(self.archive).as_posix(), table

    def _compare(self, key: str, *, deep: bool = False) -> int:
        """The size of an object, once it is what the manifest says; ``deep``: its digest too."""
        record = self.records.get(key)
        path = self.store / key
        if record is None or not path.is_file():
            raise Defect("an object of the store is missing", kind="archive.missing", where=str(path))
        if path.stat().st_size != record.size or (
            deep and hashlib.sha256(path.read_bytes()).hexdigest() != record.sha256
        ):
            raise Defect("an object of the store is not as its manifest says", kind="archive.corrupt", where=str(path))
        return record.size
