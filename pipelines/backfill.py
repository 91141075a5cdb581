"""An archive of deliveries through the queue: resumable, behind whatever is urgent, and paused at a word.

Every package has a key made of its files' names, sizes and times: asked for again, it is the same run. So a backfill
that was stopped, on either side, goes on where it was when it is started again.
"""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from configs.settings import Home
from pipelines.limits import BACKGROUND
from pipelines.observe import Report
from pipelines.prefect_env import WORK_POOL, prepare_prefect, running_server
from pipelines.requests import SceneRequest
from processing.model.errors import BadInput
from processing.readers.unpack import is_archive

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

AHEAD = 24
"""Runs that wait or run at a time: enough for any number of workers, few enough for the pages of the UI."""
TAG = "backfill"
_DEPLOYMENT = "process-scene/process-scene"
_LOOK_S = 2.0
_IMAGES = (".tif", ".tiff", ".jp2")


class Backfilled(BaseModel):
    """What became of one package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    run: str
    state: str
    """Name of the run's final state: ``Published``, ``Held``, ``Quarantined``, ``Failed``, ``Crashed`` ..."""
    message: str = ""


def packages_in(folder: Path) -> list[Path]:
    """What lies in a folder and may be a package, by name: folders, archives, images. Hidden files are none.

    Raises
    ------
    BadInput
        ``backfill.empty`` if there is none.
    """
    found = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in _IMAGES or is_archive(path))
    ]
    if not found:
        raise BadInput("there is no package in it", kind="backfill.empty", where=str(folder))
    return found


def key_of(package: Path) -> str:
    """The same for the same files; no byte of them is read."""
    digest = hashlib.sha256(str(package.resolve()).encode())
    paths = sorted(path for path in package.rglob("*") if path.is_file()) if package.is_dir() else [package]
    for path in paths:
        facts = path.stat()
        digest.update(f"{path.relative_to(package.parent)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return f"backfill-{digest.hexdigest()[:32]}"


def backfill(
    home: Home, packages: Sequence[Path], *, request: SceneRequest, again: bool = False, report: Report | None = None
) -> Iterator[Backfilled]:
    """Send packages through the queue of ``qyran up``, and tell of each as it ends.

    Parameters
    ----------
    request
        What is asked for each; its ``package`` is replaced.
    again
        Begin anew what failed or crashed in an earlier backfill.
    report
        Called with (done, total, what).

    Raises
    ------
    BadInput
        ``up.not_running`` where no Prefect server runs on this HOME.
    """
    _connect(home)
    from prefect.client.orchestration import get_client

    left, under_way = list(packages), dict[UUID, Path]()
    done: Counter[str] = Counter()
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(_DEPLOYMENT).id
        while left or under_way:
            while left and len(under_way) < AHEAD:
                package = left.pop(0)
                run = _begin(client, deployment, package, request)
                if again:
                    run = _anew(client, deployment, package, request, run)
                under_way[run] = package
            for ended in _ended(client, under_way):
                del under_way[UUID(ended.run)]
                done[ended.state] += 1
                yield ended
            if report is not None:
                counts = ", ".join(f"{count} {name.lower()}" for name, count in sorted(done.items()))
                report(done.total(), len(packages), counts or "waiting")
            if under_way:
                time.sleep(_LOOK_S)


def pause(home: Home, *, paused: bool) -> None:
    """Let the queue of what is not urgent rest, or go on. What has begun is finished.

    Raises
    ------
    BadInput
        ``up.not_running``.
    """
    _connect(home)
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        queue = client.read_work_queue_by_name(BACKGROUND, work_pool_name=WORK_POOL)
        client.update_work_queue(queue.id, is_paused=paused)


def _connect(home: Home) -> None:
    if "PREFECT_API_URL" not in os.environ and running_server(home.prefect) is None:
        raise BadInput(
            "no Prefect server runs on this installation",
            kind="up.not_running",
            where=str(home.path),
            remedy="Start it with `qyran up`, or name a server with PREFECT_API_URL.",
        )
    prepare_prefect(home.prefect)


def _begin(
    client: "SyncPrefectClient", deployment: UUID, package: Path, request: SceneRequest, attempt: int = 1
) -> UUID:
    asked = request.model_copy(update={"package": str(package.resolve())})
    run = client.create_flow_run_from_deployment(
        deployment,
        parameters={"request": asked.model_dump(mode="json")},
        name=f"{package.name} {request.recipe}" + f" (attempt {attempt})" * (attempt > 1),
        tags=[TAG],
        idempotency_key=key_of(package) + f"-{attempt}" * (attempt > 1),
        work_queue_name=BACKGROUND,
    )
    return run.id


def _anew(client: "SyncPrefectClient", deployment: UUID, package: Path, request: SceneRequest, run: UUID) -> UUID:
    """The latest attempt; a new one where that came to nothing."""
    attempt = 1
    while _came_to_nothing(client, run):
        attempt += 1
        run = _begin(client, deployment, package, request, attempt)
    return run


def _came_to_nothing(client: "SyncPrefectClient", run: UUID) -> bool:
    state = client.read_flow_run(run).state
    return state is not None and (state.is_failed() or state.is_crashed() or state.is_cancelled())


def _ended(client: "SyncPrefectClient", under_way: dict[UUID, Path]) -> list[Backfilled]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    if not under_way:
        return []
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(under_way))), limit=200)
    return [
        Backfilled(
            package=str(under_way[run.id]), run=str(run.id), state=run.state.name or "", message=run.state.message or ""
        )
        for run in runs
        if run.state is not None and run.state.is_final()
    ]
