"""What the items of a collection in pgstac's tables cover that somebody may see, found from its edges inwards.

As :mod:`catalogs.store.edges` finds it, by pgstac's index of places, and by those of beginnings and ends.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection

from catalogs.entitlement import Entitlement
from catalogs.store.filters import Sql
from catalogs.store.pgstac_outlines import let_through, outline
from catalogs.store.pgstac_pool import savepoint
from catalogs.store.pgstac_search import all_of
from catalogs.store.pgstac_writing import MEASURED

_FEW = 500
"""So many items are looked at as quickly at once."""
_LONGEST_S = 10.0
_TIMES = (timedelta(hours=1), timedelta(days=1), timedelta(days=30), None)
_PLACES = (0.02, 0.5, 5.0, None)
"""How far inwards is looked, degrees; None: as far as there is anything."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """One of six: the least start, west and south, the greatest end, east and north."""

    value: Sql
    """Of an item, what is left of its outline being what counts."""
    least: bool
    inwards: Sequence[Any]
    near: Callable[[Any, Any], Sql]
    """Holds for all items that reach from an end as far inwards as a limit, and for others; an index knows of them."""


def reach_of(
    connection: Connection[Any], collection: str, count: int, whole: Sequence[Any], entitlement: Entitlement
) -> list[Any]:
    """What the items of a collection cover that an entitlement lets through.

    Parameters
    ----------
    count, whole
        How many items there are, and what all of them cover.

    Returns
    -------
    reach
        First start, last end, west, south, east, north; None where nothing may be seen, or that took too long to see.
    """
    if count <= _FEW:
        return _measured(connection, collection, entitlement)
    seen = all_of([Sql("i.collection = %s", (collection,)), *let_through(entitlement)])
    found: list[Any] = []
    for edge, end in zip(_edges(entitlement), whole, strict=True):
        # Where nothing may be seen, or nothing has a place, the first edge that was looked for to the end says so.
        if end is None or found[:1] == [None] or found[2:3] == [None]:
            found.append(None)
        else:
            found.append(_nearest(connection, edge, end, seen))
    return found


def _edges(entitlement: Entitlement) -> tuple[_Edge, ...]:
    left = outline(entitlement) if entitlement.hidden else Sql("i.geometry")
    sides = [Sql.join(f"ST_{side}({{}})", left) for side in ("XMin", "YMin", "XMax", "YMax")]

    def across(end: float, limit: float) -> Sql:
        return _box(min(end, limit), -90.0, max(end, limit), 90.0)

    def along(end: float, limit: float) -> Sql:
        return _box(-180.0, min(end, limit), 180.0, max(end, limit))

    return (
        _Edge(Sql("i.datetime"), True, _TIMES, lambda _, limit: Sql("i.datetime <= %s", (limit,))),
        _Edge(Sql("i.end_datetime"), False, _TIMES, lambda _, limit: Sql("i.end_datetime >= %s", (limit,))),
        *(_Edge(side, place < 2, _PLACES, (across, along)[place % 2]) for place, side in enumerate(sides)),
    )


def _box(west: float, south: float, east: float, north: float) -> Sql:
    return Sql("i.geometry && ST_MakeEnvelope(%s, %s, %s, %s, 4326)", (west, south, east, north))


def _nearest(connection: Connection[Any], edge: _Edge, end: Any, seen: Sql) -> Any:
    """The value of the outermost item that may be seen."""
    pick = (
        "SELECT min({}) FROM pgstac.items AS i WHERE {}"
        if edge.least
        else "SELECT max({}) FROM pgstac.items AS i WHERE {}"
    )
    for inwards in edge.inwards:
        limit = None if inwards is None else end + inwards if edge.least else end - inwards
        question = Sql.join(pick, edge.value, seen if limit is None else all_of([edge.near(end, limit), seen]))
        row = None
        with savepoint(connection, seconds=_LONGEST_S):
            row = connection.execute(question.text.encode(), question.values).fetchone()
        if row is None:
            return None
        (found,) = row
        if found is not None and (limit is None or (found <= limit if edge.least else found >= limit)):
            return found
    return None


def _measured(connection: Connection[Any], collection: str, entitlement: Entitlement) -> list[Any]:
    """The same by looking at every item."""
    condition = all_of([Sql("i.collection = %s", (collection,)), *let_through(entitlement)])
    # What is left of outlines is found once for each item.
    seen = Sql.join("(SELECT i.datetime, i.end_datetime, {} AS geometry FROM pgstac.items AS i WHERE {}) AS i",
                    outline(entitlement), condition)  # fmt: skip
    query = MEASURED.replace("pgstac.items AS i", seen.text).removesuffix(" WHERE i.collection = %s")
    row = connection.execute(query.encode(), seen.values).fetchone()
    return [] if row is None else list(row[1:])
