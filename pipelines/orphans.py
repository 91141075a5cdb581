"""Runs whose process is gone: seen, and taken up again or ended with a reason. None says for ever that it runs.

A flow run is a process of its own, which names its run in its environment. A run that claims to run, and that no
process of this machine works at, was cut off: by a kill, a crash, a power cut. What was cut off is run again as what
it is, the same run: all flows may be run twice, and do nothing the second time that is done. One that is cut off again
and again is ended: what kills a machine must not do so for ever.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from pipelines.prefect_http import prefect_client
from processing.archive import durable

MOST_STARTS = 3
"""How often a run is begun at the most."""
GRACE_S = 20.0
"""A process that has ended may have told how a moment ago; one that is to start may not be there yet."""
PENDING_GRACE_S = 180.0
"""A busy worker takes its time between taking a run and starting it."""
ORPHAN = "Its process was gone: the machine, the worker or the process was stopped"
_CLAIMED = ("RUNNING", "PENDING", "CANCELLING")
_SCHEDULED_ALONE = frozenset({"watch-landing", "keep-archive"})
"""Flows that a schedule begins again anyway."""
_CRASHED_S = 900.0
"""What crashed longer ago has been seen by people, who may have begun it anew."""
_DIED = ("Process exited", "Flow run infrastructure exited", "Execution was aborted by Python system exit call")
"""How Prefect tells of a process that died, or that ended itself when its worker was gone; a flow that raised is
``Failed``."""
_LANDING = "landing"
_VARIABLE = b"PREFECT__FLOW_RUN_ID="
_PAGE = 200


def runs_alive() -> frozenset[str]:
    """Ids of the flow runs that processes of this machine work at."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                for pair in (entry / "environ").read_bytes().split(b"\0"):
                    if pair.startswith(_VARIABLE):
                        found.add(pair.removeprefix(_VARIABLE).decode("ascii", "replace"))
    return frozenset(found)


@dataclass(slots=True)
class Orphans:
    """Looks at a Prefect server's runs, again and again.

    Parameters
    ----------
    environment
        ``PREFECT_API_URL`` and ``PREFECT_API_AUTH_STRING``.
    ledger
        Where other machines run flows of the same server: the file in which this one keeps the ids of the runs that it
        has seen at work here. Only those are looked after then; Prefect itself does not say where a run runs.
    """

    environment: Mapping[str, str]
    ledger: Path | None = None
    _since: dict[str, float] = field(default_factory=dict)
    """When a run was first seen without a process."""
    _resumed: Counter[str] = field(default_factory=Counter)
    """How often a run that Prefect called crashed was taken up again: one that never begins counts no starts."""

    def settle(self, *, at_once: bool = False) -> list[str]:
        """Take up or end every run that is an orphan by now.

        Parameters
        ----------
        at_once
            Without waiting whether its process still comes: no worker runs yet.

        Returns
        -------
        lines
            What was done, in words. Nothing where the server does not answer: it is asked again.
        """
        try:
            with prefect_client(self.environment) as client:
                return self._settled(client, at_once=at_once)
        except (httpx.HTTPError, ValueError, KeyError):
            return []

    def _settled(self, client: httpx.Client, *, at_once: bool) -> list[str]:
        claimed = _claimed(client)
        alive = runs_alive()
        ours = self._ours(claimed, alive)
        now, gone = monotonic(), {}
        for run in claimed:
            if run["id"] not in alive and run["id"] in ours:
                gone[run["id"]] = run
        self._since = {name: self._since.get(name, now) for name in gone}
        told = []
        for name, run in gone.items():
            grace = PENDING_GRACE_S if run["state"]["type"] == "PENDING" else GRACE_S
            if at_once or now - self._since[name] >= grace:
                told.append(_settle(client, run))
        return told + [_resume(client, run) for run in self._crashed(client)]

    def _crashed(self, client: httpx.Client) -> Iterator[dict[str, Any]]:
        """Runs whose process the worker saw die a moment ago, by a kill or for want of a server, that may go on.

        What came from the landing zone is left to the one who watches that: it keeps a count of its own.
        """
        since = datetime.now(UTC) - timedelta(seconds=_CRASHED_S)
        asked = {"state": {"type": {"any_": ["CRASHED"]}}, "end_time": {"after_": since.isoformat()}}
        for run in _runs(client, asked):
            starts = max(int(run.get("run_count") or 0), self._resumed[run["id"]] + 1)
            died = str(run["state"].get("message") or "").startswith(_DIED)
            if (
                died
                and starts < MOST_STARTS
                and _LANDING not in run.get("tags", ())
                and _flow_name(client, run) not in _SCHEDULED_ALONE
                and not run.get("auto_scheduled")
            ):
                self._resumed[run["id"]] += 1
                yield run

    def _ours(self, claimed: list[dict[str, Any]], alive: frozenset[str]) -> frozenset[str]:
        """Ids of the runs that this machine answers for."""
        ids = frozenset(run["id"] for run in claimed)
        if self.ledger is None:
            return ids
        known: frozenset[str] = frozenset()
        with suppress(OSError):
            known = frozenset(self.ledger.read_text().split())
        ours = (known | alive) & ids
        if ours != known:
            durable.write_file(self.ledger, ("\n".join(sorted(ours)) + "\n").encode())
        return ours


