"""RPCs for others: fitted to models that have none, and written so that GDAL sees the same ground."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer

from processing.geometry.attitude import PolynomialAttitude
from processing.geometry.orbit import Ephemeris
from processing.geometry.pushbroom import Pushbroom
from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.geometry.rpc_export import fit_rpc_to_model
from processing.geometry.rpc_text import rpb_text, rpc_tags, rpc_txt
from processing.geometry.strip import Shifted
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel
from processing.readers.rpc_files import read_rpc, rpc_from_tags
from processing.testing.acquisition import TARGET, plan_acquisition
from processing.testing.instruments import INSTRUMENTS
from processing.testing.orbit import passes_over
from processing.testing.small_scenes import tilted_rpc

SHAPE = (3000, 3000)
HEIGHTS = (300.0, 4700.0)
SMALL = (400, 300)
BASE = tilted_rpc(SMALL)


@pytest.fixture(scope="module")
def camera() -> Pushbroom:
    """KazEOSat-1's multispectral line, 12 km of it."""
    instrument = INSTRUMENTS["kazeosat-1-naomi"]
    event = next(passes_over(instrument.tle, TARGET, ascending=False, off_nadir_deg=(8, 25), min_sun_elevation_deg=30))
    made = plan_acquisition(instrument, event, size=SHAPE[0], number=0, seed=11).nominal["ms"]
    return Pushbroom(
        epoch=datetime(2026, 5, 1, tzinfo=UTC),
        ephemeris=Ephemeris(seconds=made.ephemeris.seconds, positions=made.ephemeris.positions),
        attitude=PolynomialAttitude(
            offset=made.attitude.offset, scale=made.attitude.scale, coefficients=made.attitude.coefficients
        ),
        first_line_s=made.start,
        line_period_s=made.line_period,
        along=(made.ylos_0,),
        across=(made.xlos_0, made.xlos_1),
        first_detector=float(made.first_column),
        shape=made.shape,
    )


def _misses(rpc: Rpc, model: SensorModel, shape: tuple[int, int], heights: tuple[float, float]) -> np.ndarray:
    """Against the model at places drawn by chance."""
    random = np.random.default_rng(8)
    line, sample, height = (random.uniform(*ends, 5000) for ends in ((0, shape[0]), (0, shape[1]), heights))
    seen = np.array(rpc.ground_to_image(*model.image_to_ground(line, sample, height), height))
    return np.hypot(*(seen - (line, sample)))


def test_an_rpc_stands_for_the_camera(camera: Pushbroom) -> None:
    rpc, fit = fit_rpc_to_model(camera, SHAPE, HEIGHTS)
    misses = _misses(rpc, camera, SHAPE, HEIGHTS)
    assert fit.max_px < 0.005
    assert misses.max() <= fit.max_px * 1.05 + 1e-9
    assert fit.rmse_px == pytest.approx(np.sqrt(np.mean(misses**2)), rel=0.5)


@pytest.mark.parametrize(
    "correct",
    [
        lambda model: Refined(model=model, line=(4.25, 0.0, 0.0), sample=(-2.5, 0.0, 0.0)),
        lambda model: Refined(model=model, line=(4.25, 1e-4, -2e-4), sample=(-2.5, 3e-4, 1e-4)),
        lambda model: Shifted(model=Refined(model=model, line=(1.0, 1e-4, 0.0)), first=30),
    ],
)
def test_corrections_are_folded_into_the_fit(camera: Pushbroom, correct: object) -> None:
    model = correct(camera)
    rpc, fit = fit_rpc_to_model(model, SHAPE, HEIGHTS)
    assert fit.max_px < 0.005
    assert _misses(rpc, model, SHAPE, HEIGHTS).max() < 0.005
    assert _misses(rpc, camera, SHAPE, HEIGHTS).max() > 1.0


def test_the_error_is_measured_where_nothing_was_fitted() -> None:
    """A model that no cubic follows: what is reported must be what a stranger finds."""

    class Rippled:
        def ground_to_image(self, *_: object) -> None:
            raise NotImplementedError

        def image_to_ground(self, line: np.ndarray, sample: np.ndarray, height: np.ndarray) -> tuple:
            lon, lat = BASE.image_to_ground(line, sample, height)
            return lon, lat + 2e-6 * np.sin(np.asarray(line) * 2 * np.pi / 31)

    rippled = Rippled()
    rpc, fit = fit_rpc_to_model(rippled, SMALL, (600.0, 4000.0))
    misses = _misses(rpc, rippled, SMALL, (600.0, 4000.0))
    assert misses.max() > 0.01
    assert fit.max_px == pytest.approx(misses.max(), rel=0.15)


