"""Areas of composites: whoever asks for everything gets what there is, on maps of zones and around poles."""

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from processing.archive.composed_area import near, rings_on, share
from processing.archive.composition import Composition
from processing.model.errors import BadInput
from processing.products.composite import Method
from tests.archive import synthetic

WORLD = shapely.box(-180, -90, 180, 90)
ITEM = shapely.box(76.8, 43.2, 77.0, 43.4)
ZONE = "EPSG:32643"


def is_inside(rings: tuple[shapely.Polygon, ...], crs: str, lon: float, lat: float) -> bool:
    """By the rule that pixels go by: within an odd number of rings."""
    place = shapely.Point(Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(lon, lat))
    return sum(ring.contains(place) for ring in rings) % 2 == 1


@pytest.mark.parametrize("area", [WORLD, shapely.box(0, 0, 170, 80), shapely.box(-100, 40, 100, 44)])
def test_an_area_beyond_its_map_is_cut_to_what_is_around_the_items(area):
    cut = near(area, [ITEM])
    assert cut.contains(ITEM.buffer(0.5))
    rings = rings_on(cut, ZONE)
    assert all(ring.is_valid for ring in rings)
    for lon, lat in ((76.8, 43.2), (76.9, 43.3), (77.0, 43.4)):
        assert is_inside(rings, ZONE, lon, lat)
    assert not is_inside(rings, ZONE, 76.9, 50.0)


def test_an_area_around_its_items_stays_as_it_was_to_the_last_digit():
    """Also with an edge between items: what was composed before is composed again, byte for byte."""
    area = shapely.Polygon([(76.1234567, 43.1), (77.3, 42.9), (77.6, 43.9), (76.4, 43.3)])
    assert near(area, [ITEM]).wkb == area.wkb
    half = shapely.box(76.9, 0, 77.1, 80)
    assert near(half, [ITEM]).bounds[::2] == (76.9, 77.1)


@pytest.mark.parametrize("area", [WORLD, shapely.box(0, 0, 170, 80), shapely.box(-90, -10, 90, 10)])
def test_an_area_that_its_map_cannot_show_is_refused(area):
    """Infinite there, or a line that goes and comes back and encloses nothing."""
    with pytest.raises(BadInput, match="too large for the map of the items") as refused:
        rings_on(area, ZONE)
    assert (refused.value.kind, refused.value.where) == ("composite.area", ZONE)


def test_items_across_the_antimeridian_are_one_area():
    outline = shapely.MultiPolygon([shapely.box(179.9, 50, 180, 50.2), shapely.box(-180, 50, -179.9, 50.2)])
    cut = near(WORLD, [outline])
    assert cut.area < 20
    rings = rings_on(cut, "EPSG:32601")
    for lon, there in ((179.95, True), (-179.95, True), (-179.2, True), (-175.0, False), (175.0, False)):
        assert is_inside(rings, "EPSG:32601", lon, 50.1) == there, lon


def test_items_around_a_pole_are_one_area():
    outlines = [shapely.box(-170, 88.5, -60, 89.6), shapely.box(20, 88.5, 170, 89.5)]
    cut = near(WORLD, outlines)
    assert cut.bounds == (-180, 87.5, 180, 90)
    rings = rings_on(cut, "EPSG:32661")
    composition = Composition(
        geobox=synthetic.geobox((1, 1), 4.0), layers=(), bands=(), method=Method.MEDIAN, minimum=1, rings=rings
    )
    away = Transformer.from_crs("OGC:CRS84", "EPSG:32661", always_xy=True).transform(0.0, 87.5)
    radius = np.hypot(away[0] - 2e6, away[1] - 2e6)
    assert composition.area == pytest.approx(np.pi * radius**2, rel=1e-3)


def test_a_share_is_of_the_ground_and_not_of_degrees():
    assert share(ITEM, ITEM) == 1.0
    assert share(shapely.box(0, 0, 90, 90), WORLD) == pytest.approx(1 / 8)
    assert share(shapely.box(-180, 30, 180, 90), WORLD) == pytest.approx(1 / 4)
