"""A segment of a scene against the whole scene: same ground, same pixels, right time, and nothing else."""

import pickle
from dataclasses import replace
from datetime import timedelta

import dask
import numpy as np
import pytest
from dask.tokenize import tokenize
from hypothesis import given
from hypothesis import strategies as st

from processing.geometry.plan import plan_ortho
from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.geometry.stage import orthorectify
from processing.geometry.strip import LEAST_LINES, CutSource, Shifted, cut_model, cut_scene, cut_scenes
from processing.model.errors import BadInput, Defect
from processing.model.levels import Quantity
from processing.model.scene import Angles, Scene
from processing.model.sensor_model import SensorModel
from processing.radiometry.stage import calibrate
from processing.testing.small_scenes import hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)
RPC = tilted_rpc(SHAPE)
BENT = Refined(model=RPC, line=(3.5, 2e-3, -1e-3), sample=(-2.0, 5e-4, 1e-3))


def _scene(model: SensorModel = RPC, shape: tuple[int, int] = SHAPE, **changes: object) -> Scene:
    """Counts with texture, as a reader delivers them."""
    random = np.random.default_rng(3)
    counts = random.integers(200, 1800, (2, *shape)).astype(np.float32)
    smooth = (counts + np.roll(counts, 1, 1) + np.roll(counts, 1, 2) + np.roll(counts, (1, 1), (1, 2))) / 4
    pixels = smooth.astype(np.uint16)
    scene = scene_of_pixels(pixels.astype(np.float32), model)
    return scene.but(
        source=pixels,
        calibration=None,
        quantity=Quantity.DN,
        nodata=0,
        **changes,
    )


@pytest.mark.parametrize("model", [RPC, BENT, Shifted(model=BENT, first=-20), Refined(model=BENT, line=(1.0, 0, 0))])
@pytest.mark.parametrize("first", [0, 150])
def test_a_cut_model_sees_the_same_ground(model: SensorModel, first: int) -> None:
    cut = cut_model(model, first, 200)
    assert isinstance(cut, SensorModel)
    line, sample, height = np.meshgrid([0.0, 90.3, 200.0], [0.0, 123.4, 300.0], [600.0, 3900.0])
    lon, lat = model.image_to_ground(line + first, sample, height)
    np.testing.assert_allclose(cut.image_to_ground(line, sample, height), (lon, lat), rtol=0, atol=1e-12)
    np.testing.assert_allclose(cut.ground_to_image(lon, lat, height), (line, sample), rtol=0, atol=1e-6)
    assert pickle.loads(pickle.dumps(cut)) == cut
    assert tokenize(cut) == tokenize(cut_model(model, first, 200))


def test_cuts_of_cuts_do_not_pile_up() -> None:
    assert isinstance(cut_model(RPC, 7, 300), Rpc)
    assert cut_model(cut_model(BENT, 7, 300), 5, 200) == Shifted(model=BENT, first=12)


@given(first=st.integers(1, 400 - LEAST_LINES + 1), data=st.data())
def test_pixels_are_those_of_the_lines(first: int, data: st.DataObject) -> None:
    scene = _scene()
    lines = data.draw(st.integers(LEAST_LINES, 400 - first + 1))
    cut = cut_scene(scene, first, lines)
    assert cut.shape == (lines, 300)
    assert isinstance(cut.source, CutSource)
    assert cut.source.shape == (2, lines, 300)
    assert cut.source.dtype == np.uint16
    whole = scene.source[:, first - 1 : first - 1 + lines]
    top, bottom = sorted(data.draw(st.tuples(st.integers(0, lines), st.integers(0, lines))))
    part = cut.source[slice(0, 2), slice(top, bottom), slice(10, 300)]
    assert np.array_equal(part, whole[:, top:bottom, 10:])
    assert np.array_equal(cut.source[slice(None), slice(None), slice(None)], whole)
    assert np.array_equal(cut.pixels.values, whole)


def test_what_a_segment_is_called_and_when_it_was_taken() -> None:
    angles = Angles(sun_zenith_deg=30.0, view_zenith_deg=1.0, view_azimuth_deg=2.0, off_nadir_deg=3.0)
    scene = _scene(platform_facts={"line_period_s_ms": 0.5}, angles=angles)
    whole = cut_scene(scene, 1, 400)
    assert whole.acquired == scene.acquired
    assert whole.scene_id == "small_L1-400"
    assert whole.model == scene.model
    cut = cut_scene(scene, 101, 100)
    assert cut.scene_id == "small_L101-200"
    assert cut.acquired - scene.acquired == timedelta(seconds=(150 - 200) * 0.5)
    assert cut.platform_facts == {"line_period_s_ms": 0.5, "first_line_ms": 101, "lines_ms": 100}
    # The camera of the test looks to one side by 20 degrees, and so it says; the sun stays what was stated.
    assert cut.angles.view_zenith_deg == pytest.approx(20.0, abs=0.5)
    assert cut.angles.view_azimuth_deg == pytest.approx(102.0, abs=2.0)
    assert cut.angles.sun_zenith_deg == 30.0
    assert [warning for warning in cut.warnings if "sun" in warning]
    lon, lat = np.array(cut.footprint).T
    expected = RPC.image_to_ground([100, 100, 200, 200], [0, 300, 300, 0], RPC.height_off)
    np.testing.assert_allclose((lon, lat), expected, atol=1e-9)


