from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from processing.archive.encode import decode, encode, stored_range
from processing.model.errors import Defect
from processing.model.product import Encoding
from tests.archive.synthetic import REFLECTANCE

NDVI = Encoding(title="ndvi", dtype="int16", scale=1e-4, offset=0.0, nodata=-32768)
BYTE = Encoding(title="classes", dtype="uint8", scale=1.0, offset=0.0, nodata=255)


@pytest.mark.parametrize(
    ("encoding", "expected"), [(REFLECTANCE, (1, 65535)), (NDVI, (-32767, 32767)), (BYTE, (0, 254))]
)
def test_nodata_is_no_value(encoding, expected):
    assert stored_range(encoding) == expected


def test_nodata_amid_the_values_is_refused():
    with pytest.raises(Defect) as caught:
        stored_range(BYTE.model_copy(update={"nodata": 7}))
    assert caught.value.kind == "encoding.nodata"


@pytest.mark.parametrize("encoding", [REFLECTANCE, NDVI, BYTE])
def test_every_stored_number_survives_a_round_trip(encoding):
    info = np.iinfo(encoding.dtype)
    stored = np.arange(info.min, info.max + 1).astype(encoding.dtype)
    again, clipped = encode(decode(stored, encoding), encoding)
    np.testing.assert_array_equal(again, stored)
    assert not clipped.any()


@given(
    arrays.arrays(
        np.float32,
        st.integers(1, 40),
        elements=st.floats(-10, 10, width=32) | st.just(np.nan) | st.sampled_from([np.inf, -np.inf]),
    )
)
def test_rounds_half_to_even_and_clips(given_values):
    stored, clipped = encode(given_values, REFLECTANCE)
    for value, number, was_clipped in zip(given_values, stored, clipped, strict=True):
        if np.isnan(value):
            assert number == 0
            assert not was_clipped
        elif np.isinf(value):
            assert number == (65535 if value > 0 else 1)
            assert was_clipped
        else:
            exact = (Decimal(float(value)) + Decimal("0.1")) / Decimal("0.0001")
            rounded = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
            near_tie = abs(exact - int(exact)) - Decimal("0.5")
            assert was_clipped == (not 1 <= rounded <= 65535)
            assert abs(int(number) - min(max(rounded, 1), 65535)) <= (1 if abs(near_tie) < Decimal("1e-9") else 0)


def test_ties_go_to_the_even_number():
    halves = np.array([0.5, 1.5, 2.5, 3.5], np.float32)
    stored, _ = encode(halves, Encoding(title="", dtype="int16", scale=1.0, offset=0.0, nodata=-32768))
    assert stored.tolist() == [0, 2, 2, 4]


def test_decoding_rounds_once():
    stored = np.array([0, 1, 1000, 2345, 65535], np.uint16)
    expected = [np.nan, *(np.float32(n * 1e-4 - 0.1) for n in (1, 1000, 2345, 65535))]
    found = decode(stored, REFLECTANCE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))
