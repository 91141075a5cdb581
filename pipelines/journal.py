"""What happens in an installation, as events: lines of JSON in ``HOME/logs/events.jsonl``, and events of Prefect.

Automations, figures and the page of the day are made of them. An event never makes a run fail: where it cannot be
written, the log says so and work goes on. What must not be lost (who was given what) belongs in the audit log.
"""

import fcntl
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from configs.settings import Home
from pipelines.journal_http import ask_prefect, prefect_url

log = logging.getLogger(__name__)

EVENTS: Mapping[str, str] = {
    "scene.landed": "A package lies whole in the landing zone.",
    "scene.published": "A package became catalogued products.",
    "scene.held": "A package waits for something that an operator can supply, or for an operator's decision.",
    "scene.accepted": "An operator let a held scene go on.",
    "scene.rejected": "A package is sound, but no product can or may be made from it.",
    "scene.quarantined": "A package is damaged, incomplete, unknown or hostile, and was set aside.",
    "scene.failed": "A run ended by a fault of ours or of the machine.",
    "scene.updated": "A catalogued item has a new version: made again with later data, settings or software.",
    "scene.upgraded": "A better delivery of a scene, such as the final one after a near-real-time one, took its place.",
    "order.delivered": "An order's package is ready for its customer.",
    "subscriptions.served": "Items were ordered for subscribers, new versions announced, or notices given up.",
    "pass.planned": "A pass has a run that will wait for its deliveries.",
    "pass.moved": "Newer elements moved a planned pass; its run was moved with it.",
    "pass.cancelled": "Newer elements know a planned pass no more; its run was cancelled.",
    "pass.started": "The run of a pass waits for its deliveries.",
    "pass.complete": "All deliveries that a pass was expected to bring are processed.",
    "pass.gap": "A pass brought less than was expected, and is waited for no longer.",
    "pass.late": "A delivery came after its pass was closed with a gap.",
    "pass.upgraded": "Products of a pass were replaced by those of better deliveries of the same scenes.",
    "tle.stale": "Two-line elements are older than predictions should rest on.",
    "disk.low": "Less room is left on the installation's disk than the operator set.",
    "disk.recovered": "There is room again.",
    "queue.long": "Packages wait longer, or more of them wait, than the operator set.",
    "queue.recovered": "The queue is short again.",
}
"""Every kind of event and what it says. In Prefect the kind follows ``qyran.``."""

FILE = "events.jsonl"
ROTATE_BYTES = 10_000_000
KEPT = 9
"""Earlier files, ``events.jsonl.1`` being the latest of them."""


def record_event(home: Home, kind: str, scene: str | None = None, **facts: Any) -> None:
    """Tell that something happened. Never raises.

    Parameters
    ----------
    home
        The installation.
    kind
        One of :data:`EVENTS`.
    scene
        What it happened to: a product's id, or a package's name while it has none.
    facts
        Whatever else there is to say, as JSON; what JSON does not know is told by its ``str``.
    """
    try:
        line = json.dumps(
            {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, "scene": scene} | facts,
            ensure_ascii=False,
            default=str,
        )
        _append(home.logs, line.encode() + b"\n")
    except (OSError, ValueError, TypeError) as error:
        log.warning("event %s could not be written: %s", kind, error)
    _tell_prefect(kind, scene, facts)


def read_events(home: Home, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Events in the order in which they were written. A line that a crash cut short is left out.

    Parameters
    ----------
    since
        Leave out what happened earlier.
    """
    earliest = "" if since is None else since.astimezone(UTC).isoformat(timespec="milliseconds")
    paths = [home.logs / f"{FILE}.{number}" for number in range(KEPT, 0, -1)] + [home.logs / FILE]
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and str(event.get("time", "")) >= earliest:
                yield event


def _append(folder: Path, line: bytes) -> None:
    """One write at the end of the file, under a lock: several processes write, and one of them may rotate.

    What a power cut left of a line keeps a line of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{FILE}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / FILE
        if path.exists() and path.stat().st_size + len(line) > ROTATE_BYTES:
            for number in range(KEPT, 1, -1):
                older = folder / f"{FILE}.{number - 1}"
                if older.exists():
                    older.replace(folder / f"{FILE}.{number}")
            path.replace(folder / f"{FILE}.1")
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, b"\n" * torn + line)
        finally:
            os.close(handle)


def _tell_prefect(kind: str, scene: str | None, facts: Mapping[str, Any]) -> None:
    """Hand an event to a server that runs; a temporary one has no automations, and would be started for it.

    Where Prefect is loaded, its own client sends it, and adds the run that it belongs to.
    """
    if prefect_url() is None:
        return
    try:
        about, name = kind.split(".", maxsplit=1)[0], scene or str(facts.get("name", "installation"))
        resource = {"prefect.resource.id": f"qyran.{about}.{name}", "prefect.resource.name": name}
        payload = json.loads(json.dumps({"scene": scene, **facts}, default=str))
        if "prefect" in sys.modules:
            from prefect.events import emit_event

            emit_event(event=f"qyran.{kind}", resource=resource, payload=payload)
        else:
            event = {"event": f"qyran.{kind}", "resource": resource, "payload": payload, "id": str(uuid4())}
            ask_prefect("/events", [event | {"occurred": datetime.now(UTC).isoformat()}])
    except Exception as error:  # noqa: BLE001 - whatever Prefect lacks, the work it tells of is done
        log.warning("event %s did not reach Prefect: %s", kind, error)
