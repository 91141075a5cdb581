"""Logs as lines of JSON: ``HOME/logs/<program>.jsonl``, each with the scene that the words are about.

What the rooms log goes to Prefect's run logs too; these files outlive its database and are what a log collector reads.
"""

import contextlib
import json
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from configs.settings import Home

LOGGERS = ("processing", "catalogs", "pipelines", "prefect.flow_runs", "prefect.task_runs")
"""The rooms, and what Prefect says of runs and their stages."""
ROTATE_BYTES = 20_000_000
KEPT = 3
_scene: ContextVar[str | None] = ContextVar("scene", default=None)
_open: dict[Path, tuple[logging.Handler, int]] = {}
_lock = threading.Lock()
_latest: list[str] = []
"""Scenes that are worked on in this process: threads of Dask know no context, but mostly there is only one."""


class _AsJson(logging.Formatter):
    """One record, one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Times in UTC; a traceback in a field of its own."""
        scene = _scene.get() or (_latest[-1] if len(_latest) == 1 else None)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "scene": scene,
            "process": record.process,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class _Rotating(WatchedFileHandler):
    """Several processes write to one file; whoever finds it long renames it, and the others follow."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a full disk or a lost folder is no reason for a run to fail."""
        with contextlib.suppress(OSError):
            path = Path(self.baseFilename)
            if path.exists() and path.stat().st_size > ROTATE_BYTES:
                for number in range(KEPT, 1, -1):
                    with contextlib.suppress(FileNotFoundError):
                        path.with_suffix(f".jsonl.{number - 1}").replace(path.with_suffix(f".jsonl.{number}"))
                path.replace(path.with_suffix(".jsonl.1"))
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Nothing: there is nowhere to say it."""


@contextlib.contextmanager
def scene_logged(home: Home, scene: str, program: str = "scenes") -> Iterator[None]:
    """Write what is logged meanwhile, as far as loggers' levels let it, to ``HOME/logs/<program>.jsonl``.

    Parameters
    ----------
    home
        The installation.
    scene
        Product's id, or the package's name while it has none.
    program
        Name of the file.
    """
    token = _scene.set(scene)
    _latest.append(scene)
    path = home.logs / f"{program}.jsonl"
    opened = _begin(path)
    try:
        yield
    finally:
        if opened:
            _end(path)
        _latest.remove(scene)
        _scene.reset(token)


def _begin(path: Path) -> bool:
    """Have the rooms' loggers write to a file, once however many ask for it."""
    with _lock:
        if path in _open:
            handler, count = _open[path]
            _open[path] = (handler, count + 1)
            return True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handler = _Rotating(os.fspath(path), encoding="utf-8", delay=True)
        except OSError:
            return False
        handler.setFormatter(_AsJson())
        handler.setLevel(logging.INFO)
        _open[path] = (handler, 1)
        for name in LOGGERS:
            logging.getLogger(name).addHandler(handler)
        return True


def _end(path: Path) -> None:
    with _lock:
        handler, count = _open[path]
        if count > 1:
            _open[path] = (handler, count - 1)
            return
        del _open[path]
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        handler.close()
