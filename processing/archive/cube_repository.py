"""The Icechunk repository of one cube: made, opened, read. The only module that knows Icechunk.

Three things it must be told. On a local disk it is not safe for two committers, so there is one, under a lock. It asks
for leave before it follows references, so leave is given for HOME/archive and nothing else. And where a read fails
while others are under way, a program may die at its end; so every read that was begun is waited for.

A process forked from one that has opened a repository must not read it: workers are spawned.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import icechunk
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from processing.archive.cube_refs import References
from processing.archive.cube_state import damaged

BRANCH = "main"
_CONTAINER = "archive"
"""Name under which references say HOME/archive: it may move, and the cube with it."""
_SLICES_IN_MANIFEST = 8
"""A commit writes the references of so many scenes again, not of all."""

icechunk.set_logs_filter("error")


def _opening(folder: Path, archive: Path) -> tuple[icechunk.Storage, dict[str, object]]:
    # The prefix is taken as it is, not as a URL: quoted, a folder with a space in its name would never be found.
    prefix = f"file://{archive}/"
    config = icechunk.RepositoryConfig.default()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(str(archive)), name=_CONTAINER)
    )
    config.manifest = icechunk.ManifestConfig(
        splitting=icechunk.ManifestSplittingConfig.from_dict(
            {
                icechunk.ManifestSplitCondition.AnyArray(): {
                    icechunk.ManifestSplitDimCondition.Axis(0): _SLICES_IN_MANIFEST
                }
            }
        )
    )
    access = {prefix: icechunk.Credentials.LocalFileSystemAccess()}
    return icechunk.local_filesystem_storage(str(folder)), {"config": config, "authorize_virtual_chunk_access": access}


def create_repository(folder: Path, archive: Path) -> icechunk.Repository:
    """A new repository in a folder that is not there yet; ``archive`` is HOME/archive."""
    storage, options = _opening(folder, archive)
    return icechunk.Repository.create(storage, **options)  # type: ignore[arg-type]


def open_repository(folder: Path, archive: Path) -> icechunk.Repository:
    """A repository that is there.

    Raises
    ------
    Defect
        ``cube.damaged`` if it cannot be opened.
    """
    storage, options = _opening(folder, archive)
    with told_plainly(folder):
        return icechunk.Repository.open(storage, **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def told_plainly(folder: Path) -> Iterator[None]:
    """What Icechunk finds wrong within this, as a damaged cube: it can be made again."""
    try:
        yield
    except icechunk.IcechunkError as error:
        raise damaged(_first_line(error), folder) from error


def begin(repository: icechunk.Repository, snapshot: str | None) -> icechunk.Session:
    """A session to write in, on top of a snapshot: a commit that nobody wrote down is forgotten."""
    if snapshot is not None and repository.lookup_branch(BRANCH) != snapshot:
        repository.reset_branch(BRANCH, snapshot)
    return repository.writable_session(BRANCH)


def refer(session: icechunk.Session, array: str, index: int, at: tuple[int, int], wanted: References) -> None:
    """Let the chunks of a window of one slice be bytes of files; ``at`` is the window's first row and column."""
    session.store.set_virtual_refs_arr(
        f"/{array}",
        (1, *wanted.shape),
        [f"vcc://{_CONTAINER}/{file}" for file in wanted.files],
        wanted.offsets,
        wanted.lengths,
        arr_offset=(index, *at),
    )


def clear_slice(session: icechunk.Session, array: str, index: int) -> None:
    """Take all references of one slice away."""
    sync(session.store.delete_dir(f"{array}/c/{index}"))


def snapshot_files(folder: Path, repository: icechunk.Repository, snapshot: str) -> dict[str, str]:
    """SHA-256 of the files that a snapshot is made of, by path in the repository."""
    names = [f"snapshots/{snapshot}"]
    names += [f"manifests/{manifest.id}" for manifest in repository.list_manifest_files(snapshot)]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}


def files_under(folder: Path) -> set[Path]:
    """All files of a repository."""
    return {Path(place) / name for place, _, names in os.walk(folder) for name in names}


class CubeReader:
    """A snapshot to read chunks from. It travels to other processes as its address, and opens itself there."""

    def __init__(self, folder: Path, archive: Path, snapshot: str) -> None:
        self._address = (folder, archive, snapshot)

    def __reduce__(self) -> tuple[type["CubeReader"], tuple[Path, Path, str]]:
        return CubeReader, self._address

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of chunks by key, None for those that are referred to nowhere.

        Raises
        ------
        Defect
            ``cube.damaged`` if the repository, or what it refers to, cannot be read.
        """
        folder = self._address[0]
        found = sync(_read_all(_store(*self._address, os.getpid()), keys))
        for result in found:
            if isinstance(result, icechunk.IcechunkError):
                raise damaged(_first_line(result), folder) from result
            if isinstance(result, BaseException):
                raise result
        return [result for result in found if not isinstance(result, BaseException)]


async def _read_all(store: icechunk.IcechunkStore, keys: Iterable[str]) -> list[bytes | BaseException | None]:
    buffers = await asyncio.gather(
        *(store.get(key, default_buffer_prototype()) for key in keys), return_exceptions=True
    )
    return [buffer if buffer is None or isinstance(buffer, BaseException) else buffer.to_bytes() for buffer in buffers]


@lru_cache(maxsize=64)
def _store(folder: Path, archive: Path, snapshot: str, _process: int) -> icechunk.IcechunkStore:
    with told_plainly(folder):
        return open_repository(folder, archive).readonly_session(snapshot_id=snapshot).store


def slice_keys(array: str, index: int, rows: range, columns: range) -> list[str]:
    """Keys of the chunks of a window of one slice, row by row."""
    return [f"{array}/c/{index}/{row}/{column}" for row in rows for column in columns]


def resize(array: "zarr.Array[Any]", slices: int) -> None:
    """Make room for so many slices, or take the last ones away."""
    if array.shape[0] != slices:
        array.resize((slices, *array.shape[1:]))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
