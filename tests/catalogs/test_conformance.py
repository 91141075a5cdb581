"""What the public validator of STAC APIs says, and what a fuzzer finds."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from catalogs import open_at
from catalogs.store.protocol import CatalogueStore
from tests.catalogs.synthetic_items import collection, items
from tests.conftest import ROOT
from tests.services import postgres
from tests.services.api import ApiServer, api_serving

pytestmark = pytest.mark.services
CLASSES = ("core", "collections", "features", "item-search", "filter")
JUDGE = ROOT / ".tools" / "stac-validator" / "bin" / "python"
EVERYWHERE = {"type": "Polygon", "coordinates": [[[60, 40], [86, 40], [86, 53], [60, 53], [60, 40]]]}


@contextmanager
def serving(home: Path, store: CatalogueStore | None = None) -> Iterator[ApiServer]:
    with api_serving(home, store=store) as running:
        for number, name in enumerate(("alpha", "beta")):
            running.store.put_collection(collection(name))
            running.store.put_items(items(150, home=name, seed=number))
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    reason = postgres.why_not()
    if reason is not None:
        postgres.refuse(reason)
    with (
        postgres.running(tmp_path_factory.mktemp("conformance")) as cluster,
        serving(tmp_path_factory.mktemp("home"), open_at(cluster.fresh("conformance"))) as running,
    ):
        yield running


@pytest.mark.realdata
@pytest.mark.parametrize("store", ["server", "on_postgres"])
def test_the_public_validator_finds_no_error(store: str, request: pytest.FixtureRequest, realdata: Path) -> None:
    """Its schemas lie with the real data; ``make test`` makes the environment that it needs for itself."""
    tool = realdata.parent / "tools" / "stac_api_conformance.py"
    if not JUDGE.is_file() or not tool.is_file():
        if "services" in os.environ.get("QYRAN_REQUIRE", ""):
            pytest.fail(f"required, but not there: {JUDGE} or {tool}")
        pytest.skip("the STAC API validator is not installed here: make test does that")
    server: ApiServer = request.getfixturevalue(store)
    command = [
        str(JUDGE),
        str(tool),
        "--root-url",
        server.stac,
        "--collection",
        "alpha",
        "--geometry",
        json.dumps(EVERYWHERE),
    ]
    for name in CLASSES:
        command += ["--conformance", name]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"NO_PROXY": "127.0.0.1"}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1500:]
    assert "Errors: none" in done.stdout


def test_no_request_makes_it_fail(server: ApiServer) -> None:
    """Requests made up from the API's own description, valid and not: whatever comes, no 5xx."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    asked = 0
    for operation in schema.get_all_operations():
        call = operation.ok()
        if call.path.startswith(("/metrics", "/docs")):
            continue

        @settings(
            max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=call.as_strategy())
        def check(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            answer = case.call(base_url=server.url, headers={"Authorization": f"Bearer {server.token}"})
            assert answer.status_code < 500, (case.method, case.path, answer.text[:300])

        check()
    assert asked > 300
