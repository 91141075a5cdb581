"""Where the engine looks, against the simulator's exact truth over mountains.

The truth is the simulator's own: its rigorous camera, and its surface, which is the bilinear surface of the delivered
DEM. What is measured is the whole road of an image (delivered tiles, geoid, plan, mapping, resampling), by what it
makes of a coordinate image. The camera itself is the sensor model, so that no fit of an RPC is in the figures; what
the RPC adds is measured beside it.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from processing.geometry.plan import plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.sensor_model import SensorModel
from processing.readers.dem import open_terrain
from processing.testing.acquisition import plan_acquisition
from processing.testing.camera import Pushbroom
from processing.testing.coordinate_truth import evaluate_rpc
from processing.testing.exposure import fit_camera
from processing.testing.instruments import INSTRUMENTS
from processing.testing.orbit import passes_over
from processing.testing.relief import Posts, raise_posts, write_tiles
from processing.testing.small_scenes import coordinate_pixels, scene_of_pixels
from processing.testing.surface import seen_on_surface, surface_height

Array = npt.NDArray[np.float64]

SENSOR = "kazeosat-2-keis"
SIZE = 1000
MAX_PX, RMSE_PX = 0.02, 0.003
EDGE_PX = 4.0
"""Nearer to the image's edge than this, a kernel has not all its neighbours."""


@dataclass(frozen=True)
class Mountains:
    """A camera over simulated mountains, and the terrain as it is delivered."""

    camera: Pushbroom
    posts: Posts
    terrain: Terrain


@pytest.fixture(scope="module")
def mountains(tmp_path_factory: pytest.TempPathFactory) -> Mountains:
    instrument = INSTRUMENTS[SENSOR]
    passes = passes_over(
        instrument.tle, (77.0, 43.02, 3000.0), ascending=instrument.ascending, off_nadir_deg=(6.0, 15.5),
        min_sun_elevation_deg=15.0,
    )  # fmt: skip
    acquisition = plan_acquisition(instrument, next(islice(passes, 1, None)), size=SIZE, number=0, seed=3)
    camera = next(iter(acquisition.nominal.values()))
    line, sample, height = np.meshgrid([0, SIZE], [0, SIZE], [300.0, 4700.0])
    lon, lat = camera.image_to_ground(line, sample, height)
    bounds = (lon.min() - 0.02, lat.min() - 0.02, lon.max() + 0.02, lat.max() + 0.02)
    posts = raise_posts(bounds, seed=3)
    folder = tmp_path_factory.mktemp("dem")
    write_tiles(posts, folder)
    inner = (bounds[0] + 0.002, bounds[1] + 0.002, bounds[2] - 0.002, bounds[3] - 0.002)
    return Mountains(camera=camera, posts=posts, terrain=open_terrain(folder, bounds=inner))


def looked_up(model: SensorModel, terrain: Terrain, resampling: str = "cubic") -> tuple[Array, GeoBox]:
    """Line and sample that the engine looked up for every output pixel, ``(2, rows, cols)``."""
    # Counted from the middle, float32 holds twice as fine a position.
    pixels = coordinate_pixels((SIZE, SIZE)) - np.float32(SIZE / 2)
    scene = scene_of_pixels(pixels, model)
    plan = plan_ortho(scene, terrain, resolution_m=6.5, snap="pixel", shard_px=700)
    image = orthorectify(scene, terrain, plan, resampling=resampling)
    return image.pixels.data.compute().astype(np.float64) + SIZE / 2, plan.geobox


def centres(geobox: GeoBox) -> tuple[Array, Array]:
    """Degrees of the pixels' centres, by pyproj."""
    rows, cols = geobox.shape
    col, row = np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    grid = geobox.affine
    x, y = grid.a * col + grid.c, grid.e * row + grid.f
    lon, lat = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def well_inside(line: Array, sample: Array) -> npt.NDArray[np.bool_]:
    return (np.abs(line - SIZE / 2) < SIZE / 2 - EDGE_PX) & (np.abs(sample - SIZE / 2) < SIZE / 2 - EDGE_PX)


def rmse(miss: Array) -> float:
    return float(np.sqrt(np.mean(miss**2)))


def test_the_truth_is_true(mountains: Mountains) -> None:
    """The yardstick itself: the camera's two directions, and the ray that meets the surface, agree."""
    line, sample = np.meshgrid(np.linspace(5, SIZE - 5, 25), np.linspace(5, SIZE - 5, 25), indexing="ij")
    lon, lat, height = seen_on_surface(mountains.camera, mountains.posts, line, sample)
    assert np.abs(surface_height(mountains.posts, lon, lat) - height).max() < 1e-2
    back = mountains.camera.ground_to_image(lon, lat, height)
    assert max(np.abs(back[0] - line).max(), np.abs(back[1] - sample).max()) < 1e-5


def test_the_engine_looks_where_the_camera_did(mountains: Mountains) -> None:
    positions, geobox = looked_up(mountains.camera, mountains.terrain)
    lon, lat = centres(geobox)
    height = surface_height(mountains.posts, lon, lat)
    line, sample = mountains.camera.ground_to_image(lon, lat, height)
    inside = well_inside(line, sample)
    # Steep enough to show what the terrain does: 30 m posts a kilometre and more apart in height.
    assert np.ptp(height[inside]) > 1000
    assert inside.sum() > 500_000
    assert np.isfinite(positions[:, inside]).all()
    miss = np.hypot(positions[0] - line, positions[1] - sample)[inside]
    assert miss.max() <= MAX_PX
    assert rmse(miss) <= RMSE_PX


def test_the_rpc_adds_its_own_fit_and_nothing_else(mountains: Mountains) -> None:
    rpc, fit = fit_camera(mountains.camera, mountains.posts)
    positions, geobox = looked_up(rpc, mountains.terrain)
    lon, lat = centres(geobox)
    height = surface_height(mountains.posts, lon, lat)
    figures = {
        f"{name}_{kind}": np.array([getattr(rpc, f"{ours}_{kind.lower()}")])
        for name, ours in (("LONG", "lon"), ("LAT", "lat"), ("HEIGHT", "height"), ("LINE", "line"), ("SAMP", "sample"))
        for kind in ("OFF", "SCALE")
    } | {
        f"{name}_COEFF": np.array(getattr(rpc, ours))
        for name, ours in (
            ("LINE_NUM", "line_num"), ("LINE_DEN", "line_den"), ("SAMP_NUM", "sample_num"), ("SAMP_DEN", "sample_den")
        )
    }  # fmt: skip
    sample, line = evaluate_rpc(figures, lon, lat, height)
    inside = well_inside(line, sample)
    miss = np.hypot(positions[0] - line, positions[1] - sample)[inside]
    assert miss.max() <= MAX_PX
    assert rmse(miss) <= RMSE_PX
    true_line, true_sample = mountains.camera.ground_to_image(lon, lat, height)
    whole = np.hypot(positions[0] - true_line, positions[1] - true_sample)[inside]
    assert whole.max() <= fit.max_px + MAX_PX
    assert rmse(whole) <= np.hypot(fit.rmse_px, RMSE_PX) + 1e-4


def test_kernels_that_keep_planes_read_the_same_position(mountains: Mountains) -> None:
    """A coordinate image is a plane: what a kernel reads back must not depend on the kernel (float32 arithmetic)."""
    positions, _ = looked_up(mountains.camera, mountains.terrain, "bilinear")
    reference, _ = looked_up(mountains.camera, mountains.terrain, "cubic")
    inside = well_inside(*reference)
    assert np.abs(positions - reference)[:, inside].max() < 5e-4
