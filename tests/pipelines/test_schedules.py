"""A real Prefect server, with the versions we pin, really schedules runs of our flows.

That the server answers proves nothing: with a newer FastAPI or SQLAlchemy it starts, shows the schedule as active, and
never makes a run. So this asks for the runs.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogs.delivery.order import OrderRequest
from catalogs.delivery.order_desk import open_desk
from configs.settings import Home
from pipelines.bell import Bell
from pipelines.journal import read_events, record_event
from pipelines.order_run import place_order
from pipelines.passes_book import PassState, all_passes, pass_record, write_pass
from tests.pipelines.archived import COLLECTION, PLAIN, fill
from tests.services.prefect_server import ask, prefect_server, prefect_worker
from tests.services.webhook import webhook

pytestmark = [pytest.mark.services, pytest.mark.timeout(420)]

REGISTER = """
from prefect.schedules import Cron
from pipelines.deployments import FLOWS, deployment_of, register

hourly = Cron("0 * * * *", timezone="Asia/Almaty", slug="hourly", parameters={"request": {"package": "landing/x.zip"}})
for _ in range(2):  # registering again must change nothing
    register([deployment_of(flow, schedules=[hourly] if flow.name == "process-scene" else None) for flow in FLOWS])
"""


WATCH = """
from pipelines.deployments import deployment_of, register
from pipelines.watch import watch_landing

register([deployment_of(watch_landing)])
"""

SELL = """
from pipelines.deliver import deliver_order
from pipelines.deployments import deployment_of, register
from pipelines.subscriptions import serve_subscriptions

register([deployment_of(flow) for flow in (deliver_order, serve_subscriptions)])
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

TELL = """
import sys
from pathlib import Path
from configs.settings import Home
from pipelines.journal import record_event

home = Home(Path(sys.argv[1]))
record_event(home, "scene.published", "good")
record_event(home, "scene.quarantined", "bad", reasons=["checksum"])
assert "prefect" not in sys.modules  # a process without Prefect is heard too
"""
ALERT = "import sys; from pipelines.journal_alert import load_alert; [load_alert(sys.argv[1]) for _ in range(2)]"


PLAN = """
import json, sys
from pathlib import Path
from pipelines.deployments import deployment_of, register
from pipelines.passes_plan import PlanRequest, plan_passes
from pipelines.passes_run import process_pass
from tests.pipelines.elements import fresh_elements

home = Path(sys.argv[1])
(home / "auxiliary" / "tle").mkdir(parents=True, exist_ok=True)
register([deployment_of(flow) for flow in (process_pass, plan_passes)])
for line in sys.stdin:
    moved, turned = map(float, line.split())
    (home / "auxiliary" / "tle" / "today.tle").write_text(fresh_elements(moved, turned))
    state = plan_passes(PlanRequest(home=str(home), days=2.0), return_state=True)
    print(json.dumps(state.result()), flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment of a client of a running server."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as environment:
        yield environment


def test_the_server_schedules_runs(server: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", REGISTER], env=server, check=True, timeout=240)

    deployments = {found["name"]: found for found in ask(server, "/deployments/filter", {})}
    assert set(deployments) >= {"process-scene", "derive-product", "build-composite", "reprocess", "keep-archive"}
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
        runs = ask(server, "/flow_runs/filter", wanted)
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
    runs = ask(server, "/flow_runs/filter", {"flows": {"name": {"any_": ["keep-archive"]}}, "sort": "START_TIME_ASC"})
    ended = [run for run in runs if run["state_type"] != "SCHEDULED"]
    assert [run["state_type"] for run in ended] == ["COMPLETED", "FAILED"]
    assert "30 days 100 %" in ended[0]["state"]["message"]
    tables = {run["id"]: "" for run in ended}
    for artifact in ask(server, "/artifacts/filter", {"artifacts": {"key": {"any_": ["archive-kept"]}}}):
        tables[artifact["flow_run_id"]] = artifact["data"]
    assert "| **hashed again in the last 30 days** | **100 %** |" in tables[ended[0]["id"]]
    assert "in order" in tables[ended[0]["id"]]
    assert "red.tif` | missing" in tables[ended[1]["id"]]


def test_strangers_are_kept_out(server: dict[str, str]) -> None:
    with httpx.Client(timeout=60, trust_env=False) as stranger:
        assert stranger.get(f"{server['PREFECT_API_URL']}/admin/version").status_code == httpx.codes.UNAUTHORIZED
        asked = stranger.post(f"{server['PREFECT_API_URL']}/deployments/filter", json={})
        assert asked.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


type Plan = Callable[..., dict[str, int]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Where only KazEOSat-1 is received, and nothing was planned yet."""
    place = Home(tmp_path / "home")
    place.configs.mkdir(parents=True)
    return place


