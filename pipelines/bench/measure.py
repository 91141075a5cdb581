"""One command as a process of its own: wall clock, CPU time and peak memory, from fork to exit."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.bench import launch

_LONGEST_S = 3600.0
_LAST_WORDS = 400
_FOLDERS = re.compile(r"(?<![\w.])(/[^\s/'\"]+)+/")
"""Where on this machine a file lies is nobody's business who reads a report."""
_NEUTRAL = ("GDAL_", "CPL_", "OTB_", "ITK_", "NUMBA_", "DASK_", "OMP_")
"""Settings of the surroundings by which a tool could run other than as it was installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one run used."""

    wall_s: float
    cpu_s: float
    """User and system time of the process and all its children."""
    peak_rss_bytes: int
    """Of the largest process among them."""


class ToolFailed(Exception):
    """A command that did not end well; its last words."""


def run_measured(command: Sequence[str], *, threads: int, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end and say what it used.

    Parameters
    ----------
    command
        Program and arguments.
    threads
        CPUs it may use: the process is bound to as many.
    environment
        Added to this process's own, from which settings of GDAL, OTB, Dask and Numba are taken out.

    Raises
    ------
    ToolFailed
        When it exits with anything but 0, cannot be started, or takes longer than an hour.
    """
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(_NEUTRAL)}
    with tempfile.TemporaryDirectory(prefix="qyran-bench-") as folder:
        figures, words = Path(folder) / "figures.json", Path(folder) / "words.txt"
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(threads), str(figures), str(words), *command]
        process = subprocess.Popen(  # noqa: S603  the commands are this package's own
            launcher, env={**surroundings, **(environment or {})}, start_new_session=True
        )
        try:
            process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired as error:
            raise ToolFailed(f"took longer than {_LONGEST_S:.0f} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not figures.is_file():
            raise ToolFailed("could not be started")
        record = json.loads(figures.read_text(encoding="ascii"))
        if record["exit_code"] != 0:
            said = words.read_text(encoding="utf-8", errors="replace").strip()[-_LAST_WORDS:]
            raise ToolFailed(f"exit code {record['exit_code']}: {_FOLDERS.sub('', said)}")
    return Usage(
        wall_s=record["wall_s"],
        cpu_s=record["user_s"] + record["system_s"],
        peak_rss_bytes=record["peak_rss_bytes"],
    )
