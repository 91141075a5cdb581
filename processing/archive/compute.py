"""The one place where a graph runs: every shard of every level, each written by one task."""

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dask
from dask import threaded
from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed
from shapely import Polygon

from processing.archive.footprint import inside
from processing.archive.manifest import ObjectRecord
from processing.archive.shards import (
    GroupTally,
    ShardResult,
    halve_shards,
    tally_shard,
    write_tiles,
)
from processing.archive.store import Group, Level
from processing.model.errors import Defect
from processing.model.image import OrthoImage, Tile
from processing.model.product import Encoding

Progress = Callable[[int, int, str], None]
"""Called with how many of how many steps are done, and what the last one was."""


def write_pixels(
    store: Path, groups: Sequence[Group], images: Sequence[OrthoImage], step: Callable[[str], None]
) -> tuple[ObjectRecord, ...]:
    """Compute the images and write them, with all coarser levels, into a created store: one graph, one compute.

    A task reads the lazy block of one shard, pixels and flags together, and writes that shard of every band.
    A coarser shard follows as soon as the shards below it are there.

    Parameters
    ----------
    step
        Called after each task with what it did (schedulers of this machine; others call it only at the end).

    Returns
    -------
    records
        SHA-256 and size of every shard's object.
    """
    run = run_name()
    tasks = [
        delayed(_records, pure=True)(task, dask_key_name=f"records-{run}-{level_tasks.path}-{index}")
        for group, image in zip(groups, images, strict=True)
        for level_tasks in _group_tasks(store, group, image, run)
        for index, task in level_tasks.tasks.items()
    ]
    with counted(step, prefix=f"shard-{run}-"):
        results: tuple[tuple[ObjectRecord, ...], ...] = compute(*tasks, scheduler=chosen_scheduler())
    return tuple(record for records in results for record in records)


def chosen_scheduler() -> Callable[..., Any] | None:
    """Threads, unless something else was asked for.

    Dask would import ``distributed`` to look for a cluster, half a second; who is connected to one has imported it.
    """
    return threaded.get if "distributed" not in sys.modules and dask.config.get("scheduler", None) is None else None


def run_name() -> str:
    """A part of every key: a scheduler that several runs share takes equal keys for one and the same task."""
    return secrets.token_hex(6)


def _records(result: ShardResult) -> tuple[ObjectRecord, ...]:
    """What is kept of a task's result when the coarser level has had the rest."""
    return result.records


def count_tasks(groups: Sequence[Group]) -> int:
    """How many tasks :func:`write_pixels` will run."""
    return sum(len(tuple(level.shards())) for group in groups for level in group.levels)


def tally(store: Path, groups: Sequence[Group], ring: Polygon) -> dict[str, GroupTally]:
    """Read the finest level of every group back, shard by shard, and count; by group.

    The sums are of integers: the same in whatever order the shards come.
    """
    run = run_name()
    tasks = [
        delayed(_tally, pure=True)(store, group, index, ring, dask_key_name=f"tally-{run}-{group.name}-{index}")
        for group in groups
        for index in group.levels[0].shards()
    ]
    totals = {group.name: GroupTally() for group in groups}
    for name, result in compute(*tasks, scheduler=chosen_scheduler()):
        totals[name].add(result)
    return totals


def _tally(store: Path, group: Group, index: tuple[int, int], ring: Polygon) -> tuple[str, GroupTally]:
    level = group.levels[0]
    return group.name, tally_shard(store, group, index, inside(ring, level.geobox, level.region(index)))


class _LevelTasks(NamedTuple):
    path: str
    tasks: dict[tuple[int, int], Delayed]
    """By shard index."""


def _group_tasks(store: Path, group: Group, image: OrthoImage, run: str) -> Iterator[_LevelTasks]:
    """Tasks of every level, finest first."""
    base = group.levels[0]
    make = _base_task(store, group, image, run)
    tasks = {index: make(index) for index in base.shards()}
    yield _LevelTasks(base.path, tasks)
    for finer, level in zip(group.levels, group.levels[1:], strict=False):
        tasks = {
            index: delayed(halve_shards, pure=True)(
                store, group, finer, level, index, {below: tasks[below] for below in _below(finer, level, index)},
                dask_key_name=f"shard-{run}-{level.path}-{index}",
            )
            for index in level.shards()
        }  # fmt: skip
        yield _LevelTasks(level.path, tasks)


