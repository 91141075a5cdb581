"""The whole embedded system as one process tree on loopback: Prefect, its worker, and the catalogue.

What dies is started again, and said so; only what dies six times in a row ends the house, so that whoever watches it
(systemd, Docker, a person) learns of it. Runs whose process is gone are taken up again, at the start and while it runs.
"""

import http.client
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import NoReturn

from configs.catalogue import load_catalogue_config
from configs.settings import Home
from pipelines import fork_client
from pipelines.bell import Bell
from pipelines.new_database import place_database
from pipelines.orphans import Orphans
from pipelines.prefect_env import LOOPBACK, SERVER_FILE, WORK_POOL, announce_server, prefect_environment
from pipelines.process_tree import ProcessTree, Program
from pipelines.secret_files import operator_token, operator_token_path, prefect_auth
from processing.model.errors import BadInput, Defect

HOST = "127.0.0.1"
_SERVER = "prefect-server"
_START_S = 300.0
"""A busy machine takes a minute for a new Prefect database."""
_LOOK_S = 10.0
"""How often runs are looked at whose process may be gone."""

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything answers."""

    catalogue: str
    stac: str
    docs: str
    prefect: str
    operator_token: str
    """File of the operators' token for the catalogue's API."""
    prefect_auth: str
    """File of ``user:password`` for Prefect."""
    public_collections: tuple[str, ...]
    """What anybody sees who reaches the port."""


class Ended(BaseException):
    """A signal asks to end."""


def serve(home: Home, *, port: int, prefect_port: int, say: Say, ready: Callable[[dict[str, object]], None]) -> None:
    """Start everything, tell where it answers, and end it all when asked to.

    Parameters
    ----------
    home
        The installation; what is missing of it is made.
    port, prefect_port
        Of the catalogue and of Prefect.
    say
        Told what is being waited for.
    ready
        Told the addresses once everything answers.

    Raises
    ------
    BadInput
        ``port.in_use`` if something listens there already.
    Defect
        ``up.*`` if a program does not start, or ends by itself again and again.
    """
    config = load_catalogue_config(home.configs)
    if port == prefect_port:
        raise BadInput("the catalogue and Prefect need two ports", kind="port.same", remedy="Give --prefect-port.")
    for number, option in ((port, "--port"), (prefect_port, "--prefect-port")):
        _check_free(number, option)
    home.path.mkdir(parents=True, exist_ok=True)
    home.prefect.mkdir(exist_ok=True, mode=0o700)
    home.prefect.chmod(0o700)
    place_database(home.prefect)
    for folder in (home.landing, home.dem):
        folder.mkdir(parents=True, exist_ok=True)
    from pipelines.recovery import recover_at_start

    for leftover in recover_at_start(home):
        say(f"left by an interrupted run, now {leftover}")
    operator_token(home)
    with fork_place() as forks, signals_raise():
        tree = ProcessTree(home.logs, _environment(home, port, prefect_port) | forks)
        try:
            _start(tree, home, port, prefect_port, say)
            addresses = Addresses(
                catalogue=f"http://{HOST}:{port}/",
                stac=f"http://{HOST}:{port}/stac",
                docs=f"http://{HOST}:{port}/docs",
                prefect=f"http://{HOST}:{prefect_port}",
                operator_token=str(operator_token_path(home)),
                prefect_auth=str(home.prefect / "auth"),
                public_collections=config.public_collections,
            )
            ready(asdict(addresses))

            def restarted(program: Program) -> None:
                if program.name == _SERVER:
                    announce_server(home.prefect, f"http://{HOST}:{prefect_port}/api", program.process.pid)

            tend(tree, Orphans(tree.environment), Bell(home, tree.environment), say, restarted)
        except Ended:
            say("ending")
        finally:
            # A second Ctrl-C must not leave half of it running.
            for sign in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sign, signal.SIG_IGN)
            (home.prefect / SERVER_FILE).unlink(missing_ok=True)
            tree.end()


def _start(tree: ProcessTree, home: Home, port: int, prefect_port: int, say: Say) -> None:
    python = sys.executable
    say("starting Prefect and the catalogue")
    start_fork_server(tree)
    server = tree.start(
        _SERVER,
        [python, "-m", "pipelines.serve_prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)],
    )
    api = tree.start("api", [python, "-m", "pipelines.serve_api", str(home.path), str(port)])
    _wait(tree, api, port, "/healthz")
    say("the catalogue answers; Prefect starts")
    _wait(tree, server, prefect_port, "/api/health")
    announce_server(home.prefect, f"http://{HOST}:{prefect_port}/api", server.process.pid)
    say("registering flows")
    # No worker runs yet: whatever claims to run and has no process was cut off.
    for line in Orphans(tree.environment).settle(at_once=True):
        say(line)
    tree.finish(tree.start("enrol", fork_client.command("pipelines.enrol")), _START_S)
    tree.start("worker", worker_command(), after=lambda: answers(prefect_port, "/api/health"), spare=True)
    tree.start("metrics", fork_client.command("pipelines.metrics", str(home.path)))


@contextmanager
def fork_place() -> Iterator[dict[str, str]]:
    """The variable that names the folder where forks are asked for: of this machine and this installation alone.

    HOME may be shared with containers and machines whose processes are not to be forked here.
    """
    with tempfile.TemporaryDirectory(prefix="qyran-forks-", ignore_cleanup_errors=True) as folder:
        yield {fork_client.PLACE: folder}


def start_fork_server(tree: ProcessTree) -> None:
    """Start the program that has everything imported, and of which runs are forks. Without it they are slower."""
    tree.start("fork-server", [sys.executable, "-m", "pipelines.fork_server"], spare=True, needed=False)


def worker_command() -> list[str]:
    """The program that takes runs and gives each a process. How many at a time is the work pool's to say."""
    return fork_client.command("prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process")


