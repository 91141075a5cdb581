"""Three Pleiades views brought together by their tie points agree to centimetres, by another matcher's word."""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from skimage.registration import phase_cross_correlation

from processing.geometry.extent import ground_bounds
from processing.geometry.plan import plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.readers.dem import open_terrain
from processing.registration.adjust import adjust_block
from processing.registration.predict import closed

pytestmark = pytest.mark.realdata

PATCH, PIXEL_M = 64, 0.5
BOUNDS = (698053.031, 4792556.569, 698485.531, 4792984.069)


@pytest.fixture
def block(realdata: Path, scene_in_counts: Callable[[str], Scene]) -> tuple[dict[str, Scene], Terrain]:
    scenes = {name: scene_in_counts(f"s2p-phr-marseille/img_0{name}.tif") for name in "123"}
    first = scenes["1"]
    assert first.model is not None
    surface = open_terrain(
        realdata / "s2p-phr-marseille" / "dsm_s2p_50cm_ellipsoidal.tif",
        bounds=ground_bounds(first.model, first.shape),
        vertical_datum="ellipsoid",
    )
    return scenes, surface


def disagreements(
    scenes: Mapping[str, Scene], models: Mapping[str, SensorModel], terrain: Terrain
) -> list[npt.NDArray[np.float64]]:
    """Displacements of patches between the orthoimages of each pair, m: windowed correlation of grey values."""
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    images = []
    for name, scene in scenes.items():
        placed = scene.but(model=models[name])
        plan = plan_ortho(placed, terrain, resolution_m=PIXEL_M, crs="EPSG:32631", bounds=BOUNDS, snap="pixel")
        images.append(orthorectify(placed, terrain, plan).pixels.compute().to_numpy()[0])
    found = []
    for first, second in combinations(images, 2):
        pair = []
        for row in range(0, first.shape[0] - PATCH, PATCH // 2):
            for col in range(0, first.shape[1] - PATCH, PATCH // 2):
                cut = np.s_[row : row + PATCH, col : col + PATCH]
                if max(np.isnan(first[cut]).mean(), np.isnan(second[cut]).mean()) > 0.1:
                    continue
                a, b = (np.nan_to_num(image[cut] - np.nanmean(image[cut])) * window for image in (first, second))
                pair.append(phase_cross_correlation(a, b, upsample_factor=50, normalization=None)[0])
        found.append(PIXEL_M * np.array(pair))
    return found


def test_orthos_of_a_block_agree_to_a_fifth_of_a_pixel(block: tuple[dict[str, Scene], Terrain]) -> None:
    scenes, surface = block
    models, report = adjust_block(scenes, surface)
    whole = closed(surface)
    two = {name: scenes[name] for name in "13"}
    raw = disagreements(two, {name: scene.model for name, scene in two.items() if scene.model}, whole)
    brought = disagreements(scenes, models, whole)
    assert all(len(pair) > 100 for pair in brought)
    assert min(float(np.median(np.hypot(*pair.T))) for pair in raw) > 0.3
    assert max(float(np.median(np.hypot(*pair.T))) for pair in brought) <= 0.1
    assert max(float(np.hypot(*np.median(pair, axis=0))) for pair in brought) <= 0.05
    assert all(pair.points >= 30 and pair.after_m < 0.05 < pair.before_m for pair in report.pairs)
    # A free network: what moves the block as a whole is nothing.
    assert np.mean(list(report.shifts_px.values()), axis=0) == pytest.approx((0.0, 0.0), abs=0.02)


def test_an_anchored_scene_stays_and_the_others_come_to_it(block: tuple[dict[str, Scene], Terrain]) -> None:
    scenes, surface = block
    two = {name: scenes[name] for name in "12"}
    models, report = adjust_block(two, surface, anchored=["1"])
    assert (models["1"].line, models["1"].sample) == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert np.hypot(*report.shifts_px["2"]) > 0.5
    assert report.pairs[0].after_m <= 0.05


def test_what_cannot_be_brought_together_is_refused(block: tuple[dict[str, Scene], Terrain]) -> None:
    scenes, surface = block
    for given, options, kind in (
        ({"1": scenes["1"]}, {}, "block.too_few"),
        (scenes, {"kind": "spline"}, "block.kind"),
        (scenes, {"anchored": ["4"]}, "block.anchor"),
        (scenes, {"anchored": ["1", "2", "3"]}, "block.anchor"),
    ):
        with pytest.raises(BadInput) as refused:
            adjust_block(given, surface, **options)  # type: ignore[arg-type]
        assert refused.value.kind == kind
