"""Search among collections: there are tens of them, so they are looked at one by one."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from catalogs.api.requests import MAX_PAGE, SearchBody
from catalogs.store.protocol import Collection, SortKey
from catalogs.store.request import boxes, interval
from catalogs.store.words import collection_words, holds, terms
from processing.model.errors import BadInput

_SORTABLE = ("id", "title", "license", "description")


def matching(collections: Sequence[Collection], body: SearchBody) -> list[Collection]:
    """Collections that fit, sorted; by id unless told otherwise.

    Raises
    ------
    BadInput
        ``search.*`` for what means nothing.
    """
    found = list(collections)
    if body.bbox is not None:
        asked = boxes(body.bbox)
        found = [one for one in found if _overlaps(one["extent"]["spatial"]["bbox"][0], asked)]
    if body.datetime is not None:
        start, stop = interval(body.datetime)
        found = [one for one in found if _during(one["extent"]["temporal"]["interval"][0], start, stop)]
    if body.q:
        wanted = terms([body.q] if isinstance(body.q, str) else body.q)
        found = [one for one in found if holds(collection_words(one), wanted)]
    for key in reversed(body.sortby or [SortKey(field="id")]):
        if key.field not in _SORTABLE:
            raise BadInput(
                f"collections cannot be sorted by '{key.field[:80]}'",
                kind="search.sortby",
                remedy=f"Known: {', '.join(_SORTABLE)}.",
            )
        found.sort(key=partial(_text_of, key.field), reverse=key.direction == "desc")
    return found


def _text_of(name: str, collection: Collection) -> str:
    return str(collection.get(name, ""))


def page_of(
    found: Sequence[Collection], limit: int | None, token: str | None
) -> tuple[Sequence[Collection], str | None]:
    """One page, and the token of the next: the id behind which it goes on."""
    start = 0
    if token is not None:
        names = [str(one["id"]) for one in found]
        start = names.index(_id_in(token, names)) + 1
    size = min(limit or MAX_PAGE, MAX_PAGE)
    page = found[start : start + size]
    more = start + size < len(found)
    return page, _token(str(page[-1]["id"])) if more else None


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(name).encode()).decode().rstrip("=")


def _id_in(token: str, names: Sequence[str]) -> str:
    try:
        name = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        name = None
    if name not in names:
        raise BadInput("the page token does not belong to this search", kind="search.token", remedy="Start again.")
    return str(name)


def _overlaps(extent: Sequence[float], asked: Sequence[tuple[float, float, float, float]]) -> bool:
    return any(
        west <= one[2] and one[0] <= east and south <= one[3] and one[1] <= north
        for west, south, east, north in asked
        for one in boxes(extent)
    )


def _during(extent: Sequence[Any], start: int, stop: int) -> bool:
    first, last = (None if end is None else interval(str(end)) for end in extent)
    return (first is None or first[0] <= stop) and (last is None or last[1] >= start)


def queryables(href: str, collections: Mapping[str, Collection]) -> dict[str, Any]:
    """What can be asked for in filters, as a JSON Schema."""
    time = {"type": "string", "format": "date-time"}
    number, text = {"type": "number"}, {"type": "string"}
    known: dict[str, Any] = {
        "id": text | {"title": "Item id"},
        "collection": text | {"title": "Collection", "enum": sorted(collections)} if collections else text,
        "geometry": {"title": "Outline", "$ref": "https://geojson.org/schema/Geometry.json"},
        "datetime": time | {"title": "Acquired"},
        "created": time | {"title": "Catalogued"},
        "eo:cloud_cover": number | {"title": "Cloud, %", "minimum": 0, "maximum": 100},
        "eo:snow_cover": number | {"title": "Snow, %", "minimum": 0, "maximum": 100},
        "gsd": number | {"title": "Ground sampling distance, m"},
        "platform": text | {"title": "Satellite"},
        "constellation": text | {"title": "Constellation"},
        "mission": text | {"title": "Mission"},
        "instruments": {"type": "array", "items": text, "title": "Instruments"},
        "processing:level": text | {"title": "Processing level"},
        "product:type": text | {"title": "Product"},
        "proj:code": text | {"title": "Coordinate reference system"},
        "view:off_nadir": number | {"title": "Off-nadir angle, degrees"},
        "view:sun_elevation": number | {"title": "Sun elevation, degrees"},
        "view:sun_azimuth": number | {"title": "Sun azimuth, degrees"},
        "sat:orbit_state": text | {"title": "Orbit state"},
        "sat:absolute_orbit": {"type": "integer", "title": "Orbit number"},
        "accuracy:geometric_rmse": number | {"title": "Geometric RMSE, m"},
        "qyran:ce90_m": number | {"title": "Circular error 90 %, m"},
        "version": text | {"title": "Version"},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": href,
        "type": "object",
        "title": "Queryables",
        "description": "Names for filters; other properties of items may be named too.",
        "properties": known,
        "additionalProperties": True,
    }
