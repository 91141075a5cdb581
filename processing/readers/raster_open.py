"""Opens one raster file, hardened.

Sidecars of untrusted packages can point anywhere (an ``.aux.xml`` with an OVERVIEW_FILE reads another tenant's
pixels, or the network), so GDAL is told to see the one file it is given, with the one driver its first bytes name.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from processing.model.errors import BadInput
from processing.readers.raster_header import RasterHeader, raster_header

# An image in the sensor's geometry has no geotransform; rasterio warns of it on every opening, in every thread.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

_HARDENED = {
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_MAX_RETRY": "0",
    # Windows are read once, or once more by a neighbour: the default, a twentieth of the memory, would only fill up.
    "GDAL_CACHEMAX": 32_000_000,
}


@contextmanager
def hardened_env() -> Iterator[None]:
    """GDAL without sidecars, directory listings or borrowed georeference, for this thread, while the block runs."""
    with rasterio.Env(**_HARDENED):
        yield


@contextmanager
def hardened_open(path: Path) -> Iterator[DatasetReader]:
    """Open one admitted raster with the driver its first bytes name.

    Parameters
    ----------
    path
        Resolved path of a regular file; a string is refused, because GDAL reads XML and URLs out of strings.

    Raises
    ------
    BadInput
        As :func:`raster_header`; ``raster.unreadable`` when the library cannot open it.
    """
    header = raster_header(checked_file(path))
    with hardened_env():
        try:
            dataset = rasterio.open(path, driver=header.driver)
        except RasterioError as error:
            raise BadInput(f"'{path.name}' is damaged: {error}", kind="raster.unreadable", where=path.name) from error
        with dataset:
            yield dataset


def checked_file(path: Path) -> Path:
    """The path itself, if it is an absolute, link-free path of a regular file.

    Raises
    ------
    BadInput
        ``path.type`` for anything but such a path.
    """
    if not isinstance(path, Path) or not path.is_absolute() or path.is_symlink() or not path.is_file():
        raise BadInput(
            f"{str(path)[:200]!r} is not the absolute path of a regular file",
            kind="path.type",
            where=str(path)[:200],
            remedy="Give a path on a local disk; links, URLs and GDAL's virtual names are not opened.",
        )
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterFacts:
    """What GDAL reads out of one file's inside."""

    header: RasterHeader
    dtype: str
    block: tuple[int, int]
    """Lines and samples of one stored block."""
    nodata: float | None
    crs: str | None
    """WKT or ``EPSG:n``; None when the file is not on a map."""
    transform: Affine | None
    rpc_tags: dict[str, str]
    tags: dict[str, str]
    descriptions: tuple[str | None, ...]


def raster_facts(path: Path) -> RasterFacts:
    """Facts of one raster file; reads no pixels.

    Raises
    ------
    BadInput
        As :func:`hardened_open`; ``dtype`` when its samples are neither integers nor real numbers.
    """
    header = raster_header(checked_file(path))
    with hardened_open(path) as dataset:
        dtypes = set(dataset.dtypes)
        if len(dtypes) != 1 or np.dtype(dataset.dtypes[0]).kind not in "uif":
            raise BadInput(f"'{path.name}' holds samples of types {sorted(dtypes)}", kind="dtype", where=path.name)
        if (dataset.height, dataset.width, dataset.count) != (header.lines, header.samples, header.bands):
            raise BadInput(
                f"'{path.name}' opens as {dataset.count} x {dataset.height} x {dataset.width}, its header says "
                f"{header.bands} x {header.lines} x {header.samples}",
                kind="raster.corrupt",
                where=path.name,
            )
        epsg = dataset.crs.to_epsg() if dataset.crs else None
        return RasterFacts(
            header=header,
            dtype=str(dataset.dtypes[0]),
            block=tuple(dataset.block_shapes[0]),
            nodata=dataset.nodata,
            crs=(f"EPSG:{epsg}" if epsg else dataset.crs.to_wkt()) if dataset.crs else None,
            transform=None if dataset.transform.is_identity else dataset.transform,
            rpc_tags=dict(dataset.tags(ns="RPC")),
            tags=dict(dataset.tags()),
            descriptions=tuple(dataset.descriptions),
        )
