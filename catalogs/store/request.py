"""The parts of a search that need understanding: times, boxes, geometries, page tokens."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
from shapely import LineString
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalogs.store.protocol import SearchRequest
from processing.model.errors import BadInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# RFC 3339, 5.6: the T and Z may be lower case, seconds are required, and so is the offset.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
BEGINNING, END = -(2**62), 2**62
"""Microseconds that stand for an open end."""


def microseconds(text: str) -> int:
    """RFC 3339 instant as microseconds since 1970-01-01T00:00:00Z; finer digits are cut off.

    Raises
    ------
    BadInput
        ``search.datetime`` if it is not one.
    """
    if not _INSTANT.fullmatch(text):
        raise _bad_time(text)
    normal = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    try:
        moment = datetime.fromisoformat(normal.replace(":60", ":59", 1) if normal[17:19] == "60" else normal)
    except ValueError as error:
        raise _bad_time(text) from error
    return (moment - _EPOCH) // timedelta(microseconds=1)


def is_instant(text: str) -> bool:
    """Whether a text has the form of an RFC 3339 instant."""
    return _INSTANT.fullmatch(text) is not None


def interval(text: str) -> tuple[int, int]:
    """Instant or ``A/B`` as two moments in microseconds, both inclusive; a plain day is all of it.

    Raises
    ------
    BadInput
        ``search.datetime`` if it is neither, is open at both ends, or ends before it begins.
    """
    first, slash, last = text.partition("/")
    if not slash:
        return _start(first), _stop(first)
    open_first, open_last = first in ("", ".."), last in ("", "..")
    if open_first and open_last:
        raise _bad_time(text)
    start = BEGINNING if open_first else _start(first)
    stop = END if open_last else _stop(last)
    if start > stop:
        raise BadInput(f"'{text}' ends before it begins", kind="search.datetime")
    return start, stop


def _start(text: str) -> int:
    return microseconds(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)


def _stop(text: str) -> int:
    return microseconds(f"{text}T23:59:59.999999Z" if _DAY.fullmatch(text) else text)


def _bad_time(text: str) -> BadInput:
    return BadInput(
        f"'{text}' is not a time or interval",
        kind="search.datetime",
        remedy="Write 2026-04-24T05:20:00Z, or A/B, or ../B, or A/.. .",
    )


def boxes(bbox: Sequence[float]) -> tuple[tuple[float, float, float, float], ...]:
    """A bbox as one box, or as two where it crosses the antimeridian.

    Raises
    ------
    BadInput
        ``search.bbox`` if it is not four or six numbers in range, or south lies north of north.
    """
    if len(bbox) not in (4, 6):
        raise _bad_box(bbox)
    west, south, east, north = bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise _bad_box(bbox)
    if west <= east:
        return ((west, south, east, north),)
    return ((west, south, 180.0, north), (-180.0, south, east, north))


def _bad_box(bbox: Sequence[float]) -> BadInput:
    return BadInput(
        f"{list(bbox)} is not a box",
        kind="search.bbox",
        remedy="Write west, south, east, north in degrees; west may be greater than east across the antimeridian.",
    )


def bbox_geometry(bbox: Sequence[float]) -> BaseGeometry:
    """A bbox as a geometry: a polygon, or two; a line or a point where it has no height or width."""
    parts = [_box(*box) for box in boxes(bbox)]
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _box(west: float, south: float, east: float, north: float) -> BaseGeometry:
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    # A box of no area is no valid polygon, and GEOS would lose it.
    return shapely.Point(west, south) if west == east and south == north else LineString([(west, south), (east, north)])


def geometry(value: dict[str, Any]) -> BaseGeometry:
    """GeoJSON as a geometry in two dimensions.

    Raises
    ------
    BadInput
        ``search.geometry`` if it is not a valid geometry.
    """
    try:
        found = shapely.force_2d(shape(value))
    except (ShapelyError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadInput(f"not a GeoJSON geometry: {error}", kind="search.geometry") from error
    if found.is_empty or not found.is_valid:
        raise BadInput(
            f"the geometry is {'empty' if found.is_empty else 'not valid'}",
            kind="search.geometry",
            remedy="Rings must be closed and must not cross themselves.",
        )
    return found


def search_area(request: SearchRequest) -> BaseGeometry | None:
    """Where to look, or None for everywhere."""
    if request.bbox is not None:
        return bbox_geometry(request.bbox)
    return geometry(request.intersects) if request.intersects is not None else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins."""

    values: list[Any]
    """Sort values of the last item before it."""
    matched: int | None
    """What the first page said of how many match."""


def write_token(request: SearchRequest, values: Sequence[Any], matched: int | None) -> str:
    """Token of the page that begins after the item with these sort values."""
    content = json.dumps([_digest(request), list(values), matched], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_token(request: SearchRequest, length: int) -> Place | None:
    """Where the page begins, or None for the first page.

    Raises
    ------
    BadInput
        ``search.token`` if it was not made for this very search.
    """
    if request.token is None:
        return None
    try:
        padded = request.token + "=" * (-len(request.token) % 4)
        digest, values, matched = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if digest == _digest(request) and _is_place(values, length) and (matched is None or type(matched) is int):
            return Place(values, matched)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass
    raise BadInput("the page token does not belong to this search", kind="search.token", remedy="Start again.")


def _is_place(values: object, length: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == length
        and all(value is None or isinstance(value, str | float) or _fits(value) for value in values)
        # The last two are collection and id, which every item has.
        and all(isinstance(value, str) for value in values[-2:])
    )


def _fits(value: object) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _digest(request: SearchRequest) -> str:
    """What makes two searches the same but for the page and its length."""
    content = request.model_dump_json(exclude={"token", "limit", "count"})
    return hashlib.sha256(content.encode()).hexdigest()[:16]
