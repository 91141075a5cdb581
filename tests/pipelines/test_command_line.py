"""The command line's promises: help with an example, one JSON document, plain words, exit codes, a quick start."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app

COMMANDS = ("demo", "info", "process", "search", "ortho", "simulate", "composite", "doctor")
RUN = CliRunner()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_json(command: str) -> None:
    shown = RUN.invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Example:" in shown.stdout
    assert f"qyran {command}" in shown.stdout
    assert "--json" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["process"],
        ["process", "no-such-package"],
        ["info"],
        ["ortho", "no-such-image", "--dem", ".", "--out", "x.tif"],
        ["search", "--bbox", "1,2,3"],
        ["simulate"],
        ["no-such-command"],
        ["ortho", "--vertical-datum", "msl", "--dem", ".", "--out", "x.tif", "."],
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    assert RUN.invoke(app, arguments).exit_code == 2


def test_a_failure_is_plain_words_and_one_json_document(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["search", "--home", str(tmp_path), "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["error"]["kind"] == "catalogue.missing"
    assert "remedy:" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_debug_shows_the_traceback_on_stderr_only(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["search", "--home", str(tmp_path), "--json", "--debug"])
    assert "Traceback" in shown.stderr
    json.loads(shown.stdout)


def test_an_unknown_recipe_names_the_known(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["process", str(tmp_path), "--recipe", "ndwi", "--home", str(tmp_path), "--json"])
    assert shown.exit_code == 1
    error = json.loads(shown.stdout)["error"]
    assert error["kind"] == "recipe.unknown"
    assert "ndvi" in error["remedy"]


def test_a_wrong_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "configs" / "recipes").mkdir(parents=True)
    (tmp_path / "configs" / "recipes" / "mine.yaml").write_text("id: mine\ntitel: {}\n")
    shown = RUN.invoke(app, ["info", str(tmp_path), "--home", str(tmp_path), "--json"])
    assert shown.exit_code == 1
    assert "mine.yaml" in json.loads(shown.stdout)["error"]["message"]
    assert "did you mean 'title'" in shown.stderr.replace("\n", " ")


def test_doctor_finds_this_environment_sound(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["doctor", "--home", str(tmp_path / "home"), "--json"])
    assert shown.exit_code == 0, shown.stdout
    found = {finding["what"]: finding for finding in json.loads(shown.stdout)["findings"]}
    assert found["GDAL"]["state"] == "ok"
    assert found["DEM"]["state"] == "note"
    assert "GLO-30" in found["DEM"]["remedy"]
    assert not (tmp_path / "home").exists(), "looking changes nothing"


def test_help_starts_without_the_heavy_libraries() -> None:
    """Prefect alone takes over a second to import; nobody waits for that to read a help page."""
    code = (
        "import sys; from pipelines.cli import app\n"
        "heavy = {'prefect', 'numpy', 'xarray', 'rasterio', 'dask', 'numba', 'pyproj'} & set(sys.modules)\n"
        "raise SystemExit(f'imported {heavy}' if heavy else 0)"
    )
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ), timeout=60)
    assert time.monotonic() - started < 20, "even on a busy machine"
