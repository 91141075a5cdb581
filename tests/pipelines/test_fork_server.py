"""A fork is, to whoever starts it, the process that it stands for: its words, its end, its signals, its death."""

import ast
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import fork_client, fork_server

PLACED = "import os, sys; print(os.getcwd(), os.environ['COLOUR'], sys.argv[1:], sys.stdin.read())"
NAME = "run-0123456789a"
SLEEPING = "import time; print('asleep', flush=True); time.sleep(600)"
GRACEFUL = """\
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print('asleep', flush=True)
time.sleep(600)
"""


def clean() -> dict[str, str]:
    """The environment without what libraries have written into that of the tests."""
    return {name: value for name, value in os.environ.items() if "NUMBA" not in name and "CURL" not in name}


@dataclass
class Server:
    place: Path
    process: subprocess.Popen[bytes]
    modules: Path

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**clean(), fork_client.PLACE: str(self.place), "PYTHONPATH": str(self.modules), **more}

    def start(self, source: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Begin a run of a module with that source."""
        name = f"forked_{time.monotonic_ns()}"
        (self.modules / f"{name}.py").write_text(source)
        return subprocess.Popen(
            fork_client.command(name, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(more),
            cwd=self.modules,
        )

    def run(self, source: str, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """A run that has ended."""
        client = self.start(source, **more)
        out, errors = client.communicate(said)
        return subprocess.CompletedProcess(client.args, client.returncode, out, errors)

    @contextmanager
    def asleep(self, source: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
        """A run that sleeps by now, and the process that does."""
        with self.start(source, PREFECT__FLOW_RUN_ID="0123456789abcdef") as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "asleep\n"
            yield client, until(lambda: next(iter(forks(NAME)), None))
            assert until(lambda: not forks(NAME))


def forks(name: str) -> list[int]:
    """Processes of that name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text()
            except OSError:
                continue
            if f"({name})" in state and state.rpartition(")")[2].split()[0] != "Z":
                found.append(int(entry.name))
    return found


def until[T](found: Callable[[], T | None], seconds: float = 60.0) -> T:
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Longer than the name of a socket may be.
    deep = tmp_path_factory.mktemp("fork") / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    return deep


@pytest.fixture(scope="module")
def server(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    modules = tmp_path_factory.mktemp("modules")
    command = [sys.executable, "-m", "pipelines.fork_server"]
    environment = {**clean(), fork_client.PLACE: str(place), "PYTHONPATH": str(modules)}
    with subprocess.Popen(command, env=environment) as process:
        until((place / fork_client.SOCKET).exists)
        yield Server(place, process, modules)
        process.terminate()


def test_a_fork_is_given_what_a_process_is_given(server):
    client = server.start(PLACED, "one", "two three", COLOUR="blue")
    out, _ = client.communicate("typed")
    assert out == f"{server.modules} blue ['one', 'two three'] typed\n"
    assert client.returncode == 0
    bare = {fork_client.PLACE: str(server.place)}
    narrow = subprocess.run(
        fork_client.command("json.tool", "--help"), env=bare, capture_output=True, text=True, check=True
    )
    assert "usage" in narrow.stdout


def test_a_package_is_run_by_its_main_module(server):
    (server.modules / "packaged").mkdir()
    (server.modules / "packaged" / "__init__.py").touch()
    (server.modules / "packaged" / "__main__.py").write_text("import gc; print(__name__, gc.isenabled())")
    command, environment = fork_client.command("packaged"), server.environment({})
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "__main__ True\n"


def test_it_is_a_fork_and_no_process_of_its_own(server):
    source = "import sys; print('prefect' in sys.modules, sys.modules['__main__'].__name__)"
    assert server.run(source).stdout == "True __main__\n"


def test_what_libraries_wrote_into_the_environment_is_there(server):
    names = ("NUMBA_SLP_VECTORIZE", "NUMBA_CACHE_DIR", "PROJ_CURL_CA_BUNDLE")
    source = f"import os; print([os.environ.get(name) for name in {names}])"
    slp, kept, bundle = ast.literal_eval(server.run(source).stdout)
    assert slp == "1"
    assert Path(kept).is_dir()
    assert Path(bundle).is_file()
    assert ast.literal_eval(server.run(source, NUMBA_SLP_VECTORIZE="0").stdout) == ["0", kept, bundle]


FREED_AND_TAKEN = """\
import resource, threading
import numpy as np
def work():
    for _ in range(20):
        [np.ones(2**20) for _ in range(6)]
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
for thread in [threading.Thread(target=work) for _ in range(2)]:
    before = faults()
    thread.start()
    thread.join()
    print(faults() - before)
"""


def test_memory_that_a_run_has_freed_is_there_for_its_next_array(server):
    # 48 MB, 20 times: 245,760 faults for each thread if it went back to the system each time.
    counts = [int(line) for line in server.run(FREED_AND_TAKEN).stdout.split()]
    assert len(counts) == 2
    assert max(counts) < 10_000


def test_settings_of_a_run_hold_for_it_alone(server):
    source = (
        "import logging, prefect.settings as s; print(s.get_current_settings().logging.level,"
        " logging.getLogger('prefect').level)"
    )
    assert server.run(source, PREFECT_LOGGING_LEVEL="DEBUG").stdout == "DEBUG 10\n"
    assert server.run(source, PREFECT_LOGGING_LEVEL="ERROR").stdout == "ERROR 40\n"


def test_it_ends_as_the_run_ends(server):
    assert server.run("import sys; sys.exit(7)").returncode == 7
    assert server.run("import os; os.kill(os.getpid(), 11)").returncode == -signal.SIGSEGV
    failed = server.run("raise LookupError('no such thing')")
    assert "LookupError: no such thing" in failed.stderr
    assert failed.returncode == 1
    # What a module registered for its end is done, and what it wrote is written.
    assert server.run("import atexit; atexit.register(print, 'last'); print('first', end=' ')").stdout == "first last\n"


def test_a_module_that_is_not_there_is_said(server):
    command, environment = fork_client.command("no_such_module"), server.environment({})
    client = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert client.returncode == 1
    assert "no_such_module" in client.stderr


@pytest.mark.parametrize(("source", "code"), [(GRACEFUL, 9), (SLEEPING, -signal.SIGTERM)])
def test_signals_reach_the_run(server, source, code):
    with server.asleep(source) as (client, _):
        client.terminate()
        assert client.wait(30) == code


def test_who_kills_the_client_kills_the_run(server):
    with server.asleep(SLEEPING) as (client, _):
        client.kill()


def test_a_killed_run_is_a_killed_client(server):
    with server.asleep(SLEEPING) as (client, run):
        os.kill(run, signal.SIGKILL)
        assert client.wait(30) == -signal.SIGKILL


def test_without_its_minder_a_run_ends_and_that_is_seen(server):
    with server.asleep(SLEEPING) as (client, run):
        minder = int(Path(f"/proc/{run}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(minder, signal.SIGKILL)
        assert client.wait(30) == -signal.SIGKILL


def test_nothing_of_what_ended_early_stays(server):
    """Of clients that go away before they have a run, and of minders that are killed."""

    def zombies() -> int:
        count = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, parent = path.read_text().rpartition(")")[2].split()[:2]
                count += state == "Z" and int(parent) == server.process.pid
        return count

    for _ in range(5):
        with server.start(SLEEPING) as client:
            client.kill()
    assert server.run("print('well')").stdout == "well\n"
    until(lambda: not zombies())
    until(lambda: not forks("minder"))


def test_many_at_a_time(server):
    clients = [server.start(f"import time; time.sleep(0.5); raise SystemExit({number})") for number in range(8)]
    for client in clients:
        client.communicate()
    assert [client.returncode for client in clients] == list(range(8))


def test_nonsense_does_not_end_the_server(server):
    folder = os.open(server.place, os.O_PATH)
    try:
        for said in (b"", b"\0\0\0\4nope", b"\xff\xff\xff\xff{}", b"\0\0\0\2{}", b"\0\0\0\2[]"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(fork_client.at(folder))
                connection.sendall(said)
    finally:
        os.close(folder)
    assert server.run("print('well')").stdout == "well\n"
    assert server.process.poll() is None


def test_who_has_no_server_runs_it_by_himself(server, tmp_path):
    for elsewhere in ({fork_client.PLACE: ""}, {fork_client.PLACE: str(tmp_path)}):
        alone = server.run("import sys; print('prefect' in sys.modules); sys.exit(4)", **elsewhere)
        assert (alone.stdout, alone.returncode) == ("False\n", 4)


def test_a_run_outlives_the_server(tmp_path):
    modules, place = tmp_path / "modules", tmp_path / "place"
    for folder in (modules, place):
        folder.mkdir()
    environment = {**os.environ, fork_client.PLACE: str(place), "PYTHONPATH": str(modules)}
    with subprocess.Popen([sys.executable, "-m", "pipelines.fork_server"], env=environment) as process:
        until((place / fork_client.SOCKET).exists)
        server = Server(place, process, modules)
        client = server.start("print('asleep', flush=True); input(); print('awake'); raise SystemExit(3)")
        assert client.stdout is not None
        assert client.stdout.readline() == "asleep\n"
        process.kill()
        process.wait()
        assert client.communicate("go on\n")[0] == "awake\n"
        assert client.returncode == 3
        # Its socket is still there, and nobody behind it.
        assert server.run("print('alone')").stdout == "alone\n"


def test_a_thread_of_what_is_imported_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fork_server, "IMPORTED", ())
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        with pytest.raises(RuntimeError, match="threads"):
            fork_server.serve(tmp_path)
    finally:
        over.set()
        other.join()
