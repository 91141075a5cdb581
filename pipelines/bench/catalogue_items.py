"""Synthetic items and questions for the catalogue's benchmark: the same for every store, from a seed."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

COLLECTIONS = ("bench-l1c", "bench-ndvi", "bench-pan", "bench-mosaic")
KINDS = ("bbox, year, cloud, sorted", "newest 100 over Kazakhstan", "polygon and CQL2")
"""The three questions, as the report calls them."""
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("eo/v2.0.0", "projection/v2.0.0", "view/v1.1.0", "file/v2.1.0", "processing/v1.2.0")
]
_BEGINNING, _DAYS = datetime(2015, 1, 1, tzinfo=UTC), 3_640
_TITLES = {
    "kk": "ҚазЖҒС: ортотүзетілген шағылу коэффициенті", "ru": "КазЕОСат: ортотрансформированное отражение",
    "en": "KazEOSat: orthorectified reflectance",
}  # fmt: skip
_BANDS = ("blue", "green", "red", "nir")
# Natural Earth's outline of Kazakhstan to a degree or so: what a search by country sends.
_KAZAKHSTAN = [
    [87.4, 49.2], [85.5, 47.1], [83.2, 47.3], [82.5, 45.5], [80.2, 45.0], [80.9, 43.2], [79.1, 42.8], [75.0, 42.9],
    [73.5, 42.5], [71.0, 42.3], [69.1, 41.4], [68.3, 40.7], [66.7, 41.2], [66.0, 42.0], [66.1, 43.0], [64.9, 43.7],
    [62.0, 43.5], [61.1, 44.4], [58.5, 45.6], [56.0, 45.0], [56.0, 41.3], [54.8, 42.0], [52.5, 41.8], [52.5, 42.8],
    [50.3, 44.3], [51.3, 45.3], [53.0, 45.3], [53.0, 46.9], [51.2, 47.0], [49.1, 46.4], [48.5, 46.6], [47.0, 48.2],
    [46.5, 48.5], [47.5, 50.5], [50.8, 51.7], [55.7, 50.6], [58.4, 51.1], [61.6, 50.8], [60.0, 52.0], [61.0, 53.9],
    [65.2, 54.4], [69.1, 55.4], [71.2, 54.1], [73.5, 54.0], [76.9, 54.4], [80.0, 50.8], [83.4, 51.0], [87.4, 49.2],
]  # fmt: skip


def collections() -> Iterator[dict[str, Any]]:
    """The collections that the items are in."""
    for name in COLLECTIONS:
        yield {
            "type": "Collection", "stac_version": "1.1.0", "stac_extensions": [], "id": name, "title": name,
            "description": f"Synthetic scenes of {name}.", "license": "CC0-1.0", "links": [],
            "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        }  # fmt: skip


def items(first: int, last: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """Items number ``first`` to before ``last``: ten years of scenes, as they come, give or take some days.

    Scenes of 20 to 60 km, turned as a polar orbit turns them; six in ten over Central Asia.
    """
    for number in range(first, last):
        day = _DAYS * (number - first) / (last - first)
        yield _item(number, day, random.Random(f"{seed}/{number}"))  # noqa: S311 - nothing secret


def _item(number: int, day: float, dice: random.Random) -> dict[str, Any]:
    near = dice.random() < 0.6
    lon = dice.uniform(44, 90) if near else dice.uniform(-178, 178)
    lat = dice.uniform(39, 57) if near else math.degrees(math.asin(dice.uniform(-0.93, 0.93)))
    ring = _scene(lon, lat, dice.uniform(0.09, 0.27))
    moment = (_BEGINNING + timedelta(days=day + dice.expovariate(0.5))).isoformat(timespec="microseconds")
    stamp = moment.replace("+00:00", "Z")
    name = f"KZ{1 + number % 2}_{stamp[:19].translate({45: None, 58: None})}_{number:08d}"
    home = COLLECTIONS[number % len(COLLECTIONS)]
    wests, souths = zip(*ring, strict=True)
    return {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": _EXTENSIONS, "id": name, "collection": home,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(wests), min(souths), max(wests), max(souths)],
        "properties": {
            "datetime": stamp, "created": stamp, "title": f"KazEOSat-{1 + number % 2}: scene {number}",
            "qyran:titles": _TITLES, "platform": f"kazeosat-{1 + number % 2}", "constellation": "kazeosat",
            "mission": f"kazeosat-{1 + number % 2}",
            "instruments": ["naomi" if number % 2 else "keris"], "gsd": 6.5 if number % 2 else 1.0,
            "eo:cloud_cover": round(100 * dice.betavariate(0.5, 0.8), 2), "license": "CC0-1.0",
            "view:off_nadir": round(abs(dice.gauss(0, 12)), 3), "view:azimuth": round(dice.uniform(0, 360), 3),
            "view:sun_elevation": round(dice.uniform(15, 70), 3), "view:sun_azimuth": round(dice.uniform(90, 180), 3),
            "processing:level": "L1C", "proj:code": f"EPSG:{32601 + int((lon + 180) // 6) % 60}",
            "qyran:ce90_m": round(dice.uniform(1, 15), 2), "version": f"{dice.getrandbits(48):012x}",
        },
        "assets": _assets(name, dice),
        "links": [{"rel": "collection", "type": "application/json", "href": "../collection.json"}],
    }  # fmt: skip


def _scene(lon: float, lat: float, half: float) -> list[list[float]]:
    turn, wide = math.radians(12), half / max(0.2, math.cos(math.radians(lat)))
    ring = []
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)):
        east, north = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        ring.append([round(min(180.0, max(-180.0, lon + wide * east)), 6), round(lat + half * north, 6)])
    return ring


def _assets(name: str, dice: random.Random) -> dict[str, Any]:
    shape, corner = [5_640, 5_786], [6.5, 0.0, round(dice.uniform(2e5, 8e5), 1), 0.0, -6.5, 4_800_000.0]
    assets: dict[str, Any] = {
        band: {
            "href": f"./{band}.tif", "type": _COG, "title": f"Reflectance, {band}", "roles": ["data", "reflectance"],
            "file:size": dice.randrange(10**7, 10**8), "file:checksum": f"1220{dice.getrandbits(256):064x}",
            "gsd": 6.5, "data_type": "uint16", "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1,
            "bands": [{"name": band, "eo:common_name": band}], "proj:shape": shape, "proj:transform": corner,
        }
        for band in _BANDS
    }  # fmt: skip
    assets["thumbnail"] = {"href": "./thumbnail.webp", "type": "image/webp", "roles": ["thumbnail"]}
    assets["zarr"] = {
        "href": f"../../../archive/{name}.zarr",
        "type": "application/vnd+zarr; version=3",
        "roles": ["data"],
    }
    return assets


def questions(kind: str, count: int, *, seed: int) -> list[dict[str, Any]]:
    """Bodies of ``POST /search``: the guide's three, each with a place, a time and limits of its own."""
    dice = random.Random(f"{seed}/{kind}")  # noqa: S311 - nothing secret
    return [_QUESTIONS[kind](dice) for _ in range(count)]


