"""How the embedded store looks for items: by the few that an index names, or along the order they are wanted in.

An index of places, words or ids is asked first, but for no more than ``FEW`` answers. Up to so many are looked at one
by one and sorted. Where there are more, the items are gone through in the wanted order until a page is full: with many
matches that is soon.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.entitlement import Entitlement
from catalogs.store import extents
from catalogs.store.cql import Node, filter_area, parse_filter
from catalogs.store.filters import Sql, compile_filter, field
from catalogs.store.protocol import SearchRequest, SortKey
from catalogs.store.request import BEGINNING, END, interval, search_area
from catalogs.store.rows import PARTS
from catalogs.store.words import terms

FEW, FEW_FILTERED = 4_000, 20_000
"""Looking at so many candidates takes about as long as one may wait for a page. Where a filter leaves out most of what
is gone through, the other way takes longer than it seems, and more candidates are worth looking at."""
_DAY_US = 86_400_000_000
_NEWEST_FIRST = (SortKey(field="datetime", direction="desc"),)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look, and what must hold there."""

    source: Sql
    """What stands behind FROM, the items being ``i``."""
    condition: Sql
    few: bool
    """Whether candidates are looked at one by one."""
    unconditional: bool
    """Whether nothing but collections is asked for."""
    slow: bool
    """Whether one item takes long to look at: what is asked needs more than its row's numbers."""


type Keys = list[tuple[Sql, str]]
"""Expressions to sort by, each with its direction."""


def sort_keys(request: SearchRequest) -> Keys:
    """What to sort by, down to what tells any two items apart."""
    keys = [(field(key.field), key.direction) for key in request.sortby or _NEWEST_FIRST]
    return [*keys, (Sql("i.collection"), "asc"), (Sql("i.id"), "asc")]


def make_plan(connection: sqlite3.Connection, request: SearchRequest, entitlement: Entitlement) -> Plan:
    """Find out how to answer a request.

    Raises
    ------
    BadInput
        ``search.*`` for what means nothing in it.
    """
    area, node = search_area(request), None if request.filter is None else parse_filter(request.filter)
    span = None if request.datetime is None else interval(request.datetime)
    wanted = terms(request.text)
    conditions = _ids_and_times(connection, request, span, first_by_time=_by_time(request))
    # What costs least is asked first: the item's box, then the filter, then its geometry.
    near, exact = ([], []) if area is None else _touching(area)
    conditions += near
    if node is not None and exact:
        # SQLite would look at geometries before it looks into JSON, which is faster: CASE keeps the order.
        conditions.append(Sql.join("CASE WHEN {} THEN {} END", compile_filter(node), all_of(exact)))
    else:
        conditions += exact if node is None else [compile_filter(node)]
    if entitlement.condition is not None:
        conditions.append(compile_filter(dict(entitlement.condition)))
    collections = _collections(request, entitlement)
    few = FEW if node is None and entitlement.condition is None else FEW_FILTERED
    candidates = _fewest(connection, _indexed(request, area, node, span, wanted), few)
    if wanted and not (candidates and "words" in candidates.text):
        conditions.append(_spoken(wanted))
    # NOT INDEXED leaves one way: by key.
    source = Sql("items AS i" if candidates is None else "items AS i NOT INDEXED")
    among = [] if candidates is None else [Sql.join("i.key IN ({})", candidates)]
    return Plan(
        source=source,
        condition=all_of([*among, *collections, *conditions]),
        few=candidates is not None,
        unconditional=not conditions and not wanted,
        slow=bool(wanted) or any(part.text.startswith("related") for part in exact),
    )


def all_of(conditions: Sequence[Sql]) -> Sql:
    """All of them hold."""
    return Sql.join(" AND ".join(["({})"] * len(conditions)) or "1", *conditions)


def behind(keys: Keys, place: Sequence[object]) -> Sql:
    """Rows that sort behind ``place``; NULLs sort last in either direction."""
    choices = []
    for index, ((expression, direction), value) in enumerate(zip(keys, place, strict=True)):
        if value is None:
            continue
        same = [Sql.join("{} IS {}", key, Sql("?", (was,))) for (key, _), was in zip(keys[:index], place, strict=False)]
        sign = ">" if direction == "asc" else "<"
        after = Sql.join(f"({{}} {sign} {{}} OR {{}} IS NULL)", expression, Sql("?", (value,)), expression)
        choices.append(all_of([*same, after]))
    found = Sql.join("(" + " OR ".join(["({})"] * len(choices)) + ")", *choices)
    if keys[0][0].text == "i.moment":  # never NULL: an index can begin where the page begins
        sign = ">=" if keys[0][1] == "asc" else "<="
        found = Sql.join(f"i.moment {sign} {{}} AND {{}}", Sql("?", (place[0],)), found)
    return found


def _by_time(request: SearchRequest) -> bool:
    return not request.sortby or request.sortby[0].field.removeprefix("properties.") == "datetime"


