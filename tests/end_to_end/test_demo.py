"""The demo at a fifth of its size: two satellites, one broken package, every promised accuracy."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.demo import LIMIT_RMSE_PX, LIMIT_TOA_PERCENT, DemoResult, Pass, run_demo
from pipelines.demo_report import show_report
from processing.model.quality import Outcome
from tests.services.house import free_ports

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def result(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(
        tmp_path_factory.mktemp("demo-home"),
        report=lambda done, total, label: None,
        say=print,
        passes=(Pass("kazeosat-1-naomi", 200), Pass("kazeosat-2-keis", 300)),
    )


def test_all_goes_as_promised(result: DemoResult) -> None:
    assert result.shortcomings == []
    assert [outcome.outcome for outcome in result.outcomes] == [
        Outcome.PUBLISHED,
        Outcome.PUBLISHED,
        Outcome.QUARANTINED,
    ]


def test_the_catalogue_holds_both_missions_and_their_ndvi(result: DemoResult) -> None:
    assert result.catalogued == 4
    assert {product.collection for product in result.products} == {
        "kazeosat-1-l1c",
        "kazeosat-1-ndvi",
        "kazeosat-2-l1c",
        "kazeosat-2-ndvi",
    }
    for product in result.products:
        assert Path(product.archive).exists()
        assert (Path(product.files) / "item.json").exists()


def test_every_group_is_measured_and_good(result: DemoResult) -> None:
    measured = {(product.collection, row.group): row for product in result.products for row in product.measured}
    for key in (("kazeosat-1-l1c", "pan"), ("kazeosat-1-l1c", "reflectance"), ("kazeosat-2-l1c", "reflectance")):
        assert measured[key].rmse_px is not None
        assert measured[key].rmse_px <= LIMIT_RMSE_PX
        assert measured[key].toa_percent is not None
        assert measured[key].toa_percent <= LIMIT_TOA_PERCENT
    for mission in ("kazeosat-1", "kazeosat-2"):
        assert measured[f"{mission}-ndvi", "index"].ndvi_median == pytest.approx(0, abs=0.01)


def test_the_broken_package_is_kept_with_its_reason(result: DemoResult) -> None:
    broken = result.outcomes[-1]
    assert broken.quarantine is not None
    reason = json.loads((Path(broken.quarantine) / "reason.json").read_text())
    assert reason["reason"] == "truncated"
    assert reason["remedy"]


SERVE = """
import sys
from pipelines import demo

made = demo.DemoResult.model_validate_json(sys.stdin.read())  # by the real thing, just now
demo.run_demo = lambda *_, **__: made
sys.argv = ["qyran", "demo", "--serve", *sys.argv[1:]]
from pipelines.cli import main
main()
"""


@pytest.mark.services
def test_it_then_serves_what_it_made(result: DemoResult) -> None:
    """The item and its picture, over HTTP from the process that `--serve` becomes; making it again is left out."""
    port, prefect_port = free_ports(2)
    options = ["--home", result.home, "--port", str(port), "--prefect-port", str(prefect_port)]
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    made, home = result.products[0], Path(result.home)
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(result.model_dump_json())
            process.stdin.close()
            address = f"http://127.0.0.1:{port}/stac/collections/{made.collection}/items/{made.id}"
            with httpx.Client(trust_env=False, timeout=30) as client:
                item = until_served(client, process, home, address)
                assert item["id"] == made.id
                picture = client.get(item["assets"]["thumbnail"]["href"])
            assert picture.status_code == 200, picture.text[:200]
            assert picture.content == next(Path(made.files).glob("thumbnail.*")).read_bytes()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=120)


def until_served(client: httpx.Client, process: subprocess.Popen[str], home: Path, address: str) -> dict[str, Any]:
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        token = home / "catalogue" / "operator-token"
        with contextlib.suppress(httpx.TransportError, FileNotFoundError):
            client.headers["Authorization"] = f"Bearer {token.read_text().strip()}"
            answer = client.get(address)
            if answer.status_code == 200:
                return dict(answer.json())
        time.sleep(0.5)
    raise AssertionError("it does not serve")


def test_the_closing_table_names_every_product(result: DemoResult, capsys: pytest.CaptureFixture[str]) -> None:
    show_report(result)
    shown = capsys.readouterr().out
    for product in result.products:
        assert product.id in shown
    assert "RMSE px" in shown
    assert "qyran search" in shown
