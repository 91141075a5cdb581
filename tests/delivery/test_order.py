"""Orders as values and as they are kept: the table of states, prices, areas, keys, approvals, time."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import mapping

from catalogs.delivery.order import OPEN, TRANSITIONS, Event, Order, OrderRequest, OrderState, Price
from catalogs.delivery.order_area import clip_geometry, square_km
from catalogs.delivery.order_decisions import approve, cancel, mark_paid
from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.order_store import open_orders
from catalogs.delivery.order_tending import tend
from catalogs.delivery.prices import price_of
from catalogs.delivery.quote import quote_order
from catalogs.policy.audit import AuditLog
from configs.load import ConfigError, read_config
from configs.prices import load_prices
from configs.schema.prices import PricesConfig
from processing.model.errors import BadInput, Conflict, Denied

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDS = {OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED}


def bare(**changes) -> Order:
    facts = {
        "id": "o", "customer": "c_1", "customer_name": "c", "customer_class": "domestic",
        "request": OrderRequest(items=("a/b",)), "state": OrderState.RECEIVED, "items": (), "km2": Decimal(1),
        "price": Price(amount=Decimal(0), currency="KZT"), "created": NOW, "updated": NOW,
        "history": (Event(state=OrderState.RECEIVED, time=NOW, reason="order.received", by="c_1"),),
    }  # fmt: skip
    return Order(**(facts | changes))


@given(st.lists(st.sampled_from(list(OrderState)), max_size=12))
def test_an_order_goes_only_where_the_table_lets_it(steps):
    order = bare()
    for number, state in enumerate(steps):
        was, allowed = order, state in TRANSITIONS[order.state]
        if allowed:
            order = order.moved(state, "test", by="x", now=NOW + timedelta(seconds=number))
            assert (order.state, len(order.history)) == (state, len(was.history) + 1)
            assert order.history[:-1] == was.history
            assert Order.model_validate_json(order.model_dump_json()) == order
        else:
            with pytest.raises(Conflict):
                order.moved(state, "test", by="x", now=NOW)
    assert all(not TRANSITIONS[state] for state in ENDS)
    # What was handed out is never called off, and nothing is handed out that was not accepted.
    assert OrderState.CANCELLED not in TRANSITIONS[OrderState.READY] | TRANSITIONS[OrderState.DELIVERED]
    assert {state for state in OrderState if OrderState.READY in TRANSITIONS[state]} == {OrderState.IN_PROGRESS}
    assert OrderState.IN_PROGRESS not in TRANSITIONS[OrderState.HELD] | TRANSITIONS[OrderState.RECEIVED]
    assert set(OPEN) == {state for state in OrderState if OrderState.CANCELLED in TRANSITIONS[state]}


@given(st.floats(-179, 178), st.floats(-80, 79), st.floats(0.001, 1.0), st.floats(0.001, 1.0), st.floats(-0.4, 0.4))
def test_ground_is_measured_as_an_equal_area_map_measures_it(west, south, width, height, skew):
    corners = [(west, south), (west + width, south + skew * height), (west + width, south + height),
               (west + 0.1 * width, south + height)]  # fmt: skip
    ring = shapely.Polygon(corners)
    if not ring.is_valid:
        return
    flat = Transformer.from_crs(4326, 6933, always_xy=True)
    truth = shapely.transform(ring.segmentize(0.002), flat.transform, interleaved=False).area / 1e6
    assert float(square_km(ring)) == pytest.approx(truth, rel=2e-6, abs=1e-4)


@pytest.mark.parametrize(("document", "why"), [
    ({"type": "Point", "coordinates": [1, 2]}, "not a polygon"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}, "crosses itself"),
    ({"type": "Polygon", "coordinates": [[[0, 0], [400, 0], [400, 1], [0, 0]]]}, "off the globe"),
    ({"type": "Polygon", "coordinates": "x"}, "cannot be read"),
    ({"type": "Polygon"}, "cannot be read"),
    ({"type": "FeatureCollection", "features": []}, "no area"),
    ({"type": "FeatureCollection", "features": None}, "list of members"),
    ({"type": "Feature", "geometry": None}, "no GeoJSON"),
    (mapping(shapely.Point(70, 40).buffer(1, quad_segs=300)), "more than 1000 vertices"),
])  # fmt: skip
def test_what_is_no_area_is_refused_in_words(document, why):
    with pytest.raises(BadInput) as caught:
        clip_geometry(json.loads(json.dumps(document)))
    assert caught.value.kind == "order.clip"
    assert why in caught.value.message


def listed(**changes) -> PricesConfig:
    lines = [
        {"class": "domestic", "collections": ["*-ndvi"], "per_km2": "10", "currency": "KZT"},
        {"class": "domestic", "finer_than_m": 2.5, "per_km2": "450", "currency": "KZT", "minimum_km2": 5},
        {"class": "domestic", "per_km2": "120.005", "currency": "KZT"},
        {"class": "export_ally", "per_km2": "0.333", "currency": "USD"},
    ]
    return PricesConfig.model_validate({"prices": lines} | changes)


@pytest.mark.parametrize(("who", "collection", "gsd", "km2", "amount"), [
    ("domestic", "a-ndvi", 1.0, "3", "30.00"),
    ("domestic", "a-l1c", 1.0, "3", "2250.00"),  # five at least
    ("domestic", "a-l1c", 1.0, "7.25", "3262.50"),
    ("domestic", "a-l1c", 2.5, "1", "120.01"),  # half up, not to even
    ("domestic", "a-l1c", None, "6", "2700.00"),  # unknown counts as finest
    ("export_ally", "a-l1c", 1.0, "0.05", "0.02"),
    ("gov_domestic", "a-l1c", 1.0, "1000", "0"),
])  # fmt: skip
def test_the_first_line_that_fits_is_the_price(who, collection, gsd, km2, amount):
    found = price_of(listed(), customer_class=who, collection=collection, gsd_m=gsd, km2=Decimal(km2))
    assert str(found.amount) == amount


def test_nothing_is_given_away_for_want_of_a_line():
    with pytest.raises(BadInput) as caught:
        price_of(listed(), customer_class="export_other", collection="a", gsd_m=1.0, km2=Decimal(1))
    assert caught.value.kind == "order.no_price"


def test_the_house_lays_its_own_list_over_the_shipped_one(tmp_path):
    assert load_prices(tmp_path).free == ("gov_domestic", "public")
    (tmp_path / "prices.yaml").write_text("prices: [{class: '*', per_km2: 1, currency: USD}]\n")
    assert load_prices(tmp_path).prices[0].customer_class == "*"
    (tmp_path / "prices.yaml").write_text("prices: [{class: '*', per_km2: -1, currency: USD}]\n")
    with pytest.raises(ConfigError):
        read_config(tmp_path / "prices.yaml", PricesConfig)


def test_the_same_key_is_the_same_order_from_several_processes(house):
    code = (
        "import sys; from pathlib import Path; from catalogs.delivery.order import OrderRequest\n"
        "from catalogs.delivery.order_desk import *\n"
        "with open_desk(Path(sys.argv[1])) as desk:\n"
        "    party = desk.customers.party('akimat')\n"
        "    request = OrderRequest(items=(sys.argv[2],), submission_key='one')\n"
        "    print(submit(desk, desk.asking(party), request).id)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, house.home, house.name], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    found = {process.communicate(timeout=120)[0].strip() for process in started}
    assert len(found) == 1
    assert len(open_orders(house.home).listed()) == 1
    with pytest.raises(Conflict) as caught:
        house.order("akimat", submission_key="one", format="zarr")
    assert caught.value.kind == "order.key"


def test_who_needs_a_licence_accepts_it_first(house):
    with pytest.raises(BadInput) as caught:
        house.order("buyer")
    assert caught.value.kind == "order.licence"
    assert "kz-export-eula-2" in caught.value.message
    order = house.order("buyer", licence_accepted="kz-export-eula-2")
    assert (order.state, order.licences, order.price.currency) == ("accepted", ("kz-export-eula-2",), "USD")
    # Once is enough.
    assert house.order("buyer").state == OrderState.ACCEPTED
    assert house.order("akimat").price.amount == 0


def test_who_has_no_contract_pays_first(house):
    order = house.order("unpaid", licence_accepted="kz-export-eula-2")
    assert (order.state, order.history[-1].reason) == ("held", "payment.due")
    with open_desk(house.home) as desk:
        assert mark_paid(desk, order.id, "house").state == OrderState.ACCEPTED
        with pytest.raises(Conflict):
            mark_paid(desk, order.id, "house")


def test_two_officers_approve_and_they_are_two(house):
    sensitive = house.home / "configs" / "policies" / "areas" / "kazakhstan-sensitive.geojson"
    sensitive.parent.mkdir(parents=True)
    sensitive.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": house.inner(0, 0, 1, 1)}))
    order = house.order("buyer", licence_accepted="kz-export-eula-2")
    assert (order.state, order.approvals_needed, order.history[-1].reason) == ("held", 2, "approval.needed")
    assert house.make(order.id).state == OrderState.HELD
    with open_desk(house.home) as desk:
        assert approve(desk, order.id, house.ids["aigul"]).state == OrderState.HELD
        with pytest.raises(Conflict, match="another one"):
            approve(desk, order.id, house.ids["aigul"])
        with pytest.raises(Conflict, match="their own"):
            approve(desk, order.id, house.ids["buyer"])
        assert approve(desk, order.id, house.ids["daniyar"]).state == OrderState.ACCEPTED
    assert house.make(order.id).state == OrderState.READY


def test_sanity_of_what_is_asked(house):
    def kind(**asked):
        with pytest.raises((BadInput, Denied)) as caught:
            house.order("akimat", **asked)
        return caught.value.kind

    assert kind(items=("kazeosat-1-l1c/none",)) == "order.item_unknown"
    assert kind(bands=("thermal",)) == "order.bands"
    assert kind(crs="EPSG:99999") == "order.crs"
    assert kind(crs="EPSG:27700") == "order.crs"  # Britain
    assert kind(crs="EPSG:4979") == "order.crs"  # three dimensions
    assert kind(clip=mapping(shapely.box(10, 10, 11, 11))) == "order.outside"
    assert kind(recipe="ndvi") == "order.item_unknown"
    (house.home / "configs").mkdir()
    (house.home / "configs" / "prices.yaml").write_text("largest_km2: 0.1\nprices: []\n")
    assert kind() == "order.too_large"


def test_a_part_is_delivered_only_by_consent(house):
    items = (house.name, "kazeosat-1-l1c/none")
    with pytest.raises(BadInput):
        house.order("akimat", items=items)
    order = house.order("akimat", items=items, partial=True)
    assert [entry.item for entry in order.left_out] == ["kazeosat-1-l1c/none"]
    assert len(order.items) == 1


def test_clipping_never_gives_more_than_is_inside(house):
    """An area that is taken out makes the whole scene a degraded one; a clip that stays clear of it does not."""
    house.excluded(house.inner(0.55, 0.4, 0.6, 0.6))
    with open_desk(house.home) as desk:
        asking = desk.asking(desk.customers.party("akimat"))
        whole = quote_order(asking, OrderRequest(items=(house.name,)))
        clear = quote_order(asking, OrderRequest(items=(house.name,), clip=house.inner(0.1, 0.2, 0.15, 0.8)))
    assert (whole.decision, whole.items[0].ruling.masks) == ("degrade", ("excluded",))
    assert (clear.decision, clear.items[0].ruling.masks) == ("allow", ())
    assert clear.km2 < whole.km2


def test_orders_end_by_time_and_by_their_customer(house, monkeypatch):
    held = house.order("unpaid", licence_accepted="kz-export-eula-2")
    open_ = house.order("akimat")
    made = house.make(house.order("akimat", bands=("red",)).id)
    with open_desk(house.home) as desk:
        assert cancel(desk, open_.id, open_.customer).state == OrderState.CANCELLED
        with pytest.raises(Conflict):
            cancel(desk, made.id, made.customer)
        later = datetime.now(UTC) + timedelta(days=40)
        monkeypatch.setattr("catalogs.delivery.order_tending.now_utc", lambda: later)
        assert tend(desk) == ()
        assert {desk.orders.find(order.id).state for order in (held, made)} == {OrderState.EXPIRED}
    assert not house.package(made.id).exists()
    assert AuditLog.open(house.home).verify().ok
