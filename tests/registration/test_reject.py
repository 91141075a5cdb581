"""Blunders among displacements: what belongs together is kept, however many do not."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.registration.reject import consistent, densest

Array = npt.NDArray[np.float64]


def _blundering(seed: int, blunders: float, slope: float) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Positions, displacements by a plane with noise, and which of them are wrong."""
    random = np.random.default_rng(seed)
    position = random.uniform(0, 4000, (120, 2))
    displacement = np.array([3.0, -7.0]) + slope * position + random.normal(0, 0.1, (120, 2))
    wrong = random.permutation(120)[: int(blunders * 120)]
    displacement[wrong] += random.uniform(3, 40, (len(wrong), 2)) * random.choice([-1, 1], (len(wrong), 2))
    return position, displacement, wrong


@given(st.integers(0, 1000), st.floats(0.0, 0.55), st.floats(-5e-4, 5e-4))
def test_a_plane_is_found_under_blunders(seed: int, blunders: float, slope: float) -> None:
    position, displacement, wrong = _blundering(seed, blunders, slope)
    kept = consistent(position, displacement, 1.0)
    assert not kept[wrong].any()
    # One good point in 460 lies beyond the cut by chance: five of some sixty never.
    assert np.delete(~kept, wrong).sum() <= 4


def test_good_points_at_the_edges_come_back() -> None:
    """A plane through three noisy points misses the far corners by more than the threshold."""
    lost, good = 0, 0
    for seed in range(60):
        position, displacement, wrong = _blundering(seed, 0.55, 5e-4)
        kept = consistent(position, displacement, 0.35)
        lost += int(np.delete(~kept, wrong).sum())
        good += len(position) - len(wrong)
    assert lost / good < 0.01


def test_points_in_a_row_and_too_few_are_told() -> None:
    row = np.column_stack([np.arange(10.0), np.arange(10.0)])
    same = np.tile([1.0, 2.0], (10, 1))
    same[3] += 5.0
    assert list(np.flatnonzero(~consistent(row, same, 0.5))) == [3]
    assert not consistent(row[:3], same[:3], 0.5).any()


def test_the_densest_is_what_chance_does_not_bring_together() -> None:
    random = np.random.default_rng(1)
    scattered = random.uniform(-50, 50, (40, 2))
    scattered[:9] = np.array([12.0, -30.0]) + random.normal(0, 0.4, (9, 2))
    together = densest(scattered, 2.0)
    assert together[:9].all()
    assert together.sum() <= 10
    assert np.median(scattered[together], axis=0) == pytest.approx((12.0, -30.0), abs=0.5)
    assert len(densest(np.zeros((0, 2)), 2.0)) == 0
