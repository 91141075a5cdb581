"""``qyran bench archive``: every format gives back what it was given, and the figures are those of the runs."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.bench.archive import ACTIONS, ArchiveBench, ArchiveBenchOptions, Row, describe, write_report
from pipelines.cli import app
from processing.archive.manifest import check_product
from processing.testing.archive_formats import FORMATS, LEVEL, band, run, windows

SIZE = 1100


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    path = tmp_path_factory.mktemp("band") / "band.npy"
    np.save(path, band(SIZE, 3))
    return path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # open files of a script that ends
@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_gives_back_what_was_written(name, pixels, tmp_path):
    job = {"place": str(tmp_path / "product"), "pixels": str(pixels), "shape": [SIZE, SIZE], "threads": 2}
    job |= {"window": 128, "windows": 5, "seed": 1}
    (tmp_path / "job.json").write_text(json.dumps(job))
    taken = run(name, "write", job) | run(name, "windows", job) | run(name, "full", job)
    assert set(taken) == set(ACTIONS)
    assert all(seconds > 0 for seconds in taken.values())
    if name.startswith("qyran"):
        assert check_product(tmp_path / "product") == []
    coarse = FORMATS[name].level(tmp_path / "product")()
    assert coarse.shape == (SIZE // 2**LEVEL, SIZE // 2**LEVEL)


def test_a_tool_that_gives_back_other_pixels_is_caught(pixels, tmp_path):
    job = {"place": str(tmp_path / "product"), "pixels": str(pixels), "shape": [SIZE, SIZE], "threads": 1}
    job |= {"window": 128, "windows": 5, "seed": 1}
    (tmp_path / "job.json").write_text(json.dumps(job))
    run("zarr", "write", job)
    other = tmp_path / "other.npy"
    np.save(other, np.load(pixels) + 1)
    for action in ("full", "windows"):
        with pytest.raises(ValueError, match="did not give back"):
            run("zarr", action, job | {"pixels": str(other)})


def test_the_band_is_like_an_archived_one():
    found = band(1000, 1)
    np.testing.assert_array_equal(found, band(1000, 1))
    assert 0.15 < (found == 0).mean() < 0.5
    assert all(rows.start >= 0 and rows.stop <= 1000 for rows, _ in windows(1000, 512, 50, 1))


def test_ratios_are_taken_within_rounds(tmp_path):
    seconds = {"zarr": [1.0, 4.0, 2.0], "qyran": [0.5, 1.0, 1.9]}
    rows = tuple(
        Row(key=key, seconds={action: seconds.get(key, [3.0, 3.0, 3.0]) for action in ACTIONS}, bytes=10**6)
        for key in FORMATS
    )
    result = ArchiveBench(
        machine={"processor": "p", "cpus": 2, "load": 0.1},
        options=ArchiveBenchOptions(),
        versions={"zarr": "3"},
        rows=rows,
    )
    assert result.ratio("write", "qyran") == 0.5
    document = result.document()
    assert document["goals"]["write_cost"]["found"] == 0.5
    assert document["goals"]["window_speed"]["found"] == 2.0
    assert document["pairs"]["full"]["zarr"]["zarr"] == 1.0
    assert "| Qyran, finest level | 200 (0.50) |" in describe(result)
    write_report(result, tmp_path / "report")
    assert json.loads((tmp_path / "report" / "archive.json").read_text())["rows"][0]["key"] == "qyran"
    assert (tmp_path / "report" / "archive.md").read_text() == describe(result)


def test_the_command_says_what_it_does():
    shown = CliRunner().invoke(app, ["bench", "archive", "--help"]).stdout
    assert "Example:" in shown
    assert "--json" in shown
