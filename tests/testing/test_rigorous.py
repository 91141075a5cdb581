"""The rigorous camera read from a simulated package against the exact truth beside it, over mountains."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.registry import load_registry
from processing.geometry.compare import compare_models
from processing.geometry.pushbroom import Pushbroom
from processing.geometry.rpc import Rpc
from processing.geometry.strip import cut_scenes
from processing.model.scene import Scene
from processing.readers.describe import describe
from processing.readers.dimap_rigorous import line_period_s, rigorous_model
from processing.readers.dimap_xml import XmlNode, read_xml
from processing.readers.find import open_delivery
from processing.testing.simulate import SimulationReport

SHAPE = (1024, 1024)


def _scenes(report: SimulationReport) -> dict[str, Scene]:
    delivery = open_delivery(report.packages[0], sensors=load_registry().sensors, pixels=False)
    return {scene.group: scene for scene in delivery.scenes}


def _pairs(report: SimulationReport, group: str) -> dict[str, np.ndarray]:
    with (report.truths[0] / "pairs.csv").open(encoding="ascii") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == group]
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "group"}


@pytest.mark.parametrize("group", ["ms", "pan"])
def test_the_delivered_camera_is_the_exact_one(naomi: SimulationReport, group: str) -> None:
    scene, pairs = _scenes(naomi)[group], _pairs(naomi, group)
    assert isinstance(scene.rigorous, Pushbroom)
    assert np.ptp(pairs["height"]) > 50
    seen = scene.rigorous.ground_to_image(pairs["lon"], pairs["lat"], pairs["height"])
    miss = np.array(seen) - (pairs["nominal_line"], pairs["nominal_sample"])
    assert np.abs(miss).max() < 1e-5  # px
    lon, lat = scene.rigorous.image_to_ground(pairs["line"], pairs["sample"], pairs["nominal_height"])
    metres = 111_320 * np.hypot((lon - pairs["nominal_lon"]) * np.cos(np.radians(lat)), lat - pairs["nominal_lat"])
    assert metres.max() < 1e-4


def test_what_the_scene_says_of_its_camera(naomi: SimulationReport) -> None:
    scenes = _scenes(naomi)
    for scene in scenes.values():
        assert isinstance(scene.model, Rpc)
        assert isinstance(scene.rigorous, Pushbroom)
        assert scene.platform_facts[f"line_period_s_{scene.group}"] == scene.rigorous.line_period_s
        assert not any("rigorous" in warning for warning in scene.warnings)
        assert abs((scene.rigorous.time_at(scene.shape[0] / 2) - scene.acquired).total_seconds()) < 1e-3
        heights = scene.model.height_off - scene.model.height_scale, scene.model.height_off + scene.model.height_scale
        apart = compare_models(scene.model, scene.rigorous, scene.shape, heights)
        assert apart is not None
        assert apart.max_px < 0.05
    delivery = open_delivery(naomi.packages[0], sensors=load_registry().sensors, pixels=False)
    told = describe(delivery)["scenes"][0]["rigorous"]
    assert told["kind"] == "pushbroom"
    assert told["attitude"] == "polynomial"
    assert told["rpc_difference_px"]["max_px"] < 0.05
    assert scenes["pan"].rigorous.line_period_s == pytest.approx(scenes["ms"].rigorous.line_period_s / 4, rel=1e-6)


@pytest.fixture
def document(naomi: SimulationReport) -> XmlNode:
    """The panchromatic product document, free to be changed."""
    return read_xml(next(path for path in naomi.packages[0].rglob("DIM_*.XML") if "_P_" in path.name))


def _set(path: str, text: str) -> Callable[[XmlNode], None]:
    def change(document: XmlNode) -> None:
        document.need(path).element.text = text

    return change


def _drop(parent: str, child: str) -> Callable[[XmlNode], None]:
    def change(document: XmlNode) -> None:
        node = document.need(parent)
        node.element.remove(node.need(child).element)

    return change


MODEL = "Geometric_Data/Refined_Model"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_set(f"{MODEL}/Time/Time_Stamp/LINE_PERIOD", "0.14"), "do not fill"),
        (_set(f"{MODEL}/Time/Time_Stamp/LINE_PERIOD", "nan"), "not a number"),
        (_set(f"{MODEL}/Geometric_Calibration/Instrument_Calibration/Instrument_Biases/YAW", "0.001"), "biases"),
        (_set(f"{MODEL}/Attitudes/Polynomial_Quaternions/SCALE", "-1"), "positive scale"),
        (_set(f"{MODEL}/Attitudes/Polynomial_Quaternions/OFFSET", "70000"), "given for lines"),
        (_set(f"{MODEL}/Attitudes/Polynomial_Quaternions/Q2/COEFFICIENTS", "1 2 x 4"), "not 4 numbers"),
        (_set(f"{MODEL}/Ephemeris/Point_List/Point/LOCATION_XYZ", "1 2 3"), "Earth's centre"),
        (_drop(f"{MODEL}/Ephemeris/Point_List/Point", "TIME"), "TIME"),
    ],
)
def test_a_flawed_camera_is_left_aside_with_its_reason(
    document: XmlNode, change: Callable[[XmlNode], None], why: str
) -> None:
    change(document)
    camera, warnings = rigorous_model(document, SHAPE)
    assert camera is None
    assert len(warnings) == 1
    assert why in warnings[0]


def test_without_the_blocks_there_is_nothing_to_say(document: XmlNode) -> None:
    _drop(MODEL, "Ephemeris")(document)
    assert rigorous_model(document, SHAPE) == (None, ())
    _drop("Geometric_Data", "Refined_Model")(document)
    assert rigorous_model(document, SHAPE) == (None, ())
    assert line_period_s(document, SHAPE[0]) is None


def test_line_periods_are_told_apart_by_what_they_fill(document: XmlNode) -> None:
    """Pleiades writes milliseconds, PeruSat-1 seconds; some files write no unit."""
    seconds = line_period_s(document, SHAPE[0])
    assert seconds is not None
    node = document.need(f"{MODEL}/Time/Time_Stamp/LINE_PERIOD").element
    for text, unit in ((seconds, None), (seconds * 1000, None), (seconds * 1000, "ms"), (seconds, "s")):
        node.text = repr(text)
        node.attrib = {} if unit is None else {"unit": unit}
        assert line_period_s(document, SHAPE[0]) == pytest.approx(seconds, rel=1e-12)
    node.attrib = {"unit": "ms"}
    assert line_period_s(document, SHAPE[0]) is None


def test_a_list_of_quaternions_makes_the_same_camera(document: XmlNode, tmp_path: Path) -> None:
    """The form of SPOT 6/7 and PeruSat-1, written from the polynomials."""
    exact, _ = rigorous_model(document, SHAPE)
    assert exact is not None
    attitudes = document.need(f"{MODEL}/Attitudes").element
    attitudes.remove(document.need(f"{MODEL}/Attitudes/Polynomial_Quaternions").element)
    first = document.need(f"{MODEL}/Time/Time_Range").time("START")
    rows = ""
    for step in range(-4, 200):
        seconds = step / 64
        rows += "<Quaternion>"
        q = exact.attitude.quaternion((first - exact.epoch).total_seconds() + seconds)
        rows += "".join(f"<Q{axis}>{value:.12f}</Q{axis}>" for axis, value in enumerate(q / np.linalg.norm(q)))
        moment = first.timestamp() + seconds
        whole = math.floor(moment)
        stamp = first.fromtimestamp(whole, tz=first.tzinfo).strftime("%Y-%m-%dT%H:%M:%S")
        rows += f"<TIME>{stamp}.{round((moment - whole) * 1e6):06d}Z</TIME></Quaternion>"
    path = tmp_path / "list.xml"
    path.write_text(f"<Attitudes><Quaternion_List>{rows}</Quaternion_List></Attitudes>")
    attitudes.append(read_xml(path).need("Quaternion_List").element)
    listed, warnings = rigorous_model(document, SHAPE)
    assert warnings == ()
    assert listed is not None
    assert listed.attitude != exact.attitude
    apart = compare_models(listed, exact, SHAPE, (500.0, 4000.0))
    assert apart is not None
    assert apart.max_px < 0.01


def test_an_image_across_midnight(document: XmlNode) -> None:
    """Seconds of the day start anew; the camera goes on."""
    exact, _ = rigorous_model(document, SHAPE)
    assert isinstance(exact, Pushbroom)
    moved = replace(exact.attitude, offset=exact.attitude.offset)
    midnight = exact.epoch.replace(hour=0, minute=0, second=0, microsecond=0)
    offset = moved.offset + (exact.epoch - midnight).total_seconds()
    for turns in (-86_400.0, 86_400.0):
        _set(f"{MODEL}/Attitudes/Polynomial_Quaternions/OFFSET", repr(offset + turns))(document)
        again, _ = rigorous_model(document, SHAPE)
        assert again is not None
        assert again.attitude.offset == pytest.approx(exact.attitude.offset, abs=1e-9)


def test_both_images_are_cut_to_the_same_ground(naomi: SimulationReport) -> None:
    """Panchromatic detectors look ahead of the multispectral ones, and start at another time."""
    whole = _scenes(naomi)
    ms, pan = cut_scenes((whole["ms"], whole["pan"]), 65, 128)
    first, lines = pan.platform_facts["first_line_pan"] - 1, pan.shape[0]
    assert (ms.shape, pan.shape[1]) == ((128, 256), 1024)
    line, sample, height = np.meshgrid([0.0, 64.0, 128.0], np.linspace(0, 256, 5), [900.0, 1500.0], indexing="ij")
    seen, _ = pan.rigorous.ground_to_image(*ms.rigorous.image_to_ground(line, sample, height), height)
    assert seen.min() > -1
    assert seen.max() < lines + 1
    assert first != 4 * 64
    # The segment's clocks are those of the whole images.
    for cut, scene, start in ((ms, whole["ms"], 64), (pan, whole["pan"], first)):
        assert cut.rigorous.time_at(0.5) == scene.rigorous.time_at(start + 0.5)
        centre = scene.rigorous.time_at(start + cut.shape[0] / 2)
        assert abs((cut.acquired - centre).total_seconds()) < 1e-3
        apart = compare_models(cut.model, cut.rigorous, cut.shape, (900.0, 1500.0))
        assert apart is not None
        assert apart.max_px < 0.05
