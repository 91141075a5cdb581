"""How the embedded store looks for items: by the few that an index names, or along the order they are wanted in.

An index of places, words or ids is asked first, but for no more than ``FEW`` answers. Up to so many are looked at one
by one and sorted. Where there are more, the items are gone through in the wanted order until a page is full: with many
matches that is soon. Where it is not, a filter leaves out most of them, and up to ``MANY`` candidates are worth looking
at, too.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.entitlement import Entitlement
from catalogs.store import extents
from catalogs.store.cql import Node, filter_area, parse_filter, with_outline
from catalogs.store.filters import Sql, compile_filter, field
from catalogs.store.outlines import let_through, outline
from catalogs.store.outlines import near as in_sight
from catalogs.store.protocol import NEWEST_FIRST, SearchRequest
from catalogs.store.request import BEGINNING, END, interval, search_area
from catalogs.store.rows import CLOUD, DECADE_US, PARTS
from catalogs.store.words import terms

FEW, MANY = 2_500, 30_000
"""Looking at so many candidates takes no longer than going through items in order does at best, and at worst."""
_BY_KEY = Sql("items AS i NOT INDEXED")
"""Leaves one way: by key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look, and what must hold there."""

    source: Sql
    """What stands behind FROM, the items being ``i``."""
    condition: Sql
    area: BaseGeometry | None
    """What every match touches, where there is such a place."""
    span: tuple[int, int] | None
    """When, where it is asked for."""
    moments: tuple[int, int] | None
    """Between which moments all matches lie, where it is known."""
    few: bool
    """Whether candidates are looked at one by one."""
    indexed: bool
    """Whether there is an index that could name them."""
    unconditional: bool
    """Whether nothing but collections is asked for."""
    slow: bool
    """Whether one item takes long to look at: what is asked needs more than its row's numbers."""

    def among(self, candidates: Sql, condition: Sql | None = None, *, few: bool = False) -> "Plan":
        """The same, but only among candidates, one by one; all of them, if ``few``."""
        within = [Sql.join("i.key IN ({})", candidates), *([] if condition is None else [condition]), self.condition]
        return replace(self, source=_BY_KEY, condition=all_of(within), few=few)


type Keys = list[tuple[Sql, str]]
"""Expressions to sort by, each with its direction."""


def sort_keys(request: SearchRequest) -> Keys:
    """What to sort by, down to what tells any two items apart."""
    keys = [(field(key.field), key.direction) for key in request.sortby or NEWEST_FIRST]
    return [*keys, (Sql("i.collection"), "asc"), (Sql("i.id"), "asc")]


def along_an_index(request: SearchRequest) -> bool:
    """Whether there is an index in the wanted order, so that going along it can end with the page."""
    first = request.sortby[0].field.removeprefix("properties.") if request.sortby else "datetime"
    return first in ("datetime", CLOUD, "id")


def sliced(request: SearchRequest) -> bool:
    """Whether items are wanted by time, and nothing but a place and a time names few of them."""
    return by_time(request) and not request.ids and not request.text


def make_plan(
    connection: sqlite3.Connection, request: SearchRequest, entitlement: Entitlement, *, few: int = MANY
) -> Plan:
    """Find out how to answer a request.

    Parameters
    ----------
    few
        The most candidates that are looked at one by one; 0: no index is asked for any.

    Raises
    ------
    BadInput
        ``search.*`` for what means nothing in it.
    """
    area, node = search_area(request), None if request.filter is None else parse_filter(request.filter)
    span = None if request.datetime is None else interval(request.datetime)
    wanted = terms(request.text)
    conditions = _ids_and_times(connection, request, span, first_by_time=by_time(request))
    # What costs least is asked first: the item's box, then the filter, then its geometry.
    if node is not None and entitlement.hidden:
        node = with_outline(node, outline(entitlement))
    entitlement = in_sight(entitlement, area)
    near, exact = ([], []) if area is None else _touching(area, outline(entitlement))
    conditions += near
    if node is not None and exact:
        # SQLite would look at geometries before it looks into JSON, which is faster: CASE keeps the order.
        conditions.append(Sql.join("CASE WHEN {} THEN {} END", compile_filter(node), all_of(exact)))
    else:
        conditions += exact if node is None else [compile_filter(node)]
    conditions += let_through(entitlement)
    collections = _collections(request, entitlement)
    indexes = _indexed(request, area, node, span, wanted)
    found = _fewest(connection, indexes, few) if few else None
    if wanted and not (found is not None and found[0] is indexes[-1]):
        conditions.append(_spoken(wanted))
    places, slack = _places(area, node), extents.slack(connection)
    plan = Plan(
        source=Sql("items AS i"),
        condition=all_of([*collections, *conditions]),
        area=places[0] if places else None,
        span=span,
        moments=None if span is None else (span[0] - slack, span[1] + slack),
        few=False,
        indexed=bool(indexes),
        unconditional=not conditions and not wanted,
        slow=bool(wanted) or any(part.text.startswith("related") for part in exact),
    )
    return plan if found is None else plan.among(keyed(found[1]), few=True)


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