@pytest.fixture
def plan(server: dict[str, str], home: Home) -> Iterator[Plan]:
    """Runs ``plan-passes`` in a process that knows the server, with elements moved along the orbit, or turned."""
    environment = server | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PLAN, str(home.path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(*, moved_deg: float = 0.0, turned_deg: float = 0.0) -> dict[str, int]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{moved_deg} {turned_deg}\n")
            process.stdin.flush()
            counts: dict[str, int] = json.loads(process.stdout.readline())
            return counts

        yield run
        process.communicate(timeout=60)


def _pass_runs(server: dict[str, str], state: str, home: Home) -> dict[str, dict[str, Any]]:
    """Runs of process-pass in a state, by the key of their pass."""
    wanted = {"flows": {"name": {"any_": ["process-pass"]}}, "flow_runs": {"state": {"type": {"any_": [state]}}}}
    runs = [run["parameters"]["request"] | {"run": run} for run in ask(server, "/flow_runs/filter", wanted)]
    mine = [asked for asked in runs if asked["home"] == str(home.path)]
    assert len({asked["key"] for asked in mine}) == len(mine), "a pass has two runs"
    return {asked["key"]: asked["run"] for asked in mine}


def _when(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["next_scheduled_start_time"])


def test_planning_twice_makes_nothing_double_and_new_elements_move_or_cancel(
    server: dict[str, str], home: Home, plan: Plan
) -> None:
    first = plan()
    planned = _pass_runs(server, "SCHEDULED", home)
    assert first["planned"] == len(planned) >= 8
    book = {record.key: record for record in all_passes(home)}
    assert set(book) == set(planned)
    for key, run in planned.items():
        assert abs((_when(run) - book[key].los - timedelta(minutes=10)).total_seconds()) < 0.01
        assert run["id"] == book[key].run

    again = plan()
    assert "planned" not in again
    assert "moved" not in again
    assert {run["id"] for run in _pass_runs(server, "SCHEDULED", home).values()} == {
        run["id"] for run in planned.values()
    }

    # Two degrees along the orbit are half a minute: the same passes, earlier.
    moved = plan(moved_deg=2.0)
    runs = _pass_runs(server, "SCHEDULED", home)
    coming = {key for key, record in book.items() if record.aos > datetime.now(UTC) + timedelta(minutes=2)}
    kept = coming & set(runs)
    assert moved["moved"] >= len(kept) - 2
    assert len(kept) >= len(coming) - 2  # one at the horizon may vanish
    assert all(runs[key]["id"] == planned[key]["id"] for key in kept)
    earlier = [(_when(planned[key]) - _when(runs[key])).total_seconds() for key in kept]
    assert all(5 < shift < 80 for shift in earlier)

    # Another orbital plane: none of the passes is left, and their runs go.
    turned = plan(turned_deg=70.0)
    gone = _pass_runs(server, "CANCELLED", home)
    left = _pass_runs(server, "SCHEDULED", home)
    assert turned["cancelled"] > 0
    assert turned["planned"] > 0
    open_now = {record.key for record in all_passes(home) if record.closed is None}
    assert set(left) == open_now
    cancelled = {record.key for record in all_passes(home) if record.state is PassState.CANCELLED}
    assert set(gone) == cancelled
    kinds = [event["kind"] for event in read_events(home)]
    assert {"pass.planned", "pass.moved", "pass.cancelled"} <= set(kinds)


def test_a_pass_runs_at_its_time_waits_without_a_worker_and_marks_its_gap(
    server: dict[str, str], home: Home, plan: Plan, tmp_path: Path
) -> None:
    """A real worker takes the run when the pass is over, gives it back while it waits, and closes it with the gap."""
    rules = "passes: {first_look_minutes: 0.05, look_again_minutes: 0.1, give_up_hours: %s}\n"
    (home.configs / "operations.yaml").write_text(rules % 6)
    plan()
    los = datetime.now(UTC) + timedelta(seconds=12)
    record = next(all_passes(home)).model_copy(
        update={
            "key": "kazeosat-1-1-elsewhere", "run": None, "orbit": 1, "expected": 2, "aos": los - timedelta(minutes=10),
            "tca": los - timedelta(minutes=5), "los": los, "imaged_from": los - timedelta(hours=2),
            "mission": "kazeosat-1", "state": PassState.PLANNED,
            # Of a station that no pass is forecast for: one forecast for this very hour would be taken for this pass.
            "station": "elsewhere",
        }
    )  # fmt: skip
    write_pass(home, record)
    plan()
    deliver(home, "first", los - timedelta(minutes=4))
    deliver(home, "of the pass before", los - timedelta(hours=3))
    _rest(server, but="process-pass")
    with prefect_worker(server, tmp_path):
        # Deliveries are missing: the run is on the plan again, and holds no place at the worker.
        run = _until(server, home, record.key, "SCHEDULED", PassState.WAITING)
        assert run["state_name"] == "Waiting"
        (home.configs / "operations.yaml").write_text(rules % 0.0001)
        run = _until(server, home, record.key, "COMPLETED", PassState.GAP)
    now = pass_record(home, record.key)
    assert now is not None
    assert [each.name for each in now.deliveries] == ["first"]
    assert now.missing == 1
    assert run["state_name"] == "Gap"
    assert run["run_count"] >= 2
    assert datetime.fromisoformat(run["start_time"]) >= los + timedelta(seconds=3)
    tables = ask(server, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [now.run]}}})
    assert any("| **gap** | **1 missing** |" in table["data"] for table in tables)
    kinds = [event["kind"] for event in read_events(home) if event.get("name") == record.key]
    assert kinds.count("pass.started") == kinds.count("pass.gap") == 1
    _told_to_prefect(server, "qyran.pass.gap")

    deliver(home, "second", los - timedelta(minutes=3))
    assert plan()["late"] == 1
    now = pass_record(home, record.key)
    assert now is not None
    assert now.state is PassState.COMPLETE
    assert [(each.name, each.late) for each in now.deliveries] == [("first", False), ("second", True)]
    assert "late" not in plan()


