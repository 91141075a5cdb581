"""``qyran bench load``: real customers at a real server, and figures that are those of the answers."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.bench.load_results import KINDS, Answer, LoadBench, describe, write_report
from pipelines.cli import app


def answer(kind: str, seconds: float, status: int = 200, moment: float = 0.0) -> Answer:
    return Answer(
        kind=kind, moment=moment, status=status, first_byte_s=seconds / 2, seconds=seconds, bytes=1, path="/p"
    )


def bench(*answers: Answer) -> LoadBench:
    machine = {"processor": "p", "cpus": 2, "load": 0.1}
    return LoadBench(machine=machine, seconds=1, customers=2, per_second=3, items=4, scenes=5, seed=6, answers=answers,
                     server_memory_bytes=7_000_000)  # fmt: skip


def test_figures_are_those_of_the_answers(tmp_path):
    dice = np.random.default_rng(3)
    times = dice.exponential(0.1, 200).tolist()
    found = bench(*(answer("search", one) for one in times), *(answer("tile", one) for one in times))
    document = found.document()
    for share in (50, 95, 99):
        assert document["percentiles_s"]["search"][f"p{share}"] == pytest.approx(np.percentile(times, share))
        assert document["percentiles_s"]["tile"][f"p{share}"] == pytest.approx(np.percentile(times, share) / 2)
    assert found.goals()["search_p95_s"]["held"] == (np.percentile(times, 95) <= 0.3)
    assert found.goals()["server_errors"] == {"asked_at_most": 0, "found": 0, "held": True}
    write_report(found, tmp_path)
    assert len(json.loads((tmp_path / "load.json").read_text())["answers"]) == 400
    assert "| tile, first byte | 200 |" in (tmp_path / "load.md").read_text()


def test_every_failure_is_told_of():
    found = bench(
        answer("search", 0.1), answer("item", 0.1, 503, 4.25), answer("quote", 0.2, 0), answer("tile", 0.1, 404)
    )
    assert [one.status for one in found.failed] == [503, 0]
    assert not found.goals()["server_errors"]["held"]
    assert "- failed: 503 /p at 4.2 s" in describe(found)
    assert found.document()["statuses"]["tile"] == {"404": 1}


@pytest.mark.services
def test_customers_are_answered(tmp_path):
    """A short run: every kind is asked for, at the moments that were fixed, and answered as it should be."""
    arguments = ["bench", "load", "--home", str(tmp_path), "--seconds", "4", "--customers", "10", "--per-second", "15",
                 "--items", "300", "--scenes", "1", "--report", str(tmp_path / "report"), "--json"]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert len(found["answers"]) == 60
    assert found["failed"] == []
    assert {kind for kind, *_ in found["answers"]} == set(KINDS)
    assert {status for counts in found["statuses"].values() for status in counts} <= {"200", "403"}
    assert found["statuses"]["tile"] == {"200": sum(found["statuses"]["tile"].values())}
    assert (tmp_path / "report" / "load.md").is_file()
    assert list((tmp_path / "bench").iterdir()) == []
