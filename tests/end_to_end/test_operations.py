"""A day at the station, on real servers: ``qyran up``, Prefect's REST API and its pages in a real browser.

An operator cancels a run, starts it again from the form, sees it move and finds the product. A package dropped into
landing is catalogued with no hand, a broken one shows its reason, one that a rule holds is accepted from the form. One
start of the servers for all of it; the tests go on from one another, in this order.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from configs.settings import Home
from tests.services.chromium import picture, why_not
from tests.services.chromium import running as chromium
from tests.services.house import free_port

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]
QYRAN = str(Path(sys.executable).with_name("qyran"))
"""A folder to leave screenshots in, for those who want to look at them."""
CLIENT = {"Prefect-Csrf-Client": "test"}


def until[Found](holds: Callable[[], Found], what: str, seconds: float = 400.0) -> Found:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.3)
    pytest.fail(what)


@dataclass
class Station:
    """One installation that runs."""

    home: Home
    addresses: dict[str, Any]
    packages: list[Path]
    """Not in landing yet."""
    prefect: httpx.Client
    catalogue: httpx.Client

    @property
    def password(self) -> str:
        return Path(self.addresses["prefect_auth"]).read_text().strip()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.prefect.get(path) if body is None else self.prefect.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def deployment(self, name: str) -> str:
        (found,) = self.ask("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return str(found["id"])

    def runs(self, flow: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})
        return found

    def state(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(f"/flow_runs/{run}")["state"]
        return found

    def ended(self, run: str) -> dict[str, Any]:
        return until(
            lambda: state if (state := self.state(run))["type"] not in ("SCHEDULED", "PENDING", "RUNNING") else None,
            f"run {run} did not end",
        )

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """By what they are, of a run: ``quality``, ``progress``, ..."""
        found = self.ask("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {each["key"].partition("-")[0]: each for each in found}

    def items(self) -> list[str]:
        answer = self.catalogue.get(self.addresses["stac"] + "/search", params={"limit": 100})
        return sorted(f"{item['collection']}/{item['id']}" for item in answer.json()["features"])

    def drop(self, package: Path) -> None:
        """As a careful sender does: under another name until it is whole."""
        partial = self.home.landing / f"{package.name}.part"
        if package.is_dir():
            shutil.copytree(package, partial)
        else:
            shutil.copyfile(package, partial)
        partial.rename(self.home.landing / package.name)

    def lies_about(self) -> list[str]:
        """What is in the folder of work in progress."""
        return sorted(
            str(path.relative_to(self.home.staging))
            for path in self.home.staging.rglob("*")
            if path.is_file() or (path.is_dir() and "--" in path.name)
        )


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    made = tmp_path_factory.mktemp("made")
    command = [QYRAN, "simulate", "--out", str(made), "--size", "300", "--scenes", "3", "--json"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    home = Home.resolve(tmp_path_factory.mktemp("station") / "home")
    home.configs.mkdir(parents=True)
    (home.configs / "landing.yaml").write_text("stable_seconds: 2\n")
    shutil.copytree(made / "dem", home.dem)
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    ports = ("--port", str(free_port()), "--prefect-port", str(free_port()))
    process = subprocess.Popen(
        [QYRAN, "up", "--home", str(home.path), *ports, "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            if not line:
                logs = "\n".join(path.read_text()[-800:] for path in home.logs.glob("*.log"))
                pytest.fail(f"it ended: {text}\n{logs}")
            text += line
        addresses = json.loads(text)
        user, _, password = Path(addresses["prefect_auth"]).read_text().strip().partition(":")
        token = Path(addresses["operator_token"]).read_text().strip()
        options: dict[str, Any] = {"trust_env": False, "timeout": 60}
        with (
            httpx.Client(
                base_url=addresses["prefect"] + "/api", auth=(user, password), headers=CLIENT, **options
            ) as api,
            httpx.Client(headers={"Authorization": f"Bearer {token}"}, **options) as catalogue,
        ):
            api.headers["Prefect-Csrf-Token"] = api.get("/csrf-token", params={"client": "test"}).json()["token"]
            packages = sorted(path for path in made.iterdir() if path.name.startswith("DS_"))
            yield Station(home, addresses, packages, api, catalogue)
    finally:
        process.send_signal(signal.SIGTERM)
        with process:
            process.wait(timeout=120)


@pytest.fixture(scope="module")
def signed_in(station: Station) -> Iterator[Any]:
    """Prefect's own pages, signed in."""
    if (missing := why_not()) is not None:
        pytest.skip(missing)
    with chromium(maps=False) as browser:
        context = browser.new_context(
            base_url=station.addresses["prefect"], viewport={"width": 1400, "height": 1500}, locale="en-GB"
        )
        found = context.new_page()
        found.set_default_timeout(120_000)
        found.goto("/")
        found.fill("input[type=password]", station.password)
        found.keyboard.press("Enter")
        found.wait_for_url("**/dashboard*")
        yield found
        context.close()


