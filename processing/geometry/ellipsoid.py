"""WGS 84 in Earth-fixed coordinates (EPSG:4978), compiled: one point at a time, inside other kernels."""

import numpy as np
from numba import njit

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1.0 / 298.257223563
SEMI_MINOR_M = SEMI_MAJOR_M * (1.0 - FLATTENING)
ECCENTRICITY2 = FLATTENING * (2.0 - FLATTENING)
_SECOND_ECCENTRICITY2 = ECCENTRICITY2 / (1.0 - ECCENTRICITY2)

Point = tuple[float, float, float]


@njit(nogil=True, cache=True)
def to_earth_fixed(lon: float, lat: float, height: float) -> Point:
    """Earth-fixed x, y, z (m) of longitude, latitude (rad) and height above the ellipsoid (m)."""
    sin, cos = np.sin(lat), np.cos(lat)
    normal = SEMI_MAJOR_M / np.sqrt(1.0 - ECCENTRICITY2 * sin * sin)
    return (
        (normal + height) * cos * np.cos(lon),
        (normal + height) * cos * np.sin(lon),
        (normal * (1.0 - ECCENTRICITY2) + height) * sin,
    )


@njit(nogil=True, cache=True)
def to_geodetic(x: float, y: float, z: float) -> Point:
    """Longitude, latitude (rad) and height above the ellipsoid (m) of an Earth-fixed point.

    Bowring (1976), two iterations: within 1e-8 m and 1e-14 rad up to 1,000 km from the surface, poles included.
    """
    p = np.hypot(x, y)
    reduced = np.arctan2(z * SEMI_MAJOR_M, p * SEMI_MINOR_M)
    lat = reduced
    for _ in range(2):
        sin, cos = np.sin(reduced), np.cos(reduced)
        lat = np.arctan2(
            z + _SECOND_ECCENTRICITY2 * SEMI_MINOR_M * sin * sin * sin,
            p - ECCENTRICITY2 * SEMI_MAJOR_M * cos * cos * cos,
        )
        reduced = np.arctan2((1.0 - FLATTENING) * np.sin(lat), np.cos(lat))
    sin = np.sin(lat)
    height = p * np.cos(lat) + z * sin - SEMI_MAJOR_M * np.sqrt(1.0 - ECCENTRICITY2 * sin * sin)
    return np.arctan2(y, x), lat, height
