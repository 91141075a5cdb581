"""Where the sun is, and how far: low-precision formulae of the Astronomical Almanac."""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from processing.model.errors import Defect

Array = npt.NDArray[np.float64]

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def days_since_j2000(when: datetime) -> float:
    """Days since 2000-01-01 12:00 UTC; the minute between UTC and dynamical time moves the sun by 0.0008 degrees.

    Raises
    ------
    Defect
        ``time.naive`` for a time without a zone.
    """
    if when.tzinfo is None:
        raise Defect("a time without a zone cannot place the sun", kind="time.naive")
    return (when - _J2000).total_seconds() / 86400.0


def earth_sun_distance(when: datetime) -> float:
    """Distance of Earth and Sun, AU, within 9e-5 (0.017 % in irradiance) of the ephemeris between 1950 and 2050.

    Astronomical Almanac, section C: d = 1.00014 - 0.01671 cos g - 0.00014 cos 2g.
    """
    anomaly = np.radians(357.529 + 0.98560028 * days_since_j2000(when))
    return float(1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly))


def sun_direction(when: datetime, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Array, Array]:
    """Geometric zenith angle and azimuth of the sun, degrees, azimuth clockwise from north, 0 to 360.

    Astronomical Almanac, section C (0.01 degrees in the sun's place, 1950-2050), seen from the ellipsoid's normal;
    no refraction, which the radiative transfer of a top-of-atmosphere reflectance does not want.

    Parameters
    ----------
    when
        Time with a zone.
    lon, lat
        Degrees WGS 84; broadcast.
    """
    days = days_since_j2000(when)
    anomaly = np.radians((357.528 + 0.9856003 * days) % 360.0)
    mean_longitude = 280.460 + 0.9856474 * days
    ecliptic = np.radians((mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly)) % 360.0)
    obliquity = np.radians(23.439 - 0.0000004 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    sidereal_deg = (280.46061837 + 360.98564736629 * days) % 360.0
    hour_angle = np.radians(sidereal_deg + np.asarray(lon, dtype=np.float64)) - right_ascension
    latitude = np.radians(np.asarray(lat, dtype=np.float64))
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(latitude) * np.sin(declination) - np.sin(latitude) * np.cos(declination) * np.cos(hour_angle)
    zenith = np.degrees(np.arctan2(np.hypot(east, north), up))
    azimuth = np.degrees(np.arctan2(east, north)) % 360.0
    return np.asarray(zenith), np.asarray(azimuth)
