"""Geoid grids that an operator provides: NOAA's ``.gtx`` and the GeoTIFFs of PROJ (``us_nga_egm08_25.tif``).

A pip-installed PROJ carries no grids, so EGM2008 comes from the operator: a file in ``HOME/auxiliary/geoid``, or in a
folder where PROJ looks for its own.
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj.datadir import get_data_dir
from rasterio.windows import Window

from processing.geometry.datum import Geoid, VerticalDatum
from processing.model.errors import BadInput
from processing.model.lineage import InputRecord
from processing.readers.dem_tile import Bounds
from processing.readers.inventory import file_sha256
from processing.readers.raster_open import hardened_open

_NAMES = {VerticalDatum.EGM2008: r"egm_?(20)?08(?!\d{2})", VerticalDatum.EGM96: r"egm_?(19)?96"}
_EPSG = {"3855": VerticalDatum.EGM2008, "5773": VerticalDatum.EGM96}
"""Codes of the height systems that PROJ's GeoTIFF grids name as their target."""
_SUFFIXES = (".gtx", ".tif", ".tiff")
_GTX_HEADER_BYTES = 40
_GTX_VOID = -88.8888
_HIGHEST_M = 200.0
"""No geoid strays this far from the ellipsoid."""
_EMBEDDED_STEP_DEG = 1 / 12
"""Of the EGM96 grid inside Qyran: an operator's coarser one of the same geoid is no gain."""
_MARGIN_NODES = 2


def proj_folders() -> tuple[Path, ...]:
    """Folders where PROJ looks for grids on this machine: those of ``PROJ_DATA``, else its own."""
    return tuple(Path(name) for name in get_data_dir().split(os.pathsep) if name)


def open_geoid(datum: VerticalDatum, places: Sequence[Path], area: Bounds) -> Geoid | None:
    """The best grid of a geoid that covers an area; None where there is none.

    Parameters
    ----------
    datum
        Which geoid.
    places
        Files or folders, in order of preference; what is not there is passed over.
    area
        West, south, east, north, degrees WGS 84; east may lie past 180.

    Returns
    -------
    Geoid or None
        From the first place that has one, there the finest, then the first by name.

    Raises
    ------
    BadInput
        ``geoid.corrupt`` for a grid that is not what its name says.
    """
    if datum is VerticalDatum.ELLIPSOID:
        return None
    for place in places:
        grids = [_Grid.of(path) for path in _files(place, datum)]
        for grid in sorted(grids, key=lambda grid: (grid.step[1], grid.path.name)):
            coarser = datum is VerticalDatum.EGM96 and grid.step[1] > _EMBEDDED_STEP_DEG
            geoid = None if coarser else grid.over(area, datum)
            if geoid is not None:
                return geoid
    return None


def read_geoid(path: Path, datum: VerticalDatum, area: Bounds) -> Geoid:
    """One grid file over an area.

    Raises
    ------
    BadInput
        ``geoid.corrupt``; ``geoid.coverage`` when it does not cover the area.
    """
    geoid = _Grid.of(path.resolve()).over(area, datum)
    if geoid is None:
        raise BadInput(f"the geoid grid '{path.name}' does not cover the area", kind="geoid.coverage", where=path.name)
    return geoid


def _files(place: Path, datum: VerticalDatum) -> Iterator[Path]:
    """Grids of a geoid at a place, by what their names or tags say."""
    found = [place] if place.is_file() else sorted(place.iterdir()) if place.is_dir() else []
    for path in found:
        if path.suffix.lower() in _SUFFIXES and path.is_file() and _datum_of(path.resolve()) is datum:
            yield path.resolve()


@lru_cache(maxsize=256)
def _datum_of(path: Path) -> VerticalDatum | None:
    for datum, pattern in _NAMES.items():
        if re.search(pattern, path.stem, flags=re.IGNORECASE):
            return datum
    if path.suffix.lower() == ".gtx":
        return None
    try:
        with hardened_open(path) as dataset:
            return _EPSG.get(str(dataset.tags().get("target_crs_epsg_code", "")))
    except BadInput:
        return None  # a folder of grids holds other things too


