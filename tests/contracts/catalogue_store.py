"""What any catalogue store must do. Subclass it and give a ``store`` fixture: an empty store."""

import base64
import copy
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import mapping, shape

from catalogs.entitlement import NOTHING, Entitlement
from catalogs.store.protocol import AGGREGATIONS, CatalogueStore, SearchRequest, SortKey
from processing.model.errors import BadInput, Conflict

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
WORLD = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}


def collection(name: str) -> dict[str, Any]:
    return {
        "type": "Collection", "stac_version": "1.1.0", "id": name, "description": name, "license": "other",
        "extent": WORLD, "links": [],
    }  # fmt: skip


def item(name: str, *, place=None, day: float = 0.0, until: float | None = None, home: str = "a", **properties: Any):
    start = (EPOCH + timedelta(days=day)).isoformat().replace("+00:00", "Z")
    times: dict[str, Any] = {"datetime": start}
    if until is not None:
        end = (EPOCH + timedelta(days=until)).isoformat().replace("+00:00", "Z")
        times = {"datetime": None, "start_datetime": start, "end_datetime": end}
    geometry = place if place is not None else shapely.box(76, 43, 77, 44)
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "collection": home,
        "geometry": json.loads(shapely.to_geojson(geometry)), "bbox": list(geometry.bounds),
        "properties": times | properties, "assets": {}, "links": [],
    }  # fmt: skip


def ids(store: CatalogueStore, **request: Any) -> list[str]:
    return [found["id"] for found in store.search(SearchRequest(**({"limit": 10_000} | request))).items]


lon = st.integers(-180, 180)
lat = st.integers(-90, 90)
boxes = st.builds(
    lambda w, e, s, n: shapely.box(min(w, e), min(s, n), max(w, e), max(s, n)), lon, lon, lat, lat
).filter(lambda box: box.area > 0)
moments = st.integers(0, 40)


def touches(bounds, sides, south, north) -> bool:
    """Whether two boxes have a point in common, by their numbers alone."""
    return bounds[1] <= north and south <= bounds[3] and any(bounds[0] <= e and w <= bounds[2] for w, e in sides)


