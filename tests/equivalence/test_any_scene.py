"""Whatever the camera, the terrain, the grid and the cutting: the bound holds, and the bytes are the same."""

import dask
import numpy as np
import numpy.typing as npt
from affine import Affine
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.ndimage import map_coordinates

from processing.geometry.accuracy import max_mapping_error_px
from processing.geometry.lattice import BOUND_PX
from processing.geometry.plan import plan_ortho
from processing.geometry.rpc import Rpc
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

SHAPE = (90, 70)
GSD_M = 8.0
FINE_M = 7.0
"""Finer than the image wherever it lies: coarser grids are smoothed, by kernels that give no plane back exactly."""
SLACK_PX = {"nearest": np.sqrt(0.5), "bilinear": 1e-3, "cubic": 1e-3}
"""The nearest pixel's centre is up to half a diagonal away; these kernels give planes back as they are."""
EDGE_PX = 5
"""Kernels do not reach beyond the image."""
HALF_DEG = 0.012
"""Of the terrain: the scene, and what a slanting view adds."""


@st.composite
def terrains(draw: st.DrawFn, lon: float, lat: float) -> Terrain:
    """Relief of any height, cut into cliffs or not, of coarse or fine posts."""
    low = draw(st.floats(-300.0, 3000.0))
    pitch = draw(st.sampled_from([1 / 3600, 1 / 1200]))
    half = HALF_DEG / np.cos(np.radians(lat))
    relief = hills(
        lon=lon, lat=lat, half_deg=half, pitch_deg=pitch, heights=(low, low + draw(st.floats(0.0, 2500.0))),
        seed=draw(st.integers(0, 99)),
    )  # fmt: skip
    step = draw(st.sampled_from([0.0, 60.0, 400.0]))
    heights = np.floor(relief.heights / step) * step if step else relief.heights
    return Terrain(heights=heights.astype(np.float32), crs=relief.crs, transform=relief.transform, datum_note="any")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rpc, Terrain, float, str | None, str]:
    """A camera anywhere that looks anywhere at a terrain, and the grid to put it on."""
    lon, lat = draw(st.floats(-179.0, 179.0)), draw(st.floats(-75.0, 75.0))
    terrain = draw(terrains(lon, lat))
    low, high = terrain.extremes
    model = tilted_rpc(
        SHAPE, lon=lon, lat=lat, gsd_m=GSD_M, tilt_deg=draw(st.floats(-30.0, 30.0)),
        heading_deg=draw(st.floats(0.0, 360.0)), heights=(low - 50.0, high + 50.0),
    )  # fmt: skip
    return (
        model,
        terrain,
        draw(st.one_of(st.floats(5.0, FINE_M), st.floats(FINE_M, 14.0))),
        draw(st.sampled_from([None, "EPSG:3857"])),
        draw(st.sampled_from(["nearest", "bilinear", "cubic", "lanczos"])),
    )


def exact(geobox: GeoBox, model: Rpc, terrain: Terrain) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Image position of every pixel of a grid: pyproj, the posts interpolated by scipy, the model itself."""
    rows, cols = np.mgrid[0 : geobox.shape[0], 0 : geobox.shape[1]] + 0.5
    x, y = geobox.affine @ (cols, rows)
    lon, lat = Transformer.from_crs(geobox.crs, "EPSG:4326", always_xy=True).transform(x, y)
    inverse: Affine = ~terrain.transform
    col, row = inverse @ (lon, lat)
    height = map_coordinates(terrain.heights.astype(np.float64), [row - 0.5, col - 0.5], order=1, cval=np.nan)
    return model.ground_to_image(lon, lat, height)


# Not made smaller when it fails: a scene is one scene, and looking for another takes minutes.
@settings(max_examples=25, phases=(Phase.reuse, Phase.generate))
@given(cases(), st.integers(20, 400), st.integers(20, 400), st.sampled_from([1, 3]))
def test_the_bound_holds_and_cutting_changes_no_byte(
    case: tuple[Rpc, Terrain, float, str | None, str], shard_px: int, other_px: int, workers: int
) -> None:
    model, terrain, resolution_m, crs, resampling = case
    scene = scene_of_pixels(coordinate_pixels(SHAPE), model)

    def made(cut: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16], GeoBox]:
        plan = plan_ortho(scene, terrain, resolution_m=resolution_m, crs=crs, snap="pixel", shard_px=cut)
        image = orthorectify(scene, terrain, plan, resampling=resampling)
        pixels, qa = dask.compute(image.pixels.data, image.qa.data, scheduler="threads", num_workers=workers)
        error = max_mapping_error_px(plan, model, terrain)
        assert error is None or error <= BOUND_PX
        return pixels, qa, plan.geobox

    pixels, qa, geobox = made(shard_px)
    line, sample = exact(geobox, model, terrain)
    seen = (line > EDGE_PX) & (line < SHAPE[0] - EDGE_PX) & (sample > EDGE_PX) & (sample < SHAPE[1] - EDGE_PX)
    assert np.isfinite(pixels[:, seen]).all()
    if resampling in SLACK_PX and resolution_m <= FINE_M:
        away = np.hypot(pixels[0] - line, pixels[1] - sample)[seen]
        assert away.max(initial=0.0) <= BOUND_PX + SLACK_PX[resampling]

    again, flags, other = made(other_px)
    assert other == geobox
    assert again.tobytes() == pixels.tobytes()
    assert flags.tobytes() == qa.tobytes()
