"""Who rings when there is something to do: a package landed, an order to deliver, an item that somebody waits for.

A run of a flow is a process of its own and seconds of a processor; listening is two folders and three small databases
every other second. Each flow's schedule stays, for where nobody rings, and for what a bell cannot hear.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from configs.landing import load_landing
from configs.settings import Home
from pipelines.bell_ears import BucketEar, OrderEar, SubscriptionEar
from pipelines.prefect_http import prefect_client
from processing.model.errors import QyranError

log = logging.getLogger(__name__)
_MOST_FILES = 5_000
"""Of a landing zone with more, the rest is heard when the schedule looks."""
_AT_WORK = ("PENDING", "RUNNING")
_ENDED_S = 30.0
"""While others are still processed, ended packages are cleared away together, and not one by one."""
_SUBSCRIBERS_S = 60.0
"""While scenes are published one after the other, subscribers are seen to no more often than that."""
_OVER = "over: "
_TAG = "bell"
"""Of the runs that were rung for."""


@dataclass(slots=True, kw_only=True)
class _Cord:
    """One flow, and what there is to hear that it would act on."""

    flow: str
    sounds: Callable[[], frozenset[str]]
    least_s: float = 0.0
    """Between two runs that are rung for, where what is new can wait."""
    can_wait: Callable[[frozenset[str]], bool] = lambda _: True
    """Whether what is new can wait for others."""
    beside: bool = False
    """Whether a run may begin while another is at work."""
    heard: frozenset[str] = frozenset()
    """What there was to hear when it was rung the last time."""
    rung: float = float("-inf")


@dataclass(slots=True)
class Bell:
    """Begins a run whenever there is something that a flow would act on, and it was not there the last time.

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
    _looked: float = float("-inf")
    _cords: tuple[_Cord, ...] = ()
    _at_work: bool = False
    """Whether a claimed package is still being processed, or waits for its turn."""

    def __post_init__(self) -> None:
        """Hang up its cords."""
        bucket = BucketEar(self.home)
        self._cords = (
            _Cord(
                flow="watch-landing",
                sounds=lambda: self._landing() | bucket.sounds(),
                least_s=_ENDED_S,
                can_wait=self._others_follow,
            ),
            _Cord(flow="deliver-order", sounds=OrderEar(self.home).sounds, beside=True),
            _Cord(flow="serve-subscriptions", sounds=SubscriptionEar(self.home).sounds, least_s=_SUBSCRIBERS_S),
        )

    def listen(self) -> bool:
        """Ring if there is reason to. Call it every second or so.

        Returns
        -------
        rung
            Whether a run was begun. Where one is at work, or the server does not answer, it is tried again.
        """
        if time.monotonic() - self._looked < self.every_s:
            return False
        self._looked = time.monotonic()
        rung = [self._pull(cord) for cord in self._cords]
        return any(rung)

    def _pull(self, cord: _Cord) -> bool:
        try:
            sounds = cord.sounds()
        except (QyranError, sqlite3.Error, OSError) as error:
            log.warning("what %s is to do cannot be heard now: %s", cord.flow, error)
            return False
        if sounds <= cord.heard:
            cord.heard = sounds
            return False
        if time.monotonic() - cord.rung < cord.least_s and cord.can_wait(sounds - cord.heard):
            return False
        with suppress(httpx.HTTPError, ValueError, KeyError), prefect_client(self.environment) as client:
            if _ring(client, cord.flow, beside=cord.beside):
                cord.heard, cord.rung = sounds, time.monotonic()
                return True
        return False

    def _others_follow(self, new: frozenset[str]) -> bool:
        return self._at_work and all(line.startswith(_OVER) for line in new)

    def _landing(self) -> frozenset[str]:
        """One line for each thing that a look would act on."""
        found, self._at_work = set(), False
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
                    found.add(f"{_OVER}{claim.parent.name} {outcome.stat().st_mtime_ns}")
                elif not told.get("next_try"):
                    self._at_work = True
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


def _ring(client: httpx.Client, flow: str, *, beside: bool) -> bool:
    """See to it that a run begins. Not while one is at work: it may have looked already where something is new."""
    deployment = _sent(client.get(f"/deployments/name/{flow}/{flow}"))
    flows = {"name": {"any_": [flow]}}
    at_work = {"state": {"type": {"any_": list(_AT_WORK)}}}
    if deployment["paused"]:
        return False
    if not beside and _sent(client.post("/flow_runs/count", json={"flow_runs": at_work, "flows": flows})):
        return False
    waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": [_TAG]}}
    if not _sent(client.post("/flow_runs/count", json={"flow_runs": waiting, "flows": flows})):
        begun = {"parameters": {"request": {}}, "tags": [_TAG]}
        _sent(client.post(f"/deployments/{deployment['id']}/create_flow_run", json=begun))
    return True


def _sent(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()