def _collections(request: SearchRequest, entitlement: Entitlement) -> list[Sql]:
    allowed = entitlement.collections
    if allowed is None and not request.collections:
        return []
    names = [name for name in request.collections if entitlement.permits_collection(name)] or sorted(
        () if request.collections else allowed or ()
    )
    # One collection has an index of its own; several would be sorted if their index were taken.
    column = "i.collection" if len(names) == 1 and _by_time(request) else "+i.collection"
    return [Sql(f"{column} IN ({', '.join('?' * len(names))})", tuple(names))]


def _ids_and_times(
    connection: sqlite3.Connection, request: SearchRequest, span: tuple[int, int] | None, *, first_by_time: bool
) -> list[Sql]:
    found = [Sql(f"i.id IN ({', '.join('?' * len(request.ids))})", request.ids)] if request.ids else []
    if span is not None:
        start, stop = span
        found.append(Sql("i.starts <= ? AND i.stops >= ?", (stop, start)))
        slack, column = extents.slack(connection), "i.moment" if first_by_time else "+i.moment"
        if start != BEGINNING:
            found.append(Sql(f"{column} >= ?", (start - slack,)))
        if stop != END:
            found.append(Sql(f"{column} <= ?", (stop + slack,)))
    return found


def _touching(area: BaseGeometry) -> tuple[list[Sql], list[Sql]]:
    """The item's box first, then its geometry, unless the box lies wholly inside a box that is asked for."""
    boxes = [part.bounds for part in getattr(area, "geoms", [area])]
    near = Sql(
        " OR ".join(["(i.west <= ? AND i.east >= ? AND i.south <= ? AND i.north >= ?)"] * len(boxes)),
        tuple(value for west, south, east, north in boxes for value in (east, west, north, south)),
    )
    parts = getattr(area, "geoms", [area])
    rectangles = [
        part.bounds for part in parts if part.geom_type == "Polygon" and part.equals(shapely.box(*part.bounds))
    ]
    inside = Sql(
        "".join(["(i.west >= ? AND i.east <= ? AND i.south >= ? AND i.north <= ?) OR "] * len(rectangles)),
        tuple(value for west, south, east, north in rectangles for value in (west, east, south, north)),
    )
    exact = Sql("related('intersects', i.shape, ?)", (shapely.to_wkb(area),))
    return [near], [Sql.join("{}{}", inside, exact)]


def _indexed(
    request: SearchRequest,
    area: BaseGeometry | None,
    node: Node,
    span: tuple[int, int] | None,
    wanted: tuple[tuple[str, ...], ...],
) -> list[Sql]:
    """Questions to the indexes, each giving keys of all items that may match and of others."""
    found = []
    if request.ids:
        found.append(Sql(f"SELECT key FROM items WHERE id IN ({', '.join('?' * len(request.ids))})", request.ids))  # noqa: S608
    places = [place for place in (area, None if node is None else filter_area(node)) if place is not None]
    found += [_in_boxes(place, span) for place in places]
    if wanted:
        found.append(Sql("SELECT rowid AS key FROM words WHERE words MATCH ?", (_match(wanted),)))
    return found


def _in_boxes(area: BaseGeometry, span: tuple[int, int] | None) -> Sql:
    boxes = [part.bounds for part in getattr(area, "geoms", [area])]
    if len(boxes) > PARTS:
        boxes = [area.bounds]
    # A union, as an OR would go through the whole tree.
    one = "SELECT part / 8 AS key FROM boxes WHERE west <= ? AND east >= ? AND south <= ? AND north >= ?"
    values: list[float] = []
    times: list[float] = []
    if span is not None:
        one += " AND first <= ? AND last >= ?"
        times = [span[1] / _DAY_US, span[0] / _DAY_US]
    for west, south, east, north in boxes:
        values += [east, west, north, south, *times]
    return Sql(" UNION ALL ".join([one] * len(boxes)), tuple(values))


def _match(wanted: tuple[tuple[str, ...], ...]) -> str:
    # Words are letters and digits: nothing in them means anything to FTS5 between quotes.
    return " OR ".join(f'"{" ".join(term)}"' for term in wanted)


def _spoken(wanted: tuple[tuple[str, ...], ...]) -> Sql:
    return Sql("EXISTS (SELECT 1 FROM words WHERE rowid = i.key AND words MATCH ?)", (_match(wanted),))


def _fewest(connection: sqlite3.Connection, questions: Sequence[Sql], few: int) -> Sql | None:
    """The question with the fewest answers, if one has at most ``few``."""
    best: tuple[int, Sql] | None = None
    for question in questions:
        (count,) = connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM ({question.text}) LIMIT ?)",  # noqa: S608 - only placeholders
            (*question.values, few + 1),
        ).fetchone()
        if count <= few and (best is None or count < best[0]):
            best = count, question
    return None if best is None else best[1]
