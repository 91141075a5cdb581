"""Who rings when something lies in the landing zone: a look into it begins at once, and not with the next minute.

A look is a flow run, a process of its own; this is a listing of two folders every other second. The schedule stays for
where nobody rings, and for what a bell cannot hear.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from configs.landing import load_landing
from configs.settings import Home
from pipelines.prefect_http import prefect_client
from processing.model.errors import QyranError

FLOW = "watch-landing"
_MOST_FILES = 5_000
"""Of a landing zone with more, the rest is heard when the schedule looks."""
_AT_WORK = ("PENDING", "RUNNING")
_TAG = "bell"
"""Of the runs that were rung for."""


@dataclass(slots=True)
class Bell:
    """Begins a look whenever the landing zone, or what was taken from it, is not as the last look found it.

    Parameters
    ----------
    home
        The installation.
    environment
        ``PREFECT_API_URL`` and ``PREFECT_API_AUTH_STRING``.
    every_s
        How often it listens, at the most.
    """

    home: Home
    environment: Mapping[str, str]
    every_s: float = 2.0
    _heard: frozenset[str] = frozenset()
    """What there was to see when it was rung the last time."""
    _looked: float = 0.0

    def listen(self) -> bool:
        """Ring if there is reason to. Call it every second or so.

        Returns
        -------
        rung
            Whether a look was begun. Where one is at work, or the server does not answer, it is tried again.
        """
        if time.monotonic() - self._looked < self.every_s:
            return False
        self._looked = time.monotonic()
        sounds = self._sounds()
        if sounds <= self._heard:
            self._heard = sounds
            return False
        with suppress(httpx.HTTPError, ValueError, KeyError), prefect_client(self.environment) as client:
            if _ring(client):
                self._heard = sounds
                return True
        return False

    def _sounds(self) -> frozenset[str]:
        """One line for each thing that a look would act on."""
        found = set()
        with suppress(OSError):
            names = [entry.name for entry in os.scandir(self.home.landing)]
            found |= {f"there: {name}" for name in names}
            if names:
                changed = _last_change(self.home.landing)
                # A package without a list of its own is whole when nothing in it has changed for a while. Where the
                # rules are broken a look says so.
                with suppress(QyranError):
                    if time.time() - changed > load_landing(self.home.configs).stable_seconds:
                        found.add(f"quiet since {changed:.6f}")
        for claim in self.home.claimed.glob("*/claim.json"):
            with suppress(OSError, ValueError):
                told = json.loads(claim.read_bytes())
                if (outcome := claim.with_name("outcome.json")).exists():
                    found.add(f"over: {claim.parent.name} {outcome.stat().st_mtime_ns}")
                if told.get("next_try") and datetime.fromisoformat(told["next_try"]) <= datetime.now(UTC):
                    found.add(f"due: {claim.parent.name} {told['next_try']}")
        return frozenset(found)


def _last_change(folder: Path) -> float:
    """When anything below a folder changed, by the kernel's clock; seconds since 1970."""
    latest, seen = 0.0, 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(OSError):
                latest = max(latest, (Path(place) / name).lstat().st_ctime)
            seen += 1
        if seen > _MOST_FILES:
            break
    return latest


def _ring(client: httpx.Client) -> bool:
    """See to it that a look begins. Not while one is at work: it may have looked already where something is new."""
    deployment = _sent(client.get(f"/deployments/name/{FLOW}/{FLOW}"))
    flows = {"name": {"any_": [FLOW]}}
    at_work = {"state": {"type": {"any_": list(_AT_WORK)}}}
    if deployment["paused"] or _sent(client.post("/flow_runs/count", json={"flow_runs": at_work, "flows": flows})):
        return False
    waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": [_TAG]}}
    if not _sent(client.post("/flow_runs/count", json={"flow_runs": waiting, "flows": flows})):
        begun = {"parameters": {"request": {}}, "tags": [_TAG]}
        _sent(client.post(f"/deployments/{deployment['id']}/create_flow_run", json=begun))
    return True


def _sent(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()