@pytest.fixture
def page(signed_in: Any) -> Iterator[Any]:
    """A page of Prefect's for one test: open, it would go on asking and drawing beside the next."""
    yield signed_in
    signed_in.goto("about:blank")


def field(page: Any, label: str) -> Any:
    """The box below a label of the form: the innermost, for the boxes of a model lie in a box of their own."""
    labels = page.locator(".p-label", has=page.get_by_text(re.compile(f"^{label}( \\(Optional\\))?$")))
    return labels.last.locator("textarea")


def submit(page: Any) -> str:
    """Submit the form; the run that it made, from the page's word of it."""
    with page.expect_response(lambda answer: answer.url.endswith("/create_flow_run")) as answer:
        page.get_by_role("button", name="Submit").click()
    assert answer.value.status == 201, answer.value.text()
    return str(answer.value.json()["id"])


def test_a_run_that_is_cancelled_leaves_nothing_behind(station):
    asked = {"parameters": {"request": {"package": str(station.packages[0])}}}
    run = station.ask(f"/deployments/{station.deployment('process-scene')}/create_flow_run", asked)["id"]
    until(lambda: any("--" in name for name in station.lies_about()), "it never began to compute")
    station.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    state = station.ended(run) if station.state(run)["type"] != "CANCELLING" else None
    state = until(
        lambda: found if (found := station.state(run))["type"] == "CANCELLED" else None, f"not cancelled: {state}"
    )
    until(lambda: station.lies_about() == [], f"it left {station.lies_about()}", 60)
    assert station.items() == []


def test_an_operator_processes_a_scene_from_the_form_and_finds_it(station, page):
    page.goto(f"/deployments/deployment/{station.deployment('process-scene')}/run")
    page.get_by_text("Path of the delivered package").wait_for()
    picture(page, "form")
    words = page.inner_text("body")
    assert "What the DEM's heights count from" in words
    field(page, "Package").fill(str(station.packages[0]))
    run = submit(page)
    progress = until(
        lambda: found if (found := station.artifacts(run).get("progress")) else None, "no progress was shown"
    )
    page.goto(f"/runs/flow-run/{run}")
    page.get_by_text(re.compile("Running|Published")).first.wait_for()
    picture(page, "running")
    assert station.ended(run)["name"] == "Published"
    name = station.ask(f"/flow_runs/{run}")["name"]
    assert name == f"{station.packages[0].name} l1c"
    found = until(lambda: each if "item" in (each := station.artifacts(run)) else None, "no artifacts")
    assert {"quality", "quicklook", "item", "report", "progress"} <= set(found)
    assert float(found["progress"]["data"]) == 100.0 >= float(progress["data"])
    (item,) = station.items()
    address = re.search(r"\]\((http[^)]+)\)", found["item"]["data"])
    assert address is not None
    assert address[1] == f"{station.addresses['catalogue']}item/{item}"
    assert station.catalogue.get(address[1]).status_code == 200
    report = re.search(r"\]\((http[^)]+)\)", found["report"]["data"])
    assert report is not None
    assert station.catalogue.get(report[1]).json()["id"] == item.partition("/")[2]
    page.goto(f"/runs/flow-run/{run}")
    page.get_by_text("Published").first.wait_for()
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text(re.compile("quicklook", re.IGNORECASE)).first.wait_for()
    picture(page, "artifacts")
    page.goto(f"/artifacts/artifact/{found['quality']['id']}")
    page.get_by_text("valid %").first.wait_for()
    picture(page, "quality")
    page.goto(f"/artifacts/artifact/{found['quicklook']['id']}")
    shown = page.locator("img[src^='data:image/webp']")
    shown.wait_for()
    assert shown.evaluate("image => image.naturalWidth") > 100
    picture(page, "quicklook")