def by_time(request: SearchRequest) -> bool:
    """Whether the wanted order goes by time first."""
    return not request.sortby or request.sortby[0].field.removeprefix("properties.") == "datetime"


def _collections(request: SearchRequest, entitlement: Entitlement) -> list[Sql]:
    allowed = entitlement.collections
    if allowed is None and not request.collections:
        return []
    names = [name for name in request.collections if entitlement.permits_collection(name)] or sorted(
        () if request.collections else allowed or ()
    )
    # One collection has an index of its own; several would be sorted if their index were taken.
    column = "i.collection" if len(names) == 1 and by_time(request) else "+i.collection"
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


def _touching(area: BaseGeometry, outline: Sql) -> tuple[list[Sql], list[Sql]]:
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
    exact = Sql.join("related('intersects', {}, {})", outline, Sql("?", (shapely.to_wkb(area),)))
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
    found += [in_boxes(place, span) for place in _places(area, node)]
    if wanted:
        found.append(Sql("SELECT rowid AS key FROM words WHERE words MATCH ?", (_match(wanted),)))
    return found


def _places(area: BaseGeometry | None, node: Node) -> list[BaseGeometry]:
    return [place for place in (area, None if node is None else filter_area(node)) if place is not None]


def in_boxes(
    area: BaseGeometry, span: tuple[int, int] | None, *, moments: tuple[int | None, int | None] = (None, None)
) -> Sql:
    """Keys of all items whose boxes touch those of an area, and of others, with when they are sorted in, in decades.

    Parameters
    ----------
    span
        Only of items whose time touches this one.
    moments
        Only of items whose moment lies there, ends included.
    """
    boxes = [part.bounds for part in getattr(area, "geoms", [area])]
    if len(boxes) > PARTS:
        boxes = [area.bounds]
    # A union, as an OR would go through the whole tree.
    one = "SELECT part / 8 AS key, early FROM boxes WHERE west <= ? AND east >= ? AND south <= ? AND north >= ?"
    values: list[float] = []
    times: list[float] = []
    if span is not None:
        one += " AND first <= ? AND last >= ?"
        times += [span[1] / DECADE_US, span[0] / DECADE_US]
    for moment, condition in zip(moments, ("late >= ?", "early <= ?"), strict=True):
        if moment is not None:
            one += f" AND {condition}"
            times.append(moment / DECADE_US)
    for west, south, east, north in boxes:
        values += [east, west, north, south, *times]
    return Sql(" UNION ALL ".join([one] * len(boxes)), tuple(values))


def _match(wanted: tuple[tuple[str, ...], ...]) -> str:
    # Words are letters and digits: nothing in them means anything to FTS5 between quotes.
    return " OR ".join(f'"{" ".join(term)}"' for term in wanted)


def _spoken(wanted: tuple[tuple[str, ...], ...]) -> Sql:
    return Sql("EXISTS (SELECT 1 FROM words WHERE rowid = i.key AND words MATCH ?)", (_match(wanted),))


def _fewest(connection: sqlite3.Connection, questions: Sequence[Sql], few: int) -> tuple[Sql, list[int]] | None:
    """The question with the fewest answers, and these, if one has at most ``few``."""
    best: tuple[Sql, list[int]] | None = None
    for question in questions:
        most = few if best is None else len(best[1])
        rows = connection.execute(f"SELECT key FROM ({question.text}) LIMIT ?", (*question.values, most + 1))  # noqa: S608
        keys = [key for (key,) in rows.fetchall()]
        if len(keys) <= most:
            best = question, keys
    return best


def keyed(keys: Iterable[int]) -> Sql:
    """Keys that were found, as the answers to a question."""
    return Sql("SELECT value FROM json_each(?)", (json.dumps(list(keys)),))
