"""The reach of what may be seen is found from the edges, and is that of looking at every item."""

import random
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
import shapely

from catalogs import open_store
from catalogs.entitlement import Entitlement, Hidden
from catalogs.store.protocol import ANYWHERE
from catalogs.store.rows import rfc3339
from tests.contracts.catalogue_store import collection, item

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HIDDEN = (shapely.box(-180, 41, 60.05, 56), shapely.box(170, -90, 180, 90))
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


def scattered(count, seed):
    """Squares over Kazakhstan, a few far off, some without a place; a tenth is fine and at the edges most are."""
    lot = random.Random(seed)
    for number in range(count):
        west, south = lot.uniform(47, 87), lot.uniform(41, 55)
        if number % 97 == 0:
            west, south = lot.choice([(-179.5, south), (179.2, south), (west, -79.0), (west, 83.0)])
        place = None if number % 50 == 7 else shapely.box(west, south, west + 0.3, south + 0.2)
        far = place is not None and not (48 < west < 86 and 42 < south < 54)
        moment = BEGIN + timedelta(minutes=lot.randint(0, 400_000))
        fine = lot.random() < (0.95 if far else 0.1) or moment > BEGIN + timedelta(days=270)
        made = item(f"i{number}", gsd=0.5 if fine else 6.5, datetime=moment.isoformat().replace("+00:00", "Z"))
        yield made | {"geometry": None if place is None else shapely.geometry.mapping(place)}


def reach_by_hand(items, coarse_only, hidden):
    seen = []
    for one in items:
        if coarse_only and one["properties"]["gsd"] < 5:
            continue
        left = None if one["geometry"] is None else shapely.geometry.shape(one["geometry"])
        if left is not None and hidden is not None:
            left = shapely.difference(left, hidden)
            if left.is_empty:
                continue
        seen.append((one["properties"]["datetime"], left))
    times = [moment for moment, _ in seen]
    west, south, east, north = zip(*(left.bounds for _, left in seen if left is not None), strict=True)
    return min(times), max(times), min(west), min(south), max(east), max(north)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_that_of_looking_at_all(tmp_path, seed):
    items = list(scattered(700, seed))
    with closing(open_store(tmp_path)) as store:
        store.put_collection(collection("a"))
        store.put_items(items)
        for coarse_only, hidden in product((True, False), (None, *HIDDEN)):
            entitlement = Entitlement(
                condition={"op": ">=", "args": [{"property": "gsd"}, 5]} if coarse_only else None,
                hidden=() if hidden is None else (Hidden(hidden),),
            )
            extent = store.get_collection("a", entitlement)["extent"]
            first, last, *box = reach_by_hand(items, coarse_only, hidden)
            times = [datetime.fromisoformat(end) - EPOCH for end in (first, last)]
            plain = [rfc3339(round(moment / timedelta(microseconds=1))) for moment in times]
            assert extent["temporal"]["interval"] == [plain], (coarse_only, hidden)
            assert extent["spatial"]["bbox"] == [pytest.approx(box, abs=1e-12)], (coarse_only, hidden)


def test_little_is_looked_at(tmp_path):
    """Where most may be seen the size of a collection does not matter; where nothing may be, nothing is told."""
    coarse = Entitlement(condition={"op": ">=", "args": [{"property": "gsd"}, 5]})
    nobody = Entitlement(condition={"op": ">=", "args": [{"property": "gsd"}, 500]})
    spent, lot = {}, random.Random(7)
    with closing(open_store(tmp_path)) as store:
        store.put_collection(collection("a"))
        for count in (2_000, 16_000):
            corners = [(lot.uniform(47, 87), lot.uniform(41, 55)) for _ in range(count)]
            places = (shapely.box(west, south, west + 0.3, south + 0.2) for west, south in corners)
            store.put_items(item(f"i{n}", gsd=6.5, day=n / 8, place=place) for n, place in enumerate(places))
            west, south = map(min, zip(*corners, strict=True))
            took = []
            for _ in range(7):
                began = time.process_time()
                assert store.get_collection("a", coarse)["extent"]["spatial"]["bbox"][0][:2] == [west, south]
                took.append(time.process_time() - began)
            spent[count] = min(took)
        assert store.get_collection("a", nobody)["extent"] == ANYWHERE
    assert spent[16_000] < 4 * spent[2_000], "it goes by the size"
