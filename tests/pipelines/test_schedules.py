"""A real Prefect server, with the versions we pin, really schedules runs of our flows.

That the server answers proves nothing: with a newer FastAPI or SQLAlchemy it starts, shows the schedule as active, and
never makes a run. So this asks for the runs.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.prefect_env import prefect_environment

pytestmark = [pytest.mark.services, pytest.mark.timeout(420)]

REGISTER = """
from prefect.schedules import Cron
from pipelines.deployments import FLOWS, deployment_of, register

hourly = Cron("0 * * * *", timezone="Asia/Almaty", slug="hourly", parameters={"request": {"package": "landing/x.zip"}})
for _ in range(2):  # registering again must change nothing
    register([deployment_of(flow, schedules=[hourly] if flow.name == "process-scene" else None) for flow in FLOWS])
"""


KEEP = """
import sys
from pathlib import Path
from configs.settings import Home
from pipelines.keep import keep_archive
from pipelines.requests import KeepRequest
from tests.pipelines.archived import fill

fill(Home.resolve(Path(sys.argv[1])))
keep_archive(KeepRequest(home=sys.argv[1], share=1.0))
next(Path(sys.argv[1]).glob("products/*/*/red.tif")).unlink()
state = keep_archive(KeepRequest(home=sys.argv[1]), return_state=True)
assert state.is_failed(), state
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment of a client of a running server, with a password as in operation."""
    home, port = tmp_path_factory.mktemp("prefect"), _free_port()
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    environment |= prefect_environment(home) | {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_AUTH_STRING": "qyran:test-only",
        "PREFECT_API_AUTH_STRING": "qyran:test-only",
        "PREFECT_UI_ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home, start_new_session=True
        )
        try:
            _wait_until_ready(process, environment["PREFECT_API_URL"], home / "server.log")
            yield environment
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=10)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(480):
        if process.poll() is not None:
            pytest.fail(f"the server ended:\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the server did not get ready:\n{log.read_text()[-3000:]}")


def _ask(server: dict[str, str], path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = httpx.post(
        f"{server['PREFECT_API_URL']}{path}", json=body, auth=("qyran", "test-only"), timeout=60, trust_env=False
    )
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def test_the_server_schedules_runs(server: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", REGISTER], env=server, check=True, timeout=240)

    deployments = {found["name"]: found for found in _ask(server, "/deployments/filter", {})}
    assert set(deployments) >= {"process-scene", "derive-product", "reprocess", "keep-archive"}
    nightly = deployments["keep-archive"]["schedules"]
    assert [(schedule["slug"], schedule["schedule"]["cron"]) for schedule in nightly] == [("nightly", "30 2 * * *")]
    scene = deployments["process-scene"]
    assert scene["entrypoint"] == "pipelines.process.process_scene"
    assert [schedule["slug"] for schedule in scene["schedules"]] == ["hourly"]
    asked = scene["parameter_openapi_schema"]["definitions"]["SceneRequest"]["properties"]
    assert asked["package"]["description"]
    assert "enum" in str(scene["parameter_openapi_schema"]["definitions"]["VerticalDatumChoice"])

    # The scheduler looks at recently changed deployments every 5 s; a busy machine may need several rounds.
    wanted = {"deployments": {"id": {"any_": [scene["id"]]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    for _ in range(180):
        runs = _ask(server, "/flow_runs/filter", wanted)
        if len(runs) >= 3:
            break
        time.sleep(1)
    assert len(runs) >= 3, "the server is up, but it schedules nothing"
    times = sorted(run["expected_start_time"] for run in runs)
    assert all(":00:00" in moment for moment in times)
    assert len(set(times)) == len(times)


def test_keep_archive_reports_to_the_server(server: dict[str, str], tmp_path: Path) -> None:
    """What the nightly run found is there to be read: a table for each run, and a run that failed is seen to have."""
    environment = server | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", KEEP, str(tmp_path / "home")], env=environment, check=True, timeout=240)
    runs = _ask(server, "/flow_runs/filter", {"flows": {"name": {"any_": ["keep-archive"]}}, "sort": "START_TIME_ASC"})
    ended = [run for run in runs if run["state_type"] != "SCHEDULED"]
    assert [run["state_type"] for run in ended] == ["COMPLETED", "FAILED"]
    assert "30 days 100 %" in ended[0]["state"]["message"]
    tables = {run["id"]: "" for run in ended}
    for artifact in _ask(server, "/artifacts/filter", {"artifacts": {"key": {"any_": ["archive-kept"]}}}):
        tables[artifact["flow_run_id"]] = artifact["data"]
    assert "| **hashed again in the last 30 days** | **100 %** |" in tables[ended[0]["id"]]
    assert "in order" in tables[ended[0]["id"]]
    assert "red.tif` | missing" in tables[ended[1]["id"]]


def test_strangers_are_kept_out(server: dict[str, str]) -> None:
    answer = httpx.post(f"{server['PREFECT_API_URL']}/deployments/filter", json={}, timeout=60, trust_env=False)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