def _claimed(client: httpx.Client) -> list[dict[str, Any]]:
    """Runs that claim to run."""
    return _runs(client, {"state": {"type": {"any_": list(_CLAIMED)}}})


def _runs(client: httpx.Client, those: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Deployment runs. Those of the command line have their process elsewhere, those of a flow their caller's."""
    whole = {"deployment_id": {"is_null_": False}, "parent_task_run_id": {"is_null_": True}}
    asked = {"flow_runs": {**those, **whole}, "sort": "ID_DESC", "limit": _PAGE}
    found: list[dict[str, Any]] = []
    while True:
        answer = client.post("/flow_runs/filter", json={**asked, "offset": len(found)})
        answer.raise_for_status()
        page = answer.json()
        found += page
        if len(page) < _PAGE:
            return found


def _settle(client: httpx.Client, run: Mapping[str, Any]) -> str:
    """Give a run the state that is true of it, and say which."""
    kind, starts = run["state"]["type"], int(run.get("run_count") or 0)
    name = f"run {run['name']}"
    if kind == "CANCELLING":
        state, done = {"type": "CANCELLED", "name": "Cancelled", "message": f"{ORPHAN} while it was cancelled"}, "ended"
    elif kind == "RUNNING" and _flow_name(client, run) in _SCHEDULED_ALONE:
        state, done = (
            {"type": "CRASHED", "name": "Crashed", "message": f"{ORPHAN}. Its schedule begins another"},
            "ended",
        )
    elif kind == "RUNNING" and starts >= MOST_STARTS:
        words = f"{ORPHAN}, for the {starts}th time: it is not begun again"
        state, done = {"type": "CRASHED", "name": "Crashed", "message": words}, "given up"
    else:
        return _resume(client, run)
    _set(client, run, state)
    return f"{name} was cut off: {done}"


def _resume(client: httpx.Client, run: Mapping[str, Any]) -> str:
    _set(client, run, {"type": "SCHEDULED", "name": "Resuming", "message": f"{ORPHAN}. It is taken up again"})
    return f"run {run['name']} was cut off: taken up again"


def _set(client: httpx.Client, run: Mapping[str, Any], state: Mapping[str, str]) -> None:
    answer = client.post(f"/flow_runs/{run['id']}/set_state", json={"state": state, "force": True})
    answer.raise_for_status()


def _flow_name(client: httpx.Client, run: Mapping[str, Any]) -> str:
    answer = client.get(f"/flows/{run['flow_id']}")
    answer.raise_for_status()
    return str(answer.json()["name"])
