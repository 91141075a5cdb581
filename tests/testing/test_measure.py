"""The measurement against products with known errors."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from scipy import ndimage

from processing.model.errors import BadInput
from processing.testing.acquisition import plan_acquisition
from processing.testing.instruments import INSTRUMENTS
from processing.testing.measure import measure, measure_ndvi
from processing.testing.orbit import passes_over
from processing.testing.simulate import SimulationReport, simulate


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SimulationReport:
    return simulate(tmp_path_factory.mktemp("measured"), size=512, seed=1, pan=False)


@pytest.fixture(scope="module")
def product(report: SimulationReport) -> tuple[dict[str, np.ndarray], Affine]:
    """An orthorectification by the nominal camera itself and plain spline sampling: as good as one can be."""
    record = json.loads((report.truths[0] / "truth.json").read_text())
    facts = record["groups"]["ms"]
    transform = Affine(*facts["grid"]["transform"])
    rows, columns = facts["grid"]["shape"]
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    x, y = transform.c + transform.a * column, transform.f + transform.e * row
    lon, lat = Transformer.from_crs("EPSG:32643", "EPSG:4326", always_xy=True).transform(x, y)
    camera = _nominal_camera(record)
    line, sample = camera.ground_to_image(lon, lat, _surface(report.dem, lon, lat))
    (path,) = report.packages[0].glob("VOL_*/IMG_*/IMG_*_R1C1.TIF")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path) as image:
        counts = image.read().astype(np.float32)
    zenith, distance = record["acquisition"]["sun_zenith_deg"], record["acquisition"]["sun_distance_au"]
    bands = {}
    for number, band in enumerate(facts["bands"]):
        factor = np.pi * distance**2 / (band["esun"] * np.cos(np.deg2rad(zenith)) * band["counts_per_radiance"])
        bands[band["name"]] = ndimage.map_coordinates(
            counts[number] * factor, [line - 0.5, sample - 0.5], order=3, mode="constant", cval=np.nan, prefilter=True
        )
    return bands, transform


def _nominal_camera(record: dict):
    """The camera that the truth records, planned again; the record's start time shows it is the same."""
    instrument = INSTRUMENTS[record["sensor"]]
    for event in passes_over(
        instrument.tle, (77.0, 43.1, 1000.0), ascending=False, off_nadir_deg=(6.0, 15.5), min_sun_elevation_deg=15.0
    ):
        planned = plan_acquisition(instrument, event, size=512, number=0, seed=1).nominal["ms"]
        if planned.start == record["groups"]["ms"]["camera"]["start"]:
            return planned
    raise AssertionError("no such pass")


def _surface(folder: Path, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    from egm96 import undulation
    from rasterio.merge import merge

    values, transform = merge(sorted(folder.glob("*.tif")))
    lon_posts = transform.c + (np.arange(values.shape[2]) + 0.5) * transform.a
    lat_posts = transform.f + (np.arange(values.shape[1]) + 0.5) * transform.e
    posts = values[0] + undulation(*np.meshgrid(lat_posts, lon_posts, indexing="ij"))
    return ndimage.map_coordinates(
        posts, [(lat - lat_posts[0]) / transform.e, (lon - lon_posts[0]) / transform.a], order=1
    )


def test_a_good_product_is_found_good(report: SimulationReport, product: tuple[dict[str, np.ndarray], Affine]) -> None:
    bands, transform = product
    accuracy = measure(bands, transform, "EPSG:32643", report.truths[0])
    assert accuracy.group == "ms"
    assert accuracy.patches >= 10
    assert accuracy.rmse_px <= 0.06
    assert accuracy.ce90_px <= 0.1
    assert accuracy.toa_error_percent <= 0.3
    assert abs(accuracy.ndvi_median) < 0.002
    total = bands["nir"] + bands["red"]
    median, rmse = measure_ndvi((bands["nir"] - bands["red"]) / total, transform, "EPSG:32643", report.truths[0])
    assert median == pytest.approx(accuracy.ndvi_median, abs=1e-3)
    assert rmse < 0.02


def test_known_errors_are_found(report: SimulationReport, product: tuple[dict[str, np.ndarray], Affine]) -> None:
    bands, transform = product
    spoilt = {name: 1.03 * ndimage.shift(np.nan_to_num(values), (-0.4, 0.7), order=3) for name, values in bands.items()}
    accuracy = measure(spoilt, transform, "EPSG:32643", report.truths[0])
    assert accuracy.bias_px == pytest.approx((0.7, -0.4), abs=0.05)
    assert accuracy.rmse_px == pytest.approx(np.hypot(0.7, 0.4), abs=0.05)
    assert accuracy.toa_median_percent["red"] == pytest.approx(3.0, abs=0.3)


def test_a_part_of_the_grid_will_do(report: SimulationReport, product: tuple[dict[str, np.ndarray], Affine]) -> None:
    bands, transform = product
    part = {name: np.pad(values, 300, constant_values=np.nan)[100:-100, 50:] for name, values in bands.items()}
    accuracy = measure(part, transform @ Affine.translation(-250, -200), "EPSG:32643", report.truths[0])
    assert accuracy.rmse_px <= 0.06


def test_another_lattice_is_refused(report: SimulationReport, product: tuple[dict[str, np.ndarray], Affine]) -> None:
    bands, transform = product
    for other, crs in ((transform @ Affine.translation(0.5, 0), "EPSG:32643"), (transform, "EPSG:32644")):
        with pytest.raises(BadInput) as caught:
            measure(bands, other, crs, report.truths[0])
        assert caught.value.kind == "measure.grid"


def test_nothing_in_common_is_refused(report: SimulationReport, product: tuple[dict[str, np.ndarray], Affine]) -> None:
    bands, transform = product
    empty = {name: np.full_like(values, np.nan) for name, values in bands.items()}
    with pytest.raises(BadInput) as caught:
        measure(empty, transform, "EPSG:32643", report.truths[0])
    assert caught.value.kind == "measure.overlap"
    with pytest.raises(BadInput) as caught:
        measure({"thermal": bands["red"]}, transform, "EPSG:32643", report.truths[0])
    assert caught.value.kind == "measure.bands"
