"""At every change that publishing and cataloguing asks of the filesystem: an error, a dead disk, half a write, death.

After each: nothing of the product can be seen, or all of it; what was acknowledged is there; the next start finishes or
clears away, and says which; then the package given again gives the very bytes of an undisturbed run.
"""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults import plan, syscalls
from tests.faults.counts import COUNTS
from tests.faults.servers import SERVERS
from tests.faults.syscalls import every_call

SCENARIOS = ("new", "again")
FLOOR = 600
"""Of the thousand and more of a session: the other tests of this room add theirs."""
pytestmark = pytest.mark.skipif(not syscalls.available(), reason="this kernel lets no process fail another's calls")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_call_fails_the_archive_keeps_its_promises(servers, scenario):
    counted = servers.ask({"scenario": scenario, "faults": [{"number": 0, "among": sorted(every_call())}]})
    assert counted["outcomes"] == ["done", "done"], counted
    trials = list(plan.trials(scenario, counted["changes"], counted["syncs"]))
    with ThreadPoolExecutor(SERVERS) as pool:
        verdicts = list(pool.map(servers.ask, trials))
    broken = [verdict for verdict in verdicts if _broken(verdict)]
    for verdict in verdicts:
        COUNTS.update(_counts(verdict))
    assert not broken, json.dumps(broken[:3], indent=1)
    hits = sum(len(verdict["hits"]) for verdict in verdicts)
    assert hits >= FLOOR / len(SCENARIOS), f"only {hits} of the faults met a call"


def _broken(verdict: dict) -> bool:
    ends = verdict["outcomes"]
    unexplained = [end for end in ends if end.startswith(("unexpected", "hung"))]
    return bool(verdict["lost"] or verdict["half"] or verdict["after"] or unexplained or ends[-1] != "done")


def _counts(verdict: dict) -> Counter[str]:
    """Into the session's account."""
    found = Counter(f"injected {_kind(hit)}" for hit in verdict["hits"])
    found["lost"] += len(verdict["lost"])
    found["half-visible"] += bool(verdict["half"])
    found["silent"] += any("bytes differ" in text for text in verdict["half"] + verdict["after"])
    found["unrecovered"] += bool(verdict["after"])
    return found


def _kind(hit: str) -> str:
    """``kill``, ``EIO`` and so on: the first word of what is told of a hit."""
    return hit.partition(" ")[0]
