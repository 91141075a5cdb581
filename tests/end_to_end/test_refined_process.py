"""A simulated delivery refined on its way, against an image that was put where an operator puts references."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from skimage.registration import phase_cross_correlation

from catalogs.validate import validate_item
from pipelines.outcomes import PackageOutcome
from pipelines.refinement import NOT_REFINED
from pipelines.requests import SceneRequest
from processing.model.quality import Outcome
from processing.testing.simulate import simulate

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(900)]

EAST_M, NORTH_M = 32.0, -20.0
"""The reference lies so far from where the delivery's own model puts the ground; the product's pixel is 4 m."""


def _process(package: Path, home: Path, dem: Path) -> dict[str, object]:
    from pipelines.process import process_scene

    request = SceneRequest.model_validate({"package": str(package), "home": str(home), "dem": str(dem)})
    outcome = PackageOutcome.model_validate(process_scene(request))
    assert outcome.outcome is Outcome.PUBLISHED, outcome
    item: dict[str, object] = json.loads(Path(outcome.items[0].href).read_text())
    validate_item(item)
    return item


def _files(home: Path, item: dict[str, object]) -> Path:
    return home / "products" / str(item["collection"]) / str(item["id"])


@pytest.fixture(scope="module")
def runs(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, object]]]:
    """The same package without references, with a good one, and with one that shows something else."""
    folder = tmp_path_factory.mktemp("refined")
    package = simulate(folder / "in", size=420, seed=3, pan=False).packages[0]
    dem = folder / "in" / "dem"
    plain = _process(package, folder / "plain", dem)
    with rasterio.open(_files(folder / "plain", plain) / "red.tif") as dataset:
        profile, red = dataset.profile, dataset.read(1)
    profile |= {
        "driver": "GTiff",
        "tiled": True,
        "transform": rasterio.Affine.translation(EAST_M, NORTH_M) @ profile["transform"],
    }
    noise = np.random.default_rng(0).integers(1, 4000, red.shape).astype(red.dtype)
    found = {"plain": (folder / "plain", plain)}
    for name, pixels in (("good", red), ("noise", noise)):
        references = folder / name / "auxiliary" / "reference"
        references.mkdir(parents=True)
        with rasterio.open(references / "mosaic.tif", "w", **profile) as dataset:
            dataset.write(pixels, 1)
        found[name] = folder / name, _process(package, folder / name, dem)
    return found


def test_the_product_lies_where_the_reference_does(runs: dict[str, tuple[Path, dict[str, object]]]) -> None:
    red = {}
    for name in ("plain", "good"):
        with rasterio.open(_files(*runs[name]) / "red.tif") as dataset:
            red[name] = dataset.read(1).astype(float), dataset.transform
    pixels, at = red["plain"]
    rows, cols = np.nonzero(pixels)
    middle = int(rows.mean()) - 100, int(cols.mean()) - 100
    cut = pixels[middle[0] : middle[0] + 200, middle[1] : middle[1] + 200]
    # The same ground in the refined product, to whole pixels of its own lattice.
    x, y = at @ (middle[1], middle[0])
    col, row = ~red["good"][1] @ (x + EAST_M, y + NORTH_M)
    moved = red["good"][0][round(row) : round(row) + 200, round(col) : round(col) + 200]
    assert np.abs(phase_cross_correlation(cut, moved, upsample_factor=50, normalization=None)[0]).max() <= 0.15


def test_the_item_says_how_it_was_refined_and_how_well(runs: dict[str, tuple[Path, dict[str, object]]]) -> None:
    home, item = runs["good"]
    properties = item["properties"]
    assert isinstance(properties, dict)
    assert 0 < properties["accuracy:geometric_rmse"] < 4.0
    assert properties["qyran:ce90_m"] == pytest.approx(1.5174 * properties["accuracy:geometric_rmse"], abs=1e-3)
    assert abs(properties["accuracy:geometric_x_bias"]) < 0.5
    folder = _files(home, item)
    product = json.loads((folder / "product.json").read_text())
    assert [record["name"] for record in product["lineage"]["inputs"] if record["role"] == "reference"] == [
        "mosaic.tif"
    ]
    assert product["lineage"]["parameters"]["refinement"]["ms"]["model"] in {"shift", "drift", "affine"}
    quality = json.loads((folder / "quality.json").read_text())
    assert quality["refinement"]["ms"]["tie_points"] >= 6
    assert len(json.loads((folder / "refinement_ms.json").read_text())["points"]) >= 6
    with Image.open(folder / "residuals_ms.png") as picture:
        assert min(picture.size) > 300
    assert isinstance(item["assets"], dict)
    assert {"residuals_ms", "refinement_ms"} <= set(item["assets"])


def test_a_reference_that_cannot_serve_holds_nothing_up_and_is_told_of(
    runs: dict[str, tuple[Path, dict[str, object]]],
) -> None:
    plain, noise = runs["plain"][1]["properties"], runs["noise"][1]["properties"]
    assert isinstance(plain, dict)
    assert isinstance(noise, dict)
    assert any(text.startswith(NOT_REFINED) for text in noise["qyran:warnings"])
    assert not any(text.startswith(NOT_REFINED) for text in plain.get("qyran:warnings", []))
    lineages = [
        json.loads((_files(*runs[name]) / "product.json").read_text())["lineage"] for name in ("plain", "noise")
    ]
    # What the quality report says of it is part of the record, or the same revision could have two reports.
    assert [text for text in lineages[1]["parameters"].pop("not_refined") if text.startswith(NOT_REFINED)]
    assert lineages[0] == lineages[1]
    assert "qyran:ce90_m" not in noise


@pytest.mark.parametrize(
    "processor",
    [
        {},
        {
            "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
            "OPENBLAS_CORETYPE": "Sandybridge",
            "OPENBLAS_NUM_THREADS": "1",
        },
    ],
    ids=["as it is", "without its vectors"],
)
def test_it_is_made_again_byte_for_byte_without_the_reference(
    runs: dict[str, tuple[Path, dict[str, object]]], processor: dict[str, str]
) -> None:
    """From the tie points in its record; on an older processor too, as far as this one can be made to act like it."""
    home, item = runs["good"]
    shutil.rmtree(home / "auxiliary" / "reference", ignore_errors=True)
    command = ["reproduce", str(item["id"]), "--home", str(home), "--json"]
    again = subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", *command],
        env=os.environ | processor,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    found = json.loads(again.stdout)
    assert (found["identical"], found["differences"], found["software"]) == (True, [], [])
    assert found["objects"] > 100
