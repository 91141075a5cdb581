"""The same bytes from worker processes that were sent a graph and nothing else; and a graph that is small to send."""

import pickle
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio

from processing.archive.export import export_ortho
from processing.archive.manifest import check_product
from processing.geometry.plan import plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.errors import Defect
from processing.model.image import OrthoImage
from processing.readers.dem import open_terrain
from processing.testing.small_scenes import hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)


@pytest.fixture
def dem(tmp_path: Path) -> Path:
    """An elevation file whose terrain is larger than a graph should be."""
    made = hills(half_deg=0.4)
    path = tmp_path / "dem.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=made.heights.shape[0],
        width=made.heights.shape[1],
        count=1,
        dtype="float32",
        crs="EPSG:4326",
        transform=made.transform,
    ) as target:
        target.write(made.heights, 1)
    return path


def terrain_of(dem: Path) -> Terrain:
    return open_terrain(dem, bounds=(74.95, 42.75, 75.65, 43.45), vertical_datum="ellipsoid")


def image(terrain: Terrain) -> OrthoImage:
    pixels = np.random.default_rng(3).normal(0.2, 0.05, (4, *SHAPE)).astype(np.float32)
    scene = scene_of_pixels(pixels, tilted_rpc(SHAPE))
    plan = plan_ortho(scene, terrain, resolution_m=10.0, snap="pixel", shard_px=150)
    return orthorectify(scene, terrain, plan)


def test_a_terrain_travels_as_its_files(dem: Path) -> None:
    terrain = terrain_of(dem)
    assert terrain.heights.nbytes > 1_000_000
    sent = pickle.dumps(terrain)
    assert len(sent) < 5_000
    again = pickle.loads(sent)
    assert again.digest == terrain.digest
    np.testing.assert_array_equal(again.heights, terrain.heights)
    assert (again.sources, again.warnings, again.crs) == (terrain.sources, terrain.warnings, terrain.crs)


def test_a_terrain_without_files_travels_whole() -> None:
    terrain = hills(half_deg=0.01)
    assert pickle.loads(pickle.dumps(terrain)).digest == terrain.digest


def test_elevations_that_changed_on_the_way_are_not_used(dem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.geometry.terrain._REOPENED", {})
    sent = pickle.dumps(terrain_of(dem))
    with rasterio.open(dem, "r+") as target:
        target.write(target.read(1) + 1.0, 1)
    with pytest.raises(Defect, match="changed"):
        pickle.loads(sent)


def test_a_graph_is_small(dem: Path, no_compute: None) -> None:
    lazy = image(terrain_of(dem))
    graph = dict(lazy.pixels.data.dask) | dict(lazy.qa.data.dask)
    blocks = lazy.pixels.data.npartitions
    assert blocks > 4
    assert len(graph) <= 12 * blocks
    assert len(pickle.dumps(graph)) < 2_000_000 + lazy.pixels.data.nbytes  # the source of a test is in memory


@pytest.mark.services
def test_a_cluster_changes_nothing(dem: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    lazy = image(terrain_of(dem))
    expected = dask.compute(lazy.pixels.data, lazy.qa.data, scheduler="sync")
    export_ortho([lazy], tmp_path / "here.zarr")
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=True
        ) as cluster,
        Client(cluster),
    ):
        found = dask.compute(lazy.pixels.data, lazy.qa.data)
        export_ortho([lazy], tmp_path / "there.zarr")
    for one, other in zip(expected, found, strict=True):
        assert one.tobytes() == other.tobytes()
    assert check_product(tmp_path / "there.zarr") == []
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in ("here.zarr", "there.zarr")]
    assert manifests[0] == manifests[1]