def _rest(server: dict[str, str], *, but: str) -> None:
    """Put what a schedule begins to rest: it would be run first, all that nobody has run since the server is up."""
    for deployment in ask(server, "/deployments/filter", {}):
        if deployment["name"] != but:
            ask(server, f"/deployments/{deployment['id']}/pause_deployment", {})


def _until(server: dict[str, str], home: Home, key: str, run_is: str, pass_is: PassState) -> dict[str, Any]:
    """The pass's run, once both are as they should be."""
    for _ in range(480):
        now = pass_record(home, key)
        assert now is not None
        (run,) = ask(server, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [now.run]}}})
        if (run["state_type"], now.state) == (run_is, pass_is):
            return dict(run)
        time.sleep(0.5)
    pytest.fail(f"the run is {run['state_type']}, the pass {now.state}")


def deliver(home: Home, package: str, acquired: datetime) -> None:
    """The event of a package that became a product."""
    facts = {"package": package, "mission": "kazeosat-1", "acquired": acquired.isoformat(), "items": [f"c/{package}"]}
    record_event(home, "scene.published", package, **facts)


def _told_to_prefect(server: dict[str, str], name: str) -> None:
    """An automation can act on it: the event is at the server."""
    for _ in range(60):
        if ask(server, "/events/filter", {"filter": {"event": {"name": [name]}}})["events"]:
            return
        time.sleep(0.5)
    pytest.fail(f"{name} did not reach the server")


