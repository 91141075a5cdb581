"""What SQLite is taught to compute: geometry, pattern matching, times, lists. Unknown (NULL) in, unknown out."""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.store.request import microseconds
from processing.model.errors import BadInput


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to one connection."""
    functions: dict[str, tuple[int, Callable[..., Any]]] = {
        "related": (3, _related),
        "outside": (-1, _outside),
        "is_something": (1, lambda shape: shape is None or not shapely.is_empty(shapely.from_wkb(shape))),
        "bound": (2, _bound),
        "text_like": (2, _like),
        "moment": (1, _moment),
        "casei": (1, _casei),
        "accenti": (1, _accenti),
        "array_equals": (2, lambda left, right: _lists(left, right, lambda a, b: a == b)),
        "array_contains": (2, lambda left, right: _lists(left, right, lambda a, b: set(a) >= set(b))),
        "array_containedby": (2, lambda left, right: _lists(left, right, lambda a, b: set(a) <= set(b))),
        "array_overlaps": (2, lambda left, right: _lists(left, right, lambda a, b: bool(set(a) & set(b)))),
    }
    for name, (arguments, function) in functions.items():
        connection.create_function(name, arguments, function, deterministic=True)


@lru_cache(maxsize=128)
def _prepared(shape: bytes) -> BaseGeometry:
    """The geometry that is asked about is the same for every row: worth preparing once."""
    found: BaseGeometry = shapely.from_wkb(shape)
    shapely.prepare(found)
    return found


# What holds between A and B holds, under this name, between B and A: the prepared one must come first.
_MIRRORED = {"within": "contains", "contains": "within"}


def _related(relation: str, left: bytes | None, right: bytes | None) -> bool | None:
    if left is None or right is None:
        return None
    predicate = getattr(shapely, _MIRRORED.get(relation, relation))
    return bool(predicate(_prepared(right), shapely.from_wkb(left)))


def _outside(shape: bytes | None, *hidden: bytes | None) -> bytes | None:
    """What of a shape lies outside others; all of it where there are none."""
    taken = [_prepared(other) for other in hidden if other is not None]
    if shape is None or not taken:
        return shape
    found = shapely.from_wkb(shape)
    for other in taken:
        found = shapely.difference(found, other)
    wkb: bytes = shapely.to_wkb(found)
    return wkb


def _bound(shape: bytes | None, place: int) -> float | None:
    found = None if shape is None else shapely.from_wkb(shape)
    return None if found is None or found.is_empty else float(found.bounds[place])


@lru_cache(maxsize=128)
def _pattern(pattern: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    """The pieces between the ``%`` of a pattern, each with the number of characters it stands for."""
    pieces, piece, length = [], "", 0
    for sign in re.findall(r"\\.|.", pattern, re.DOTALL):
        if sign == "%":
            pieces.append((re.compile(piece, re.DOTALL), length))
            piece, length = "", 0
        else:
            piece += "." if sign == "_" else re.escape(sign[-1])
            length += 1
    return (*pieces, (re.compile(piece, re.DOTALL), length))


def _like(value: object, pattern: object) -> bool | None:
    """SQL's LIKE with every piece taken where it first fits: however many ``%``, there is no going back."""
    if not isinstance(value, str) or not isinstance(pattern, str):
        return None
    (first, length), *rest = _pattern(pattern)
    if not rest:
        return first.fullmatch(value) is not None
    if first.match(value) is None:
        return False
    reached = length
    for piece, _ in rest[:-1]:
        found = piece.search(value, reached)
        if found is None:
            return False
        reached = found.end()
    last, length = rest[-1]
    return len(value) - length >= reached and last.fullmatch(value, len(value) - length) is not None


def _moment(value: object) -> int | None:
    if isinstance(value, int):
        return value
    try:
        return microseconds(value) if isinstance(value, str) else None
    except BadInput:
        return None


def _casei(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


def _accenti(value: object) -> object:
    if not isinstance(value, str):
        return value
    apart = unicodedata.normalize("NFD", value)
    return unicodedata.normalize("NFC", "".join(sign for sign in apart if not unicodedata.combining(sign)))


def _lists(left: object, right: object, holds: Callable[[list[Any], list[Any]], bool]) -> bool | None:
    try:
        one, other = (json.loads(side) if isinstance(side, str) else None for side in (left, right))
        return holds(one, other) if isinstance(one, list) and isinstance(other, list) else None
    except (ValueError, TypeError):
        return None
