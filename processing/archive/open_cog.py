"""The archive's own COGs as a viewer opens them.

They are ours, but whoever can write into HOME could swap one. So they are opened as what a viewer of a package may
open: one regular file, as GeoTIFF and nothing else, without side files, lists of folders, or the network.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from processing.model.errors import Defect

HARDENED = {
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_CACHEMAX": 64_000_000,
}


@contextmanager
def opened_cog(path: Path, coarser: Callable[[DatasetReader], float] | None = None) -> Iterator[DatasetReader]:
    """Open a COG of the archive; GDAL is hardened in this thread for as long as the block runs.

    Parameters
    ----------
    path
        Absolute path of a regular file.
    coarser
        Told the image, says how many times larger its pixels may be: its coarsest overview with pixels no larger is
        opened. None: the image itself.

    Raises
    ------
    Defect
        ``cog.unreadable`` if it is no such file, or damaged.
    """
    if not path.is_absolute() or path.is_symlink() or not path.is_file():
        raise Defect(f"'{path.name}' is not a file of the archive", kind="cog.unreadable", where=path.name)
    with rasterio.Env(**HARDENED):
        try:
            with rasterio.open(path, driver="GTiff") as dataset:
                factors = [] if coarser is None else dataset.overviews(1)
                largest = 1.0 if coarser is None else coarser(dataset)
                fit = [place for place, factor in enumerate(factors) if factor <= largest]
                if not fit:
                    yield dataset
                    return
            with rasterio.open(path, driver="GTiff", OVERVIEW_LEVEL=fit[-1]) as overview:
                yield overview
        except RasterioError as error:
            raise Defect(f"'{path.name}' cannot be read: {error}", kind="cog.unreadable", where=path.name) from error