def _base_task(store: Path, group: Group, image: OrthoImage, run: str) -> Callable[[tuple[int, int]], Delayed]:
    """A function that gives the task of a shard of the finest level by its index."""
    base = group.levels[0]
    encodings = dict(group.encodings)
    given = shard_inputs(image, base)
    return lambda index: delayed(_write_shard, pure=True)(
        store, base, encodings, index, *given(index), dask_key_name=f"shard-{run}-{base.path}-{index}"
    )


def _write_shard(
    store: Path, level: Level, encodings: dict[str, Encoding], index: tuple[int, int], *given: Any
) -> ShardResult:
    return write_tiles(store, level, encodings, index, tiles_from(index, *given))


def shard_inputs(image: OrthoImage, level: Level) -> Callable[[tuple[int, int]], tuple[Delayed, ...]]:
    """A function that gives, by a shard's index, what a task must be given for :func:`tiles_from`."""
    source = image.tiles
    if source is not None and _same_blocks(level, source.block_px):
        made = (source.made,)
        return lambda _: made
    pixels, flags = image_blocks(image, level)
    return lambda index: (pixels[(0, *index)], flags[index])


def tiles_from(index: tuple[int, int], *given: Any) -> Iterator[Tile]:
    """Tiles of a shard, within the task that encodes them: from a tile source, or a computed block as one tile."""
    if len(given) == 1:
        yield from given[0].tiles(index)
    else:
        pixels, flags = given
        yield Tile(slice(0, flags.shape[0]), slice(0, flags.shape[1]), pixels, flags)


def _same_blocks(level: Level, block_px: int) -> bool:
    """Whether a level's shards are an image's blocks."""
    return all(
        shard == block_px or length <= min(shard, block_px)
        for length, shard in zip(level.shape, level.shard, strict=True)
    )


def image_blocks(image: OrthoImage, level: Level) -> tuple[Any, Any]:
    """Delayed blocks of pixels ``(1, rows, columns)`` and flags ``(rows, columns)``, one a shard.

    The graph is not optimised here: pixels and flags would be optimised apart, and what they share computed twice.
    """
    rows, columns = level.shard
    pixels = image.pixels.transpose("band", "y", "x")
    flags = image.qa.transpose("y", "x")
    if pixels.shape != (len(image.bands), *level.shape) or flags.shape != level.shape:
        raise Defect(
            f"pixels {pixels.shape} and flags {flags.shape} do not fit {len(image.bands)} bands of {level.shape}",
            kind="archive.shape",
            where=image.group,
        )
    return (
        pixels.chunk({"band": -1, "y": rows, "x": columns}).data.to_delayed(optimize_graph=False),
        flags.chunk({"y": rows, "x": columns}).data.to_delayed(optimize_graph=False),
    )


def _below(finer: Level, level: Level, index: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Shards of the finer level that a shard of the coarser one is made from."""
    rows, columns = level.region(index)
    for row, column in finer.shards():
        region = finer.region((row, column))
        if (
            region[0].start < 2 * rows.stop and region[0].stop > 2 * rows.start
            and region[1].start < 2 * columns.stop and region[1].stop > 2 * columns.start
        ):  # fmt: skip
            yield row, column


def counted(step: Callable[[str], None], prefix: str = "shard-") -> Callback:
    """Within this context, ``step`` is called after every task whose key has the prefix, with the rest of the key."""

    def after(key: Any, *_: Any) -> None:
        if isinstance(key, str) and key.startswith(prefix):
            step(key.removeprefix(prefix))

    return Callback(posttask=after)


def steps(progress: Progress | None, total: int) -> Callable[[str], None]:
    """A function to call after each of ``total`` steps, which reports them."""
    done = 0

    def step(what: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(min(done, total), total, what)

    return step
