"""How commands speak: one JSON document or plain words on stdout, everything else on stderr."""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from processing.model.errors import QyranError

FAILED = 1

PIPED_WIDTH = 160
"""Columns where nobody's terminal sets them: identifiers and paths stay whole, so that a script can cut them out."""


def _console(*, stderr: bool) -> Console:
    watched = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if watched else PIPED_WIDTH, soft_wrap=not watched)


out = _console(stderr=False)
err = _console(stderr=True)

type Report = Callable[[int, int, str], None]
"""``(done, total, label)``: how long-running work tells how far it is."""


def print_json(document: Any) -> None:
    """The one document of ``--json``. Unicode as it is, one line per field, NaN refused."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


@contextmanager
def plain_errors(*, as_json: bool, debug: bool) -> Iterator[None]:
    """Turn what goes wrong into plain words and exit code 1; a traceback only when asked for."""
    from configs.load import ConfigError

    try:
        yield
    except (QyranError, ConfigError, OSError, MemoryError) as error:
        _explain(error, as_json=as_json, debug=debug)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        err.print("[yellow]interrupted[/]: nothing half-made is left in the archive")
        raise typer.Exit(130) from error


def _explain(error: Exception, *, as_json: bool, debug: bool) -> None:
    if debug:
        err.print(escape(traceback.format_exc()))
    fault = describe_error(error)
    if as_json:
        print_json({"error": fault})
    print_fault(fault)


def describe_error(error: Exception) -> dict[str, str | None]:
    """``kind, message, where, remedy`` of any error."""
    if isinstance(error, QyranError):
        return {"kind": error.kind, "message": error.message, "where": error.where, "remedy": error.remedy}
    kind = "config" if type(error).__name__ == "ConfigError" else f"system.{type(error).__name__}"
    return {"kind": kind, "message": str(error) or type(error).__name__, "where": None, "remedy": None}


def print_fault(fault: dict[str, str | None], *, word: str = "error", colour: str = "red") -> None:
    """A fault in up to three lines on stderr: what, where, what to do."""
    err.print(f"[bold {colour}]{word}[/] {escape(fault['message'] or '')}  [dim]({escape(fault['kind'] or '')})[/]")
    if fault.get("where"):
        err.print(f"  where: {escape(fault['where'] or '')}")
    if fault.get("remedy"):
        err.print(f"  remedy: {escape(fault['remedy'] or '')}")


def configure_logging(*, debug: bool) -> None:
    """Logs on stderr: warnings, or everything of ours with ``--debug``."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    if debug:
        for room in ("processing", "catalogs", "pipelines"):
            logging.getLogger(room).setLevel(logging.DEBUG)


def _unwatched(_done: int, _total: int, _label: str) -> None:
    pass


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A progress bar on stderr where a person watches; silence where not."""
    if not err.is_terminal:
        yield _unwatched
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[label]}"))
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as bars:
        task = bars.add_task(escape(title), total=None, label="")

        def report(done: int, total: int, label: str) -> None:
            bars.update(task, completed=done, total=total or None, label=f"{escape(label)} {done}/{total}")

        yield report
