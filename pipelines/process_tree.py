"""Programs that belong together: started one after the other, started again if they die, ended together."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.prctl import adopt_orphans, end_with
from processing.model.errors import Defect

_LOG_BYTES = 20_000_000
_GRACE_S = 20.0
STEADY_S = 60.0
"""A program that has run as long is well: an earlier death counts no more."""
MOST_DEATHS = 6
"""In a row: what ends it then is not healed by starting it again."""
_LONGEST_WAIT_S = 30.0


@dataclass(slots=True)
class Program:
    """One running program."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    command: Sequence[str] = ()
    after: Callable[[], bool] | None = None
    """What must hold before it is started again."""
    spare: bool = False
    """Whether its own children may outlive it: work that goes on without it."""
    needed: bool = True
    """Whether the others are nothing without it."""
    deaths: int = 0
    began: float = field(default_factory=time.monotonic)
    due: float | None = None
    """When it is started again; None while it runs."""

    def last_words(self, characters: int = 1_500) -> str:
        """The end of its log."""
        try:
            return self.log.read_bytes()[-characters:].decode("utf-8", "replace")
        except OSError:
            return ""


@dataclass(slots=True)
class ProcessTree:
    """The programs of one installation.

    Each leads a group of its own, so that a terminal's Ctrl-C does not reach it past the one who ends all in order; the
    system ends it when this process dies in whatever way; and its own orphans come to this process.
    """

    logs: Path
    environment: Mapping[str, str]
    programs: list[Program] = field(default_factory=list)
    _strangers: frozenset[int] = frozenset()
    """Children that this process had before: not ours to end."""

    def __post_init__(self) -> None:
        self._strangers = frozenset(_children())
        self.logs.mkdir(parents=True, exist_ok=True)
        adopt_orphans(adopted=True)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        after: Callable[[], bool] | None = None,
        spare: bool = False,
        needed: bool = True,
    ) -> Program:
        """Start a program; what it says goes to ``<name>.log``.

        Parameters
        ----------
        after
            What must hold before :meth:`tend` starts it again.
        spare
            Whether what it has started goes on when it dies.
        needed
            False: all goes on without it, if more slowly; however often it dies, that ends nothing.
        """
        log = self.logs / f"{name}.log"
        process = self._launch(log, command)
        program = Program(name, process, log, command=command, after=after, spare=spare, needed=needed)
        self.programs.append(program)
        return program

    def _launch(self, log: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
        if log.is_file() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        parent = os.getpid()

        def prepare() -> None:
            # Started in the background of a script it would inherit that Ctrl-C is ignored, and could not be ended.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            end_with(parent, signal.SIGTERM)

        with log.open("ab") as stream:
            return subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.logs,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - this process has one thread
            )

    def tend(self, say: Callable[[str], object]) -> list[Program]:
        """Start again what has died, after 1 s, 2 s, 4 s ... up to half a minute. Call it every second or so.

        Returns
        -------
        programs
            Those that were started again just now.

        Raises
        ------
        Defect
            ``up.ended`` if one that is needed has died six times in a row and never ran for a minute, with its last
            words.
        """
        again = []
        self._bury()
        for program in self.programs:
            code = program.process.poll()
            if code is None:
                continue
            if program.due is None:
                self._mourn(program, code, say)
            elif time.monotonic() >= program.due and (program.after is None or program.after()):
                program.process = self._launch(program.log, program.command)
                program.began, program.due = time.monotonic(), None
                say(f"{program.name} is started again")
                again.append(program)
        return again

    def _bury(self) -> None:
        """Take leave of those that came here from programs that died, once they end."""
        if any(program.deaths for program in self.programs):
            own = {program.process.pid for program in self.programs}
            for orphan in self._orphans():
                if orphan not in own:
                    with suppress(ChildProcessError):
                        os.waitpid(orphan, os.WNOHANG)

    def _mourn(self, program: Program, code: int, say: Callable[[str], object]) -> None:
        """Note a death, and when to start again."""
        program.deaths = 1 if time.monotonic() - program.began > STEADY_S else program.deaths + 1
        if not program.spare:
            # A server's child would hold its port.
            with suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGKILL)
        if program.needed and program.deaths >= MOST_DEATHS:
            raise Defect(
                f"{program.name} ended by itself {program.deaths} times in a row ({code}): "
                f"{program.last_words().strip()[-600:]}",
                kind="up.ended",
                where=str(program.log),
            )
        wait = min(_LONGEST_WAIT_S, 2.0 ** min(program.deaths - 1, MOST_DEATHS))
        program.due = time.monotonic() + wait
        say(f"{program.name} ended by itself ({code}); it is started again in {wait:g} s. See {program.log}")

    def check(self) -> None:
        """See that all run that are needed.

        Raises
        ------
        Defect
            ``up.ended`` if one has ended by itself, with its last words.
        """
        for program in self.programs:
            code = program.process.poll()
            if code is not None and program.needed:
                raise Defect(
                    f"{program.name} ended by itself ({code}): {program.last_words().strip()[-600:]}",
                    kind="up.ended",
                    where=str(program.log),
                )

    def finish(self, program: Program, seconds: float) -> None:
        """Wait for a program that ends by itself.

        Raises
        ------
        Defect
            ``up.failed`` if it fails or takes too long.
        """
        try:
            code: int | None = program.process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            raise Defect(
                f"{program.name} {'failed' if code else 'took too long'}: {program.last_words().strip()[-600:]}",
                kind="up.failed",
                where=str(program.log),
            )
        self.programs.remove(program)

    def end(self) -> None:
        """End all, the last started first, each with its group; then whoever they left behind."""
        for program in reversed(self.programs):
            _end(program.process)
        self.programs.clear()
        deadline = time.monotonic() + _GRACE_S
        while orphans := self._orphans():
            sign = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
            for orphan in orphans:
                with suppress(ProcessLookupError):
                    os.kill(orphan, sign)
                with suppress(ChildProcessError):
                    os.waitpid(orphan, os.WNOHANG)
            time.sleep(0.1)
        adopt_orphans(adopted=False)

    def _orphans(self) -> list[int]:
        return [child for child in _children() if child not in self._strangers]


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    # The leader first: it ends its own. Whoever of its group is left has not listened.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_GRACE_S)


def _children() -> list[int]:
    """Children of this process, those that came to it from programs that have ended included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == os.getpid():
                    found.append(int(entry.name))
    return found