def test_an_unknown_line_period_is_said() -> None:
    cut = cut_scene(_scene(), 301, 100)
    assert cut.acquired == _scene().acquired
    assert cut.warnings == ("the line period is not known: the time is that of the whole scene's centre",)


@pytest.mark.parametrize(
    ("first", "lines"), [(0, 100), (-5, 100), (1, 401), (386, 16), (1, LEAST_LINES - 1), (500, 20)]
)
def test_lines_the_scene_does_not_have_are_refused(first: int, lines: int) -> None:
    with pytest.raises(BadInput) as refused:
        cut_scene(_scene(), first, lines)
    assert refused.value.kind == "strip.range"
    assert "400" in str(refused.value)


def test_both_ends_can_be_had() -> None:
    assert cut_scene(_scene(), 1, LEAST_LINES).shape[0] == LEAST_LINES
    assert cut_scene(_scene(), 400 - LEAST_LINES + 1, LEAST_LINES).shape[0] == LEAST_LINES


def test_the_cut_comes_before_the_calibration() -> None:
    with pytest.raises(Defect, match="before"):
        cut_scene(calibrate(_scene(), Quantity.DN), 1, 100)


@pytest.mark.parametrize("model", [RPC, BENT])
def test_orthoimages_of_a_segment_are_the_whole_scene_there(model: SensorModel) -> None:
    """Where both have data and no tap crosses the cut. The lattice hangs on the segment's own heights: within 1 DN."""
    terrain, scene = hills(), _scene(model)
    cut = cut_scene(scene, 121, 160)
    plan = plan_ortho(scene, terrain, resolution_m=10.0, snap="pixel", shard_px=256)
    part = plan_ortho(
        cut, terrain, resolution_m=10.0, crs=str(plan.geobox.crs), bounds=tuple(plan.geobox.boundingbox),
        snap="pixel", shard_px=256,
    )  # fmt: skip
    assert part.geobox == plan.geobox
    with dask.config.set(scheduler="threads", num_workers=2):
        full = orthorectify(calibrate(scene, Quantity.DN), terrain, plan).pixels.values
        strip = orthorectify(calibrate(cut, Quantity.DN), terrain, part).pixels.values
    both = np.isfinite(full) & np.isfinite(strip)
    assert np.count_nonzero(both) > 0.5 * 2 * 160 * 300
    assert not (np.isfinite(strip) & ~np.isfinite(full)).any()
    # The outermost two lines of the cut interpolate with what is there; the whole scene has more.
    interior = both & ~_near_cut(both[0])
    assert np.abs(full - strip)[interior].max() <= 1.0
    assert np.mean(full[interior] == strip[interior]) > 0.2


def _near_cut(seen: np.ndarray) -> np.ndarray:
    """Pixels within four of the edge of what is seen."""
    from scipy.ndimage import binary_erosion

    return ~binary_erosion(seen, np.ones((3, 3), bool), iterations=4)


def test_images_of_one_acquisition_are_cut_to_the_same_ground() -> None:
    """Panchromatic lines are found by the models: four times finer, 37 lines later, and turned a little."""
    pan = tilted_rpc((1600, 1200), gsd_m=2.5, heading_deg=12.2)
    pan = replace(pan, line_off=pan.line_off + 37.0)
    scenes = (_scene(), _scene(pan, (1600, 1200), group="pan", scene_id="fine"))
    ms, fine = cut_scenes(scenes, 101, 120)
    assert ms.scene_id == "small_L101-220"
    assert ms.shape == (120, 300)
    first, lines = fine.platform_facts["first_line_pan"] - 1, fine.shape[0]
    assert fine.scene_id == f"fine_L{first + 1}-{first + lines}"
    line, sample, height = np.meshgrid([0.0, 60.0, 120.0], np.linspace(0, 300, 7), [500.0, 2000.0, 4500.0])
    seen, _ = fine.model.ground_to_image(*ms.model.image_to_ground(line, sample, height), height)
    assert seen.min() >= 0
    assert seen.max() <= lines
    assert seen.min() < 1
    assert seen.max() > lines - 1
    assert first != 400  # what a factor of four would have given


def test_an_image_elsewhere_cannot_be_cut_alike() -> None:
    elsewhere = _scene(tilted_rpc((1600, 1200), lon=80.0), (1600, 1200), group="pan", scene_id="fine")
    with pytest.raises(BadInput) as refused:
        cut_scenes((_scene(), elsewhere), 101, 120)
    assert refused.value.kind == "strip.apart"
