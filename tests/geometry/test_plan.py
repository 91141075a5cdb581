"""Plans: grids snap where they should, blocks are skipped only where the image cannot reach."""

import numpy as np
import pytest

from processing.geometry.extent import ground_bounds, ground_sampling_m, utm_crs
from processing.geometry.plan import OrthoPlan, plan_ortho
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)
MODEL = tilted_rpc(SHAPE)
TERRAIN = hills()


@pytest.fixture
def scene() -> Scene:
    return scene_of_pixels(coordinate_pixels(SHAPE), MODEL)


def bounds_of(plan: OrthoPlan) -> tuple[float, float, float, float]:
    rows, cols = plan.geobox.shape
    affine = plan.geobox.affine
    return affine.c, affine.f + affine.e * rows, affine.c + affine.a * cols, affine.f


def test_lattice_snaps_outward_to_whole_shards(scene: Scene) -> None:
    plan = plan_ortho(scene, TERRAIN, resolution_m=4.0)
    pixel = plan_ortho(scene, TERRAIN, resolution_m=4.0, snap="pixel")
    assert plan.geobox.shape[0] % 2500 == plan.geobox.shape[1] % 2500 == 0
    assert all(edge % 10_000 == 0 for edge in bounds_of(plan))
    assert all(edge % 4 == 0 for edge in bounds_of(pixel))
    outer, inner = bounds_of(plan), bounds_of(pixel)
    assert outer[0] <= inner[0]
    assert outer[1] <= inner[1]
    assert outer[2] >= inner[2]
    assert outer[3] >= inner[3]
    assert str(plan.geobox.crs) == "EPSG:32643"


def test_given_bounds_are_kept(scene: Scene) -> None:
    left, bottom, right, top = bounds_of(plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel"))
    given = (left + 503.25, bottom + 500.0, right - 500.0, top - 497.5)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, bounds=given, snap="pixel")
    assert (plan.geobox.affine.c, plan.geobox.affine.f) == (given[0], given[3])
    assert bounds_of(plan)[2] - given[2] < 10.0
    assert given[1] - bounds_of(plan)[1] < 10.0


def test_blocks_tile_the_grid_and_only_reachable_ones_are_read(scene: Scene) -> None:
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel", shard_px=100)
    covered = np.zeros(plan.geobox.shape, dtype=int)
    for block in plan.blocks:
        window = block.window
        covered[window.row0 : window.row1, window.col0 : window.col1] += 1
        assert (block.source is None) == (block.strips == ())
        for strip in block.strips:
            assert window.row0 <= strip.row0 < strip.row1 <= window.row1
            assert window.col0 <= strip.col0 < strip.col1 <= window.col1
    assert (covered == 1).all()
    assert 0 < sum(block.source is None for block in plan.blocks) < len(plan.blocks)


def test_far_bounds_reach_nothing(scene: Scene) -> None:
    plan = plan_ortho(
        scene, TERRAIN, resolution_m=10.0, bounds=(0.0, 0.0, 5000.0, 5000.0), crs="EPSG:32643", snap="pixel"
    )
    assert all(block.source is None for block in plan.blocks)


def test_explain_says_what_will_be_read(scene: Scene) -> None:
    text = plan_ortho(scene, TERRAIN, resolution_m=4.0).explain()
    assert "EPSG:32643" in text
    assert "400 x 300 pixels" in text
    assert "2500 px" in text


def test_the_extent_encloses_all_the_image_sees() -> None:
    west, south, east, north = ground_bounds(MODEL, SHAPE)
    line, sample = np.mgrid[0:401:20, 0:301:20]
    for height in (600.0, 2000.0, 4400.0):
        lon, lat = MODEL.image_to_ground(line, sample, height)
        assert west <= lon.min()
        assert lon.max() <= east
        assert south <= lat.min()
        assert lat.max() <= north


def test_sampling_distance_and_zone() -> None:
    assert ground_sampling_m(MODEL, SHAPE, 1000.0) == pytest.approx(10.0, rel=0.02)
    assert utm_crs(np.array([69.9, 69.95]), np.array([43.0, 43.1])) == "EPSG:32642"
    assert utm_crs(np.array([24.4]), np.array([-33.7])) == "EPSG:32735"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"resolution_m": 0.0}, "plan.bounds"),
        ({"resolution_m": float("nan")}, "plan.bounds"),
        ({"resolution_m": 10.0, "bounds": (5.0, 5.0, 1.0, 9.0)}, "plan.bounds"),
        ({"resolution_m": 1e-4, "snap": "pixel"}, "plan.size"),
    ],
)
def test_senseless_grids_are_refused(scene: Scene, options: dict[str, float], kind: str) -> None:
    with pytest.raises(BadInput) as refused:
        plan_ortho(scene, TERRAIN, **options)  # type: ignore[arg-type]
    assert refused.value.kind == kind


def test_no_model_and_no_terrain_are_refused(scene: Scene) -> None:
    with pytest.raises(BadInput) as refused:
        plan_ortho(scene.but(model=None), TERRAIN, resolution_m=10.0)
    assert refused.value.kind == "geometry.no_model"
    elsewhere = hills(lon=80.0)
    void = Terrain(
        heights=np.full((10, 10), np.nan, dtype=np.float32),
        crs="EPSG:4326",
        transform=TERRAIN.transform,
        datum_note="void",
    )
    for terrain in (elsewhere, void):
        with pytest.raises(BadInput) as refused:
            plan_ortho(scene, terrain, resolution_m=10.0)
        assert refused.value.kind == "dem.no_coverage"
