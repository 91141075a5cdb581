"""One elevation file: where it lies, what its numbers are measured from, and its heights above the ellipsoid."""

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.windows import Window

from processing.geometry.datum import VerticalDatum, ellipsoidal_height
from processing.geometry.terrain import Heights
from processing.model.errors import BadInput
from processing.readers.pixels import hardened_open

Bounds = tuple[float, float, float, float]

_PRODUCT_DATUMS = {
    "Copernicus_DSM_*": VerticalDatum.EGM2008,
    "*.hgt": VerticalDatum.EGM96,
}
"""File names whose producers state the datum in their handbooks, where the file itself does not."""
_LOWEST_M, _HIGHEST_M = -1000.0, 9000.0
"""Beyond this no land lies: such cells are voids that the file's nodata value failed to declare."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DemTile:
    """One elevation file, placed but not read."""

    path: Path
    crs: CRS
    """Horizontal."""
    transform: Affine
    shape: tuple[int, int]
    datum: VerticalDatum
    note: str


def place_tile(path: Path, option: str, area: Bounds) -> DemTile | None:
    """Where a file lies and what it is measured from; None when it does not touch the area."""
    if path.suffix.lower() == ".hgt":
        crs, (transform, shape) = CRS.from_epsg(4326), _hgt_grid(path)
    else:
        with hardened_open(path) as dataset:
            if dataset.crs is None:
                raise BadInput(f"'{path.name}' states no coordinate system", kind="dem.crs", where=path.name)
            crs, transform, shape = CRS.from_wkt(dataset.crs.to_wkt()), dataset.transform, dataset.shape
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise BadInput(
            f"'{path.name}' is not a north-up grid", kind="dem.grid", where=path.name, remedy="Warp it to one first."
        )
    horizontal = crs.sub_crs_list[0] if crs.is_compound else crs.to_2d()
    if grid_window(map_bounds(area, horizontal), transform, shape) is None:
        return None
    datum, note = _datum(path, crs, option)
    return DemTile(path=path, crs=horizontal, transform=transform, shape=shape, datum=datum, note=note)


def _datum(path: Path, crs: CRS, option: str) -> tuple[VerticalDatum, str]:
    """Vertical datum of a file and how it is known."""
    if option != "auto":
        if option not in list(VerticalDatum):
            raise BadInput(
                f"unknown vertical datum '{option}'",
                kind="dem.datum_option",
                remedy=f"Give auto, {', '.join(VerticalDatum)}.",
            )
        return VerticalDatum(option), f"{option}, as stated by the operator"
    if crs.is_compound:
        name = crs.sub_crs_list[1].name
        if crs.sub_crs_list[1].axis_info[0].unit_conversion_factor != 1.0:
            raise BadInput(
                f"'{path.name}' holds elevations in another unit than metres", kind="dem.unit", where=path.name
            )
        folded = name.upper().replace(" ", "")
        for mark, datum in (("EGM2008", VerticalDatum.EGM2008), ("EGM96", VerticalDatum.EGM96)):
            if mark in folded:
                return datum, f"{datum}, by the file's vertical CRS '{name}'"
        if "ELLIPSOID" in folded:
            return VerticalDatum.ELLIPSOID, f"ellipsoid, by the file's vertical CRS '{name}'"
    elif len(crs.axis_info) == 3:
        return VerticalDatum.ELLIPSOID, f"ellipsoid, by the file's three-dimensional CRS '{crs.name}'"
    else:
        name = "none"
        for pattern, datum in _PRODUCT_DATUMS.items():
            if fnmatchcase(path.name, pattern):
                return datum, f"{datum}, by the product's name"
    raise BadInput(
        f"the vertical datum of '{path.name}' is unknown (vertical CRS in the file: {name}), and a wrong guess moves "
        "the image by tens of metres",
        kind="dem.datum_unknown",
        where=path.name,
        remedy="State it with --vertical-datum ellipsoid, egm96 or egm2008 (Copernicus DEM: egm2008; SRTM, AW3D30: "
        "egm96), or give the file a compound CRS.",
    )


def map_bounds(area: Bounds, crs: CRS) -> Bounds:
    """Bounds in a CRS of an area in lon, lat, edges densified."""
    if crs.is_geographic:
        return area
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True, allow_ballpark=False)
    west, south, east, north = to_map.transform_bounds(*area, densify_pts=41)
    return west, south, east, north


def grid_window(bounds: Bounds, transform: Affine, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a grid that bounds touch; None when they miss it."""
    left, top = ~transform @ (bounds[0], bounds[3])
    right, bottom = ~transform @ (bounds[2], bounds[1])
    rows = slice(max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), shape[0]))
    cols = slice(max(int(np.floor(left)), 0), min(int(np.ceil(right)), shape[1]))
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def read_heights(tile: DemTile, window: tuple[slice, slice]) -> tuple[Heights, Affine, list[str]]:
    """Ellipsoidal heights of a tile's window, the window's grid, and what to warn of."""
    rows, cols = window
    # One cell more, so that interpolation at the window's edge has all its nodes.
    rows = slice(max(rows.start - 1, 0), min(rows.stop + 1, tile.shape[0]))
    cols = slice(max(cols.start - 1, 0), min(cols.stop + 1, tile.shape[1]))
    elevation = _elevation(tile, rows, cols)
    notes = []
    impossible = (elevation < _LOWEST_M) | (elevation > _HIGHEST_M)
    if impossible.any():
        elevation[impossible] = np.nan
        notes.append(f"{tile.path.name}: {int(impossible.sum())} cells hold impossible elevations, taken as void")
    transform = tile.transform @ Affine.translation(cols.start, rows.start)
    x = transform.c + transform.a * (np.arange(elevation.shape[1]) + 0.5)
    y = transform.f + transform.e * (np.arange(elevation.shape[0]) + 0.5)
    to_lonlat = None if tile.crs.is_geographic else Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True)
    for start in range(0, y.size, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        lon, lat = np.meshgrid(x, y[part])
        if to_lonlat is not None:
            lon, lat = to_lonlat.transform(lon, lat)
        elevation[part], note = ellipsoidal_height(elevation[part], lon, lat, tile.datum)
        notes.extend([note] if note else [])
    return elevation.astype(np.float32), transform, notes


def _elevation(tile: DemTile, rows: slice, cols: slice) -> npt.NDArray[np.float64]:
    """Elevations of a window in the tile's own datum, metres, NaN where void."""
    if tile.path.suffix.lower() == ".hgt":
        counts = np.fromfile(tile.path, dtype=">i2").reshape(tile.shape)[rows, cols]
        return np.where(counts == -32768, np.nan, counts.astype(np.float64))
    with hardened_open(tile.path) as dataset:
        window = Window.from_slices(rows, cols)
        read = dataset.read(1, window=window, masked=True)
        scaled = read.astype(np.float64).filled(np.nan) * dataset.scales[0] + dataset.offsets[0]
    return np.asarray(scaled, dtype=np.float64)


def _hgt_grid(path: Path) -> tuple[Affine, tuple[int, int]]:
    """Grid of an SRTM tile: its name is its south-west corner's node, its size says how many nodes."""
    sides = {2 * side * side: side for side in (1201, 3601)}
    side = sides.get(path.stat().st_size)
    name = path.stem.upper()
    try:
        lat, lon = int(name[1:3]) * {"N": 1, "S": -1}[name[0]], int(name[4:7]) * {"E": 1, "W": -1}[name[3]]
    except (ValueError, KeyError, IndexError):
        side = None
    if side is None:
        raise BadInput(
            f"'{path.name}' is not an SRTM tile: name like N43E076.hgt, 1201 or 3601 nodes a side",
            kind="dem.grid",
            where=path.name,
        )
    pitch = 1.0 / (side - 1)
    return Affine(pitch, 0.0, lon - pitch / 2, 0.0, -pitch, lat + 1 + pitch / 2), (side, side)


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
