"""Composites pixel by pixel, against what sorting, counting and Python's own rounding say of each pixel alone."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from processing.model.qa import Qa
from processing.products.composite import (
    UNCLEAR,
    Method,
    chosen_of,
    count_clear,
    doubts,
    is_clear,
    joined_flags,
    median,
    pick,
)

NODATA = 0
SHAPES = st.tuples(st.integers(0, 7), st.integers(1, 3), st.integers(1, 4))


@st.composite
def stacks(draw):
    """Numbers, flags and whether they are clear, of some observations of a few pixels; equal numbers are likely."""
    shape = draw(SHAPES)
    numbers = draw(hnp.arrays(np.uint16, shape, elements=st.sampled_from([0, 1, 2, 3, 4, 999, 65_534, 65_535])))
    bits = st.sampled_from([0, Qa.SNOW, Qa.CLOUD_NOT_TESTED, Qa.CLOUD, Qa.NODATA, Qa.TERRAIN_SHADOW | Qa.WATER])
    flags = draw(hnp.arrays(np.uint16, shape, elements=bits.map(int)))
    return numbers, flags


def pixels(stack):
    """Place and observations of every pixel."""
    return ((place, stack[(slice(None), *place)].tolist()) for place in np.ndindex(stack.shape[1:]))


@given(stacks())
def test_the_median_is_the_middle_and_of_two_the_mean_rounded_to_even(made):
    numbers, flags = made
    found = median(numbers, is_clear(flags), NODATA)
    assert found.dtype == numbers.dtype
    for place, own in pixels(numbers):
        seen = flags[(slice(None), *place)].tolist()
        valid = sorted(value for value, flag in zip(own, seen, strict=True) if not flag & UNCLEAR and value != NODATA)
        if not valid:
            assert found[place] == NODATA
            continue
        low, high = valid[(len(valid) - 1) // 2], valid[len(valid) // 2]
        assert found[place] == round(Fraction(low + high, 2))


@given(stacks(), st.randoms(use_true_random=False))
def test_the_order_of_observations_does_not_matter_to_median_count_and_flags(made, chance):
    numbers, flags = made
    order = list(range(len(numbers)))
    chance.shuffle(order)
    clear = is_clear(flags)
    assert np.array_equal(median(numbers[order], clear[order], NODATA), median(numbers, clear, NODATA))
    assert np.array_equal(count_clear(clear[order]), count_clear(clear))
    assert np.array_equal(joined_flags(flags[order], clear[order]), joined_flags(flags, clear))


@given(stacks(), st.sampled_from([Method.LATEST, Method.CLEAREST]))
def test_one_observation_is_taken_with_all_that_is_said_of_it(made, method):
    numbers, flags = made
    chosen = chosen_of(flags, is_clear(flags), method)
    taken, said = pick(numbers, chosen, NODATA), pick(flags, chosen, int(Qa.NODATA))
    weights = {Qa.CLOUD_NOT_TESTED: 8, Qa.SHADOW_NOT_TESTED: 4, Qa.TERRAIN_SHADOW: 2, Qa.SNOW: 1}
    for place, own in pixels(numbers):
        seen = flags[(slice(None), *place)].tolist()
        clear = [number for number, flag in enumerate(seen) if not flag & UNCLEAR]
        if not clear:
            assert (chosen[place], taken[place], said[place]) == (-1, NODATA, Qa.NODATA)
            continue
        if method is Method.CLEAREST:
            clear.sort(key=lambda number: sum(weight for bit, weight in weights.items() if seen[number] & bit))
        assert chosen[place] == clear[0]
        assert (taken[place], said[place]) == (own[clear[0]], seen[clear[0]])


@pytest.mark.parametrize("bit", list(Qa))
def test_what_hides_the_ground_is_not_clear_and_what_is_merely_unusual_is(bit):
    """Snow and water are ground; what was not tested for cannot be held against a pixel, only make it second choice."""
    flags = np.array([[int(bit)]], np.uint16)
    hiding = {Qa.NODATA, Qa.SATURATED, Qa.NO_TERRAIN, Qa.OUT_OF_RANGE, Qa.CLOUD, Qa.SHADOW, Qa.OCCLUDED}
    assert bool(is_clear(flags)[0, 0]) == (bit not in hiding)
    doubtful = {Qa.CLOUD_NOT_TESTED, Qa.SHADOW_NOT_TESTED, Qa.TERRAIN_SHADOW, Qa.SNOW}
    assert bool(doubts(flags)[0, 0]) == (bit in doubtful)


def test_signed_numbers_have_a_median_too():
    """Half of an odd sum below zero is rounded to the even one, not towards zero."""
    stack = np.array([[[-7, -3]], [[-4, 0]]], np.int16)
    assert median(stack, np.ones(stack.shape, bool), -32768).tolist() == [[-6, -2]]
