"""``qyran up``: everything starts, works together, and ends without a trace."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.prefect_http import prefect_client
from tests.services.house import free_port, until

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
QYRAN = str(Path(sys.executable).with_name("qyran"))


def started(home: Path) -> tuple[subprocess.Popen[str], int, int]:
    port, prefect_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    command = [QYRAN, "up", "--home", str(home), "--port", str(port), "--prefect-port", str(prefect_port), "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    )
    return process, port, prefect_port


def programs_of(home: Path) -> set[int]:
    """Processes that work for this installation, told by their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"QYRAN_HOME={home}\0".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], subprocess.Popen[str]]]:
    """One on a HOME that is not there yet."""
    home = tmp_path_factory.mktemp("up") / "new"
    process, _, _ = started(home)
    assert process.stdout is not None
    try:
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            if not line:
                logs = "\n".join(path.read_text()[-800:] for path in (home / "logs").glob("*.log"))
                pytest.fail(f"it ended: {text}\n{logs}")
            text += line
        addresses = json.loads(text)
        assert "error" not in addresses, text
        yield home, addresses, process
    finally:
        process.send_signal(signal.SIGTERM)
        with process:
            process.wait(timeout=60)


@contextlib.contextmanager
def prefect(addresses: dict[str, Any]) -> Iterator[httpx.Client]:
    server = {
        "PREFECT_API_URL": addresses["prefect"] + "/api",
        "PREFECT_API_AUTH_STRING": Path(addresses["prefect_auth"]).read_text().strip(),
    }
    with prefect_client(server, timeout_s=60) as client:
        yield client


def test_everything_answers(running):
    home, addresses, _ = running
    with httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(addresses["stac"]).json()["type"] == "Catalog"
        assert client.get(addresses["stac"] + "/search").json()["features"] == []
        assert client.get(addresses["docs"]).status_code == 200
        assert client.get(addresses["prefect"] + "/api/health").status_code == 200
        assert client.get(addresses["prefect"] + "/api/flows/filter").status_code in (401, 403, 405)
        assert client.post(addresses["prefect"] + "/api/flows/filter", json={}).status_code in (401, 403)
        token = Path(addresses["operator_token"]).read_text().strip()
        known = client.get(addresses["stac"] + "/search", headers={"Authorization": f"Bearer {token}"})
        assert known.status_code == 200
    for secret in (addresses["operator_token"], addresses["prefect_auth"]):
        assert stat.S_IMODE(Path(secret).stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "prefect").stat().st_mode) == 0o700


def test_only_this_machine_can_ask(running):
    _, addresses, _ = running
    ports = {int(addresses[name].split(":")[2].split("/")[0]) for name in ("stac", "prefect")}
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        host, port = address.split(":")
        if state == "0A" and int(port, 16) in ports:
            listening.add(host)
    assert listening == {"0100007F"}


def test_the_worker_runs_what_is_asked_for(running, tmp_path):
    """A package that is none: the run ends, and its result is the plain outcome of one that was refused."""
    home, addresses, _ = running
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no archive")
    with prefect(addresses) as client:
        deployments = {found["name"]: found for found in client.post("/deployments/filter", json={}).json()}
        assert {"process-scene", "derive-product", "keep-archive"} <= set(deployments)
        asked = {"parameters": {"request": {"package": str(broken), "home": str(home)}}}
        run = client.post(f"/deployments/{deployments['process-scene']['id']}/create_flow_run", json=asked).json()
        state: dict[str, Any] = {}

        def done() -> bool:
            state.update(client.get(f"/flow_runs/{run['id']}").json()["state"])
            return state["type"] in ("COMPLETED", "FAILED", "CRASHED")

        until(done, 240, f"the run did not end: {state}")
    assert state["type"] == "COMPLETED", state
    assert list((home / "quarantine").glob("*/reason.json"))


def test_commands_use_the_server_that_runs(running, tmp_path):
    """Two servers on one database would lock each other out: what the command line does is seen in the same place."""
    home, addresses, _ = running
    broken = tmp_path / "broken_too.zip"
    broken.write_bytes(b"no archive either")
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    done = subprocess.run(
        [QYRAN, "process", str(broken), "--home", str(home), "--json"],
        capture_output=True, text=True, check=False, timeout=180, env=environment,
    )  # fmt: skip
    assert "broken_too" in done.stdout, done.stderr
    with prefect(addresses) as client:
        runs = client.post("/flow_runs/filter", json={}).json()
    assert any("broken_too" in json.dumps(run["parameters"]) for run in runs)


def test_what_serves_customers_knows_no_prefect():
    code = (
        "import sys, pipelines.serve_api, catalogs.api.app, pipelines.secret_files, configs.catalogue;"
        "assert not {'prefect', 'dask', 'xarray', 'zarr', 'rasterio'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_port_in_use_is_said(running, tmp_path):
    _, addresses, _ = running
    port = addresses["stac"].split(":")[2].split("/")[0]
    ended = subprocess.run(
        [QYRAN, "up", "--home", str(tmp_path / "other"), "--port", port],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"port {port} is in use" in ended.stderr
    assert "--port" in ended.stderr
    assert not (tmp_path / "other").exists()


def test_schedules_make_runs(running):
    """A server that is up and schedules nothing looks the same from outside."""
    _, addresses, _ = running
    with prefect(addresses) as client:
        deployments = {found["id"]: found["name"] for found in client.post("/deployments/filter", json={}).json()}

        def scheduled() -> set[str]:
            asked = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
            runs = client.post("/flow_runs/filter", json=asked).json()
            return {deployments[run["deployment_id"]] for run in runs if run["auto_scheduled"]}

        until(lambda: {"watch-landing", "keep-archive"} <= scheduled(), 120, "schedules made no runs")
        queues = client.post("/work_pools/qyran/queues/filter", json={}).json()
    assert {queue["name"]: queue["priority"] for queue in queues} == {
        "near-real-time": 1,
        "default": 10,
        "background": 20,
    }


def test_a_program_that_dies_is_started_again(running):
    home, addresses, process = running

    def answers() -> bool:
        try:
            return httpx.get(addresses["catalogue"] + "healthz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def servers() -> list[int]:
        return [pid for pid in programs_of(home) if b"serve_api" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    (before,) = servers()
    os.kill(before, signal.SIGKILL)
    until(lambda: answers() and before not in servers(), 120, "the catalogue did not come back")
    assert process.poll() is None


def test_it_ends_without_a_trace(running):
    """Last: it ends the one that the others used."""
    home, addresses, process = running
    assert len(programs_of(home)) >= 3
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) == 0
    assert programs_of(home) == set()
    for name in ("stac", "prefect"):
        with pytest.raises(httpx.TransportError):
            httpx.get(addresses[name], trust_env=False, timeout=5)


def test_killed_it_takes_its_programs_along(tmp_path):
    home = tmp_path / "home"
    process, _, _ = started(home)
    with process:
        until(lambda: len(programs_of(home)) >= 2, 120, "its programs did not start")
        process.kill()
    until(lambda: programs_of(home) == set(), 60, "its programs outlived it")
