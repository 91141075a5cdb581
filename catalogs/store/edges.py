"""What the items of a collection cover that somebody may see, found from its edges inwards.

An item at the edge is mostly one that may be seen: then a few are looked at, and not all of a collection. Where all
near an edge are hidden, what lies further in is looked at, and at last everything, but not for longer than a page may
take to appear: of a large collection of which hardly anything may be seen nothing is told then.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from catalogs.entitlement import Entitlement
from catalogs.store import database, extents
from catalogs.store.extents import Reach
from catalogs.store.filters import Sql
from catalogs.store.outlines import bounds, let_through
from catalogs.store.plan import all_of
from processing.model.errors import BadInput

_FEW = 500
"""So many items are looked at as quickly at once."""
_MOST_STEPS, _LONGEST_S = 40_000_000, 10.0
"""Of SQLite's machine: some hundred thousand items."""
_HOUR_US = 3_600_000_000
_TIMES = (_HOUR_US, 24 * _HOUR_US, 30 * 24 * _HOUR_US, inf)
_PLACES = (0.02, 0.5, 5.0, inf)
"""How far inwards is looked, degrees; more than a coordinate may be rounded by."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """One of six: the least start, west and south, the greatest end, east and north."""

    value: Sql
    """Of an item, what is left of its outline being what counts."""
    least: bool
    inwards: tuple[float, ...]
    near: Callable[[float], Sql]
    """Holds for all items that reach as far as that, and for others; an index knows of them."""
    home: str
    """How the collection is asked for: with a plus where another index than its own is to be taken."""


def reach_of(connection: sqlite3.Connection, collection: str, entitlement: Entitlement) -> Reach:
    """What the items of a collection cover that an entitlement lets through."""
    count, whole = extents.extent_of(connection, collection)
    if entitlement.unlimited:
        return whole
    edges = _edges(entitlement, extents.slack(connection))
    seen = all_of(let_through(entitlement))
    if count <= _FEW:
        values = [edge.value for edge in edges]
        question = Sql.join(
            "SELECT min({}), max({}), min({}), min({}), max({}), max({}) FROM items AS i WHERE {} AND {}",
            *values, Sql("i.collection = ?", (collection,)), seen,
        )  # fmt: skip
        first, last, west, south, east, north = connection.execute(question.text, question.values).fetchone()
        return first, last, west, south, east, north
    found: list[Any] = []
    for edge, end in zip(edges, whole, strict=True):
        # Where nothing may be seen, or nothing has a place, the first edge that was looked for to the end says so.
        if end is None or found[:1] == [None] or found[2:3] == [None]:
            found.append(None)
        else:
            found.append(_nearest(connection, edge, end, all_of([Sql(edge.home, (collection,)), seen])))
    first, last, west, south, east, north = found
    return first, last, west, south, east, north


def _edges(entitlement: Entitlement, slack: int) -> tuple[_Edge, ...]:
    west, south, east, north = bounds(entitlement)

    def beyond(side: str) -> Callable[[float], Sql]:
        return lambda limit: Sql(f"i.key IN (SELECT part / 8 FROM boxes WHERE {side} ?)", (limit,))  # noqa: S608 - four

    return (
        _Edge(Sql("i.starts"), True, _TIMES, lambda limit: Sql("i.moment <= ?", (limit + slack,)), "i.collection = ?"),
        _Edge(Sql("i.stops"), False, _TIMES, lambda limit: Sql("i.moment >= ?", (limit - slack,)), "i.collection = ?"),
        _Edge(west, True, _PLACES, beyond("west <="), "+i.collection = ?"),
        _Edge(south, True, _PLACES, beyond("south <="), "+i.collection = ?"),
        _Edge(east, False, _PLACES, beyond("east >="), "+i.collection = ?"),
        _Edge(north, False, _PLACES, beyond("north >="), "+i.collection = ?"),
    )


def _nearest(connection: sqlite3.Connection, edge: _Edge, end: float, seen: Sql) -> Any:
    """The value of the outermost item that may be seen."""
    pick = "SELECT min({}) FROM items AS i WHERE {}" if edge.least else "SELECT max({}) FROM items AS i WHERE {}"
    for inwards in edge.inwards:
        limit = end + inwards if edge.least else end - inwards
        parts = [seen] if inwards == inf else [edge.near(limit), seen]
        question = Sql.join(pick, edge.value, all_of(parts))
        try:
            with database.bounded(connection, seconds=_LONGEST_S, steps=_MOST_STEPS):
                (found,) = connection.execute(question.text, question.values).fetchone()
        except BadInput:
            return None
        if found is not None and (found <= limit if edge.least else found >= limit):
            return found
    return None
