"""Real packages of the trade: mission, level, bands in pixel order, what gains mean, angles, footprint.

Expected figures were read out of the products by hand (the sensor tables of the guide), not by our readers.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio

from configs.schema import RadianceRule, SensorConfig
from processing.geometry.rpc import Rpc
from processing.model.levels import Level
from processing.model.scene import Delivery, Scene
from processing.readers.describe import describe
from processing.readers.find import open_delivery
from processing.readers.inventory import inventory

pytestmark = pytest.mark.realdata

AIRBUS, DMC = "terradue-stars/AIRBUS", "terradue-stars/DMC"
PHR_SEN = f"{AIRBUS}/PLEIADES/ORT/data/5897098101"
PHR_ORT = f"{AIRBUS}/PLEIADES/ORT/data/5888578101"
PNEO = f"{AIRBUS}/PLEIADES-NEO/ORT/data/000071864_1_1_STD_A"
PERUSAT = f"{AIRBUS}/PERUSAT/ORT/data/DS_PER1_201703071506576_PS1_W077S12_002239"
SPOT = f"{AIRBUS}/SPOT/data/CHARTER_ID788_AOI1_SO20229955-7-01_DS_SPOT7_202011170245179_FR1_FR1_SV1_SV1_E110S08_01140"
ALSAT = f"{DMC}/Alsat-1B/L1T/data/AB0009e5_001_MUL_L1T"
ALSAT_2 = f"{DMC}/Alsat-1B/L1T/data/a3_21012879000031"
UK_DMC = f"{DMC}/UKDMC2/L1T/data/ORTHO-U2005b3d_030000_045499_s_L1T-20160113-145544"
S2 = "terradue-stars/ESA/SENTINEL-2/L1C/data/S2A_MSIL1C_20220125T151701_N0400_R125_T18LTM_20220125T190036.SAFE"
ALL = (PHR_SEN, PHR_ORT, PNEO, PERUSAT, SPOT, ALSAT, ALSAT_2, UK_DMC, S2)
PHR_MS = {"red": (9.95, 1594.0), "green": (8.89, 1831.0), "blue": (8.85, 1915.0), "nir": (15.24, 1060.0)}

# package, group, mission, level, (lines, samples), {band: (gain, solar irradiance in the file)} in pixel order
FIGURES = [
    (PHR_SEN, "ms", "pleiades-1a", Level.SENSOR, (3792, 8207), PHR_MS),
    (PHR_ORT, "ms", "pleiades-1a", Level.ORTHO, (7289, 10135), PHR_MS),
    (PHR_ORT, "pan", "pleiades-1a", Level.ORTHO, (29155, 40538), {"pan": (11.45, 1549.0)}),
    (
        PERUSAT,
        "ms",
        "perusat-1",
        Level.ORTHO,
        (11192, 10498),
        {
            "blue": (5.975202615, 1982.67),
            "green": (5.741597026, 1826.09),
            "red": (7.85915805, 1540.49),
            "nir": (10.27482194, 1094.75),
        },
    ),
    (PERUSAT, "pan", "perusat-1", Level.ORTHO, (44768, 41992), {"pan": (10.40868299, 1706.514896)}),
    (
        SPOT,
        "ms",
        "spot-7",
        Level.ORTHO,
        (16741, 15031),
        {"red": (11.08, 1520.30), "green": (10.08, 1810.11), "blue": (8.07, 1964.63), "nir": (16.77, 1084.46)},
    ),
    (
        PNEO,
        "ms",
        "pleiades-neo-4",
        Level.ORTHO,
        (17040, 11540),
        {
            "red": (7.97, 1551.7),
            "green": (7.151, 1815.4),
            "blue": (6.529, 1972.0),
            "nir": (11.798, 1060.1),
            "red_edge": (9.886, 1349.0),
            "deep_blue": (8.57, 1797.1),
        },
    ),
    (PNEO, "pan", "pleiades-neo-4", Level.ORTHO, (68160, 46160), {"pan": (7.965, 1567.3)}),
]

# package, sun zenith and azimuth, view zenith and azimuth at the scene's centre, degrees
ANGLES = [
    (PHR_SEN, 90 - 71.76706, 115.23269, 28.61590, 268.274),
    (PERUSAT, 90 - 56.9, 81.0, 38.7, 105.5),
    (SPOT, 90 - 63.73032, 117.56509, 26.13825, 271.68030),
    (PNEO, 90 - 59.78367, 141.48330, 22.74585, 147.56949),
    (ALSAT, 90 - 49.39521, 93.79404, 13.48577, 360 - 93.87859),
    (ALSAT_2, 90 - 41.12889, 107.56661, 3.72308, None),
    (UK_DMC, 90 - 15.28536, 119.19127, 14.01554, 360 - 99.68995),
    (S2, 28.37571, 107.10901, 9.17129, 102.38048),
]


def _open(realdata: Path, package: str, sensors: Mapping[str, SensorConfig]) -> Delivery:
    return open_delivery(realdata / package, sensors=sensors)


def _scene(realdata: Path, package: str, group: str, sensors: Mapping[str, SensorConfig]) -> Scene:
    return next(scene for scene in _open(realdata, package, sensors).scenes if scene.group == group)


@pytest.mark.parametrize(("package", "group", "mission", "level", "shape", "bands"), FIGURES)
def test_dimap_v2_figures(realdata, sensors, package, group, mission, level, shape, bands) -> None:
    scene = _scene(realdata, package, group, sensors)
    assert (scene.mission, scene.level, scene.shape) == (mission, level, shape)
    assert scene.band_names == tuple(bands)
    for band in scene.bands:
        gain, esun = bands[band.name]
        assert band.calibration is not None
        assert band.calibration.rule is RadianceRule.DIVIDE
        assert band.calibration.gain == pytest.approx(gain, rel=1e-9)
        assert (band.calibration.bias, band.calibration.esun_source) == (0.0, "file")
        assert band.calibration.esun == pytest.approx(esun, abs=0.01)
    assert (scene.nodata, scene.saturated) == (0, 4095)


@pytest.mark.parametrize("package", [ALSAT, ALSAT_2])
def test_alsat_is_in_steps_of_radiance(realdata, sensors, package) -> None:
    scene = _scene(realdata, package, "ms", sensors)
    assert (scene.mission, scene.level) == ("alsat-1b", Level.ORTHO)
    # By BAND_INDEX: the display order of the first package says RED_CHANNEL 1, BLUE_CHANNEL 3.
    assert scene.band_names == ("blue", "green", "red", "nir")
    for band in scene.bands:
        assert band.calibration is not None
        assert (band.calibration.rule, band.calibration.gain) == (RadianceRule.MULTIPLY, 0.02)


def test_uk_dmc_divides(realdata, sensors) -> None:
    scene = _scene(realdata, UK_DMC, "ms", sensors)
    assert (scene.mission, scene.scene_id) == ("uk-dmc-2", "U200a421_000000_015499_p_L1T")
    gains = {"nir": (3.357886857, 3.401283466), "red": (5.758028653, 6.376285553), "green": (6.447066283, 10.18074662)}
    assert scene.band_names == tuple(gains)
    for band in scene.bands:
        assert band.calibration is not None
        assert band.calibration.rule is RadianceRule.DIVIDE
        assert (band.calibration.gain, band.calibration.bias) == pytest.approx(gains[band.name], rel=1e-8)


# Mean counts the products state themselves (histograms, band statistics), and the radiance a clear sky allows:
# nothing exceeds what a white target returns, E cos(z) / pi; the darkest mean exceeds molecular scattering alone.
STATED_MEANS = {
    PHR_SEN: {"B0": 1689.5, "B1": 1585.98, "B2": 1448.26, "B3": 2095.94},
    ALSAT: {"BLUE": 3771.07, "GREEN": 2937.54, "RED": 2385.22, "NIR": 2066.11},
    ALSAT_2: {"BLUE": 2882.26, "GREEN": 2262.91, "RED": 1772.72, "NIR": 2089.28},
    UK_DMC: {"NIR": 51.826, "Red": 86.263, "Green": 102.135},
}


@pytest.mark.parametrize("package", STATED_MEANS)
def test_radiance_is_physical(realdata, sensors, package) -> None:
    scene = _scene(realdata, package, "ms", sensors)
    for band in scene.bands:
        found = band.calibration
        assert found is not None
        assert found.esun is not None
        dn = STATED_MEANS[package][band.label]
        radiance = dn * found.gain + found.bias if found.rule is RadianceRule.MULTIPLY else dn / found.gain + found.bias
        reflectance = np.pi * radiance / (found.esun * np.cos(np.radians(scene.angles.sun_zenith_deg)))
        assert 0.03 < reflectance < 0.7, f"{band.name}: {radiance:.1f} W m-2 sr-1 um-1 is {reflectance:.3f}"
        # The opposite meaning is off by the square of the gain: it must be impossible, or this test proves nothing.
        opposite = dn / found.gain if found.rule is RadianceRule.MULTIPLY else dn * found.gain
        wrong = np.pi * opposite / (found.esun * np.cos(np.radians(scene.angles.sun_zenith_deg)))
        assert not 0.03 < wrong < 1.2


def test_perusat_radiance_is_physical(realdata, sensors) -> None:
    """A mid-scale count of the 12-bit product; it states no statistics."""
    for band in _scene(realdata, PERUSAT, "ms", sensors).bands:
        assert band.calibration is not None
        assert 40 < 500 / band.calibration.gain < 100


@pytest.mark.parametrize(("package", "sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth"), ANGLES)
def test_angles(realdata, sensors, package, sun_zenith, sun_azimuth, view_zenith, view_azimuth) -> None:
    angles = _open(realdata, package, sensors).scenes[0].angles
    assert angles.sun_zenith_deg == pytest.approx(sun_zenith, abs=1e-4)
    assert angles.sun_azimuth_deg == pytest.approx(sun_azimuth, abs=1e-4)
    assert angles.view_zenith_deg == pytest.approx(view_zenith, abs=1e-4)
    if view_azimuth is not None:
        assert angles.view_azimuth_deg == pytest.approx(view_azimuth, abs=0.01)


def test_view_angles_of_pleiades_are_those_of_its_own_rpc(realdata, sensors) -> None:
    """Independent of what AZIMUTH_ANGLE means: raise the ground, and its image point slides towards the satellite."""
    scene = _scene(realdata, PHR_SEN, "ms", sensors)
    assert isinstance(scene.model, Rpc)
    line, sample = scene.shape[0] / 2, scene.shape[1] / 2
    (lon_0, lat_0), (lon_1, lat_1) = (scene.model.image_to_ground(line, sample, height) for height in (0.0, 1000.0))
    east = float(np.radians(lon_1 - lon_0) * 6_378_137 * np.cos(np.radians(lat_0)))
    north = float(np.radians(lat_1 - lat_0) * 6_345_000)
    assert np.degrees(np.arctan2(east, north)) % 360 == pytest.approx(scene.angles.view_azimuth_deg, abs=0.3)
    assert np.degrees(np.arctan(np.hypot(east, north) / 1000)) == pytest.approx(scene.angles.view_zenith_deg, abs=0.3)


def test_pleiades_pixels_are_in_display_order(realdata) -> None:
    """The evidence behind ``band_order`` of Pleiades: scattered light makes the darkest ground bluest."""
    with rasterio.open(realdata / "shareloc-phr-ventoux/lowres_color_image.tif") as dataset:
        counts = dataset.read()
    gains = np.array([9.95, 8.89, 8.85])[:, None, None]  # B2 B1 B0, nearly alike: they cannot turn the order
    darkest = np.percentile((counts[:3] / gains).reshape(3, -1), 0.1, axis=1)
    assert darkest[0] * 1.3 < darkest[1]
    assert darkest[1] * 1.2 < darkest[2]


# A point well inside each product, from its own place on the map
PLACES = {
    PHR_SEN: (-73.608, 18.3626),
    PHR_ORT: (-74.02, 18.34),
    PNEO: (-52.7933, 5.2392),
    PERUSAT: (-76.7291, -12.4843),
    SPOT: (110.4446, -7.547),
    ALSAT: (119.98, 0.07),
    ALSAT_2: (119.1, -2.5),
    UK_DMC: (124.1, 13.5),
    S2: (-77.2, -12.4),
}


@pytest.mark.parametrize("package", ALL)
def test_footprint_holds_the_place(realdata, sensors, package) -> None:
    from shapely.geometry import Point, Polygon

    for scene in _open(realdata, package, sensors).scenes:
        polygon = Polygon(scene.footprint)
        assert polygon.is_valid
        assert polygon.contains(Point(PLACES[package])), f"{package}: {polygon.wkt}"


@pytest.mark.parametrize("package", [package for package in ALL if package != S2])
def test_stripped_packages_say_that_they_have_no_pixels(realdata, sensors, package) -> None:
    for scene in _open(realdata, package, sensors).scenes:
        assert scene.pixels is None
        assert scene.no_pixels is not None
        assert "metadata only" in scene.no_pixels
        assert "empty" in scene.no_pixels


def test_sentinel_2_bands_of_60_m_are_there(realdata, sensors) -> None:
    scenes = {scene.group: scene for scene in _open(realdata, S2, sensors).scenes}
    assert scenes["r10"].pixels is None
    assert "empty" in (scenes["r10"].no_pixels or "")
    r60 = scenes["r60"]
    assert r60.pixels is not None
    assert r60.pixels.shape == (3, 1830, 1830)
    # Baseline 04.00 carries an offset, by its tag and by nothing else.
    assert r60.platform_facts["radio_add_offset_B01"] == -1000
    assert r60.platform_facts["quantification_value"] == 10000
    image = next((realdata / S2).rglob("T18LTM_20220125T151701_B09.jp2"))
    with rasterio.open(image) as dataset:
        truth = dataset.read(1, window=((900, 1000), (900, 1000)))
    np.testing.assert_array_equal(r60.pixels[1, 900:1000, 900:1000].compute(), truth)


@pytest.mark.parametrize("package", ALL)
def test_description_is_json(realdata, sensors, package) -> None:
    text = json.dumps(describe(_open(realdata, package, sensors)), allow_nan=False)
    assert json.loads(text)["scenes"][0]["has_pixels"] is False


def test_inventory_of_a_real_package(realdata) -> None:
    """Against sizes of the file system, and one digest computed with another tool's algorithm: an empty file's."""
    files = {file.path: file for file in inventory(realdata / PERUSAT)}
    assert len(files) == sum(path.is_file() for path in (realdata / PERUSAT).rglob("*"))
    empty = next(file for file in files.values() if file.size == 0)
    assert empty.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_described_bands_follow_the_document_and_say_where_they_lie_in_the_pixels(realdata, sensors) -> None:
    """The Pleiades document lists B0 B1 B2 B3 while its pixels are B2 B1 B0 B3; SPOT 7 lists them as they lie."""
    described = {package: describe(_open(realdata, package, sensors))["scenes"][0] for package in (PHR_SEN, SPOT)}
    found = {
        package: [(band["name"], band["index"]) for band in scene["bands"]] for package, scene in described.items()
    }
    assert found[PHR_SEN] == [("blue", 3), ("green", 2), ("red", 1), ("nir", 4)]
    assert found[SPOT] == [("red", 1), ("green", 2), ("blue", 3), ("nir", 4)]