def tend(
    tree: ProcessTree, orphans: Orphans, bell: Bell, say: Say, restarted: Callable[[Program], object] = lambda _: None
) -> NoReturn:
    """Until a signal comes: start again what dies, look after runs that were cut off, hear what lands.

    Parameters
    ----------
    restarted
        Told of every program that was started again.
    """
    looked = time.monotonic()
    while True:
        for program in tree.tend(say):
            restarted(program)
        if time.monotonic() - looked >= _LOOK_S:
            for line in orphans.settle():
                say(line)
            looked = time.monotonic()
        bell.listen()
        time.sleep(1)


def _environment(home: Home, port: int, prefect_port: int) -> dict[str, str]:
    auth, origin = prefect_auth(home), f"http://{HOST}:{prefect_port}"
    # An operator's own Prefect profile says nothing here.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    beyond = inherited.get("NO_PROXY", "")
    return (
        inherited
        | prefect_environment(home.prefect)
        | {
            "QYRAN_HOME": str(home.path),
            "QYRAN_URL": f"http://{HOST}:{port}",  # where links from a run's page lead
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": f"{beyond},{LOOPBACK}" if beyond else LOOPBACK,
            "PREFECT_API_URL": f"{origin}/api",
            "PREFECT_SERVER_API_AUTH_STRING": auth,
            "PREFECT_API_AUTH_STRING": auth,
            "PREFECT_SERVER_API_HOST": HOST,
            "PREFECT_SERVER_API_PORT": str(prefect_port),
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
            "PREFECT_WORKER_QUERY_SECONDS": "0.5",
            "PREFECT_WORKER_PREFETCH_SECONDS": "2",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        }
    )


def _wait(tree: ProcessTree, program: Program, port: int, path: str) -> None:
    """Until a program answers."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        tree.check()
        if answers(port, path):
            return
        time.sleep(0.25)
    raise Defect(f"{program.name} did not answer in {_START_S:g} s", kind="up.failed", where=str(program.log))


def answers(port: int, path: str, *, host: str = HOST) -> bool:
    """Whether a server says that all is well."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _check_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput(
                f"port {port} is in use, or may not be used", kind="port.in_use", remedy=f"Give another with {option}."
            ) from error


@contextmanager
def signals_raise() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise one and the same."""

    def end(_: int, __: FrameType | None) -> None:
        raise Ended

    before = {sign: signal.signal(sign, end) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
