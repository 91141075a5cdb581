"""Runs with less ado are still runs that an operator can suspend, and that trust whom they were told to trust."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cluster_tls import CA, make_certificates

BEGIN = """
import os, time
from pathlib import Path
from pipelines.prefect_env import prepare_prefect, server_starting
prepare_prefect(Path(os.environ["WANTED_HOME"]))
from pipelines.prefect_thrift import observe_suspension, thrifty
thrifty()
"""
SUSPENDED = """
from prefect import flow, flow_engine
from prefect._flow_run_suspension import FlowRunSuspensionRequest
from prefect.client.orchestration import get_client
from prefect.states import Running, Suspended

assert flow_engine.observe_flow_run_suspension is observe_suspension, "the engine looks for it elsewhere now"
with server_starting():
    pass

@flow
def work(): ...

def requested(request, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not request.is_requested():
        time.sleep(0.05)
    return request.is_requested()

with get_client(sync_client=True) as client:
    suspended, other = (client.create_flow_run(work) for _ in range(2))
    for one in (suspended, other):
        client.set_flow_run_state(one.id, Running(), force=True)
    told, untold, late = (FlowRunSuspensionRequest() for _ in range(3))
    with (
        observe_suspension(suspended.id, told, polling_interval=0.2),
        observe_suspension(other.id, untold, polling_interval=0.2),
    ):
        assert not requested(told, 1)
        client.set_flow_run_state(suspended.id, Suspended(), force=True)
        assert requested(told, 30)
        assert told.get_state().name == "Suspended"
        assert not requested(untold, 1)
    begun = time.monotonic()
    with observe_suspension(suspended.id, late):
        pass
    assert time.monotonic() - begun < 1, "a run that ends waits for nothing"
    assert not requested(late, 1)
print("told")
"""
SHARED = """
import ssl
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_TLS_INSECURE_SKIP_VERIFY, temporary_settings

made, real = [], ssl.create_default_context
def counted(*args, **rest):
    made.append(rest.get("cafile") or (args[1:] or [None])[0])
    return real(*args, **rest)
ssl.create_default_context = counted

def context(client):
    return client._client._transport._pool._ssl_context

with temporary_settings({"PREFECT_API_URL": "https://127.0.0.1:9/api"}):
    clients = [get_client(sync_client=True) for _ in range(3)] + [get_client()]
    assert len({id(context(client)) for client in clients}) == 1
    assert context(clients[0]).verify_mode is ssl.CERT_REQUIRED and context(clients[0]).check_hostname
    assert not made, made
    with temporary_settings({PREFECT_API_SSL_CERT_FILE: os.environ["OWN"]}):
        own = [get_client(sync_client=True) for _ in range(2)]
    assert context(own[0]) is context(own[1]) is not context(clients[0])
    assert made == [os.environ["OWN"]], made
    assert len(context(own[0]).get_ca_certs()) == 1
    with temporary_settings({PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True}):
        assert context(get_client(sync_client=True)).verify_mode is ssl.CERT_NONE
print("shared")
"""


def run(script: str, home: Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name and "SSL" not in name}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        capture_output=True, text=True, check=False, timeout=280, env=environment | {"WANTED_HOME": str(home)} | more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.services
def test_a_run_is_told_that_it_was_suspended(tmp_path: Path) -> None:
    assert run(SUSPENDED, tmp_path).strip() == "told"


def test_clients_trust_by_one_context_and_only_whom_they_were_told(tmp_path: Path) -> None:
    make_certificates(tmp_path / "tls")
    assert run(SHARED, tmp_path / "prefect", OWN=str(tmp_path / "tls" / CA)).strip() == "shared"