def test_a_form_that_is_wrong_says_so(station, page):
    page.goto(f"/deployments/deployment/{station.deployment('decide-held')}/run")
    field(page, "Item").fill("nothing")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text(re.compile("required|must", re.IGNORECASE)).first.wait_for()
    picture(page, "wrong")


def test_what_is_dropped_into_landing_is_catalogued_with_no_hand(station):
    station.drop(station.packages[1])
    before = len(station.items())
    until(lambda: len(station.items()) >= before + 2, "it was not catalogued")
    until(
        lambda: not any(station.home.landing.iterdir()) and not any(station.home.claimed.iterdir()), "it did not leave"
    )
    runs = [run for run in station.runs("process-scene") if "landing" in run["tags"]]
    assert [(run["name"], run["state"]["name"]) for run in runs] == [(f"{station.packages[1].name} l1c", "Published")]
    assert any(station.home.inputs.glob(f"*/{station.packages[1].name}"))


def test_a_package_that_fails_shows_its_reason(station, page):
    broken = station.home.path / "broken.zip"
    broken.write_bytes(b"PK\3\4 cut short")
    station.drop(broken)
    reason = until(lambda: next(station.home.quarantine.glob("broken*/reason.json"), None), "it was not set aside")
    told = json.loads(reason.read_bytes())
    assert told["reason"] == "truncated"
    assert (reason.parent / "broken.zip").read_bytes() == broken.read_bytes()
    run = until(
        lambda: next((run for run in station.runs("process-scene") if run["state"]["name"] == "Quarantined"), None),
        "its run does not say so",
    )
    assert run["state"]["type"] == "COMPLETED"
    assert told["message"] == run["state"]["message"]
    page.goto(f"/runs/flow-run/{run['id']}")
    page.get_by_text("Quarantined").first.wait_for()
    picture(page, "quarantined")
    until(lambda: not any(station.home.claimed.iterdir()), "it is still claimed")


def test_a_held_scene_is_accepted_from_the_form(station, page):
    (station.home.configs / "desk.yaml").write_text("review: {valid_percent: 100}\n")
    before = station.items()
    station.drop(station.packages[2])
    run = until(
        lambda: next(
            (each for each in station.runs("process-scene") if each["state"]["name"] == "Held for review"), None
        ),
        "nothing was held",
    )
    assert station.items() == before
    why = until(lambda: station.artifacts(run["id"]).get("desk"), "no word of why")
    assert "review.nodata" in why["data"]
    page.goto(f"/artifacts/artifact/{why['id']}")
    page.get_by_text("waits for your decision").first.wait_for()
    picture(page, "held")
    listed = subprocess.run(
        [QYRAN, "desk", "list", "--home", str(station.home.path), "--json"],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    (waiting,) = json.loads(listed.stdout)
    page.goto(f"/deployments/deployment/{station.deployment('decide-held')}/run")
    field(page, "Item").fill(waiting["item"])
    field(page, "Reason").fill("edges of the delivery only")
    field(page, "By").fill("A. Operator")
    picture(page, "decide")
    assert station.ended(submit(page))["name"] == "Published"
    assert waiting["item"] in station.items()
    assert len(station.items()) == len(before) + 2
    collection, _, item_id = waiting["item"].partition("/")
    item = station.catalogue.get(f"{station.addresses['stac']}/collections/{collection}/items/{item_id}").json()
    assert item["properties"]["qyran:review"]["by"] == "A. Operator"
    until(lambda: not any(station.home.claimed.iterdir()), "its package is still claimed")
    assert station.lies_about() == []
    page.goto("/runs")
    page.get_by_text("Held for review").first.wait_for()
    picture(page, "runs")
