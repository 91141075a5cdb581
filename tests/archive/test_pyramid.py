from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from processing.archive.pyramid import halve, halve_qa, level_geoboxes
from tests.archive.synthetic import geobox

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def fours(array, row, column):
    return array[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("int16", -32768)])
def test_mean_of_the_valid_ones(dtype, nodata):
    info = np.iinfo(dtype)

    @given(arrays.arrays(dtype, SHAPES, elements=st.integers(info.min, info.max) | st.just(nodata)))
    def check(stored):
        halved = halve(stored, nodata)
        assert halved.dtype == stored.dtype
        assert halved.shape == tuple((length + 1) // 2 for length in stored.shape)
        for place in np.ndindex(halved.shape):
            valid = [value for value in fours(stored, *place) if value != nodata]
            expected = round(Fraction(sum(valid), len(valid))) if valid else nodata  # round() is half to even
            assert halved[place] == expected

    check()


@given(arrays.arrays("uint16", SHAPES, elements=st.integers(0, 65535)))
def test_flags_are_gathered(qa):
    halved = halve_qa(qa)
    for place in np.ndindex(halved.shape):
        assert halved[place] == np.bitwise_or.reduce(fours(qa, *place))


def test_levels_share_a_corner_and_double_their_pixels():
    boxes = level_geoboxes(geobox((1101, 2403), 2.0))
    assert [tuple(box.shape) for box in boxes] == [(1101, 2403), (551, 1202), (276, 601), (138, 301)]
    assert [box.affine.a for box in boxes] == [2.0, 4.0, 8.0, 16.0]
    assert {(box.affine.c, box.affine.f) for box in boxes} == {(650_000.0, 4_800_000.0)}
