"""Prefect's runs with less ado: what its engine does for every run, done once for all, or not before it is needed.

For the process that runs are forked from (:mod:`pipelines.fork_server`). Prefect 3.8 has no setting for either.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any
from uuid import UUID

import certifi
import httpx
from prefect import flow_engine
from prefect._flow_run_suspension import FlowRunSuspensionRequest, is_suspended_flow_run_state
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.context import get_settings_context
from prefect.exceptions import PrefectException

ASKED_S = 10.0
"""How often a run asks whether it was suspended: as often as Prefect does where it hears no events."""


def thrifty() -> None:
    """Have this process's runs, and those of its forks, share certificates and ask sparingly after suspension."""
    for client in (PrefectClient, SyncPrefectClient):
        _share_certificates(client)
    _trusted(certifi.where())
    flow_engine.observe_flow_run_suspension = observe_suspension  # type: ignore[attr-defined]


@contextmanager
def observe_suspension(
    flow_run_id: UUID, suspension_request: FlowRunSuspensionRequest, polling_interval: float = ASKED_S
) -> Iterator[None]:
    """Ask the server now and then whether an operator has suspended a run, in place of Prefect's own observer.

    Prefect's has an event loop, a client and a connection for events of its own, for which every run waits at its
    start, and up to two seconds at its end. Most runs are over before it would have heard anything.

    Parameters
    ----------
    flow_run_id
        The run that goes on within the block.
    suspension_request
        Told of the suspension; Prefect's engine stops the run at its next task.
    polling_interval
        Seconds before each question.
    """
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(polling_interval):
            try:
                with get_client(sync_client=True) as client:
                    state = client.read_flow_run(flow_run_id).state
            except (httpx.HTTPError, OSError, PrefectException):
                continue  # the server may be starting again
            if state is not None and is_suspended_flow_run_state(state):
                suspension_request.mark_requested(state)
                return

    threading.Thread(target=ask, name="suspension", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _share_certificates(client: type[Any]) -> None:
    """Have all clients of a kind trust by one context: each reads 140 certificates, though most servers are local."""
    begin = client.__init__

    @wraps(begin)
    def begun(self: Any, *args: Any, httpx_settings: dict[str, Any] | None = None, **rest: Any) -> None:
        api = get_settings_context().settings.api
        given = dict(httpx_settings or {})
        if not api.tls_insecure_skip_verify:
            given.setdefault("verify", _trusted(api.ssl_cert_file or certifi.where()))
        begin(self, *args, httpx_settings=given, **rest)

    client.__init__ = begun


@cache
def _trusted(file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file)