class _Grid:
    """A grid file: where its nodes are, and how to read some."""

    def __init__(self, path: Path, west: float, north: float, step: tuple[float, float], shape: tuple[int, int]):
        self.path, self.west, self.north, self.step, self.shape = path, west, north, step, shape
        plausible = (
            min(step) > 0 and min(shape) > 1 and -90.01 <= north - step[1] * (shape[0] - 1) < north <= 90.01
            and -360.01 <= west <= 360.01 and step[0] * (shape[1] - 1) <= 360.01
        )  # fmt: skip
        if not (np.isfinite([west, north, *step]).all() and plausible):
            raise _corrupt(path, "its header places it nowhere on Earth")

    @classmethod
    def of(cls, path: Path) -> "_Grid":
        """Read a file's header."""
        if path.suffix.lower() == ".gtx":
            return cls(path, *_gtx_header(path))
        with hardened_open(path) as dataset:
            transform: Affine = dataset.transform
            if transform.b or transform.d or transform.e >= 0:
                raise _corrupt(path, "it is not a north-up grid")
            west, north = transform @ (0.5, 0.5)
            return cls(path, west, north, (transform.a, -transform.e), dataset.shape)

    def over(self, area: Bounds, datum: VerticalDatum) -> Geoid | None:
        """The part over an area; None where the grid does not cover all of it."""
        west, south, east, north = area
        rows, cols = self.shape
        # Columns that go all around Earth: behind the last comes the first, which may stand there twice.
        turn = next((count for count in (cols, cols - 1) if abs(self.step[0] * count - 360.0) < self.step[0] / 2), None)
        top = max(int(np.floor((self.north - north) / self.step[1])) - _MARGIN_NODES, 0)
        bottom = min(int(np.ceil((self.north - south) / self.step[1])) + _MARGIN_NODES, rows - 1)
        # In the branch of longitudes that begins at the grid's first column.
        turned = west - 360.0 * np.floor((west - self.west) / 360.0 + 1e-12)
        left = int(np.floor((turned - self.west) / self.step[0])) - _MARGIN_NODES
        right = int(np.ceil((turned + east - west - self.west) / self.step[0])) + _MARGIN_NODES
        if turn is None:
            left, right = max(left, 0), min(right, cols - 1)
        first, last = self.west + left * self.step[0], self.west + right * self.step[0]
        covers = (
            self.north - top * self.step[1] >= min(north, 90.0 - self.step[1] / 2) - 1e-9
            and self.north - bottom * self.step[1] <= max(south, -90.0 + self.step[1] / 2) + 1e-9
            and first <= turned + 1e-9
            and last >= turned + east - west - 1e-9
        )
        if not covers:
            return None
        columns = np.arange(left, min(right, left + cols) + 1)
        values = self._rows(slice(top, bottom + 1))[:, columns % (turn or cols)]
        if (np.abs(values) > _HIGHEST_M).any():
            raise _corrupt(self.path, "it holds undulations that no geoid has")
        return Geoid(
            datum=datum,
            source=InputRecord(
                role="geoid", name=self.path.name, sha256=_sha256(self.path, self.path.stat().st_mtime_ns)
            ),
            values=values,
            west=first,
            north=self.north - top * self.step[1],
            step_lon=self.step[0],
            step_lat=self.step[1],
        )

    def _rows(self, rows: slice) -> npt.NDArray[np.float64]:
        """All columns of some rows, first row northernmost, NaN where unknown."""
        if self.path.suffix.lower() == ".gtx":
            upward = np.memmap(self.path, dtype=">f4", mode="r", offset=_GTX_HEADER_BYTES, shape=self.shape)
            values = np.asarray(upward[::-1][rows], dtype=np.float64)
            values[np.abs(values - _GTX_VOID) < 1e-3] = np.nan
            return values
        with hardened_open(self.path) as dataset:
            window = Window.from_slices(rows, slice(0, self.shape[1]))
            read = dataset.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
            return np.asarray(read * dataset.scales[0] + dataset.offsets[0])


def _gtx_header(path: Path) -> tuple[float, float, tuple[float, float], tuple[int, int]]:
    """West, north, steps (lon, lat) and rows, columns; the header counts rows from the south."""
    with path.open("rb") as file:
        header = file.read(_GTX_HEADER_BYTES)
    if len(header) < _GTX_HEADER_BYTES:
        raise _corrupt(path, "it ends inside its header")
    south, west, step_lat, step_lon = (float(value) for value in np.frombuffer(header, ">f8", 4))
    rows, cols = (int(value) for value in np.frombuffer(header, ">i4", 2, offset=32))
    if rows < 2 or cols < 2 or path.stat().st_size != _GTX_HEADER_BYTES + 4 * rows * cols:
        raise _corrupt(path, f"it does not hold the {rows} x {cols} nodes of its header")
    return west, south + step_lat * (rows - 1), (step_lon, step_lat), (rows, cols)


@lru_cache(maxsize=16)
def _sha256(path: Path, _mtime_ns: int) -> str:
    return file_sha256(path)


def _corrupt(path: Path, why: str) -> BadInput:
    return BadInput(
        f"'{path.name}' is no geoid grid: {why}",
        kind="geoid.corrupt",
        where=path.name,
        remedy="Get it again (PROJ calls it us_nga_egm08_25.tif), or take it away.",
    )
