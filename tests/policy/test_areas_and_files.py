"""Areas against geodesics, files against mistakes."""

import json
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer

from catalogs.policy.areas import make_area, narrowed, read_polygons, widened
from catalogs.policy.load import load_policy
from catalogs.policy.screening import plain
from configs.load import ConfigError
from processing.model.errors import BadInput
from tests.policy.shipped import FOLDER

EARTH = Geod(ellps="WGS84")


@pytest.mark.parametrize("centre", [(70.0, 45.0), (-179.99, 10.0), (20.0, 69.5), (5.0, 0.0)])
@pytest.mark.parametrize("metres", [30.0, 500.0, 20_000.0])
def test_a_buffer_is_as_wide_as_asked_on_the_ground(centre, metres):
    """Points so far from corners and edges along geodesics: those nearer lie inside, a twentieth farther not."""
    lon, lat = centre
    shape = shapely.box(lon, lat, min(lon + 0.3, 180), lat + 0.2)
    wide = widened(shape, metres)
    for x, y, azimuths in (
        (lon, lat, np.linspace(181, 269, 9)), (lon + 0.3, lat + 0.2, np.linspace(1, 89, 9)), (lon, lat + 0.1, [270.0]),
    ):  # fmt: skip
        for azimuth in azimuths:
            for share, inside in ((0.999, True), (1.05, False)):
                east, north, _ = EARTH.fwd(x, y, azimuth, metres * share)
                assert shapely.contains_xy(wide, east, north) == inside, (azimuth, share)
    assert narrowed(shape, 30.0).within(shape)


def test_an_area_is_wider_for_products_of_lower_accuracy():
    area = make_area("a", shapely.box(70, 45, 70.1, 45.1), 250)
    assert area.shape(10) is area.levels[0][1]
    assert area.shape(900).area > area.shape(10).area
    assert area.shape(5_000) is None


def geopackage(path: Path, shape: shapely.Geometry, code: int) -> None:
    """Written by hand from OGC 12-128r19."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE gpkg_spatial_ref_sys (srs_id INTEGER, organization TEXT, organization_coordsys_id INTEGER);"
            "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INTEGER);"
            "CREATE TABLE zones (fid INTEGER PRIMARY KEY, geom BLOB);"
        )
        connection.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (1, 'EPSG', ?)", (code,))
        connection.execute("INSERT INTO gpkg_geometry_columns VALUES ('zones', 'geom', 1)")
        header = b"GP" + struct.pack("<BBi4d", 0, 0b0011, 1, *np.array(shape.bounds)[[0, 2, 1, 3]])
        connection.execute("INSERT INTO zones (geom) VALUES (?)", (header + shapely.to_wkb(shape),))
    connection.close()


def test_a_geopackage_in_any_reference_system(tmp_path):
    there = Transformer.from_crs(4326, 32643, always_xy=True, allow_ballpark=False)
    lonlat = shapely.box(76.0, 43.0, 76.2, 43.1)
    on_map = shapely.transform(lonlat, lambda at: np.column_stack(there.transform(at[:, 0], at[:, 1])))
    geopackage(tmp_path / "a.gpkg", on_map, 32643)
    found = read_polygons(tmp_path / "a.gpkg")
    assert shapely.hausdorff_distance(found, lonlat) < 1e-9
    (tmp_path / "b.geojson").write_text(shapely.to_geojson(shapely.LineString([(0, 0), (1, 1)])))
    with pytest.raises(BadInput, match="no valid polygon"):
        read_polygons(tmp_path / "b.geojson")


@pytest.mark.parametrize(("wrong", "right", "said"), [
    ('when: "true"', "when: gsd > 5", "did you mean 'gsd_m'"),
    ('when: "true"', "when: __import__('os').system('x')", "means nothing"),
    ('when: "true"', "when: principal.class == export_aly", "did you mean 'export_ally'"),
    ('when: "true"', "when: product intersects areas.nowhere", "no area 'nowhere'"),
    ('when: "true"', "when: gsd_m >= 5 or", "ends too soon"),
    ('when: "true"', f"when: {'(' * 30}true{')' * 30}", "nested too deep"),
    ('when: "true"', "when: age_h == 5", "passes every moment but once"),
    ("licence: cc-by-4", "licence: cc-by-5", "which the policy does not define"),
    ("effect: allow", "efect: allow", "did you mean 'effect'"),
    ("effect: allow", "effect: hold", "approvals belongs to a hold"),
    ("expect: allow", "expect: deny", "of its own 2 tests"),
])  # fmt: skip
def test_what_is_wrong_is_told(tmp_path, wrong, right, said):
    text = (FOLDER / "open-data.yaml").read_text()
    assert wrong in text
    (tmp_path / "p.yaml").write_text(text.replace(wrong, right, 1))
    with pytest.raises((BadInput, ConfigError)) as refused:
        load_policy(tmp_path / "p.yaml")
    assert said in str(refused.value)


def test_the_digest_covers_areas(tmp_path):
    for name in ("kazakhstan-example.yaml", "areas/kazakhstan-excluded.geojson"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    before = load_policy(tmp_path / "kazakhstan-example.yaml").sha256
    place = tmp_path / "areas/kazakhstan-excluded.geojson"
    document = json.loads(place.read_text())
    document["features"].pop()
    place.write_text(json.dumps(document))
    assert load_policy(tmp_path / "kazakhstan-example.yaml").sha256 != before


@pytest.mark.parametrize(("one", "other"), [
    ("ТОО «Ромашка»", "Romashka LLP"), ("EXAMPLE Front Co., L.L.C.", "Front Example LLC"), ("Ärzte GmbH", "arzte"),
])  # fmt: skip
def test_names_are_compared_as_they_are_meant(one, other):
    assert plain(one) == plain(other)
