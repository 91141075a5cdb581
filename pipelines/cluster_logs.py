"""What workers of a cluster log, in the log of the run they work for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

ROOMS = ("processing", "pipelines")
"""Loggers whose records come back from the workers."""


class _IntoRun(logging.Handler):
    """Hands forwarded records to a run's logger: they arrive in a thread that knows of no run."""

    def __init__(self, run: "logging.Logger | logging.LoggerAdapter[Any]") -> None:
        super().__init__()
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        worker = getattr(record, "worker", None)
        if worker is not None:
            self._run.log(record.levelno, "%s: %s", worker, record.getMessage())


@contextmanager
def worker_logs(client: "Client") -> Iterator[None]:
    """Have the records of all workers told here, and in the Prefect run that is under way, if one is."""
    handler = _of_current_run()
    loggers = [logging.getLogger(room) for room in ROOMS]
    for room, logger in zip(ROOMS, loggers, strict=True):
        client.forward_logging(room)
        if handler is not None:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for room, logger in zip(ROOMS, loggers, strict=True):
            # A cluster that is gone forwards nothing any more.
            with suppress(Exception):
                client.unforward_logging(room)
            if handler is not None:
                logger.removeHandler(handler)


def _of_current_run() -> logging.Handler | None:
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_run_logger

    try:
        return _IntoRun(get_run_logger())
    except MissingContextError:
        return None
