"""The process that runs flows on a machine of its own, beside a Prefect server that runs elsewhere.

``python -m pipelines.serve_worker`` with ``PREFECT_API_URL``, ``PREFECT_API_AUTH_STRING`` and ``QYRAN_HOME`` set: waits
for the server, tells it flows, queues and limits, takes up what was cut off here, and keeps a worker running.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from configs.settings import Home
from pipelines import fork_client
from pipelines.bell import Bell
from pipelines.orphans import Orphans
from pipelines.prefect_env import prefect_environment
from pipelines.process_tree import ProcessTree
from pipelines.recovery import recover_at_start
from pipelines.serve import Ended, answers, fork_place, signals_raise, start_fork_server, tend, worker_command
from processing.model.errors import BadInput, Defect

_START_S = 600.0
"""A new database on a busy machine takes its time."""
ONLY_ONE = "QYRAN_ONLY_WORKER"
"""``false``: workers of other machines use the same server, whose runs are theirs to look after."""


def serve_worker(home: Home) -> None:
    """Run flows until a signal ends it.

    Raises
    ------
    BadInput
        ``prefect.no_server`` without ``PREFECT_API_URL``.
    Defect
        ``up.failed`` if the server does not answer, ``up.ended`` if the worker does not stay.
    """
    url = os.environ.get("PREFECT_API_URL", "")
    place = urlsplit(url)
    if not place.hostname or not place.port:
        raise BadInput("no Prefect server is named", kind="prefect.no_server", remedy="Set PREFECT_API_URL.")
    for folder in (home.path, home.landing, home.dem, home.prefect):
        folder.mkdir(parents=True, exist_ok=True)
    home.prefect.chmod(0o700)
    host, port = place.hostname, place.port

    def server_answers() -> bool:
        return answers(port, "/api/health", host=host)

    alone = os.environ.get(ONLY_ONE, "true").lower() != "false"
    environment = dict(os.environ) | prefect_environment(home.prefect) | _WORKING
    with fork_place() as forks, signals_raise():
        tree = ProcessTree(home.logs, environment | forks)
        orphans = Orphans(tree.environment, None if alone else home.prefect / f"runs-of-{socket.gethostname()}")
        try:
            _await(server_answers, url)
            for leftover in recover_at_start(home):
                _say(f"left by an interrupted run, now {leftover}")
            for line in orphans.settle(at_once=True):
                _say(line)
            start_fork_server(tree)
            tree.finish(tree.start("enrol", fork_client.command("pipelines.enrol")), _START_S)
            tree.start("worker", worker_command(), after=server_answers, spare=True)
            _say("ready")
            tend(tree, orphans, Bell(home, tree.environment), _say)
        except Ended:
            _say("ending")
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sign, signal.SIG_IGN)
            tree.end()


_WORKING = {
    "PYTHONUNBUFFERED": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
    "PREFECT_WORKER_PREFETCH_SECONDS": "2",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}


def _await(holds: Callable[[], bool], url: str) -> None:
    deadline = time.monotonic() + _START_S
    while not holds():
        if time.monotonic() > deadline:
            raise Defect(f"no Prefect server answers in {_START_S:g} s", kind="up.failed", where=url)
        time.sleep(1)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    serve_worker(Home.resolve())
