"""A share of the trials of :mod:`tests.faults.kills`: worker, server and a run itself, each killed in mid-scene.

They take minutes, and are run where ``QYRAN_FAULTS`` asks for more; one of them is in tests/pipelines/test_house.py.
"""

import os

import pytest

from tests.faults.kills import drawn, fire


@pytest.mark.services
@pytest.mark.skipif("QYRAN_FAULTS" not in os.environ, reason="minutes of kills: QYRAN_FAULTS=1 asks for them")
@pytest.mark.timeout(900)
def test_no_scene_is_lost_or_doubled(tmp_path):
    outcome = fire(tmp_path, targets=["worker", "server", "flow"], scenes=3, seed=5)
    assert outcome.trials.total() >= 2, outcome
    assert (outcome.lost, outcome.doubled, outcome.silent) == ([], [], []), outcome
    assert outcome.states.total() == 3
    assert outcome.states["COMPLETED Published"] >= 1, outcome


def test_the_lot_draws_every_target():
    assert set(drawn(50, 3)) == {"flow", "worker", "dask", "server", "database", "house"}
    assert drawn(50, 3) == drawn(50, 3)
