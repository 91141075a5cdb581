"""Vertical datums: the one place where elevation (above a geoid) and height (above the ellipsoid) meet.

An elevation taken for a height moves a 1 m image by ``N * tan(view zenith)``: 16 m at Almaty and 20 degrees. PROJ
without its grids does exactly that without a word, so nothing here asks PROJ to guess.
"""

from dataclasses import dataclass
from enum import StrEnum

import egm96
import numpy as np
import numpy.typing as npt

from processing.model.lineage import InputRecord

Array = npt.NDArray[np.float64]


class VerticalDatum(StrEnum):
    """What the numbers of an elevation model are measured from."""

    ELLIPSOID = "ellipsoid"
    """WGS 84 ellipsoid: nothing to add."""
    EGM96 = "egm96"
    """SRTM, AW3D30, ASTER."""
    EGM2008 = "egm2008"
    """Copernicus DEM."""


SUBSTITUTE_NOTE = "EGM2008 elevations were raised by the EGM96 geoid: up to 1-2 m off, no EGM2008 grid is installed"
"""What a product made with the substitute must say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geoid:
    """A geoid model on a grid of nodes, as an operator provides it; possibly only the part over an area.

    ``values``: float64 ``(rows, cols)``, m above the WGS 84 ellipsoid, first row northernmost, NaN = unknown.
    """

    datum: VerticalDatum
    """The geoid it is a model of."""
    source: InputRecord
    """The file, with role ``geoid``."""
    values: Array
    west: float
    """Longitude of the first column's nodes, degrees."""
    north: float
    """Latitude of the first row's nodes."""
    step_lon: float
    step_lat: float

    def undulation(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
        """Height of the geoid above the ellipsoid, m, bilinear; NaN beyond the grid. Degrees WGS 84; broadcast."""
        longitude, latitude = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
        rows, cols = self.values.shape
        with np.errstate(invalid="ignore"):
            col = (longitude - self.west) % 360.0 / self.step_lon
            # A hair west of the first column is the first column, not 360 degrees east of it.
            col = np.where(col > (360.0 / self.step_lon) - _HAIR, 0.0, col)
            row = (self.north - latitude) / self.step_lat
            inside = (row >= -_HAIR) & (row <= rows - 1 + _HAIR) & (col <= cols - 1 + _HAIR)
        row, col = np.clip(row[inside], 0, rows - 1), np.clip(col[inside], 0, cols - 1)
        top, left = np.minimum(row.astype(int), rows - 2), np.minimum(col.astype(int), cols - 2)
        down, right = row - top, col - left
        upper = self.values[top, left] * (1.0 - right) + self.values[top, left + 1] * right
        lower = self.values[top + 1, left] * (1.0 - right) + self.values[top + 1, left + 1] * right
        result = np.full(longitude.shape, np.nan)
        result[inside] = upper * (1.0 - down) + lower * down
        return result


_HAIR = 1e-6
"""Part of a cell by which a node may be missed."""


def undulation(lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
    """Height of the EGM96 geoid above the WGS 84 ellipsoid.

    Bilinear in the 5' grid of the ``egm96`` package, which carries it; within 0.06 m of the full model.

    Parameters
    ----------
    lon, lat
        Degrees WGS 84; broadcast. Longitudes of any turn.

    Returns
    -------
    array
        Metres, -107 to +86. NaN where a coordinate is not finite.
    """
    longitude, latitude = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    known = np.isfinite(longitude) & np.isfinite(latitude)
    result = np.full(longitude.shape, np.nan)
    if known.any():
        result[known] = egm96.undulation(latitude[known], longitude[known])
    return result


def ellipsoidal_height(
    elevation: npt.ArrayLike,
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    datum: VerticalDatum,
    geoid: Geoid | None = None,
) -> tuple[Array, str | None]:
    """Heights above the ellipsoid, and what a reader must be told about how they came about.

    Parameters
    ----------
    elevation
        Metres above ``datum``; NaN stays NaN.
    lon, lat
        Degrees WGS 84 of the same points.
    datum
        What ``elevation`` is measured from.
    geoid
        An operator's grid of that datum. None: EGM96 as it is embedded, also in place of EGM2008.

    Returns
    -------
    height, note
        Metres above the WGS 84 ellipsoid; a warning when a substitute geoid was used, else None.
    """
    values = np.asarray(elevation, dtype=np.float64)
    if datum is VerticalDatum.ELLIPSOID:
        return values, None
    if geoid is not None and geoid.datum is datum:
        return values + geoid.undulation(lon, lat), None
    note = SUBSTITUTE_NOTE if datum is VerticalDatum.EGM2008 else None
    return values + undulation(lon, lat), note
