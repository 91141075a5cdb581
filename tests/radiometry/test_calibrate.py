"""Counts to physical values: the formulae by hand, masks, refusals, and independence of chunking."""

from dataclasses import replace
from datetime import UTC, datetime

import dask
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from configs.schema import RadianceRule
from processing.model import lazy
from processing.model.errors import BadInput, Defect
from processing.model.levels import Level, Quantity
from processing.model.scene import Angles, Band, BandCalibration, Scene
from processing.model.sensor_model import Array
from processing.radiometry.gain import radiance
from processing.radiometry.reflectance import toa_reflectance
from processing.radiometry.stage import calibrate
from processing.radiometry.sun import earth_sun_distance, sun_direction

WHEN = datetime(2018, 4, 29, 7, 5, 43, tzinfo=UTC)


class Plane:
    """A model whose ground is a lon-lat grid: 0.01 degrees a pixel, so that the sun moves visibly."""

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        raise NotImplementedError

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        line, sample = np.broadcast_arrays(np.asarray(line, float), np.asarray(sample, float))
        return 70.0 + 0.01 * sample, 52.0 - 0.01 * line

    def __dask_tokenize__(self) -> str:
        return "plane"


def scene_of(dn: npt.NDArray[np.uint16], *, rule: RadianceRule = RadianceRule.DIVIDE) -> Scene:
    calibration = BandCalibration(rule=rule, gain=5.975, bias=1.5, esun=1982.67, esun_source="file")
    return Scene(
        scene_id="made-up",
        mission="kazeosat-1",
        sensor="kazeosat-1-naomi",
        group="ms",
        level=Level.SENSOR,
        acquired=WHEN,
        bands=tuple(
            Band(name=name, label=name, calibration=replace(calibration, gain=calibration.gain + index))
            for index, name in enumerate(("blue", "green")[: len(dn)])
        ),
        shape=(dn.shape[1], dn.shape[2]),
        angles=Angles(sun_zenith_deg=37.1),
        footprint=(),
        model=Plane(),
        nodata=0,
        saturated=4095,
        source=dn,
    )


@pytest.fixture
def dn() -> npt.NDArray[np.uint16]:
    counts = np.random.default_rng(7).integers(1, 4000, (2, 90, 130)).astype(np.uint16)
    counts[:, :5] = 0
    counts[1, 40, 50] = 4095
    counts[0, 60, 70] = 0
    return counts


def computed(array: xr.DataArray | None) -> npt.NDArray[np.generic]:
    assert array is not None
    return np.asarray(dask.compute(array.data, scheduler="sync")[0])


def test_the_two_meanings_of_gain() -> None:
    divide = BandCalibration(rule=RadianceRule.DIVIDE, gain=8.85, bias=2.0)
    multiply = BandCalibration(rule=RadianceRule.MULTIPLY, gain=0.02, bias=-1.0)
    assert radiance(885, divide) == pytest.approx(102.0)
    assert radiance(5000, multiply) == pytest.approx(99.0)


def test_reflectance_by_hand() -> None:
    # A perfect diffuser under ESUN 1000 at 2 AU and 60 degrees: L = 1000 cos 60 / (pi 4) has reflectance 1.
    light = 1000.0 * 0.5 / (np.pi * 4.0)
    assert toa_reflectance(light, esun=1000.0, distance_au=2.0, cos_sun_zenith=0.5) == pytest.approx(1.0)


def test_toa_is_the_published_formula_at_each_pixel(dn: npt.NDArray[np.uint16]) -> None:
    result = calibrate(scene_of(dn))
    values = computed(result.pixels)
    line, sample = np.meshgrid(np.arange(90) + 0.5, np.arange(130) + 0.5, indexing="ij")
    zenith, _ = sun_direction(WHEN, 70.0 + 0.01 * sample, 52.0 - 0.01 * line)
    for band, gain in enumerate((5.975, 6.975)):
        expected = np.pi * (dn[band] / gain + 1.5) * earth_sun_distance(WHEN) ** 2
        expected /= 1982.67 * np.cos(np.radians(zenith))
        expected[dn[band] == 0] = np.nan
        np.testing.assert_allclose(values[band], expected, rtol=2e-6)
    assert result.quantity is Quantity.TOA_REFLECTANCE
    assert values.dtype == np.float32


