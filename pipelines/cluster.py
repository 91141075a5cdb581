"""Where a run computes: threads of this process, or a Dask cluster that is opened when it is first needed.

The science never asks who computes: it makes one graph and has it run (:mod:`processing.archive.compute`). Here the
scheduler is set that the graph meets. One scene is one run; its pieces are Dask's tasks, of a few seconds each.

On a cluster every worker must see HOME, the packages and the elevation files under the same paths, and run the same
software: both are asked of the workers before they get any work.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.system import CPU_COUNT

from configs.compute import load_compute
from configs.schema.compute import Compute, ComputeConfig, bytes_of
from configs.settings import Home
from pipelines.observe import report_progress
from processing.model.errors import Retryable

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

TASK_BYTES = 256 << 20
"""What one piece of a scene holds while it is made (measured: 0.51 GB for a whole process with two threads)."""
BASE_BYTES = 400 << 20
"""What a process holds before it computes."""
_SHARE = 0.6
"""Of the machine's memory, where its operator says nothing."""
_COUNTED = "records-"
"""Key of the tasks that a cluster is asked for: one for each piece of a product."""
_SETTLE_S = 15.0
"""A piece that is being made cannot be stopped; it takes seconds."""

_lock = threading.RLock()
_inside = 0
"""How many are in :func:`compute_in` on a cluster: it is the outermost that closes it."""


@contextmanager
def compute_in(home: Home, config: ComputeConfig | None = None) -> Iterator[None]:
    """Run every graph within this context where the installation computes.

    Nothing is started before a graph runs, and what was started ends with the outermost context: a run and the
    runs it calls share one cluster.

    Parameters
    ----------
    home
        The installation.
    config
        Other settings than those of ``HOME/configs/compute.yaml``.

    Raises
    ------
    Retryable
        ``compute.unreachable``, ``compute.workers_lost``: raised where the graph runs.
    Defect
        ``compute.*`` if the cluster cannot work for this installation: raised where the graph runs.
    """
    global _inside  # noqa: PLW0603 - Dask's own setting is one for the process, too
    config = load_compute(home.configs) if config is None else config
    if config.compute is Compute.THREADS:
        try:
            with dask.config.set(scheduler="threads", num_workers=thread_count(config)):
                yield
        finally:
            _forget_closed()
        return
    with _lock:
        _inside += 1
        outermost = _inside == 1
    try:
        if not outermost:
            yield
            return
        cluster = _Cluster(home, config)
        with cluster, dask.config.set(scheduler=cluster.run):
            yield
    finally:
        with _lock:
            _inside -= 1
        _forget_closed()


def _forget_closed() -> None:
    """Take back the setting of a closed cluster: runs of several threads may end in another order than they began."""
    with _lock:
        asked = dask.config.get("scheduler", None)
        if _inside == 0 and isinstance(getattr(asked, "__self__", None), _Cluster):
            dask.config.config.pop("scheduler", None)


def thread_count(config: ComputeConfig) -> int:
    """Threads that have room in memory: at least one, at most as many as processors or as asked for."""
    budget = bytes_of(config.memory) if config.memory else int(_SHARE * machine_memory())
    room = max(1, (budget - BASE_BYTES) // TASK_BYTES)
    return int(min(config.workers or CPU_COUNT, room))


def machine_memory() -> int:
    """Bytes that this process may use: the machine's, or its control group's where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path(limit).read_text()))
    return total


class _Cluster:
    """A cluster of one run, there from the first graph on."""

    def __init__(self, home: Home, config: ComputeConfig) -> None:
        self._home, self._config = home, config
        self._open = ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> "_Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        # What ends it badly must not hide what went badly before.
        try:
            self._open.close()
        except Exception:
            log.warning("the cluster did not end as it should", exc_info=True)

    def run(self, graph: Any, keys: Any, **options: Any) -> Any:
        """What Dask calls with a graph."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        client = self._connected()
        futures: Any = []
        try:
            futures = client.get(graph, keys, sync=False, **options)
            with _watched(client):
                return client.gather(futures)
        except KilledWorker as error:
            raise Retryable(
                f"workers died one after the other at {error.task}",
                kind="compute.workers_lost",
                remedy="See the workers' logs; give them more memory, or fewer threads each.",
            ) from error
        except (CommClosedError, OSError) as error:
            if isinstance(error, OSError) and not _is_lost(error):
                raise
            raise Retryable(
                f"the connection to the cluster broke: {error}", kind="compute.unreachable", where=self._config.address
            ) from error
        except BaseException:
            _stop_work(client, graph, keys)
            raise

    def _connected(self) -> "Client":
        from pipelines.cluster_open import open_client

        if self._client is None or self._client.status != "running":
            self._open.close()
            self._client = self._open.enter_context(open_client(self._home, self._config))
        return self._client


def _is_lost(error: OSError) -> bool:
    """Whether it tells of a connection: what a task raises about a disk is the task's own."""
    return isinstance(error, ConnectionError | TimeoutError)


@contextmanager
def _watched(client: "Client") -> Iterator[None]:
    """Tell how far the cluster is: its tasks run elsewhere, where nobody of ours is called."""
    done = threading.Event()
    # A thread starts without the context of who watches.
    watcher = threading.Thread(
        target=copy_context().run, args=(_tell, client, done), daemon=True, name="cluster-progress"
    )
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join(5)


def _tell(client: "Client", done: threading.Event) -> None:
    before = 0
    while not done.wait(1.0):
        states = [state.status for key, state in list(client.futures.items()) if str(key).startswith(_COUNTED)]
        finished = states.count("finished")
        if finished != before:
            before = finished
            report_progress(finished, len(states), "pieces on the cluster")


def _stop_work(client: "Client", graph: Any, wanted: Any) -> None:
    """Drop what waits, and wait for what is being made: whoever gave up removes the folder it writes to."""
    from dask.core import flatten
    from distributed import Future

    with suppress(Exception):
        ours = {str(key) for key in (graph if isinstance(graph, dict) else graph.__dask_graph__())}
        # By their names: what interrupted it may have come before their futures were handed out.
        client.cancel([Future(key, client) for key in flatten([wanted])], force=True)
        deadline, still = time.monotonic() + _SETTLE_S, 0
        # Workers hear of it by another way than they are asked by: one that looks idle may have begun the next.
        while still < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
            running = {str(key) for stacks in client.call_stack().values() for key in stacks}
            still = 0 if running & ours else still + 1
