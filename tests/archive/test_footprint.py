import math

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from shapely.geometry import shape

from processing.archive.footprint import inside, on_the_ground
from processing.model.errors import BadInput
from tests.archive.synthetic import geobox

UTM = CRS.from_epsg(32643)


def test_outline_holds_the_valid_pixels_and_little_else(published):
    outline = shape(published.product.geometry)
    assert outline.is_valid
    assert outline.exterior.is_ccw
    assert outline.bounds == published.product.bbox
    to_ground = Transformer.from_crs(32643, 4326, always_xy=True)
    with rasterio.open(published.files / "pan.tif") as source:
        valid = source.read(1) > 0
        rows, columns = np.nonzero(valid)
        lon, lat = to_ground.transform(*source.transform @ (columns + 0.5, rows + 0.5))
        area = valid.sum() * 4.0
    assert shapely.contains_xy(outline, lon, lat).mean() > 0.995
    to_map = Transformer.from_crs(4326, 32643, always_xy=True)
    drawn = shapely.transform(outline, lambda xy: np.column_stack(to_map.transform(*xy.T)))
    assert drawn.area == pytest.approx(area, rel=0.02)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=3, max_size=9),
    st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_inside_is_what_geometry_says(corners, start):
    ring = shapely.MultiPoint(corners).convex_hull
    if ring.geom_type != "Polygon":
        return
    box = geobox((40, 40), 10.0, origin=(0.0, 400.0))
    region = (slice(start[0], 40), slice(start[1], 40))
    found = inside(ring, box, region)
    rows, columns = np.mgrid[region]
    x, y = columns * 10 + 5.0, 400 - rows * 10 - 5.0
    certain = shapely.distance(ring.exterior, shapely.points(x, y)) > 1e-9  # on the line either is right
    assert found.shape == x.shape
    assert np.array_equal(found[certain], shapely.contains_xy(ring, x, y)[certain])


def test_a_long_straight_edge_of_the_map_is_a_curve_on_the_ground():
    ring = shapely.box(300_000, 4_700_000, 700_000, 5_100_000)
    geometry, bbox = on_the_ground(ring, UTM)
    assert len(geometry["coordinates"][0]) > 20
    to_ground = Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True)
    lat = to_ground.transform(500_000, 5_100_000)[1]
    assert bbox[3] == pytest.approx(lat, abs=1e-4)
    corners = [to_ground.transform(x, 5_100_000)[1] for x in (300_000, 700_000)]
    assert bbox[3] > max(corners) + 0.01


def test_across_the_antimeridian_it_is_cut_in_two():
    to_map = Transformer.from_crs("OGC:CRS84", 32601, always_xy=True)
    west, east = to_map.transform(179.8, 60.0), to_map.transform(-179.7, 60.3)
    geometry, bbox = on_the_ground(shapely.box(west[0], west[1], east[0], east[1]), CRS.from_epsg(32601))
    parts = shape(geometry)
    assert geometry["type"] == "MultiPolygon"
    assert len(parts.geoms) == 2
    assert parts.is_valid
    assert bbox[0] > 0 > bbox[2]
    assert parts.bounds[0] == -180
    assert parts.bounds[2] == 180
    for lon, lat, expected in (
        (179.9, 60.15, True),
        (-179.9, 60.15, True),
        (0.0, 60.15, False),
        (-179.5, 60.15, False),
    ):
        assert parts.contains(shapely.Point(lon, lat)) is expected
    assert all(ring.exterior.is_ccw for ring in parts.geoms)


def test_an_outline_around_the_pole_is_refused():
    with pytest.raises(BadInput) as caught:
        on_the_ground(shapely.box(-1e6, -1e6, 1e6, 1e6), CRS.from_epsg(3413))
    assert caught.value.kind == "footprint.pole"


def test_coordinates_are_plain_numbers_to_the_centimetre():
    geometry, bbox = on_the_ground(shapely.box(500_000, 4_700_000, 500_100, 4_700_100), UTM)
    ring = geometry["coordinates"][0]
    assert ring[0] == ring[-1]
    assert isinstance(ring, list)
    assert all(value == round(value, 7) for point in ring for value in point)
    assert math.isclose(bbox[0], 75.0)
