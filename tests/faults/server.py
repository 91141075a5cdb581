"""A process that has imported everything, and forks one child for each trial: a trial costs what its work costs.

Reads trials and orders as JSON lines on its standard input, answers each with one line. ``python -m
tests.faults.server FOLDER``; in FOLDER the homes of trials are made, and removed again. An order is one step of work
in a home of the asker's, undisturbed or with one fault.
"""

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rasterio.shutil

from configs.settings import Home
from pipelines import describe
from pipelines.recovery import recover_home
from processing.archive import registration as _registration  # noqa: F401 - each child would import it anew
from processing.archive import space, write
from processing.model.errors import QyranError
from tests.faults import witness, work
from tests.faults.syscalls import SYNCS, Fault, Supervisor, install_filter

PATIENCE_S = 60
SCENARIOS = ("new", "again")
"""A scene that was never seen; one whose earlier revision is published and catalogued."""


@dataclass
class Verdict:
    """What became of one trial."""

    trial: dict[str, Any]
    hits: list[str] = field(default_factory=list)
    """What went wrong, and the call and file that it hit."""
    outcomes: list[str] = field(default_factory=list)
    """How each run ended: ``done``, ``killed``, the kind of a refusal, or ``unexpected ...``."""
    changes: int = 0
    """How many changes the first run asked for."""
    syncs: int = 0
    """How many of them make things durable."""
    lost: list[str] = field(default_factory=list)
    """Acknowledged, and not there."""
    half: list[str] = field(default_factory=list)
    """Broken promises between crash and restart."""
    after: list[str] = field(default_factory=list)
    """Broken promises after the restart."""
    told: list[str] = field(default_factory=list)
    """What the restart said that it found."""


