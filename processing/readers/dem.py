"""Elevation models on disk become ellipsoidal terrain; one whose vertical datum is unknown is refused."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from affine import Affine

from processing.geometry.terrain import Heights, Terrain, bilinear
from processing.model.errors import BadInput
from processing.model.lineage import InputRecord
from processing.readers.dem_tile import (
    Bounds,
    DemTile,
    file_sha256,
    grid_window,
    map_bounds,
    place_tile,
    read_heights,
)

_ALIGNED = 0.01
"""Grids whose cells agree to this fraction of a cell are the same grid."""


def open_terrain(
    paths: Path | Sequence[Path],
    *,
    bounds: Bounds,
    vertical_datum: str = "auto",
    margin_deg: float = 0.02,
) -> Terrain:
    """Terrain of one or many elevation files over an area, as heights above the ellipsoid.

    Tiles are laid on the finest tile's grid; cells of another grid are interpolated bilinearly. Where tiles
    overlap, the first by file name that holds a value counts.

    Parameters
    ----------
    paths
        GeoTIFF or SRTM ``.hgt`` files, or folders of them (searched at all depths).
    bounds
        West, south, east, north of the area, degrees WGS 84.
    vertical_datum
        ``auto``, or what the elevations are measured from: ``ellipsoid``, ``egm96``, ``egm2008``. ``auto`` believes
        a compound or three-dimensional CRS, Copernicus DEM names (EGM2008) and ``.hgt`` (EGM96), and nothing else.
    margin_deg
        Read this much more on every side.

    Raises
    ------
    BadInput
        ``dem.datum_unknown``, ``dem.datum_option``, ``dem.no_coverage``, ``dem.missing``, ``dem.crs``, ``dem.grid``.
    """
    area = (bounds[0] - margin_deg, bounds[1] - margin_deg, bounds[2] + margin_deg, bounds[3] + margin_deg)
    files = list(_files([paths] if isinstance(paths, Path) else paths))
    if not files:
        raise BadInput(
            f"no elevation file at {', '.join(str(path) for path in ([paths] if isinstance(paths, Path) else paths))}",
            kind="dem.missing",
            remedy="Give GeoTIFF or .hgt files, or a folder that holds some.",
        )
    tiles = [tile for tile in (place_tile(path, vertical_datum, area) for path in files) if tile is not None]
    if not tiles:
        raise _no_coverage(bounds)
    if any(not tile.crs.equals(tiles[0].crs, ignore_axis_order=True) for tile in tiles):
        names = ", ".join(sorted({tile.crs.name for tile in tiles}))
        raise BadInput(
            f"the elevation files are in several coordinate systems: {names}",
            kind="dem.crs",
            remedy="Warp them to one, or give only those of one.",
        )
    heights, transform, warnings = _mosaic(tiles, area)
    if not np.isfinite(heights).any():
        raise _no_coverage(bounds)
    epsg = tiles[0].crs.to_epsg()
    return Terrain(
        heights=heights,
        crs=f"EPSG:{epsg}" if epsg else tiles[0].crs.to_wkt(),
        transform=transform,
        datum_note="; ".join(dict.fromkeys(tile.note for tile in tiles)),
        sources=tuple(InputRecord(role="dem", name=tile.path.name, sha256=file_sha256(tile.path)) for tile in tiles),
        warnings=warnings,
    )


def _no_coverage(bounds: Bounds) -> BadInput:
    west, south, east, north = bounds
    return BadInput(
        f"no elevation file covers {west:.4f}..{east:.4f} E, {south:.4f}..{north:.4f} N",
        kind="dem.no_coverage",
        remedy="Add the elevation tiles of this area.",
    )


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Elevation files named or found in folders, resolved, sorted by name so that overlaps are always cut alike."""
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found.update(file for file in path.rglob("*") if file.suffix.lower() in {".tif", ".tiff", ".hgt"})
        elif path.is_file():
            found.add(path)
        else:
            raise BadInput(f"'{path}' does not exist", kind="dem.missing", remedy="Check the path of the DEM.")
    yield from sorted((file.resolve() for file in found), key=lambda file: (file.name, str(file)))


def _mosaic(tiles: Sequence[DemTile], area: Bounds) -> tuple[Heights, Affine, tuple[str, ...]]:
    """All tiles' heights over an area on the finest tile's grid, and what to warn of."""
    pitch_x, pitch_y = min(tile.transform.a for tile in tiles), min(-tile.transform.e for tile in tiles)
    finest = min(tiles, key=lambda tile: (tile.transform.a, -tile.transform.e, tile.path.name))
    bounds = map_bounds(area, finest.crs)
    covered = [tile.transform @ corner for tile in tiles for corner in ((0, 0), tile.shape[::-1])]
    west = max(bounds[0], min(x for x, _ in covered))
    east = min(bounds[2], max(x for x, _ in covered))
    south = max(bounds[1], min(y for _, y in covered))
    north = min(bounds[3], max(y for _, y in covered))
    left = finest.transform.c + np.floor((west - finest.transform.c) / pitch_x) * pitch_x
    top = finest.transform.f + np.ceil((north - finest.transform.f) / pitch_y) * pitch_y
    shape = (int(np.ceil((top - south) / pitch_y - 1e-6)), int(np.ceil((east - left) / pitch_x - 1e-6)))
    transform = Affine(pitch_x, 0.0, left, 0.0, -pitch_y, top)
    heights = np.full(shape, np.nan, dtype=np.float32)
    warnings: list[str] = []
    for tile in tiles:
        window = grid_window(bounds, tile.transform, tile.shape)
        if window is not None:
            read, at, notes = read_heights(tile, window)
            warnings.extend(notes)
            _lay(heights, transform, read, at)
    return heights, transform, tuple(dict.fromkeys(warnings))


def _lay(heights: Heights, transform: Affine, read: Heights, at: Affine) -> None:
    """Fill the still-void cells of a mosaic from one tile's window."""
    col, row = ~transform @ (at.c, at.f)
    last_col, last_row = ~transform @ (at @ read.shape[::-1])
    first = (max(round(row), 0), max(round(col), 0))
    last = (min(round(last_row), heights.shape[0]), min(round(last_col), heights.shape[1]))
    if first[0] >= last[0] or first[1] >= last[1]:
        return
    target = heights[first[0] : last[0], first[1] : last[1]]
    same_pitch = abs(last_col - col - read.shape[1]) < _ALIGNED and abs(last_row - row - read.shape[0]) < _ALIGNED
    if same_pitch and abs(row - round(row)) < _ALIGNED and abs(col - round(col)) < _ALIGNED:
        from_row, from_col = first[0] - round(row), first[1] - round(col)
        values = read[from_row : from_row + target.shape[0], from_col : from_col + target.shape[1]]
    else:
        cols, rows = np.meshgrid(np.arange(first[1], last[1]) + 0.5, np.arange(first[0], last[0]) + 0.5)
        x, y = transform.c + transform.a * cols.ravel(), transform.f + transform.e * rows.ravel()
        sampled = np.empty(x.size)
        bilinear(read, tuple((~at)[:6]), x, y, sampled)
        values = sampled.reshape(target.shape).astype(np.float32)
    empty = np.isnan(target)
    target[empty] = values[empty]
