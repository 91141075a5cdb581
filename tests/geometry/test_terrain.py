"""Terrain: bilinear against SciPy, its voids and edges, its identity."""

import pickle

import numpy as np
import pytest
from affine import Affine
from dask.base import tokenize
from pyproj import Transformer
from scipy.ndimage import map_coordinates

from processing.geometry.terrain import Terrain
from processing.testing.small_scenes import hills

TERRAIN = hills()


def test_bilinear_agrees_with_scipy() -> None:
    random = np.random.default_rng(0)
    lon, lat = random.uniform(75.23, 75.37, 5000), random.uniform(43.03, 43.17, 5000)
    col, row = (lon - TERRAIN.transform.c) / TERRAIN.transform.a, (lat - TERRAIN.transform.f) / TERRAIN.transform.e
    expected = map_coordinates(TERRAIN.heights.astype(np.float64), [row - 0.5, col - 0.5], order=1)
    np.testing.assert_allclose(TERRAIN.height(lon, lat), expected, atol=1e-6)


def test_outside_and_void_are_nan_and_edges_hold() -> None:
    heights = np.arange(12, dtype=np.float32).reshape(3, 4)
    heights[1, 2] = np.nan
    terrain = Terrain(heights=heights, crs="EPSG:4326", transform=Affine(1, 0, 10, 0, -1, 53), datum_note="")
    assert terrain.height(10.0, 53.0) == 0.0  # the outermost half cell repeats the outermost node
    assert terrain.height(10.75, 52.5) == 0.25
    assert np.isnan(terrain.height([9.99, 14.01, 12.0, np.nan], [52.0, 52.0, 53.01, 52.0])).all()
    assert np.isnan(terrain.height(12.3, 51.6))  # the void weighs in
    assert terrain.height(11.5, 51.5) == 5.0  # a void neighbour of weight zero does not
    assert terrain.height(11.5 + 1e-9, 51.5) == pytest.approx(5.0)  # nor one that a rounding error gives a weight
    assert np.isnan(terrain.height(11.5 + 1e-5, 51.5))


def test_projected_terrain_is_sampled_in_its_own_coordinates() -> None:
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True)
    x, y = to_map.transform(75.3, 43.1)
    rows, cols = np.mgrid[0:100, 0:100]
    terrain = Terrain(
        heights=(2.0 * cols + 3.0 * rows).astype(np.float32),
        crs="EPSG:32643",
        transform=Affine(30.0, 0.0, x - 1500.0, 0.0, -30.0, y + 1500.0),
        datum_note="",
    )
    lon, lat = 75.303, 43.098
    at_x, at_y = to_map.transform(lon, lat)
    col, row = (at_x - x + 1500.0) / 30.0, (y + 1500.0 - at_y) / 30.0
    assert float(terrain.height(lon, lat)) == pytest.approx(2.0 * (col - 0.5) + 3.0 * (row - 0.5), abs=1e-6)


def test_the_range_holds_every_height_between_points() -> None:
    lon, lat = np.array([75.29, 75.31]), np.array([43.09, 43.12])
    found = TERRAIN.height_range(lon, lat)
    assert found is not None
    grid = TERRAIN.height(*np.meshgrid(np.linspace(*lon, 80), np.linspace(*lat, 80)))
    assert found[0] <= grid.min()
    assert grid.max() <= found[1]
    assert TERRAIN.height_range([80.0], [43.0]) is None


def test_identity_is_content() -> None:
    copy = pickle.loads(pickle.dumps(TERRAIN))
    assert copy.digest == TERRAIN.digest
    assert tokenize(copy) == tokenize(TERRAIN)
    assert hills(seed=6).digest != TERRAIN.digest
    with pytest.raises(ValueError, match="read-only"):
        TERRAIN.heights[0, 0] = 1.0
