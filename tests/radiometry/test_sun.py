"""The sun against the Astronomical Almanac's own dates and against astropy's ephemeris."""

from datetime import UTC, datetime

import numpy as np
import pytest

from processing.model.errors import Defect
from processing.radiometry.sun import earth_sun_distance, sun_direction

# astropy 7 get_sun (ERFA), AltAz without refraction, on the ellipsoid: zenith, azimuth, distance.
EPHEMERIS = [
    ("2018-04-29T07:05:43+00:00", 71.0, 51.0, 36.5636, 176.8867, 1.0069810),
    ("2016-01-15T05:10:00+00:00", 76.9, 43.2, 69.3398, 152.2305, 0.9836197),
    ("2020-07-20T06:00:00+00:00", 63.3, 46.0, 34.3809, 128.1779, 1.0161853),
    ("2024-12-21T04:30:00+00:00", 82.6, 49.9, 77.8541, 152.5355, 0.9837432),
    ("2013-08-05T10:42:19+00:00", 5.3, 44.2, 30.3489, 149.3491, 1.0143997),
    ("2010-03-20T08:00:00+00:00", 24.4, -33.7, 48.5746, 54.2579, 0.9958383),
]


@pytest.mark.parametrize(
    ("when", "expected"),
    [("2024-01-03T00:38:00+00:00", 0.9833070), ("2024-07-05T05:06:00+00:00", 1.0167255)],
)
def test_distance_at_perihelion_and_aphelion(when: str, expected: float) -> None:
    assert earth_sun_distance(datetime.fromisoformat(when)) == pytest.approx(expected, abs=9e-5)


@pytest.mark.parametrize(("when", "lon", "lat", "zenith", "azimuth", "distance"), EPHEMERIS)
def test_agrees_with_the_ephemeris(
    when: str, lon: float, lat: float, zenith: float, azimuth: float, distance: float
) -> None:
    time = datetime.fromisoformat(when)
    ours_zenith, ours_azimuth = sun_direction(time, lon, lat)
    assert float(ours_zenith) == pytest.approx(zenith, abs=0.02)
    assert float(ours_azimuth) == pytest.approx(azimuth, abs=0.03)
    assert earth_sun_distance(time) == pytest.approx(distance, abs=9e-5)


def test_sun_below_the_horizon_is_said_so_and_arrays_broadcast() -> None:
    zenith, azimuth = sun_direction(datetime(2020, 6, 21, 18, tzinfo=UTC), np.array([[70.0], [-110.0]]), [40.0, 50.0])
    assert zenith.shape == azimuth.shape == (2, 2)
    assert (zenith[0] > 90).all()
    assert (zenith[1] < 60).all()
    assert ((azimuth >= 0) & (azimuth < 360)).all()


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(Defect, match="without a zone"):
        earth_sun_distance(datetime(2020, 1, 1))  # noqa: DTZ001