class Server:
    """Keeps what trials share: configuration, references, homes to start from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = work.registry()
        self.drafts = {"earlier": work.draft(resampling="bilinear"), "asked": work.draft()}
        space.RESERVE_BYTES = 0
        describe.validate_item = lambda item: None  # reads and writes nothing, and takes a quarter of a trial's time
        self.templates = {name: folder / f"template-{name}" for name in SCENARIOS}
        self.templates["new"].mkdir()
        self.known: dict[str, witness.Reference] = {}
        with _no_pool():
            for name in ("earlier", "asked"):
                home = self.templates["again"] if name == "earlier" else folder / "undisturbed"
                work.ingest(home, self.drafts[name], self.registry, seed=1 if name == "asked" else 2)
                found = witness.reference(home, self.drafts[name].collection, self.drafts[name].id)
                self.known[found.revision] = found
                assert witness.faults_of(home, self.known, at_rest=True) == []
            recover_home(Home(self.templates["again"]), self.registry)

    def trial(self, asked: dict[str, Any]) -> Verdict:
        """One run for each fault, on one home; then a restart in peace; all looked at by the witness."""
        verdict = Verdict(asked)
        home = Path(tempfile.mkdtemp(dir=self.folder)) / "home"
        try:
            shutil.copytree(self.templates[asked["scenario"]], home, symlinks=True)
            acknowledged = False
            for turn, fault in enumerate(asked["faults"]):
                wanted = Fault(**fault | {"among": frozenset(fault["among"])})
                ended, watched = self._run(home, wanted, recover=turn > 0)
                verdict.outcomes.append(ended)
                verdict.changes = verdict.changes or len(watched.calls)
                verdict.syncs = verdict.syncs or sum(name in SYNCS for name, _ in watched.calls)
                verdict.hits += [f"{wanted.name} {' '.join(watched.injected)}"] if watched.injected else []
                acknowledged |= ended == "done"
                verdict.half += witness.faults_of(home, self.known, at_rest=False)
                if acknowledged and not self._there(home):
                    verdict.lost.append(ended)
            ended, told = _forked(lambda: self._restart(home))
            verdict.outcomes.append(ended)
            verdict.told = told.splitlines()
            if ended != "done":
                verdict.after.append(f"restart: {ended} {told}")
            else:
                verdict.after += witness.faults_of(home, self.known, at_rest=True)
        except Exception:  # noqa: BLE001 - a trial that cannot be judged is told of as broken
            verdict.after.append(traceback.format_exc())
        finally:
            shutil.rmtree(home.parent, ignore_errors=True)
        return verdict

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one thing in a home: how it ended, what it said, and what was hit if a fault was asked for."""
        home, fault = Path(order["home"]), order.get("fault")

        def step() -> str:
            return work.perform(home, order, self.registry)

        if fault is None:
            ended, said = _forked(step)
            return {"ended": ended, "said": said.splitlines(), "hit": None}
        ended, watched = self._watched(home, Fault(**fault | {"among": frozenset(fault["among"])}), step)
        return {"ended": ended, "said": [], "hit": watched.injected}

    def _work(self, home: Path, *, recover: bool) -> str:
        if recover:
            recover_home(Home(home), self.registry)
        work.ingest(home, self.drafts["asked"], self.registry)
        return ""

    def _restart(self, home: Path) -> str:
        """What an operator does: start again, and give the package again."""
        told = [str(found) for found in recover_home(Home(home), self.registry)]
        work.ingest(home, self.drafts["asked"], self.registry)
        again = recover_home(Home(home), self.registry)
        assert not again, f"the restart left {again}"
        return "\n".join(told)

    def _there(self, home: Path) -> bool:
        """Whether the asked revision is what the catalogue names."""
        draft = self.drafts["asked"]
        row = witness.rows(home).get((draft.collection, draft.id))
        return row is not None and row["properties"]["version"] == write.revision_of(draft)

    def _run(self, home: Path, fault: Fault, *, recover: bool) -> tuple[str, Any]:
        return self._watched(home, fault, lambda: self._work(home, recover=recover))

    def _watched(self, home: Path, fault: Fault, step: Callable[[], str]) -> tuple[str, Any]:
        here, there = socket.socketpair()

        def watched_work() -> str:
            listener = install_filter(fault.among)
            socket.send_fds(there, [b"x"], [listener])
            os.close(listener)
            there.recv(1)
            return step()

        def supervise(process: int) -> Any:
            _, (listener,), _, _ = socket.recv_fds(here, 1, 1)
            here.send(b"x")
            try:
                return Supervisor(process, listener, home, fault).run()
            finally:
                os.close(listener)

        with here, there:
            seen: list[Any] = []
            ended, _ = _forked(watched_work, lambda process: seen.append(supervise(process)))
            return ended, seen[0]


def _forked(task: Callable[[], str], meanwhile: Callable[[int], None] | None = None) -> tuple[str, str]:
    """Do something in a child: how it ended (``done``, ``killed``, what it was refused with), and what it said."""
    said, says = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(PATIENCE_S)
        try:
            report = "done\n" + task()
        except QyranError as error:
            report = f"{type(error).__name__} {error.kind}\n{error}"
        except BaseException as error:  # noqa: BLE001 - it becomes the child's report
            report = f"unexpected {type(error).__name__}\n{''.join(traceback.format_exception(error))}"
        os.write(says, report.encode()[:60_000])
        os._exit(0)
    os.close(says)
    if meanwhile is not None:
        meanwhile(process)
    with os.fdopen(said) as stream:
        report = stream.read()
    status = os.waitpid(process, 0)[1]
    if status == signal.SIGKILL:
        return "killed", ""
    ended, _, rest = report.partition("\n")
    return (f"{ended}: {rest}" if ended.startswith("unexpected") else ended or f"hung, status {status}"), rest


@contextmanager
def _no_pool() -> Iterator[None]:
    """GDAL without its pool of threads, which no fork survives: what is warmed up here must not start it."""
    copy = rasterio.shutil.copy
    rasterio.shutil.copy = lambda *args, **options: copy(*args, **options | {"NUM_THREADS": 1})
    try:
        yield
    finally:
        rasterio.shutil.copy = copy


def main() -> None:
    """Serve until the input ends."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with zarr's idle threads, which it is ready for
    server = Server(Path(sys.argv[1]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = server.obey(asked) if "step" in asked else asdict(server.trial(asked))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