class CatalogueStoreContract:
    """Tests of the contract."""

    @pytest.fixture
    def store(self) -> CatalogueStore:
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store: CatalogueStore) -> CatalogueStore:
        """Some items that differ in everything."""
        for name in ("a", "b"):
            store.put_collection(collection(name))
        facts = [
            ("one", {"day": 1, "platform": "kz1", "eo:cloud_cover": 5, "tags": ["x", "y"], "ok": True}),
            ("two", {"day": 2, "platform": "KZ2", "eo:cloud_cover": 50.5, "tags": ["y"], "ok": False}),
            ("three", {"day": 3, "platform": "Ақ_100%", "gsd": 4.0, "created": "2021-05-01T00:00:00Z"}),
            ("four", {"day": 4, "until": 6, "home": "b", "platform": "kz1", "eo:cloud_cover": "unknown"}),
        ]
        for number, (name, fields) in enumerate(facts):
            store.put_item(item(name, place=shapely.box(70 + number, 40, 71 + number, 41), **fields))
        return store

    def test_what_is_put_comes_back(self, store):
        store.put_collection(collection("a"))
        put = item("one", note="Алматы — Алатау", nested={"deep": [1, None, {"x": 0.1}]})
        original = copy.deepcopy(put)
        store.put_item(put)
        assert store.get_item("a", "one") == put == original
        assert store.get_item("a", "two") is None
        assert store.get_item("b", "one") is None

    def test_an_item_needs_its_collection(self, store):
        with pytest.raises(BadInput) as caught:
            store.put_item(item("one"))
        assert caught.value.kind == "collection.unknown"
        assert ids(store) == []

    def test_putting_again_replaces_everything_of_it(self, store):
        store.put_collection(collection("a"))
        store.put_item(item("one", place=shapely.box(0, 0, 1, 1), day=1))
        store.put_item(item("one", place=shapely.box(50, 50, 51, 51), day=9))
        assert ids(store, bbox=(0, 0, 1, 1)) == []
        assert ids(store, bbox=(50, 50, 51, 51)) == ["one"]
        assert ids(store, datetime="2020-01-02") == []
        store.put_collection(collection("a") | {"title": "changed"})
        assert store.get_collection("a")["title"] == "changed"
        assert ids(store) == ["one"]

    def test_deleting_leaves_nothing(self, filled):
        assert filled.delete_item("a", "one") is True
        assert filled.delete_item("a", "one") is False
        assert filled.get_item("a", "one") is None
        assert "one" not in ids(filled, bbox=(70, 40, 71, 41))

    def test_references(self, filled):
        assert filled.find_item("a/one")["id"] == filled.find_item("one")["id"] == "one"
        assert filled.find_item("b/one") is None
        assert filled.find_item("nobody") is None
        filled.put_item(item("one", home="b"))
        with pytest.raises(BadInput) as caught:
            filled.find_item("one")
        assert caught.value.kind == "item.ambiguous"
        assert filled.find_item("b/one")["collection"] == "b"

    def test_collections_cover_their_items(self, filled):
        found = {entry["id"]: entry["extent"] for entry in filled.collections()}
        assert found["a"] == {
            "spatial": {"bbox": [[70.0, 40.0, 73.0, 41.0]]},
            "temporal": {"interval": [["2020-01-02T00:00:00Z", "2020-01-04T00:00:00Z"]]},
        }
        assert found["b"]["temporal"] == {"interval": [["2020-01-05T00:00:00Z", "2020-01-07T00:00:00Z"]]}
        filled.put_collection(collection("empty"))
        assert filled.get_collection("empty")["extent"] == WORLD
        assert filled.get_collection("nobody") is None

    def test_newest_first_unless_told_otherwise(self, filled):
        assert ids(filled) == ["four", "three", "two", "one"]
        assert ids(filled, sortby=(SortKey(field="id"),)) == ["four", "one", "three", "two"]
        # Those without the property come last, in either direction.
        up = ids(filled, sortby=(SortKey(field="properties.gsd"), SortKey(field="id", direction="desc")))
        down = ids(filled, sortby=(SortKey(field="gsd", direction="desc"), SortKey(field="id", direction="desc")))
        assert up == down == ["three", "two", "one", "four"]

    def test_ids_and_collections(self, filled):
        assert ids(filled, collections=("b",)) == ["four"]
        assert ids(filled, ids=("one", "four", "nobody")) == ["four", "one"]
        assert ids(filled, ids=("one", "four"), collections=("a",)) == ["one"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2020-01-03T00:00:00Z", ["two"]),
            ("2020-01-03T05:00:00+05:00", ["two"]),
            ("2020-01-03", ["two"]),
            ("2020-01-03T00:00:00.000001Z", []),
            ("../2020-01-03T00:00:00Z", ["two", "one"]),
            ("/2020-01-03T00:00:00Z", ["two", "one"]),
            ("2020-01-06T00:00:00Z/..", ["four"]),
            ("2020-01-04T00:00:00Z/2020-01-05T00:00:00Z", ["four", "three"]),
            ("2020-01-07T00:00:00.5Z/", []),
        ],
    )
    def test_times(self, filled, text, expected):
        assert ids(filled, datetime=text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "..",
            "../..",
            "yesterday",
            "2020-01-03T00:00:00",
            "2020-13-01T00:00:00Z",
            "2020-01-05/2020-01-04",
            "a/b/c",
        ],
    )
    def test_times_that_mean_nothing(self, filled, text):
        with pytest.raises(BadInput) as caught:
            ids(filled, datetime=text)
        assert caught.value.kind == "search.datetime"

    @pytest.mark.parametrize(
        ("bbox", "expected"),
        [
            ((70.5, 40.5, 71.5, 40.6), ["two", "one"]),
            ((70.5, 40.5, -100.0, 71.5, 40.6, 9000.0), ["two", "one"]),
            ((73.5, 40.0, 73.6, 41.0), ["four"]),
            ((160.0, -90.0, 70.5, 90.0), ["one"]),
            ((179.0, -90.0, -179.0, 90.0), []),
            ((69.0, 39.0, 70.0, 40.0), ["one"]),
            ((70.5, 40.5, 70.5, 40.5), ["one"]),
            ((70.5, 40.5, 71.5, 40.5), ["two", "one"]),
            ((180.0, 40.5, 70.5, 40.5), ["one"]),
        ],
    )
    def test_boxes(self, filled, bbox, expected):
        assert ids(filled, bbox=bbox) == expected

    @pytest.mark.parametrize(
        "bbox", [(1, 2, 3), (0, 50, 1, 40), (-181, 0, 1, 1), (0, 0, 1, 91), (float("nan"), 0, 1, 1)]
    )
    def test_boxes_that_mean_nothing(self, filled, bbox):
        with pytest.raises(BadInput) as caught:
            ids(filled, bbox=bbox)
        assert caught.value.kind == "search.bbox"

    def test_a_box_touches_geometry_not_the_box_around_it(self, store):
        store.put_collection(collection("a"))
        store.put_item(item("triangle", place=shapely.Polygon([(0, 0), (10, 0), (0, 10)])))
        assert ids(store, bbox=(8, 8, 9, 9)) == []
        assert ids(store, bbox=(1, 1, 2, 2)) == ["triangle"]

    def test_geometry_in_two_parts_across_the_antimeridian(self, store):
        store.put_collection(collection("a"))
        place = shapely.MultiPolygon([shapely.box(179, 60, 180, 61), shapely.box(-180, 60, -178, 61)])
        store.put_item(item("across", place=place))
        assert ids(store, bbox=(178, 60, 179.5, 61)) == ["across"]
        assert ids(store, bbox=(-179, 60, -178.5, 61)) == ["across"]
        assert ids(store, bbox=(0, 60, 10, 61)) == []
        assert ids(store, bbox=(179.5, 60, -179.5, 61)) == ["across"]

    @settings(
        max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
    )
    @given(
        st.lists(st.tuples(boxes, moments, moments), max_size=12),
        st.tuples(lon, lat, lon, lat).filter(lambda box: box[1] <= box[3]),
        st.tuples(st.none() | moments, st.none() | moments).filter(lambda ends: ends != (None, None)),
    )
    def test_place_and_time_against_brute_force(self, store, things, bbox, ends):
        store.put_collection(collection("a"))
        for found in ids(store):
            store.delete_item("a", found)
        for number, (box, one, other) in enumerate(things):
            store.put_item(item(str(number), place=box, day=min(one, other), until=max(one, other)))
        west, south, east, north = bbox
        sides = [(west, east)] if west <= east else [(west, 180), (-180, east)]
        start, stop = sorted(ends) if None not in ends else ends
        text = "/".join(".." if end is None else (EPOCH + timedelta(days=end)).isoformat() for end in (start, stop))
        expected = {
            str(number)
            for number, (box, one, other) in enumerate(things)
            if touches(box.bounds, sides, south, north)
            and (stop is None or min(one, other) <= stop)
            and (start is None or max(one, other) >= start)
        }
        assert set(ids(store, bbox=bbox, datetime=text)) == expected

    def test_intersects(self, filled):
        line = mapping(shapely.LineString([(70.5, 30), (70.5, 50)]))
        assert ids(filled, intersects=line) == ["one"]
        assert ids(filled, intersects=mapping(shapely.Point(72.5, 40.5))) == ["three"]

    @pytest.mark.parametrize(
        "geometry",
        [
            {"type": "Nothing"},
            {},
            {"type": "Polygon", "coordinates": []},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
        ],
    )
    def test_geometries_that_mean_nothing(self, filled, geometry):
        with pytest.raises(BadInput) as caught:
            ids(filled, intersects=geometry)
        assert caught.value.kind == "search.geometry"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("platform = 'kz1'", ["four", "one"]),
            ("properties.platform = 'kz1'", ["four", "one"]),
            ('"eo:cloud_cover" < 10', ["one"]),
            ('"eo:cloud_cover" >= 5 AND "eo:cloud_cover" <= 50.5', ["two", "one"]),
            ('"eo:cloud_cover" BETWEEN 6 AND 60', ["two"]),
            ('NOT ("eo:cloud_cover" < 10)', ["two"]),
            ('"eo:cloud_cover" IS NULL', ["three"]),
            ('"eo:cloud_cover" IS NOT NULL', ["four", "two", "one"]),
            ("platform IN ('KZ2', 'nobody')", ["two"]),
            ("platform <> 'kz1'", ["three", "two"]),
            ("platform LIKE 'kz%'", ["four", "one"]),
            ("CASEI(platform) LIKE CASEI('KZ_')", ["four", "two", "one"]),
            ("CASEI(platform) = CASEI('АҚ_100%')", ["three"]),
            ("platform LIKE '%\\_100\\%'", ["three"]),
            ("ok = TRUE", ["one"]),
            ("gsd * 2 + 1 = 9", ["three"]),
            ("id = 'two' OR collection = 'b'", ["four", "two"]),
            ("S_INTERSECTS(geometry, POINT(70.5 40.5))", ["one"]),
            ("S_WITHIN(geometry, POLYGON((69 39, 72.5 39, 72.5 42, 69 42, 69 39)))", ["two", "one"]),
            ("S_CONTAINS(geometry, POINT(70.5 40.5))", ["one"]),
            ("S_INTERSECTS(geometry, BBOX(72.5, 40.0, 80.0, 41.0))", ["four", "three"]),
            ("datetime > TIMESTAMP('2020-01-03T00:00:00Z')", ["four", "three"]),
            ("datetime >= TIMESTAMP('2020-01-03T00:00:00Z') AND datetime < TIMESTAMP('2020-01-04T00:00:00Z')", ["two"]),
            ("datetime = DATE('2020-01-03')", ["two"]),
            ("T_INTERSECTS(datetime, INTERVAL('2020-01-06T00:00:00Z', '..'))", ["four"]),
            ("T_BEFORE(datetime, TIMESTAMP('2020-01-03T00:00:00Z'))", ["one"]),
            ("T_AFTER(created, TIMESTAMP('2021-01-01T00:00:00Z'))", ["three"]),
            ("A_CONTAINS(tags, ('x'))", ["one"]),
            ("A_OVERLAPS(tags, ('y', 'z'))", ["two", "one"]),
            ("nobody = 1", []),
            ("NOT (nobody = 1)", []),
        ],
    )
    def test_cql2(self, filled, text, expected):
        assert ids(filled, filter=text) == expected

    def test_cql2_as_json(self, filled):
        both = {
            "op": "and",
            "args": [
                {"op": "=", "args": [{"property": "platform"}, "kz1"]},
                {"op": "=", "args": [{"property": "id"}, "one"]},
            ],
        }
        assert ids(filled, filter=both) == ["one"]

    @pytest.mark.parametrize(
        "expression",
        [
            "platform ==",
            "platform = ",
            {"op": "nothing", "args": []},
            {"property": "x"},
            "f(x) = 1",
            {"op": "=", "args": [1]},
            "T_AFTER(datetime, 5)",
            '"a""b" = 1; DROP TABLE items',
        ],
    )
    def test_filters_that_mean_nothing(self, filled, expression):
        with pytest.raises(BadInput) as caught:
            ids(filled, filter=expression)
        assert caught.value.kind == "search.filter"

    @pytest.mark.parametrize("value", ["' OR 1=1 --", '"; DROP TABLE items; --', "{} {0} ?", "%"])
    def test_values_are_never_part_of_the_language(self, filled, value):
        quoted = value.replace("'", "''")
        assert ids(filled, filter=f"platform = '{quoted}'") == []
        assert ids(filled, ids=(value,), collections=(value,)) == []
        assert len(ids(filled)) == 4

    @pytest.mark.parametrize(
        "sortby",
        [
            (),
            (SortKey(field="platform"),),
            (SortKey(field="eo:cloud_cover", direction="desc"),),
            (SortKey(field="gsd"), SortKey(field="datetime")),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 3, 7])
    def test_pages_make_up_the_whole(self, filled, sortby, limit):
        for number in range(9):
            filled.put_item(item(f"n{number}", day=number % 3, home="ab"[number % 2], platform=f"p{number % 2}"))
        whole = ids(filled, sortby=sortby)
        assert len(whole) == 13
        found, token, pages = [], None, 0
        while True:
            page = filled.search(SearchRequest(sortby=sortby, limit=limit, token=token, count=True))
            assert page.matched == 13
            found += [entry["id"] for entry in page.items]
            pages += 1
            token = page.next
            if token is None:
                break
        assert found == whole
        assert pages == -(-13 // limit)

    def test_items_that_come_meanwhile_shift_no_page(self, filled):
        first = filled.search(SearchRequest(limit=2))
        filled.put_item(item("newest", day=99))
        second = filled.search(SearchRequest(limit=2, token=first.next))
        assert [entry["id"] for entry in (*first.items, *second.items)] == ["four", "three", "two", "one"]

    def test_a_token_belongs_to_its_search(self, filled):
        token = filled.search(SearchRequest(limit=2)).next
        for request in (
            SearchRequest(limit=2, token=token, collections=("a",)),
            SearchRequest(limit=2, token="rubbish"),
            SearchRequest(limit=2, token="W10"),
        ):
            with pytest.raises(BadInput) as caught:
                filled.search(request)
            assert caught.value.kind == "search.token"

    def test_geometries_come_back_as_they_were(self, store):
        store.put_collection(collection("a"))
        place = shapely.Polygon([(0.1, 0.2), (10.123456789, 0), (0, 10)])
        store.put_item(item("one", place=place))
        assert shape(store.get_item("a", "one")["geometry"]).equals(place)

    def test_many_at_once_are_as_one_after_the_other(self, filled, store):
        many = [
            item(f"n{number}", day=number, home="ab"[number % 2], place=shapely.box(0, 0, 1, 1)) for number in range(9)
        ]
        assert filled.put_items(iter([*many, item("one", day=50, title="again")])) == 10
        assert ids(filled, bbox=(0, 0, 1, 1)) == [f"n{number}" for number in range(8, -1, -1)]
        assert filled.get_item("a", "one") == item("one", day=50, title="again")
        assert ids(filled)[0] == "one"
        with pytest.raises(BadInput):
            filled.put_items([item("orphan", home="nowhere")])
        assert filled.put_items([]) == 0

    def test_all_items_one_after_the_other(self, filled):
        assert [(found["collection"], found["id"]) for found in filled.items()] == [
            ("a", "one"), ("a", "three"), ("a", "two"), ("b", "four"),
        ]  # fmt: skip
        assert [found["id"] for found in filled.items("b")] == ["four"]
        assert list(filled.items("nobody")) == []
        assert next(filled.items("a")) == filled.get_item("a", "one")

    def test_only_empty_collections_go(self, filled):
        with pytest.raises(Conflict) as caught:
            filled.delete_collection("b")
        assert caught.value.kind == "collection.not_empty"
        filled.delete_item("b", "four")
        assert filled.delete_collection("b") is True
        assert filled.delete_collection("b") is False
        assert [found["id"] for found in filled.collections()] == ["a"]

    def test_extents_follow_what_goes(self, filled):
        filled.delete_item("a", "three")
        filled.put_item(item("two", place=shapely.box(70.5, 40, 71, 40.5), day=1))
        assert filled.get_collection("a")["extent"] == {
            "spatial": {"bbox": [[70.0, 40.0, 71.0, 41.0]]},
            "temporal": {"interval": [["2020-01-02T00:00:00Z", "2020-01-02T00:00:00Z"]]},
        }
        for name in ("one", "two"):
            filled.delete_item("a", name)
        assert filled.get_collection("a")["extent"] == WORLD

    def test_earlier_versions_are_kept(self, filled):
        assert filled.versions("a", "one") == ()
        first = item("one", version="1")
        for version in ("1", "1", "2", "3"):
            filled.put_item(item("one", version=version))
        assert [found["properties"]["version"] for found in filled.versions("a", "one")] == ["2", "1"]
        assert filled.versions("a", "one")[1] == first
        assert filled.get_item("a", "one")["properties"]["version"] == "3"
        assert ids(filled, ids=("one",)) == ["one"]
        assert filled.search(SearchRequest(count=True)).matched == 4
        # One that comes back is the latest again, and no earlier one.
        filled.put_item(first)
        assert [found["properties"]["version"] for found in filled.versions("a", "one")] == ["3", "2"]
        assert filled.delete_version("a", "one", "3") is True
        assert filled.delete_version("a", "one", "3") is False
        assert [found["properties"]["version"] for found in filled.versions("a", "one")] == ["2"]
        filled.put_version(item("one", version="0"))
        assert [found["properties"]["version"] for found in filled.versions("a", "one")] == ["0", "2"]
        filled.delete_item("a", "one")
        filled.put_item(first)
        assert filled.versions("a", "one") == ()
        with pytest.raises(BadInput) as caught:
            filled.put_version(item("nobody", version="1"))
        assert caught.value.kind == "version.unknown"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (("kz1",), ["four", "one"]),
            (("KZ1", "two"), ["four", "two", "one"]),
            (("ақ",), ["three"]),
            (("АҚ 100",), ["three"]),
            (("100 ақ",), []),
            (("cafe",), ["five"]),
            (("Café Noir",), ["five"]),
            (("noir winter",), []),
            (("winter snow",), ["five"]),
            (("snow winter",), []),
            (("win",), []),
            (("five a",), []),
            (("one a kz1",), []),
        ],
    )
    def test_free_text(self, filled, text, expected):
        filled.put_item(item("five", title="CAFÉ-noir", keywords=["winter snow", "winter"], note="not spoken"))
        assert ids(filled, text=text) == sorted(expected, key=["four", "three", "two", "one", "five"].index)
        assert ids(filled, text=("spoken",)) == []

    def test_free_text_finds_titles_in_every_language(self, filled):
        titles = {"kk": "Жалпақ Қиғаш көрініс", "ru": "Снимок Ёлки", "en": "Orthoimage"}
        filled.put_item(item("five", title="Orthoimage", **{"qyran:titles": titles}))
        filled.put_item(item("six", **{"qyran:titles": ["not", "titles"]}))
        for wanted in ("қиғаш", "ЖАЛПАҚ ҚИҒАШ", "елки", "снимок ёлки", "orthoimage"):
            assert ids(filled, text=(wanted,)) == ["five"], wanted
        assert ids(filled, text=("көрініс снимок",)) == ids(filled, text=("titles",)) == []
        filled.put_item(item("five", title="Orthoimage"))
        assert ids(filled, text=("снимок",)) == []

    def test_words_go_with_their_item(self, filled):
        filled.put_item(item("one", title="glacier"))
        assert ids(filled, text=("glacier",)) == ["one"]
        filled.put_item(item("one", title="desert"))
        assert ids(filled, text=("glacier",)) == []
        filled.delete_item("a", "one")
        assert ids(filled, text=("desert",)) == []

    @pytest.mark.parametrize("text", [("",), (" . - ",), ("x" * 500,), ("x",) * 50])
    def test_free_text_that_means_nothing(self, filled, text):
        with pytest.raises(BadInput) as caught:
            ids(filled, text=text)
        assert caught.value.kind == "search.text"

    @pytest.mark.parametrize("text", ['"kz1', "kz1*", "kz1 NOT one", "NEAR(kz1)", "spoken:kz1", "kz1' OR 1=1"])
    def test_free_text_is_no_language(self, filled, text):
        assert set(ids(filled, text=(text,))) <= {"four", "one"}

    def test_aggregations(self, filled):
        found = {one.name: one for one in filled.aggregate(SearchRequest(limit=1), AGGREGATIONS)}
        assert list(found) == list(AGGREGATIONS)
        assert found["total_count"].value == 4
        assert found["datetime_min"].value == "2020-01-02T00:00:00Z"
        assert found["datetime_max"].value == "2020-01-07T00:00:00Z"
        tables = {name: {b.key: b.frequency for b in one.buckets} for name, one in found.items() if one.buckets}
        assert tables == {
            "collection_frequency": {"a": 3, "b": 1},
            "platform_frequency": {"KZ2": 1, "kz1": 2, "Ақ_100%": 1},
            "datetime_frequency": {"2020-01-01T00:00:00Z": 4},
            "cloud_cover_frequency": {"0-5": 0, "5-15": 1, "15-40": 0, "40-": 1},
        }
        (only,) = filled.aggregate(SearchRequest(collections=("b",), bbox=(73, 40, 74, 41)), ("total_count",))
        assert only.value == 1
        empty = filled.aggregate(SearchRequest(ids=("nobody",)), ("total_count", "datetime_min", "platform_frequency"))
        assert [(one.value, one.buckets) for one in empty] == [(0, ()), (None, ()), (None, ())]
        with pytest.raises(BadInput) as caught:
            filled.aggregate(SearchRequest(), ("total_count", "nothing"))
        assert caught.value.kind == "search.aggregation"

    @pytest.mark.parametrize(
        "entitlement",
        [
            Entitlement(collections=frozenset({"a"})),
            Entitlement(condition={"op": "=", "args": [{"property": "collection"}, "a"]}),
            Entitlement(collections=frozenset({"a"}), condition={"op": "<>", "args": [{"property": "id"}, "four"]}),
        ],
        ids=["collections", "condition", "both"],
    )
    def test_what_is_not_entitled_is_not_there(self, filled, entitlement):
        def seen(**request: Any) -> list[str]:
            return [found["id"] for found in filled.search(SearchRequest(**request), entitlement).items]

        assert seen() == ["three", "two", "one"]
        assert seen(collections=("b",)) == seen(ids=("four",)) == seen(bbox=(73.5, 40, 74, 41)) == []
        assert seen(filter="platform = 'kz1'") == seen(text=("kz1",)) == ["one"]
        assert seen(collections=("a", "b"), limit=1) == ["three"]
        page = filled.search(SearchRequest(limit=2, count=True), entitlement)
        assert page.matched == 3
        rest = filled.search(SearchRequest(limit=2, token=page.next), entitlement)
        assert [found["id"] for found in rest.items] == ["one"]
        figures = {one.name: one for one in filled.aggregate(SearchRequest(), AGGREGATIONS, entitlement)}
        assert figures["total_count"].value == 3
        assert figures["datetime_max"].value == "2020-01-04T00:00:00Z"
        assert [bucket.key for bucket in figures["collection_frequency"].buckets] == ["a"]
        assert filled.get_item("b", "four", entitlement) is None
        assert filled.get_item("a", "one", entitlement) is not None
        filled.put_item(item("four", home="b", version="1"))
        filled.put_item(item("four", home="b", version="2"))
        assert len(filled.versions("b", "four")) == 1
        assert filled.versions("b", "four", entitlement) == ()
        assert filled.get_collection("a", entitlement)["extent"] == filled.get_collection("a")["extent"]
        shown = [found["id"] for found in filled.collections(entitlement)]
        assert shown == (["a"] if entitlement.collections else ["a", "b"])
        hidden = filled.get_collection("b", entitlement)
        assert hidden is None if entitlement.collections else hidden["extent"] == WORLD

    def test_entitled_to_nothing(self, filled):
        assert filled.search(SearchRequest(count=True), NOTHING).matched == 0
        assert filled.search(SearchRequest(collections=("a",)), NOTHING).items == ()
        assert filled.collections(NOTHING) == ()

    @pytest.mark.parametrize(
        "expression",
        [
            "NOT " * 100_000 + "a = 1",
            "(" * 5_000 + "a = 1" + ")" * 5_000,
            "NOT (" * 20 + "a = 1" + ")" * 20,
            " OR ".join(["platform LIKE '%x%'"] * 60),
            "platform IN (" + ", ".join("'x'" for _ in range(200)) + ")",
            "1=1; DROP TABLE items",
            "__class__ = 1",
            '"properties.__class__" = 1',
            "a = " + "-" * 10_000 + "1",
            "a = 2" + "^2" * 10_000,
            "x" * 100_000,
        ],
    )
    def test_filters_beyond_the_limits(self, filled, expression):
        with pytest.raises(BadInput) as caught:
            ids(filled, filter=expression)
        assert caught.value.kind == "search.filter"
        assert len(str(caught.value)) < 600

    def test_a_pattern_of_many_wildcards_takes_no_time(self, filled):
        filled.put_item(item("long", platform="x" * 5_000))
        started = time.monotonic()
        assert ids(filled, filter="platform LIKE '" + "%x" * 60 + "%y'") == []
        assert ids(filled, filter="platform LIKE '" + "%x" * 60 + "%'") == ["long"]
        assert time.monotonic() - started < 2

    def test_tokens_made_by_hand(self, filled):
        token = filled.search(SearchRequest(limit=2)).next
        digest, place, matched = json.loads(base64.urlsafe_b64decode(token + "=="))
        for forged in (
            [digest, [place[0], {}, "one"], matched],
            [digest, [10**30, "a", "one"], matched],
            [digest, [[1], "a", "one"], matched],
            [digest, [None, None, None], matched],
            [digest, place, "many"],
            [digest, place],
            {"a": 1},
        ):
            text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
            with pytest.raises(BadInput) as caught:
                filled.search(SearchRequest(limit=2, token=text))
            assert caught.value.kind == "search.token"
