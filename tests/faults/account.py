"""The account of one run of the tests, over all processes it took: what was injected, and what came of it.

``QYRAN_MIN_FAULTS``
    So many faults at least must have been injected, and no promise broken; else the run fails whatever its tests say.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.counts import COUNTS

BROKEN = ("lost", "half-visible", "silent", "unrecovered")
_KEY = "faults"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process of xdist's has counted."""
    COUNTS.update(getattr(node, "workeroutput", {}).get(_KEY, {}))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the account on, or hold it against what was asked for."""
    handed = getattr(session.config, "workeroutput", None)
    if handed is not None:
        handed[_KEY] = dict(COUNTS)
    elif missing(COUNTS) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was done to the archive in this run, and what came of it."""
    if COUNTS or missing(COUNTS):
        terminalreporter.write_sep("-", "faults")
        for line in (*summary(COUNTS), *missing(COUNTS)):
            terminalreporter.write_line(line)


def injected(counts: Counter[str]) -> dict[str, int]:
    """How many faults of which kind."""
    return {
        name.removeprefix("injected "): count
        for name, count in sorted(counts.items())
        if name.startswith("injected ") and count
    }


def missing(counts: Counter[str]) -> tuple[str, ...]:
    """What the run does not show that it was asked to show."""
    floor, total = int(os.environ.get("QYRAN_MIN_FAULTS", "0")), sum(injected(counts).values())
    few = (f"FAILED: {total} faults injected, {floor} asked for",) if total < floor else ()
    broken = tuple(f"FAILED: {counts[name]} {name}" for name in BROKEN if counts[name])
    return few + broken


def summary(counts: Counter[str]) -> Iterator[str]:
    """Lines for a person: how many faults of which kind, and the promises that were broken."""
    kinds = injected(counts)
    yield f"{sum(kinds.values())} faults injected: " + ", ".join(f"{count} {name}" for name, count in kinds.items())
    yield (
        f"{counts['lost']} acknowledged products lost, {counts['half-visible']} half-visible, "
        f"{counts['silent']} silent corruptions, {counts['unrecovered']} restarts that did not settle everything"
    )
