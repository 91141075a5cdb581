"""Our sun against the sun that operators' ground segments wrote into their products."""

from pathlib import Path

import numpy as np
import pytest

from configs.registry import load_registry
from processing.radiometry.sun import sun_direction
from processing.readers.find import open_delivery

pytestmark = pytest.mark.realdata


@pytest.mark.parametrize(
    ("package", "zenith_deg", "azimuth_deg"),
    [
        ("ESA/SENTINEL-2", 0.02, 0.02),
        ("DMC/Alsat-1B", 0.03, 0.03),
        # Angles to 0.1 degree, for another point of the scene than its centre.
        ("AIRBUS/PERUSAT", 0.1, 1.5),
    ],
)
def test_time_and_place_give_the_stated_angles(
    realdata: Path, package: str, zenith_deg: float, azimuth_deg: float
) -> None:
    delivery = open_delivery(realdata / "terradue-stars" / package, sensors=load_registry().sensors, pixels=False)
    for scene in delivery.scenes:
        zenith, azimuth = sun_direction(scene.acquired, *np.mean(scene.footprint, axis=0))
        assert float(zenith) == pytest.approx(scene.angles.sun_zenith_deg, abs=zenith_deg)
        assert float(azimuth) == pytest.approx(scene.angles.sun_azimuth_deg, abs=azimuth_deg)
