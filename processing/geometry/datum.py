"""Vertical datums: the one place where elevation (above a geoid) and height (above the ellipsoid) meet.

An elevation taken for a height moves a 1 m image by ``N * tan(view zenith)``: 16 m at Almaty and 20 degrees. PROJ
without its grids does exactly that without a word, so nothing here asks PROJ to guess.
"""

from enum import StrEnum

import egm96
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class VerticalDatum(StrEnum):
    """What the numbers of an elevation model are measured from."""

    ELLIPSOID = "ellipsoid"
    """WGS 84 ellipsoid: nothing to add."""
    EGM96 = "egm96"
    """SRTM, AW3D30."""
    EGM2008 = "egm2008"
    """Copernicus DEM."""


SUBSTITUTE_NOTE = "EGM2008 elevations were raised by the EGM96 geoid: up to 1-2 m off, no EGM2008 grid is installed"
"""What a product made with the substitute must say."""


def undulation(lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
    """Height of the EGM96 geoid above the WGS 84 ellipsoid.

    Bilinear in the 5' grid of the ``egm96`` package, which carries it; within 0.06 m of the full model.

    Parameters
    ----------
    lon, lat
        Degrees WGS 84; broadcast.

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
    elevation: npt.ArrayLike, lon: npt.ArrayLike, lat: npt.ArrayLike, datum: VerticalDatum
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

    Returns
    -------
    height, note
        Metres above the WGS 84 ellipsoid; a warning when a substitute geoid was used, else None.
    """
    values = np.asarray(elevation, dtype=np.float64)
    if datum is VerticalDatum.ELLIPSOID:
        return values, None
    note = SUBSTITUTE_NOTE if datum is VerticalDatum.EGM2008 else None
    return values + undulation(lon, lat), note
