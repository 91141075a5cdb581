"""A whole installation at work: limits by resource, what goes first, a backfill that rests and goes on, orphans."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.settings import Home
from pipelines.backfill import key_of, packages_in
from pipelines.limits import BACKGROUND, NEAR_REAL_TIME
from processing.model.errors import BadInput
from processing.testing.series import write_elevations, write_series
from tests.services.house import FINAL, QYRAN, House, until

LIMITS = """\
limits:
  scenes: 1
  cpu: 1
  memory: 2GiB
  disk: 1
  licences:
    lens: {seats: 1, recipes: [l1c]}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house") / "home")
    write_elevations(made.home / "auxiliary" / "dem")
    (made.home / "configs").mkdir()
    (made.home / "configs" / "compute.yaml").write_text(LIMITS)
    made.start()
    try:
        with made.prefect() as client:
            # What runs every minute would take the one place there is.
            for deployment in client.post("/deployments/filter", json={}).json():
                if deployment["schedules"]:
                    client.post(f"/deployments/{deployment['id']}/pause_deployment").raise_for_status()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_series(tmp_path_factory.mktemp("deliveries") / "archive", 5)


def backfill(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    return subprocess.run(
        [QYRAN, "backfill", *arguments, "--home", str(house.home)],
        capture_output=True, text=True, check=False, timeout=800, env=environment,
    )  # fmt: skip


pytestmark = pytest.mark.timeout(900)


@pytest.mark.services
def test_what_is_urgent_goes_before_what_waits_longer(house, scenes):
    with house.prefect() as client:
        queue = client.get(f"/work_pools/qyran/queues/{BACKGROUND}").json()
        client.patch(f"/work_pools/qyran/queues/{BACKGROUND}", json={"is_paused": True}).raise_for_status()
        assert queue["priority"] > client.get(f"/work_pools/qyran/queues/{NEAR_REAL_TIME}").json()["priority"]
    old = [house.begin("process-scene", {"package": str(one)}, work_queue_name=BACKGROUND) for one in scenes[:2]]
    time.sleep(4)
    assert {house.state(run)["type"] for run in old} == {"SCHEDULED"}, "a paused queue rests"
    urgent = house.begin("process-scene", {"package": str(scenes[2])}, work_queue_name=NEAR_REAL_TIME)
    with house.prefect() as client:
        client.patch(f"/work_pools/qyran/queues/{BACKGROUND}", json={"is_paused": False}).raise_for_status()
    states = house.wait([*old, urgent], 600)
    assert {state["name"] for state in states.values()} == {"Published"}
    with house.prefect() as client:
        begun = {run: client.get(f"/flow_runs/{run}").json()["start_time"] for run in (*old, urgent)}
        assert begun[urgent] == min(begun.values())
        limits = {
            limit["name"]: (limit["limit"], limit["active_slots"])
            for limit in client.post("/v2/concurrency_limits/filter", json={}).json()
            if limit["name"].startswith("qyran-")
        }
    assert limits == {
        "qyran-cpu": (1, 0), "qyran-memory": (2, 0), "qyran-disk": (1, 0), "qyran-licence-lens": (1, 0),
    }  # fmt: skip


@pytest.mark.services
def test_a_killed_worker_costs_no_scene(house, scenes):
    """In mid-scene. More of these, of everything that can be killed: :mod:`tests.faults.kills`."""
    staging = house.home / "staging"
    run = house.begin("process-scene", {"package": str(scenes[4])})
    until(lambda: any("--" in path.name for path in staging.glob("*")), 240, "it never began to compute")
    (worker,) = house.processes(b"\0worker\0start")
    os.kill(worker, signal.SIGKILL)
    # Its end is told at first as the crash that it looks like from outside, and then it is taken up again.
    until(lambda: house.state(run)["name"] == "Published", 400, lambda: f"not published: {house.state(run)}")
    until(lambda: house.processes(b"\0worker\0start") not in ([], [worker]), 120, "there is no worker any more")
    assert [path for path in staging.glob("*") if "--" in path.name] == []


@pytest.mark.services
def test_a_backfill_goes_on_where_it_was(house, scenes, tmp_path):
    """One of the two is in the archive already."""
    folder = tmp_path / "older"
    for scene in (scenes[0], scenes[3]):
        shutil.copytree(scene, folder / scene.name)
    assert backfill(house, "--pause").returncode == 0
    with house.prefect() as client:
        assert client.get(f"/work_pools/qyran/queues/{BACKGROUND}").json()["is_paused"] is True
    assert backfill(house, "--resume").returncode == 0
    first = backfill(house, str(folder), "--json")
    assert first.returncode == 0, first.stderr
    told = [json.loads(line) for line in first.stdout.splitlines()]
    assert {Path(one["package"]).name for one in told} == {scenes[0].name, scenes[3].name}
    assert {one["state"] for one in told} == {"Published"}
    again = [json.loads(line) for line in backfill(house, str(folder), "--json").stdout.splitlines()]
    assert {one["run"] for one in again} == {one["run"] for one in told}, "nothing is done twice"


@pytest.mark.services
def test_a_run_whose_process_is_gone_is_taken_up_again(house, scenes):
    """As a killed worker leaves it: it claims to run, and nobody works at it."""
    with house.prefect() as client:
        client.patch(f"/work_pools/qyran/queues/{BACKGROUND}", json={"is_paused": True}).raise_for_status()
        run = house.begin("process-scene", {"package": str(scenes[3])}, work_queue_name=BACKGROUND)
        state = {"state": {"type": "RUNNING", "name": "Running"}, "force": True}
        client.post(f"/flow_runs/{run}/set_state", json=state).raise_for_status()
        cancelled = house.begin("process-scene", {"package": str(scenes[0])}, work_queue_name=BACKGROUND)
        for kind in ("RUNNING", "CANCELLING"):
            state = {"state": {"type": kind, "name": kind.title()}, "force": True}
            client.post(f"/flow_runs/{cancelled}/set_state", json=state).raise_for_status()
        until(lambda: house.state(run)["type"] == "SCHEDULED", 120, "it was not taken up again")
        assert house.state(run)["name"] == "Resuming"
        assert "taken up again" in house.state(run)["message"]
        until(lambda: house.state(cancelled)["type"] == "CANCELLED", 60, "who was to end has not ended")
        client.patch(f"/work_pools/qyran/queues/{BACKGROUND}", json={"is_paused": False}).raise_for_status()
    until(lambda: house.state(run)["type"] in FINAL, 300, "it did not go on")
    assert house.state(run)["name"] == "Published"


def test_a_key_is_of_the_files(scenes, tmp_path):
    assert len({key_of(scene) for scene in scenes}) == len(scenes)
    assert key_of(scenes[0]) == key_of(scenes[0])
    package = tmp_path / "p"
    package.mkdir()
    (package / "a").write_text("1")
    before = key_of(package)
    (package / "a").write_text("22")
    assert key_of(package) != before


def test_what_lies_in_an_archive(tmp_path):
    with pytest.raises(BadInput, match="no package"):
        packages_in(tmp_path)
    (tmp_path / "scene").mkdir()
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    (tmp_path / "notes.txt").write_text("no package")
    (tmp_path / ".hidden").mkdir()
    assert [path.name for path in packages_in(tmp_path)] == ["b.tif", "scene"]


def test_without_a_server_it_says_what_to_do(tmp_path):
    from pipelines.backfill import pause

    with pytest.raises(BadInput) as caught:
        pause(Home(tmp_path), paused=True)
    assert caught.value.kind == "up.not_running"
    assert "qyran up" in str(caught.value.remedy)