def test_the_shipped_automation_tells_a_webhook_of_trouble_only(server: dict[str, str], tmp_path: Path) -> None:
    with webhook() as (url, heard):
        subprocess.run([sys.executable, "-c", ALERT, url], env=server, check=True, timeout=240)
        assert len(ask(server, "/automations/filter", {})) == 1
        for _ in range(10):  # the server takes a while to know a new automation
            subprocess.run([sys.executable, "-c", TELL, str(tmp_path)], env=server, check=True, timeout=240)
            time.sleep(2)
            if heard:
                break
    assert heard
    assert {json.loads(body)["text"] for body in heard} == {"qyran.scene.quarantined: bad checksum"}


def test_the_bell_begins_one_look_for_what_is_new(server: dict[str, str], home: Home) -> None:
    """The packages lie there and wait; no worker runs here, so looks that were begun can be counted."""
    subprocess.run([sys.executable, "-c", WATCH], env=server, check=True, timeout=240)
    (home.configs / "landing.yaml").write_text("stable_seconds: 3600\n")
    home.landing.mkdir(parents=True)
    bell = Bell(home, server, every_s=0)
    runs = {"flow_runs": {"tags": {"all_": ["bell"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}}

    def rung() -> tuple[bool, int]:
        return bell.listen(), ask(server, "/flow_runs/count", runs)

    assert rung() == (False, 0), "nothing lies there"
    (home.landing / "first.zip").write_bytes(b"PK")
    assert rung() == (True, 1)
    assert rung() == (False, 1), "it has rung for that"
    (home.landing / "second.zip").write_bytes(b"PK")
    assert rung() == (True, 1), "the look that is about to begin will see it"
    for run in ask(server, "/flow_runs/filter", runs):
        ask(server, f"/flow_runs/{run['id']}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
    (home.configs / "landing.yaml").write_text("stable_seconds: 0\n")
    assert rung() == (True, 1), "nothing changes in it any more"
    assert rung() == (False, 1)
    claim = home.claimed / "first_1" / "claim.json"
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"next_try": None}))
    assert rung() == (False, 1)
    claim.with_name("outcome.json").write_text("{}")
    assert rung() == (True, 1), "its run is over"
    claim.write_text(json.dumps({"next_try": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}))
    assert rung() == (True, 1), "it is to be tried again"

    (deployment,) = ask(server, "/deployments/filter", {"deployments": {"name": {"any_": ["watch-landing"]}}})
    ask(server, f"/deployments/{deployment['id']}/pause_deployment", {})
    (home.landing / "third.zip").write_bytes(b"PK")
    assert rung() == (False, 1), "an operator has put it to rest"
    ask(server, f"/deployments/{deployment['id']}/resume_deployment", {})
    assert rung() == (True, 1)
    shutil.rmtree(home.landing)
    assert rung() == (False, 1), "no landing zone is no reason to fall over"


def test_an_idle_house_begins_nothing_and_an_order_is_rung_for_at_once(server: dict[str, str], home: Home) -> None:
    """The schedules are there all the same, for where nobody rings."""
    subprocess.run([sys.executable, "-c", SELL], env=server, check=True, timeout=240)
    found = ask(
        server, "/deployments/filter", {"deployments": {"name": {"any_": ["deliver-order", "serve-subscriptions"]}}}
    )
    assert {schedule["slug"] for one in found for schedule in one["schedules"] if schedule["active"]} == {
        "what-is-due", "what-is-new"
    }  # fmt: skip
    bell = Bell(home, server, every_s=0)

    def rung(flow: str) -> int:
        waiting = {"tags": {"all_": ["bell"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
        asked = {"flow_runs": waiting, "flows": {"name": {"any_": [flow]}}}
        return int(ask(server, "/flow_runs/count", asked))

    fill(home)
    assert not bell.listen(), "nobody has ordered or subscribed"
    with open_desk(home.path) as desk:
        place_order(desk, None, OrderRequest(items=(f"{COLLECTION}/{PLAIN}",)))
    began = time.monotonic()
    assert bell.listen()
    assert time.monotonic() - began < 30
    assert (rung("deliver-order"), rung("serve-subscriptions")) == (1, 1)
    assert not any(bell.listen() for _ in range(3)), "it has rung for that"
    assert (rung("deliver-order"), rung("serve-subscriptions")) == (1, 1)
