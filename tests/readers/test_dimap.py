"""DIMAP packages that are right, and the many ways in which they are wrong."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from configs.schema import AzimuthMeaning, DeliveryProfile, RadianceRule, SensorConfig
from processing.model.errors import BadInput, Defect
from processing.model.levels import Level
from processing.readers.find import open_delivery
from processing.testing.minimal import MinimalPackage, write_dimap_v2


def _edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, flags=re.DOTALL)
        assert count, f"{pattern} not found"
    path.write_text(text, encoding="utf-8")


def _kind(root: Path, sensors: Mapping[str, SensorConfig]) -> str:
    with pytest.raises(BadInput) as refusal:
        open_delivery(root, sensors=sensors)
    assert refusal.value.where or refusal.value.remedy
    return refusal.value.kind


def test_kazeosat_1(kz1: MinimalPackage, sensors) -> None:
    delivery = open_delivery(kz1.root, sensors=sensors)
    assert delivery.format == "dimap-v2"
    assert delivery.delivery_id == "DS_DZHR1_201804290705439_KZ1_E071N51_005402"
    ms, pan = delivery.scenes
    assert (ms.mission, ms.sensor, ms.group, pan.group) == ("kazeosat-1", "kazeosat-1-naomi", "ms", "pan")
    assert ms.level is Level.SENSOR
    assert ms.band_names == ("blue", "green", "red", "nir")
    assert (ms.angles.sun_zenith_deg, ms.angles.view_zenith_deg, ms.angles.view_azimuth_deg) == (32.0, 14.04, 101.5)
    for scene, image in zip(delivery.scenes, kz1.images, strict=True):
        assert scene.pixels is not None
        np.testing.assert_array_equal(scene.pixels.compute().values, image.counts)


def test_kazeosat_2(kz2: MinimalPackage, sensors) -> None:
    (scene,) = open_delivery(kz2.root, sensors=sensors).scenes
    assert (scene.mission, scene.group, scene.level) == ("kazeosat-2", "ms", Level.SENSOR)
    # The display order of the file says red is the first band; BAND_INDEX says it is the third, and is right.
    assert scene.band_names == ("blue", "green", "red", "red_edge", "nir")
    assert all(band.calibration and band.calibration.rule is RadianceRule.MULTIPLY for band in scene.bands)
    assert any("solar irradiance" in warning for warning in scene.warnings)
    assert scene.pixels is not None
    np.testing.assert_array_equal(scene.pixels.compute().values, kz2.images[0].counts)


@pytest.mark.parametrize("tiles", [(1, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG"])
def test_tiles_make_one_image(tmp_path: Path, sensors, tiles, driver) -> None:
    package = write_dimap_v2(tmp_path, tiles=tiles, driver=driver)
    scene = open_delivery(package.root, sensors=sensors).scenes[0]
    assert scene.pixels is not None
    np.testing.assert_array_equal(scene.pixels.compute().values, package.images[0].counts)


def test_order_of_the_pixels_is_the_files_own_index(kz1: MinimalPackage, sensors) -> None:
    """Pleiades Neo states a Raster_Index; it outranks the order in which calibrations are listed."""
    order = {"B3": 1, "B2": 2, "B1": 3, "B0": 4}
    entries = "".join(
        f"<Raster_Index><BAND_ID>{label}</BAND_ID><BAND_INDEX>{index}</BAND_INDEX></Raster_Index>"
        for label, index in sorted(order.items())
    )
    _edit(
        kz1.images[0].document,
        ("<Raster_Display>", f"<Raster_Display><Raster_Index_List>{entries}</Raster_Index_List>"),
    )
    plain = {"k": _with_profile(sensors["kazeosat-1-naomi"], band_order=None)}
    scene = open_delivery(kz1.root, sensors=plain).scenes[0]
    assert scene.band_names == ("nir", "red", "green", "blue")
    # A profile that knows better outranks both: for producers known to state it wrongly.
    forced = {
        "kazeosat-1-naomi": _with_profile(sensors["kazeosat-1-naomi"], band_order=("red", "green", "blue", "nir"))
    }
    scene = open_delivery(kz1.root, sensors=forced).scenes[0]
    assert scene.band_names == ("red", "green", "blue", "nir")
    gains = [band.calibration.gain for band in scene.bands if band.calibration]
    assert gains == [7.859, 5.742, 5.975, 10.275]


def test_bands_spread_over_two_file_sets(kz1: MinimalPackage, sensors) -> None:
    """Pleiades Neo keeps R G B in one set of files and NIR RE DB in another: pixels follow the sets, then the index."""
    image = kz1.images[0]
    sets = ""
    for name, labels in (("RGB", ("B2", "B1", "B0")), ("NED", ("B3",))):
        counts = image.counts[[image.labels.index(label) for label in labels]]
        path = image.document.parent / f"IMG_{name}_R1C1.TIF"
        with rasterio.open(
            path, "w", driver="GTiff", count=len(labels), height=48, width=64, dtype="uint16"
        ) as dataset:
            dataset.write(counts)
        index = "".join(
            f"<Raster_Index><BAND_ID>{label}</BAND_ID><BAND_INDEX>{n}</BAND_INDEX></Raster_Index>"
            for n, label in reversed(list(enumerate(labels, start=1)))
        )
        sets += (
            f'<Data_Files><Data_File tile_R="1" tile_C="1"><DATA_FILE_PATH href="{path.name}"/></Data_File>'
            f"<Raster_Display><Raster_Index_List>{index}</Raster_Index_List></Raster_Display></Data_Files>"
        )
    _edit(image.document, ("<Data_Files>.*</Data_Files>", sets))
    scene = open_delivery(kz1.root, sensors=sensors).scenes[0]
    assert scene.band_names == ("red", "green", "blue", "nir")
    assert scene.pixels is not None
    np.testing.assert_array_equal(scene.pixels.compute().values, image.counts[[2, 1, 0, 3]])
    assert scene.pixels.data.numblocks[0] == 1


def _with_profile(sensor: SensorConfig, **changes: object) -> SensorConfig:
    profile = sensor.deliveries[0].model_copy(update=changes)
    return sensor.model_copy(update={"deliveries": (profile,)})


def test_meaning_of_azimuth_is_the_profiles(kz1: MinimalPackage, sensors) -> None:
    """Lines that run to 190 degrees, a satellite 28 degrees off to the right: it stands at 190 + 90."""
    for image in kz1.images:
        angles = "<AZIMUTH_ANGLE>190</AZIMUTH_ANGLE><INCIDENCE_ANGLE_ALONG_TRACK>0</INCIDENCE_ANGLE_ALONG_TRACK>"
        angles += "<INCIDENCE_ANGLE_ACROSS_TRACK>-28</INCIDENCE_ANGLE_ACROSS_TRACK>"
        _edit(image.document, ("<AZIMUTH_ANGLE>101.5</AZIMUTH_ANGLE>", angles))
    known = {"k": _with_profile(sensors["kazeosat-1-naomi"], azimuth_angle=AzimuthMeaning.IMAGE)}
    assert open_delivery(kz1.root, sensors=known).scenes[0].angles.view_azimuth_deg == pytest.approx(280.0)
    assert open_delivery(kz1.root, sensors=sensors).scenes[0].angles.view_azimuth_deg == pytest.approx(190.0)


def test_the_files_irradiance_comes_first(kz1: MinimalPackage, sensors) -> None:
    stated = open_delivery(kz1.root, sensors=sensors).scenes[0].bands[0].calibration
    assert stated is not None
    assert (stated.esun, stated.esun_source) == (1982.7, "file")
    _edit(kz1.images[0].document, ("<Band_Solar_Irradiance>.*?</Band_Solar_Irradiance>", ""))
    scene = open_delivery(kz1.root, sensors=sensors).scenes[0]
    configured = scene.bands[0].calibration
    assert configured is not None
    assert (configured.esun, configured.esun_source) == (sensors["kazeosat-1-naomi"].bands["blue"].esun, "config")
    assert any("irradiance" in warning for warning in scene.warnings)


def test_empty_and_absent_pixels_are_told_apart(tmp_path: Path, sensors) -> None:
    empty, absent = (write_dimap_v2(tmp_path / name) for name in ("empty", "absent"))
    for image in empty.images:
        image.files[0].write_bytes(b"")
    for image in absent.images:
        image.files[0].unlink()
    for package, word in ((empty, "empty"), (absent, "absent")):
        for scene, image in zip(open_delivery(package.root, sensors=sensors).scenes, package.images, strict=True):
            assert scene.pixels is None
            assert scene.no_pixels == f"metadata only: image file {image.files[0].name} is {word}"
            assert scene.model is not None


def test_the_package_speaks_for_itself_whatever_its_name(kz1: MinimalPackage, sensors, tmp_path: Path) -> None:
    moved = kz1.root.rename(tmp_path / "anything")
    assert open_delivery(moved, sensors=sensors).delivery_id == "DS_DZHR1_201804290705439_KZ1_E071N51_005402"


_GAIN = "<GAIN>5.975</GAIN>"
WRONG: dict[str, tuple[tuple[str, str], str]] = {
    "rows": (("<NROWS>48</NROWS>", "<NROWS>49</NROWS>"), "raster.shape"),
    "bands": (("<NBANDS>4</NBANDS>", "<NBANDS>3</NBANDS>"), "bands"),
    "no size": (("<NROWS>48</NROWS>", ""), "xml.missing"),
    "fraction of a row": (("<NROWS>48</NROWS>", "<NROWS>48.5</NROWS>"), "xml.number"),
    "gain of zero": ((_GAIN, "<GAIN>0</GAIN>"), "radiometry.range"),
    "negative gain": ((_GAIN, "<GAIN>-5.975</GAIN>"), "radiometry.range"),
    "decimal comma": ((_GAIN, "<GAIN>5,975</GAIN>"), "xml.number"),
    "gain is not a number": ((_GAIN, "<GAIN>nan</GAIN>"), "xml.number"),
    "the opposite formula": (("L=DN/GAIN", "L=DN*GAIN"), "radiometry.rule"),
    "per nanometre": (("steradians/micrometers", "steradians/nanometers"), "radiometry.rule"),
    "irradiance of the moon": (("<VALUE>1982.7</VALUE>", "<VALUE>0.002</VALUE>"), "radiometry.range"),
    "unknown band": (("<BAND_ID>B2</BAND_ID>", "<BAND_ID>B7</BAND_ID>"), "bands"),
    "a band twice": (("<BAND_ID>B2</BAND_ID>", "<BAND_ID>B1</BAND_ID>"), "bands"),
    "unknown mission": (("KZ1_SENSOR", "XY9_SENSOR"), "mission.unknown"),
    "unknown level": (("<PROCESSING_LEVEL>SENSOR<", "<PROCESSING_LEVEL>MAGIC<"), "level.unknown"),
    "no time of day": (("07:05:43.9Z", "25:61:00Z"), "xml.time"),
    "time before satellites": (("<TIME>2018", "<TIME>1812"), "xml.time"),
    "sun beyond the zenith": (("<SUN_ELEVATION>58.0", "<SUN_ELEVATION>158.0"), "angles.range"),
    "footprint off the Earth": (("<LAT>", "<LAT>9"), "footprint.range"),
    "footprint elsewhere": (("<LAT>43", "<LAT>44"), "rpc.inconsistent"),
    "another acquisition": (("_E071N51_005402</SOURCE_ID>", "_E071N51_005403</SOURCE_ID>"), "package.mixed"),
    "a minute later": (("<TIME>2018-04-29T07:05:43.9Z", "<TIME>2018-04-29T07:06:43.9Z"), "package.mixed"),
    "tile place": (('tile_R="1"', 'tile_R="one"'), "xml.number"),
    "tile missing from the grid": (('tile_R="1"', 'tile_R="3"'), "raster.tiles"),
}


@pytest.mark.parametrize(("change", "kind"), WRONG.values(), ids=WRONG.keys())
def test_contradictions_in_metadata(kz1: MinimalPackage, sensors, change: tuple[str, str], kind: str) -> None:
    pattern, new = change
    _edit(kz1.images[0].document, (re.escape(pattern), new))
    assert _kind(kz1.root, sensors) == kind


def test_label_and_wavelength_must_agree(kz1: MinimalPackage, sensors) -> None:
    """C20: a document whose B0 is centred in the red has its bands swapped."""
    spectrum = (
        "<Band_Spectral_Range><BAND_ID>B0</BAND_ID><MEASURE_UNIT>{unit}</MEASURE_UNIT><MIN>{low}</MIN><MAX>{high}</MAX>"
        "</Band_Spectral_Range><Band_Measurement_List>"
    )
    for unit, low, high, right in (
        ("micrometers", 0.45, 0.52, True),
        ("nanometer", 450, 520, True),
        ("nanometers", 630, 700, False),
        ("micrometers", 0.63, 0.70, False),
    ):
        start, end = spectrum.format(unit=unit, low=low, high=high).split("</Band_Spectral_Range>")
        document = kz1.images[0].document
        before = document.read_text(encoding="utf-8")
        _edit(document, ("<Band_Measurement_List>", f"{end}{start}</Band_Spectral_Range>"))
        if right:
            open_delivery(kz1.root, sensors=sensors)
        else:
            assert _kind(kz1.root, sensors) == "bands"
        document.write_text(before, encoding="utf-8")


BROKEN: dict[str, tuple[Callable[[MinimalPackage], object], str]] = {
    "one tile is empty": (lambda p: p.images[0].files[1].write_bytes(b""), "raster.missing"),
    "one tile is absent": (lambda p: p.images[0].files[3].unlink(), "raster.missing"),
    "tiles swapped in size": (
        lambda p: p.images[0].files[0].write_bytes(p.images[1].files[0].read_bytes()),
        "bands",
    ),
    "no RPC": (lambda p: next(p.root.rglob("RPC_DZHR1_MS*")).unlink(), "rpc.missing"),
    "RPC of the other image": (
        lambda p: next(p.root.rglob("RPC_DZHR1_P_*")).write_text(
            next(p.root.rglob("RPC_DZHR1_MS*")).read_text(encoding="utf-8"), encoding="utf-8"
        ),
        "rpc.bounds",
    ),
    "RPC with a hole": (
        lambda p: _edit(next(p.root.rglob("RPC_DZHR1_MS*")), ("<ROW_NUM_COEFF_7>.*?</ROW_NUM_COEFF_7>", "")),
        "rpc.missing",
    ),
    "RPC that is not a number": (
        lambda p: _edit(next(p.root.rglob("RPC_DZHR1_MS*")), ("<LAT_OFF>.*?</LAT_OFF>", "<LAT_OFF>NaN</LAT_OFF>")),
        "rpc.nonfinite",
    ),
    "RPC off the Earth": (
        lambda p: _edit(next(p.root.rglob("RPC_DZHR1_MS*")), ("<LAT_OFF>.*?</LAT_OFF>", "<LAT_OFF>951</LAT_OFF>")),
        "rpc.bounds",
    ),
    "no product document": (lambda p: [image.document.unlink() for image in p.images], "package.unknown"),
}


@pytest.mark.parametrize(("damage", "kind"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_packages(kz1: MinimalPackage, sensors, damage: Callable[[MinimalPackage], object], kind: str) -> None:
    damage(kz1)
    if kind == "package.unknown":
        for path in kz1.root.rglob("*.TIF"):
            path.unlink()
    assert _kind(kz1.root, sensors) == kind


def test_two_sensors_that_claim_one_package_are_our_own_mistake(kz1: MinimalPackage, sensors) -> None:
    twin = sensors["kazeosat-1-naomi"].model_copy(update={"id": "twin"})
    with pytest.raises(Defect) as mistake:
        open_delivery(kz1.root, sensors={**sensors, "twin": twin})
    assert mistake.value.kind == "config.ambiguous"


def test_a_new_satellite_is_yaml_only(kz1: MinimalPackage, sensors) -> None:
    """A sensor nobody has heard of: its file is enough, no code knows it."""
    novel = sensors["kazeosat-1-naomi"].model_copy(
        update={
            "id": "novel-eye",
            "mission": "novel",
            "deliveries": (DeliveryProfile(format="dimap-v2", profiles=("NOVEL_*",), radiance=None, source="test"),),
        }
    )
    for image in kz1.images:
        _edit(image.document, ("KZ1_SENSOR", "NOVEL_SENSOR"))
    scene = open_delivery(kz1.root, sensors={"novel-eye": novel}).scenes[0]
    assert (scene.mission, scene.bands[0].calibration) == ("novel", None)


def test_nothing_is_computed_to_understand(kz1: MinimalPackage, sensors, no_compute: None) -> None:
    scene = open_delivery(kz1.root, sensors=sensors).scenes[0]
    assert scene.pixels is not None
    assert scene.pixels.isel(line=slice(0, 5)).shape == (4, 5, 64)


def test_missing_package(tmp_path: Path, sensors) -> None:
    assert _kind(tmp_path / "nowhere", sensors) == "package.missing"


def test_folder_of_images_without_metadata(kz1: MinimalPackage, sensors) -> None:
    for path in kz1.root.rglob("*.XML"):
        path.unlink()
    assert _kind(kz1.root, sensors) == "package.ambiguous"


def test_image_without_model(kz1: MinimalPackage, sensors) -> None:
    for path in kz1.root.rglob("*.XML"):
        path.unlink()
    assert _kind(kz1.images[0].files[0], sensors) == "model.missing"


def test_band_order_must_name_the_sensors_bands(sensors) -> None:
    plain = sensors["kazeosat-1-naomi"].model_dump(mode="json")
    for order in (["red", "red"], ["red", "infrared"]):
        plain["deliveries"][0]["band_order"] = order
        with pytest.raises(ValidationError, match="band_order"):
            SensorConfig.model_validate(plain)
