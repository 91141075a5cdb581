"""What GDAL writes, made sure of: it says nothing of a write that fails while it flushes or closes a file.

With the disk full at the end of a COG, GDAL 3.12 under rasterio 1.5 reports success and leaves a file with holes. So
what it writes goes to memory and from there to the disk by our own hand, or is read back and compared.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window

from processing.model.errors import Retryable

HELD_BYTES = 512 << 20
"""A raster of up to this many bytes, uncompressed, is made in memory, where it takes as much as its file will."""
_ROWS = 1024
_LOSSY = frozenset({"JPEG", "WEBP"})
_TOLERATED = 16.0
"""How far a lossy picture's rows may lie from what they were made of, on average, of 255."""


@contextlib.contextmanager
def gdal_faults(path: Path) -> Iterator[None]:
    """Say in plain words that GDAL could not write or read its own files: the disk's doing, not the data's.

    Raises
    ------
    Retryable
        ``disk.failed``.
    """
    try:
        yield
    except (CPLE_BaseError, RasterioError) as error:
        raise _not_kept(path, str(error)) from error


def _not_kept(path: Path, why: str) -> Retryable:
    return Retryable(
        f"{path.name} could not be written: {why}",
        kind="disk.failed",
        where=str(path),
        remedy="Look at the room on the disk and at its health (dmesg, smartctl), then run it again.",
    )


class Sums:
    """CRC-32C of strips as they were handed to GDAL, to hold the file against that it makes of them."""

    def __init__(self) -> None:
        self._of: list[tuple[Window, int]] = []

    def counted(self, strips: Iterable[tuple[int, npt.NDArray[Any]]]) -> Iterator[tuple[Window, npt.NDArray[Any]]]:
        """The strips, each with the window it is for."""
        for row, strip in strips:
            window = Window(0, row, strip.shape[2], strip.shape[1])
            self._of.append((window, _crc(strip)))
            yield window, strip

    def require(self, path: Path) -> None:
        """Read the file back.

        Raises
        ------
        Retryable
            ``disk.failed`` if it does not hold what was written.
        """
        with rasterio.open(path) as source:
            for window, expected in self._of:
                if _crc(source.read(window=window)) != expected:
                    raise _not_kept(path, "it does not hold what was written into it")


def _crc(strip: npt.NDArray[Any]) -> int:
    return int(google_crc32c.value(strip.tobytes()))


def copy_checked(source: DatasetReader, path: Path, options: Mapping[str, Any]) -> None:
    """Copy a raster by a GDAL driver, and be sure of the result.

    Parameters
    ----------
    source
        Opened; its overviews become the copy's.
    path
        File to create.
    options
        ``driver`` and its creation options.

    Raises
    ------
    OSError
        As the filesystem does.
    Retryable
        ``disk.failed`` if the file does not hold what it should.
    """
    size = source.count * source.height * source.width * np.dtype(source.dtypes[0]).itemsize
    if size <= HELD_BYTES:
        with MemoryFile(ext=path.suffix) as memory:
            rasterio.shutil.copy(source, memory.name, **options)
            with path.open("wb") as stream:
                stream.write(memory.getbuffer())
        return
    rasterio.shutil.copy(source, path, **options)
    lossy = options.get("COMPRESS") in _LOSSY
    for overview in (None, *range(len(source.overviews(1)))):
        chosen = {} if overview is None else {"overview_level": overview}
        with rasterio.open(source.name, **chosen) as wanted, rasterio.open(path, **chosen) as made:
            _require_same(path, wanted, made, lossy=lossy)
            if overview is None and (_described(made) != _described(wanted) or not _laid_out(made, options)):
                raise _not_kept(path, "its header is damaged")


def _described(dataset: DatasetReader) -> tuple[Any, ...]:
    return dataset.tags(), dataset.scales, dataset.offsets, dataset.units, dataset.descriptions, dataset.nodata


def _laid_out(made: DatasetReader, options: Mapping[str, Any]) -> bool:
    """Whether nothing was written out of order: GDAL does so, and says so, when it has to mend something."""
    return bool(options["driver"] != "COG" or made.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG")


def _require_same(path: Path, wanted: DatasetReader, made: DatasetReader, *, lossy: bool) -> None:
    for row in range(0, wanted.height, _ROWS):
        window = Window(0, row, wanted.width, min(_ROWS, wanted.height - row))
        one, other = wanted.read(window=window), made.read(window=window)
        same = _close(one, other) if lossy else one.tobytes() == other.tobytes()
        if not same:
            raise _not_kept(path, f"rows {row} to {row + window.height} are not what was written into it")


def _close(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return bool(np.abs(one.astype(np.int16) - other).mean(axis=(1, 2)).max() <= _TOLERATED)
