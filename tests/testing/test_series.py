"""Series of small deliveries: as many moments as scenes, all by daylight."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from processing.testing.minimal import LAT, LON
from processing.testing.series import write_series
from processing.testing.sun import sun_direction


def moment_of(document: str) -> datetime:
    found = {name: re.search(rf"<IMAGING_{name}>([^<]*)", document) for name in ("DATE", "TIME")}
    assert all(found.values())
    return datetime.fromisoformat(f"{found['DATE'][1]}T{found['TIME'][1]}").replace(tzinfo=UTC)


def test_every_scene_is_taken_by_daylight_and_long_before_or_after_the_others(tmp_path):
    packages = write_series(tmp_path, 250)
    moments = sorted(moment_of((package / f"{package.name}.dim").read_text()) for package in packages)
    assert min(later - earlier for earlier, later in pairwise(moments)) >= timedelta(minutes=90)
    up = np.array([np.cos(np.radians(LAT)) * np.cos(np.radians(LON)), np.cos(np.radians(LAT)) * np.sin(np.radians(LON)),
                   np.sin(np.radians(LAT))])  # fmt: skip
    for moment in moments:
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        elevation = np.degrees(np.arcsin(sun_direction(midnight, (moment - midnight).total_seconds()) @ up))
        assert elevation > 10, moment
    with pytest.raises(ValueError, match="at most 250"):
        write_series(tmp_path / "more", 251)
