"""One band in the formats that an archive could keep it in: written and read as each library does it by itself.

A script of its own for the benchmark, so that no library pays for another's imports, threads or caches:
``python -m processing.testing.archive_formats FORMAT ACTION JOB``, the job as JSON; prints seconds as JSON.
What was read is compared with what was written, outside the time.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

type Pixels = npt.NDArray[np.uint16]
type Reader = Callable[[slice, slice], npt.NDArray[Any]]

NODATA = 0
LEVEL = 2
"""The coarser level that is read: pixels four times as large."""
_NAME = "band"


class Format(NamedTuple):
    """How a band is written, and opened for reading."""

    write: Callable[[Path, Pixels, int], None]
    """To a place, with so many threads."""
    read: Callable[[Path], Reader]
    """Opens once; reads any window of the finest level."""
    level: Callable[[Path], Callable[[], npt.NDArray[Any]]]
    """Opens once; reads the whole of :data:`LEVEL`."""


def _every_fourth(read: Callable[[Path], Reader], shape: Callable[[Path], tuple[int, int]]) -> Any:
    """A level, where there is none: all pixels, and most of them thrown away."""

    def opened(place: Path) -> Callable[[], npt.NDArray[Any]]:
        step, (rows, columns), reader = 2**LEVEL, shape(place), read(place)
        return lambda: reader(slice(0, rows), slice(0, columns))[::step, ::step]

    return opened


def _write_qyran(place: Path, pixels: Pixels, threads: int, *, levels: bool) -> None:
    """Shards as the archive writes them, hashed on the way; a manifest that nothing may be missing from; all synced."""
    import zarr
    from zarr.codecs import BytesCodec

    from processing.archive.codecs import zarr_codecs
    from processing.archive.durable import sync_tree
    from processing.archive.layout import chunk_and_shard, level_shapes, shard_keys
    from processing.archive.manifest import write_manifest
    from processing.archive.pyramid import halve

    root = zarr.create_group(place)
    records, keys = [], ["zarr.json"]
    shapes = level_shapes((pixels.shape[0], pixels.shape[1])) if levels else (pixels.shape,)
    with ThreadPoolExecutor(threads) as pool:
        for number, shape in enumerate(shapes):
            pixels = halve(pixels, NODATA) if number else pixels
            name = f"r{2**number}"
            sizes = [chunk_and_shard(length) for length in shape]
            root.create_array(
                name,
                shape=shape,
                dtype="uint16",
                chunks=(sizes[0][0], sizes[1][0]),
                shards=(sizes[0][1], sizes[1][1]),
                serializer=BytesCodec(),
                compressors=zarr_codecs(),
                fill_value=NODATA,
                config={"write_empty_chunks": True},
            )
            wanted = shard_keys(name, (pixels.shape[0], pixels.shape[1]))
            keys += [f"{name}/zarr.json", *wanted]
            records += list(pool.map(partial(_write_shard, place, pixels, sizes), wanted))
    write_manifest(place, records, keys)
    sync_tree(place)


def _write_shard(place: Path, pixels: Pixels, sizes: list[tuple[int, int]], key: str) -> Any:
    from processing.archive.shard_file import ShardFile

    (chunk_rows, shard_rows), (chunk_columns, shard_columns) = sizes
    row, column = (int(part) for part in key.split("/")[-2:])
    file = ShardFile(place, key, (shard_rows, shard_columns), (chunk_rows, chunk_columns), NODATA)
    block = pixels[row * shard_rows : (row + 1) * shard_rows, column * shard_columns : (column + 1) * shard_columns]
    for first in range(0, block.shape[0], chunk_rows):
        file.put(block[first : first + chunk_rows])
    return file.close()


def _read_qyran(place: Path, name: str = "r1") -> Reader:
    from processing.archive.source import StoredArray, read_metadata

    array = StoredArray.of(place, name, read_metadata(place, name))
    return lambda rows, columns: array.read((rows, columns))


def _qyran_level(place: Path) -> Callable[[], npt.NDArray[Any]]:
    reader = _read_qyran(place, f"r{2**LEVEL}")
    return lambda: reader(slice(None), slice(None))


def _write_zarr(place: Path, pixels: Pixels, _threads: int) -> None:
    import zarr

    zarr.create_array(place / _NAME, shape=pixels.shape, dtype=pixels.dtype, fill_value=NODATA)[:] = pixels


def _write_zarr_like_ours(place: Path, pixels: Pixels, _threads: int) -> None:
    """Our chunks, shards and codecs, and nothing else of ours."""
    import zarr
    from zarr.codecs import BytesCodec

    from processing.archive.codecs import zarr_codecs
    from processing.archive.layout import chunk_and_shard

    sizes = [chunk_and_shard(length) for length in pixels.shape]
    array = zarr.create_array(
        place / _NAME,
        shape=pixels.shape,
        dtype=pixels.dtype,
        fill_value=NODATA,
        chunks=(sizes[0][0], sizes[1][0]),
        shards=(sizes[0][1], sizes[1][1]),
        serializer=BytesCodec(),
        compressors=zarr_codecs(),
    )
    array[:] = pixels


def _read_zarr(place: Path) -> Reader:
    import zarr

    array = zarr.open_array(place / _NAME, mode="r")
    return lambda rows, columns: np.asarray(array[rows, columns])


def _repository(place: Path, *, create: bool) -> Any:
    import icechunk

    icechunk.set_logs_filter("error")
    storage = icechunk.local_filesystem_storage(str(place))
    return icechunk.Repository.create(storage) if create else icechunk.Repository.open(storage)


def _write_icechunk(place: Path, pixels: Pixels, _threads: int) -> None:
    import zarr

    session = _repository(place, create=True).writable_session("main")
    array = zarr.create_array(session.store, name=_NAME, shape=pixels.shape, dtype=pixels.dtype, fill_value=NODATA)
    array[:] = pixels
    session.commit(_NAME)


def _read_icechunk(place: Path) -> Reader:
    import zarr

    array = zarr.open_array(_repository(place, create=False).readonly_session("main").store, path=_NAME, mode="r")
    return lambda rows, columns: np.asarray(array[rows, columns])


def _write_cog(place: Path, pixels: Pixels, threads: int) -> None:
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    profile = {
        "driver": "MEM", "count": 1, "dtype": "uint16", "nodata": NODATA, "crs": "EPSG:32643",
        "height": pixels.shape[0], "width": pixels.shape[1], "transform": rasterio.Affine(4, 0, 6e5, 0, -4, 4.8e6),
    }  # fmt: skip
    place.mkdir()
    with MemoryFile() as memory, memory.open(**profile) as source:
        source.write(pixels, 1)
        copy(source, place / "band.tif", driver="COG", num_threads=threads)


def _read_cog(place: Path) -> Reader:
    import rasterio
    from rasterio.windows import Window

    source = rasterio.open(place / "band.tif")
    return lambda rows, columns: np.asarray(source.read(1, window=Window.from_slices(rows, columns)))


def _cog_level(place: Path) -> Callable[[], npt.NDArray[Any]]:
    import rasterio

    source = rasterio.open(place / "band.tif", overview_level=LEVEL - 1)
    return lambda: np.asarray(source.read(1))


def _shape(place: Path) -> tuple[int, int]:
    rows, columns = json.loads((place.parent / "job.json").read_text())["shape"]
    return int(rows), int(columns)


FORMATS: dict[str, Format] = {
    "qyran": Format(partial(_write_qyran, levels=False), _read_qyran, _every_fourth(_read_qyran, _shape)),
    "qyran-levels": Format(partial(_write_qyran, levels=True), _read_qyran, _qyran_level),
    "zarr": Format(_write_zarr, _read_zarr, _every_fourth(_read_zarr, _shape)),
    "zarr-ours": Format(_write_zarr_like_ours, _read_zarr, _every_fourth(_read_zarr, _shape)),
    "icechunk": Format(_write_icechunk, _read_icechunk, _every_fourth(_read_icechunk, _shape)),
    "cog": Format(_write_cog, _read_cog, _cog_level),
}


def band(size: int, seed: int) -> Pixels:
    """A band like those of the archive: scaled reflectance of textured ground, noise, and empty corners.

    Returns
    -------
    pixels
        uint16 ``(size, size)``; the same on every machine for the same arguments.
    """
    rng = np.random.default_rng(seed)
    ground = np.zeros((size, size), np.float32)
    for octave in range(2, max(size.bit_length() - 2, 3)):
        cells = rng.normal(0, 1, (2**octave + 2,) * 2).astype(np.float32)
        places = np.linspace(0, 2**octave, size, dtype=np.float32)
        low = places.astype(int)
        share = places - low
        rows = cells[low] * (1 - share[:, None]) + cells[low + 1] * share[:, None]
        ground += (rows[:, low] * (1 - share) + rows[:, low + 1] * share) * np.float32(500 / octave)
    ground += 2500 + rng.normal(0, 25, (size, size)).astype(np.float32)
    y, x = np.ogrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j]
    inside = (abs(x + 0.2 * y) < 0.42) & (abs(y - 0.2 * x) < 0.42)
    return np.where(inside, np.clip(ground, 1, 65535), NODATA).astype(np.uint16)


def windows(size: int, side: int, count: int, seed: int) -> Iterator[tuple[slice, slice]]:
    """Random windows of a band."""
    rng = np.random.default_rng(seed)
    for row, column in rng.integers(0, size - side + 1, (count, 2)):
        yield slice(int(row), int(row) + side), slice(int(column), int(column) + side)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def run(name: str, action: str, job: dict[str, Any]) -> dict[str, float]:
    """Do one thing, ``write``, ``full`` or ``windows`` (and a level), and say how long it took, s.

    A process does only one of them: GDAL keeps what it has decoded, and would read no window after all of it.

    Raises
    ------
    ValueError
        If what was read is not what was written.
    """
    place, how = Path(job["place"]), FORMATS[name]
    pixels: Pixels = np.load(job["pixels"])
    seconds: dict[str, float] = {}
    if action == "write":
        how.write(place.with_name("warm"), pixels[:600, :600], job["threads"])  # imports and first calls
        with _timed(seconds, "write"):
            how.write(place, pixels, job["threads"])
        return seconds
    rows, columns = pixels.shape
    reader, level = how.read(place), how.level(place)
    reader(slice(0, 8), slice(0, 8))
    if action == "full":
        with _timed(seconds, "full"):
            found = reader(slice(0, rows), slice(0, columns))
        if not np.array_equal(found, pixels):
            raise ValueError(f"{name} did not give back what was written")
        return seconds
    chosen = list(windows(min(rows, columns), job["window"], job["windows"], job["seed"]))
    with _timed(seconds, "windows"):
        parts = [reader(*window) for window in chosen]
    if any(not np.array_equal(part, pixels[window]) for part, window in zip(parts, chosen, strict=True)):
        raise ValueError(f"{name} did not give back a window as it was written")
    with _timed(seconds, "level"):
        coarse = level()
    if coarse.shape != (-(-rows // 2**LEVEL), -(-columns // 2**LEVEL)):
        raise ValueError(f"{name} gave a level of {coarse.shape}")
    return seconds


if __name__ == "__main__":
    _job = json.loads(Path(sys.argv[3]).read_text())
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: _job["threads"]])
    sys.stdout.write(json.dumps(run(sys.argv[1], sys.argv[2], _job)))