def test_radiance_and_counts(dn: npt.NDArray[np.uint16]) -> None:
    light = computed(calibrate(scene_of(dn, rule=RadianceRule.MULTIPLY), Quantity.RADIANCE).pixels)
    np.testing.assert_allclose(light[0][dn[0] > 0], dn[0][dn[0] > 0] * 5.975 + 1.5, rtol=1e-6)
    counts = computed(calibrate(scene_of(dn), Quantity.DN).pixels)
    np.testing.assert_array_equal(counts, np.where(dn == 0, np.nan, dn))


def test_values_and_names_do_not_depend_on_chunks_or_the_run(
    dn: npt.NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    large, again = calibrate(scene_of(dn)).pixels, calibrate(scene_of(dn)).pixels
    monkeypatch.setattr(lazy, "CHUNK_PIXELS", 17 * 17)
    small = calibrate(scene_of(dn)).pixels
    assert small is not None
    assert large is not None
    assert again is not None
    assert (large.data.npartitions, small.data.npartitions) == (1, 6 * 8)
    assert computed(small).tobytes() == computed(large).tobytes()
    assert large.data.name == again.data.name


def test_a_doubtful_sun_is_said(dn: npt.NDArray[np.uint16]) -> None:
    sound = calibrate(scene_of(dn))
    assert sound.warnings == ()
    doubtful = calibrate(scene_of(dn).but(angles=Angles(sun_zenith_deg=42.0)))
    assert any("42.00" in warning for warning in doubtful.warnings)


def test_without_a_model_the_centre_angle_holds_and_is_said(dn: npt.NDArray[np.uint16]) -> None:
    result = calibrate(scene_of(dn).but(model=None))
    values = computed(result.pixels)
    expected = np.pi * (dn[0] / 5.975 + 1.5) * earth_sun_distance(WHEN) ** 2 / (1982.67 * np.cos(np.radians(37.1)))
    np.testing.assert_allclose(values[0][dn[0] > 0], expected[dn[0] > 0], rtol=1e-6)
    assert any("centre" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"gain": 0.0}, "radiometry.gain"),
        ({"gain": -1.0}, "radiometry.gain"),
        ({"gain": float("nan")}, "radiometry.gain"),
        ({"bias": float("inf")}, "radiometry.bias"),
        ({"esun": None}, "radiometry.esun"),
        ({"esun": 0.0}, "radiometry.esun"),
    ],
)
def test_nonsense_in_the_calibration_is_refused(
    dn: npt.NDArray[np.uint16], change: dict[str, float], kind: str
) -> None:
    scene = scene_of(dn)
    first = scene.bands[0]
    assert first.calibration is not None
    broken = replace(first, calibration=replace(first.calibration, **change))
    with pytest.raises(BadInput) as refused:
        calibrate(scene.but(bands=(broken, *scene.bands[1:])))
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"angles": Angles(sun_zenith_deg=90.0)}, "radiometry.night"),
        ({"acquired": datetime(2018, 4, 29, 19, tzinfo=UTC)}, "radiometry.night"),
        ({"model": None, "angles": Angles()}, "radiometry.no_sun"),
        ({"source": None, "no_pixels": "stripped"}, "scene.no_pixels"),
    ],
)
def test_a_scene_without_light_or_pixels_is_refused(
    dn: npt.NDArray[np.uint16], changes: dict[str, object], kind: str
) -> None:
    with pytest.raises(BadInput) as refused:
        calibrate(scene_of(dn).but(**changes))
    assert refused.value.kind == kind


def test_an_uncalibrated_band_is_refused_and_a_second_calibration_is_a_defect(dn: npt.NDArray[np.uint16]) -> None:
    scene = scene_of(dn)
    bare = scene.but(bands=tuple(replace(band, calibration=None) for band in scene.bands))
    with pytest.raises(BadInput, match="no calibration"):
        calibrate(bare)
    with pytest.raises(Defect):
        calibrate(calibrate(scene))
