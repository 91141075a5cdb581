"""QA bits: a stable table, described in full."""

import numpy as np
import pytest

from processing.quality.bits import DESCRIPTIONS, UNUSABLE, Qa, percentages


def test_the_table_is_what_archives_already_hold() -> None:
    """Bits are in published products: a change here would change what they say."""
    assert {bit.name: bit.value for bit in Qa} == {
        "NODATA": 1,
        "SATURATED": 2,
        "NO_TERRAIN": 4,
        "OUT_OF_RANGE": 8,
        "CLOUD": 16,
        "SHADOW": 32,
        "SNOW": 64,
        "WATER": 128,
        "TERRAIN_SHADOW": 256,
        "OCCLUDED": 512,
        "CLOUD_NOT_TESTED": 1024,
        "SHADOW_NOT_TESTED": 2048,
        "SNOW_NOT_TESTED": 4096,
        "WATER_NOT_TESTED": 8192,
    }
    assert set(DESCRIPTIONS) == set(Qa)
    assert Qa.NODATA in UNUSABLE
    assert Qa.CLOUD not in UNUSABLE


def test_percentages_count_each_bit() -> None:
    qa = np.zeros((10, 10), dtype=np.uint16)
    qa[:2] = Qa.NODATA | Qa.NO_TERRAIN
    qa[5, 5] = Qa.SATURATED
    found = percentages(qa)
    assert found["nodata"] == found["no_terrain"] == pytest.approx(20.0)
    assert found["saturated"] == pytest.approx(1.0)
    assert found["cloud"] == 0.0
