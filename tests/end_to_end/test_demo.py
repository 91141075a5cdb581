"""The demo at a quarter of its size: two satellites, one broken package, every promised accuracy."""

import json
from pathlib import Path

import pytest

from pipelines.demo import LIMIT_RMSE_PX, LIMIT_TOA_PERCENT, DemoResult, Pass, run_demo
from pipelines.demo_report import show_report
from processing.model.quality import Outcome

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def result(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(
        tmp_path_factory.mktemp("demo-home"),
        report=lambda done, total, label: None,
        say=print,
        passes=(Pass("kazeosat-1-naomi", 400), Pass("kazeosat-2-keis", 500)),
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


def test_the_closing_table_names_every_product(result: DemoResult, capsys: pytest.CaptureFixture[str]) -> None:
    show_report(result)
    shown = capsys.readouterr().out
    for product in result.products:
        assert product.id in shown
    assert "RMSE px" in shown
    assert "qyran search" in shown