@pytest.mark.parametrize("heights", [(500.0, 500.0), (900.0, 100.0), (float("nan"), 100.0), (0.0, 50_000.0)])
def test_heights_that_are_none_are_refused(heights: tuple[float, float]) -> None:
    with pytest.raises(BadInput) as refused:
        fit_rpc_to_model(tilted_rpc(SMALL), SMALL, heights)
    assert refused.value.kind == "rpc.heights"


def test_a_model_that_does_not_see_its_image_is_refused(camera: Pushbroom) -> None:
    with pytest.raises(BadInput) as refused:
        fit_rpc_to_model(camera, (9000, 3000), HEIGHTS)
    assert refused.value.kind == "rpc.fit"


@given(st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=79, max_size=79), st.floats(0.0, 1e5))
def test_files_are_read_back_bit_for_bit(values: list[float], offset: float) -> None:
    rpc = replace(
        BASE,
        line_off=offset,
        line_num=(*values[:20],),
        line_den=(1.0, *values[20:39]),
        sample_num=(*values[39:59],),
        sample_den=(*values[59:79],),
        err_bias=abs(values[0]) or None,
        err_rand=None,
    )
    assert _close(rpc_from_tags(rpc_tags(rpc)), rpc)


def _close(found: Rpc, rpc: Rpc) -> bool:
    """Equal; offsets in lines within the rounding of half a pixel added and taken."""
    near = abs(found.line_off - rpc.line_off) < 1e-9 and abs(found.sample_off - rpc.sample_off) < 1e-9
    return near and replace(found, line_off=rpc.line_off, sample_off=rpc.sample_off) == rpc


def test_both_files_are_read_back(camera: Pushbroom, tmp_path: Path) -> None:
    rpc, _ = fit_rpc_to_model(camera, SHAPE, HEIGHTS)
    rpc = replace(rpc, err_bias=3.5, err_rand=0.25)
    (tmp_path / "a_RPC.TXT").write_text(rpc_txt(rpc))
    (tmp_path / "a.rpb").write_text(rpb_text(rpc))
    assert _close(read_rpc(tmp_path / "a.rpb"), rpc)
    assert _close(read_rpc(tmp_path / "a_RPC.TXT"), rpc)


@pytest.mark.parametrize("way", ["tags", "_RPC.TXT", ".RPB"])
def test_gdal_sees_the_same_ground(camera: Pushbroom, tmp_path: Path, way: str) -> None:
    """Through GDAL's own parsers and its own RPC transformer, in its pixel convention."""
    rpc, _ = fit_rpc_to_model(camera, SHAPE, HEIGHTS)
    rpc = replace(rpc, err_bias=3.5, err_rand=0.25)
    profile = {"driver": "GTiff", "count": 1, "height": 8, "width": 8, "dtype": "uint8"}
    with rasterio.open(tmp_path / "image.tif", "w", **profile) as dataset:
        dataset.write(np.ones((1, 8, 8), np.uint8))
        if way == "tags":
            dataset.rpcs = RPC.from_gdal(rpc_tags(rpc))
    if way == "_RPC.TXT":
        (tmp_path / "image_RPC.TXT").write_text(rpc_txt(rpc))
    if way == ".RPB":
        (tmp_path / "image.RPB").write_text(rpb_text(rpc))
    with rasterio.open(tmp_path / "image.tif") as dataset:
        read = dataset.rpcs
    assert read is not None
    assert (read.err_bias, read.err_rand) == (3.5, 0.25)
    line, sample, height = (
        axis.ravel() for axis in np.meshgrid([0.0, 1234.5, 3000.0], [0.0, 777.7, 3000.0], [300.0, 4000.0])
    )
    lon, lat = camera.image_to_ground(line, sample, height)
    with RPCTransformer(read) as transformer:
        rows, columns = transformer.rowcol(lon, lat, height, op=float)
    ours = rpc.ground_to_image(lon, lat, height)
    assert np.abs(np.array([rows, columns]) - ours).max() <= 0.001
    assert np.abs(np.array([rows, columns]) - (line, sample)).max() <= 0.006