def _by_box(dice: random.Random) -> dict[str, Any]:
    west, south, year = round(dice.uniform(44, 84), 3), round(dice.uniform(39, 52), 3), dice.randrange(2015, 2025)
    return {
        "bbox": [west, south, round(west + dice.uniform(1, 8), 3), round(south + dice.uniform(1, 5), 3)],
        "datetime": f"{year}-01-01T00:00:00Z/{year}-12-31T23:59:59Z",
        "filter": {"op": "<=", "args": [{"property": "eo:cloud_cover"}, dice.choice((5, 10, 20, 40))]},
        "filter-lang": "cql2-json",
        "sortby": [{"field": dice.choice(("eo:cloud_cover", "datetime")), "direction": dice.choice(("asc", "desc"))}],
        "limit": 50,
    }  # fmt: skip


def _newest(dice: random.Random) -> dict[str, Any]:
    moved = [[round(lon + 0.001 * dice.random(), 6), lat] for lon, lat in _KAZAKHSTAN[:-1]]
    asked: dict[str, Any] = {"intersects": {"type": "Polygon", "coordinates": [[*moved, moved[0]]]}, "limit": 100}
    if dice.random() < 0.5:  # whole of it, or what a map shows of it
        lons, lats = zip(*moved, strict=True)
        asked = {"bbox": [min(lons), min(lats), max(lons), max(lats)], "limit": 100}
    return asked | {"sortby": [{"field": "datetime", "direction": "desc"}]}


def _by_polygon(dice: random.Random) -> dict[str, Any]:
    lon, lat, radius = dice.uniform(48, 86), dice.uniform(41, 54), dice.uniform(0.5, 4)
    turns = sorted(dice.uniform(0, 2 * math.pi) for _ in range(12))
    ring = [[round(lon + 1.5 * radius * math.cos(t), 5), round(lat + radius * math.sin(t), 5)] for t in turns]
    node = {"op": "and", "args": [
        {"op": "=", "args": [{"property": "platform"}, dice.choice(("kazeosat-1", "kazeosat-2"))]},
        {"op": "<", "args": [{"property": "view:off_nadir"}, dice.choice((5, 10, 20))]},
        {"op": "between", "args": [{"property": "eo:cloud_cover"}, 0, dice.choice((10, 30, 60))]},
    ]}  # fmt: skip
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"intersects": polygon, "filter": node, "filter-lang": "cql2-json", "limit": 50}


_QUESTIONS = dict(zip(KINDS, (_by_box, _newest, _by_polygon), strict=True))
