"""The orbit and the sun against published values."""

from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pytest
from pyproj import Transformer

from processing.testing.orbit import (
    KAZEOSAT_1,
    KAZEOSAT_2,
    TwoLineElements,
    earth_fixed_states,
    greenwich_sidereal_angle,
    passes_over,
)
from processing.testing.sun import local_angles, sun_direction, sun_distance_au

DAY = datetime(2026, 4, 24, tzinfo=UTC)


def test_sidereal_angle_of_vallados_example() -> None:
    # Vallado, 4th ed., example 3-5: 1992-08-20 12:14 UT1, GMST 152.578787810 degrees.
    angle = np.rad2deg(greenwich_sidereal_angle(datetime(1992, 8, 20, tzinfo=UTC), 12 * 3600 + 14 * 60))
    assert angle == pytest.approx(152.578787810, abs=1e-6)


def _equator_crossing(tle: TwoLineElements, *, ascending: bool) -> tuple[float, float]:
    """Local mean solar time (h) of a crossing of the equator, and the altitude there (km)."""
    seconds = np.arange(0.0, 7000.0, 1.0)
    position, velocity = earth_fixed_states(tle, DAY, seconds)
    z = position[:, 2]
    crossing = np.flatnonzero((z[:-1] * z[1:] < 0) & ((velocity[:-1, 2] > 0) == ascending))[0]
    lon, _, height = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True).transform(*position[crossing])
    return (seconds[crossing] / 3600 + lon / 15) % 24, height / 1000


@pytest.mark.parametrize(
    ("tle", "ascending", "local_time", "altitude_km"),
    [(KAZEOSAT_1, False, 10 + 22 / 60, 751.7), (KAZEOSAT_2, True, 6 + 57 / 60, 612.0)],
)
def test_local_time_and_altitude_known_from_the_elements(
    tle: TwoLineElements, ascending: bool, local_time: float, altitude_km: float
) -> None:
    found_time, found_altitude = _equator_crossing(tle, ascending=ascending)
    assert found_time == pytest.approx(local_time, abs=3 / 60)
    # The published altitude is the mean one; the orbit is nearly circular, the Earth is not a sphere.
    assert found_altitude == pytest.approx(altitude_km, abs=12)


def test_velocity_is_the_derivative_of_the_position() -> None:
    position, velocity = earth_fixed_states(KAZEOSAT_1, DAY, [999.5, 1000.0, 1000.5])
    np.testing.assert_allclose(position[2] - position[0], velocity[1], atol=0.01)


def test_passes_see_the_target_by_day_at_the_angles_asked_for() -> None:
    target = (77.0, 43.1, 1000.0)
    passes = passes_over(KAZEOSAT_1, target, ascending=False, off_nadir_deg=(6, 15), min_sun_elevation_deg=30)
    for event in islice(passes, 3):
        position, velocity = earth_fixed_states(KAZEOSAT_1, event.day, event.seconds)
        ground = np.array(Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(*target))
        look = ground - position[0]
        assert abs(look @ velocity[0]) / np.linalg.norm(look) / np.linalg.norm(velocity[0]) < 1e-6
        off_nadir = np.rad2deg(np.arccos(-look @ position[0] / np.linalg.norm(look) / np.linalg.norm(position[0])))
        assert off_nadir == pytest.approx(abs(event.off_nadir_deg), abs=1e-3)
        assert 6 <= off_nadir <= 15
        assert event.sun_elevation_deg >= 30


def test_sun_of_the_spa_example() -> None:
    # Reda and Andreas (2004), NREL/TP-560-34302, section A.5 (topocentric, refraction and parallax below 0.02 deg).
    direction = sun_direction(datetime(2003, 10, 17, tzinfo=UTC), 19 * 3600 + 30 * 60 + 30)
    zenith, azimuth = local_angles(direction, -105.1786, 39.742476)
    assert zenith == pytest.approx(50.11162, abs=0.02)
    assert azimuth == pytest.approx(194.34024, abs=0.02)


@pytest.mark.parametrize(
    ("moment", "distance"),
    [(datetime(2024, 1, 3, 0, 38, tzinfo=UTC), 0.9833070), (datetime(2024, 7, 5, 5, 6, tzinfo=UTC), 1.0167255)],
)
def test_distance_at_perihelion_and_aphelion(moment: datetime, distance: float) -> None:
    midnight = moment.replace(hour=0, minute=0)
    assert sun_distance_au(midnight, (moment - midnight).total_seconds()) == pytest.approx(distance, abs=1e-4)
