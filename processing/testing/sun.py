"""Where the sun stands: the simulator's own computation, independent of ``processing.radiometry``."""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def _days_since_j2000(day: datetime, seconds: float) -> float:
    return (day - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400.0 + seconds / 86400.0


def sun_direction(day: datetime, seconds: float) -> Array:
    """Unit vector from the Earth to the sun, Earth-fixed frame, shape (3,).

    Low-precision formulae of the Astronomical Almanac (page C5; 0.01 deg between 1950 and 2050), turned into the
    Earth-fixed frame by the Almanac's linear sidereal time.

    Parameters
    ----------
    day
        Midnight UTC.
    seconds
        Seconds of that day.
    """
    days = _days_since_j2000(day, seconds)
    anomaly = np.deg2rad(357.528 + 0.9856003 * days)
    longitude = np.deg2rad(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.deg2rad(23.439 - 4.0e-7 * days)
    equatorial = np.array(
        [np.cos(longitude), np.cos(obliquity) * np.sin(longitude), np.sin(obliquity) * np.sin(longitude)]
    )
    sidereal = np.deg2rad(280.46061837 + 360.98564736629 * days)
    cos, sin = np.cos(sidereal), np.sin(sidereal)
    direction: Array = np.array(
        [
            cos * equatorial[0] + sin * equatorial[1],
            -sin * equatorial[0] + cos * equatorial[1],
            equatorial[2],
        ]
    )
    return direction


def sun_distance_au(day: datetime, seconds: float) -> float:
    """Earth-Sun distance, astronomical units (Astronomical Almanac page C5; 0.0001 AU)."""
    anomaly = np.deg2rad(357.528 + 0.9856003 * _days_since_j2000(day, seconds))
    return float(1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly))


def local_angles(direction: npt.ArrayLike, lon: float, lat: float) -> tuple[float, float]:
    """Zenith angle and azimuth (clockwise from north), degrees, of an Earth-fixed direction seen from a place."""
    x, y, z = np.asarray(direction, dtype=float) / np.linalg.norm(np.asarray(direction, dtype=float))
    a, b = np.deg2rad(lon), np.deg2rad(lat)
    east = -np.sin(a) * x + np.cos(a) * y
    north = -np.sin(b) * np.cos(a) * x - np.sin(b) * np.sin(a) * y + np.cos(b) * z
    up = np.cos(b) * np.cos(a) * x + np.cos(b) * np.sin(a) * y + np.sin(b) * z
    return float(np.rad2deg(np.arccos(np.clip(up, -1, 1)))), float(np.rad2deg(np.arctan2(east, north)) % 360.0)
