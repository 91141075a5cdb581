"""Every code that an operator can meet is in the table, and the runbook says what the table says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.observe import state_name
from pipelines.outcomes import PackageOutcome
from pipelines.reasons import reason, reasons, runbook_tables
from processing.model import errors
from processing.model.errors import QyranError
from processing.model.quality import Outcome

ROOT = Path(__file__).parents[2]
ON_THE_WAY = (
    "processing/readers", "processing/geometry", "processing/radiometry", "processing/quality", "processing/products",
    "processing/archive/write.py", "processing/archive/held.py", "processing/archive/disk_faults.py",
    "processing/archive/durable.py", "processing/archive/space.py", "processing/chain.py", "pipelines/process.py",
    "pipelines/packages.py", "pipelines/planning.py", "pipelines/drafts.py", "pipelines/derivation.py",
    "pipelines/products.py", "pipelines/composite.py", "pipelines/composite_plan.py", "pipelines/composite_select.py",
    "pipelines/composite_request.py", "processing/archive/common_grid.py", "processing/archive/composition.py",
    "processing/archive/composed_area.py", "pipelines/redelivery.py",
    "pipelines/desk.py", "pipelines/desk_rules.py", "pipelines/watch.py",
    "pipelines/cluster.py", "pipelines/cluster_open.py", "pipelines/prefect_env.py", "pipelines/catalogue.py",
)  # fmt: skip
"""Code that a package passes through."""
ELSEWHERE = {"gcp", "reference", "block", "resampling", "schema", "pixels", "model", "desk"}
"""Families raised there that commands and refinement meet, and that never become the outcome of a package."""


def codes(path: Path) -> Iterator[str]:
    """Every ``kind=`` and ``reason=`` of a module that is written out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.keyword) and node.arg in ("kind", "reason")
        if named and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def test_every_code_on_a_packages_way_is_in_the_table():
    files = [
        path
        for place in ON_THE_WAY
        for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    raised = {code for path in files for code in codes(path)}
    assert len(raised) > 100
    missing = {code for code in raised if reason(code) is None and code.partition(".")[0] not in ELSEWHERE}
    assert not missing


@pytest.mark.parametrize("error", [kind for kind in QyranError.__subclasses__() if kind.__module__ == errors.__name__])
def test_every_kind_of_error_has_a_line_of_its_own(error):
    assert error.default_kind in reasons()


def test_review_codes_are_those_that_rules_give():
    named = set()
    for node in ast.walk(ast.parse((ROOT / "pipelines/desk_rules.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_finding":
            first = node.args[0]
            assert isinstance(first, ast.Constant)
            named.add(f"review.{first.value}")
    assert named | {"review.rejected"} == {code for code in reasons() if code.startswith("review.")}


def test_the_runbook_says_what_the_table_says():
    text = (ROOT / "pipelines" / "RUNBOOK.md").read_text(encoding="utf-8")
    for heading, table in runbook_tables().items():
        assert f"## {heading}\n" in text
        assert table in text, f"run python -m pipelines.reasons and put its tables into RUNBOOK.md: {heading}"


def test_every_line_says_what_to_do():
    for code, line in reasons().items():
        assert line.means.endswith("."), code
        assert line.do.endswith("."), code


@pytest.mark.parametrize(
    ("outcome", "reasons_", "name"),
    [
        (Outcome.PUBLISHED, (), "Published"),
        (Outcome.PUBLISHED, ("inputs_not_kept",), "Published"),
        (Outcome.REJECTED, ("scene.low_sun",), "Low sun"),
        (Outcome.REJECTED, ("radiometry.night",), "Low sun"),
        (Outcome.REJECTED, ("scene.all_cloud",), "All cloud"),
        (Outcome.REJECTED, ("scene.sea_only",), "Sea only"),
        (Outcome.REJECTED, ("package.level",), "Rejected"),
        (Outcome.HELD, ("review.cloud", "review.nodata"), "Held for review"),
        (Outcome.HELD, ("dem.size",), "Held"),
        (Outcome.HELD, ("scene.better_held",), "Held behind another"),
        (Outcome.QUARANTINED, ("xml.depth",), "Quarantined"),
        (Outcome.FAILED, ("unexpected.ValueError",), "Failed"),
    ],
)
def test_results_have_names(outcome, reasons_, name):
    assert state_name(PackageOutcome(package="x", outcome=outcome, reasons=reasons_)) == name
