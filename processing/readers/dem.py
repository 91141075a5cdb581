"""Elevation models on disk become ellipsoidal terrain; one whose vertical datum is unknown is refused."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np

from processing.geometry.datum import Geoid, VerticalDatum
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.lineage import InputRecord
from processing.readers.dem_geoid import open_geoid
from processing.readers.dem_hgt import is_hgt
from processing.readers.dem_mosaic import lattices_of, mosaic, target_grid
from processing.readers.dem_tile import Bounds, DemTile, place_tile
from processing.readers.inventory import file_sha256

_NOT_ELEVATIONS = tuple(f"Copernicus_DSM_*_{kind}.tif" for kind in ("EDM", "FLM", "HEM", "WBM", "ACM"))
"""Masks and error models that lie beside the elevations of a Copernicus tile and share its name."""
_POLAR = {1: "EPSG:32661", -1: "EPSG:32761"}
_ALL_AROUND_DEG = 180.0
"""An area that spans more longitude than this surrounds a pole."""


def open_terrain(
    paths: Path | Sequence[Path],
    *,
    bounds: Bounds,
    vertical_datum: str = "auto",
    margin_deg: float = 0.02,
    geoids: Sequence[Path] = (),
) -> Terrain:
    """Terrain of one or many elevation files over an area, as heights above the ellipsoid.

    Tiles may be in any coordinate systems and resolutions, each is raised by its own vertical datum, and all are laid
    on the finest tiles' grid; cells of other grids are interpolated bilinearly, seams between grids closed. Where
    tiles overlap, finer ones count first, then the first by file name that holds a value.

    Parameters
    ----------
    paths
        GeoTIFF or SRTM ``.hgt`` (also ``.hgt.zip``) files, or folders of them (searched at all depths).
    bounds
        West, south, east, north of the area, degrees WGS 84; east lies past 180 where it crosses the antimeridian.
    vertical_datum
        ``auto``, or what the elevations are measured from: ``ellipsoid``, ``egm96``, ``egm2008``. ``auto`` believes
        a compound or three-dimensional CRS and the names of products with a handbook: Copernicus DEM and FABDEM
        (EGM2008); SRTM, AW3D30 and ASTER (EGM96); TanDEM-X (ellipsoid). Nothing else.
    margin_deg
        Read this much more on every side.
    geoids
        Files, or folders, where an operator's geoid grids may be (``.gtx``, GeoTIFF), in order of preference. Without
        one of EGM2008, its elevations are raised by EGM96, and the terrain's warnings say so.

    Returns
    -------
    Terrain
        NaN where no tile holds a height. ``sources`` names every file that went in, geoid grids included.

    Raises
    ------
    BadInput
        ``dem.datum_unknown``, ``dem.datum_option``, ``dem.no_coverage``, ``dem.missing``, ``dem.crs``, ``dem.grid``,
        ``dem.size``, ``geoid.corrupt``.
    """
    west, south, east, north = bounds
    around = east - west > _ALL_AROUND_DEG
    area = (
        -180.0 if around else west - margin_deg,
        max(south - margin_deg, -90.0),
        180.0 if around else east + margin_deg,
        min(north + margin_deg, 90.0),
    )
    files = list(_files([paths] if isinstance(paths, Path) else paths))
    if not files:
        raise BadInput(
            f"no elevation file at {', '.join(str(path) for path in ([paths] if isinstance(paths, Path) else paths))}",
            kind="dem.missing",
            remedy="Give GeoTIFF or .hgt files, or a folder that holds some.",
        )
    tiles = [tile for path in files for tile in place_tile(path, vertical_datum, area)]
    if not tiles:
        raise _no_coverage(bounds)
    grids = _operator_geoids(tiles, geoids, area)
    lattices = lattices_of(tiles)
    target, coarse = target_grid(lattices, area, _POLAR[1 if north + south > 0 else -1] if around else None)
    heights, warnings = mosaic(lattices, target, area, grids)
    if not np.isfinite(heights).any():
        raise _no_coverage(bounds)
    used = {datum: geoid for datum, geoid in grids.items() if geoid is not None}
    return Terrain(
        heights=heights,
        crs=target.crs,
        transform=target.transform,
        datum_note="; ".join(dict.fromkeys(_note(tile, used) for tile in tiles)),
        sources=(
            *(InputRecord(role="dem", name=path.name, sha256=file_sha256(path)) for path in _paths(tiles)),
            *(geoid.source for geoid in used.values()),
        ),
        warnings=(*coarse, *warnings),
        reopen=partial(
            open_terrain,
            tuple(_paths(tiles)),
            bounds=bounds,
            vertical_datum=vertical_datum,
            margin_deg=margin_deg,
            geoids=tuple(path.resolve() for path in geoids),
        ),
    )


def _operator_geoids(
    tiles: Sequence[DemTile], places: Sequence[Path], area: Bounds
) -> Mapping[VerticalDatum, Geoid | None]:
    """The operator's grid of each datum that a tile needs; None where the embedded one has to do."""
    # Tiles are read one cell beyond the area, coarse ones too.
    wide = (area[0] - 0.05, max(area[1] - 0.05, -90.0), area[2] + 0.05, min(area[3] + 0.05, 90.0))
    return {datum: open_geoid(datum, places, wide) for datum in sorted({tile.datum for tile in tiles})}


def _note(tile: DemTile, geoids: Mapping[VerticalDatum, Geoid]) -> str:
    geoid = geoids.get(tile.datum)
    return tile.note if geoid is None else f"{tile.note}, raised by {geoid.source.name}"


def _paths(tiles: Sequence[DemTile]) -> list[Path]:
    """Files of tiles, each once."""
    return list(dict.fromkeys(tile.path for tile in tiles))


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
            found.update(file for file in path.rglob("*") if file.suffix.lower() in {".tif", ".tiff"} or is_hgt(file))
        elif path.is_file():
            found.add(path)
        else:
            raise BadInput(f"'{path}' does not exist", kind="dem.missing", remedy="Check the path of the DEM.")
    elevations = (file for file in found if not any(fnmatchcase(file.name, mask) for mask in _NOT_ELEVATIONS))
    yield from sorted((file.resolve() for file in elevations), key=lambda file: (file.name, str(file)))
