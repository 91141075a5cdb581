"""Which faults are tried: every change that a run asks for is a place, and at each place something else goes wrong.

``QYRAN_FAULTS=N`` tries N trials a scenario instead of CI's number, ``QYRAN_FAULTS=all`` every effect at every place.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from typing import Any

from tests.faults.syscalls import SYNCS, WRITES, every_call

Trial = dict[str, Any]

Effect = tuple[str, int, frozenset[str] | None]

EFFECTS: tuple[Effect, ...] = (
    ("kill", 0, None),
    ("error", errno.EIO, None),
    ("dead", errno.ENOSPC, None),
    ("error", errno.ENOSPC, None),
    ("kill", 0, None),
    ("dead", errno.EROFS, None),
    ("error", errno.EMFILE, frozenset({"openat", "open"})),
)
"""What goes wrong, and among which calls it is counted; None: all of them."""
HALVED: Effect = ("short", 0, frozenset(WRITES))
"""Half of what was to be written is written, and said to be: nothing need fail, and nothing may be missing."""
IN_CI = 78
"""Trials a scenario."""
TURNS = 6
"""Runs of one trial that are disturbed, one after the other: restarts are disturbed too."""


def trials(scenario: str, changes: int, syncs: int) -> Iterator[Trial]:
    """Trials over a run that asks for ``changes`` changes, ``syncs`` of them being calls that make things durable.

    Each trial has as many faults as runs. The first one's place goes through the whole run, those of the others are
    strewn over it, the same on every machine.
    """
    for number in range(1, syncs + 1):
        yield _trial(scenario, [("error", errno.EIO, frozenset(SYNCS), number)])
        yield _trial(scenario, [("dead", errno.EIO, frozenset(SYNCS), number)])
    asked = os.environ.get("QYRAN_FAULTS", "")
    if asked == "all":
        for place in range(1, changes + 1):
            for effect in (*EFFECTS, HALVED):
                yield _trial(scenario, [(*effect, place)])
        return
    count = int(asked or IN_CI)
    for number in range(count):
        faults = []
        for turn in range(TURNS - 1):
            effect = EFFECTS[(number + 3 * turn) % len(EFFECTS)]
            place = 1 + (number * changes // count if turn == 0 else (number * 7919 + turn * 104_729) % changes)
            faults.append((*effect, place))
        yield _trial(scenario, [*faults, (*HALVED, 1 + number * 31 % (changes // 4))])


def _trial(scenario: str, faults: Sequence[tuple[str, int, frozenset[str] | None, int]]) -> Trial:
    return {
        "scenario": scenario,
        "faults": [
            {"effect": effect, "error": error, "among": sorted(among or every_call()), "number": number}
            for effect, error, among, number in faults
        ],
    }
