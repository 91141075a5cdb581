"""One page of the embedded store: which items are on it, and how many match in all, where that is soon said."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalogs.entitlement import Entitlement
from catalogs.store import database, extents
from catalogs.store.filters import Sql
from catalogs.store.plan import FEW, MANY, Plan, all_of, along_an_index, behind, keyed, make_plan, sliced, sort_keys
from catalogs.store.protocol import SearchRequest
from catalogs.store.request import Place
from catalogs.store.slices import Area
from processing.model.errors import BadInput

QUERY_S = 5.0
"""The longest a search may take."""
_WALK_STEPS = 200_000
"""Steps of SQLite's machine in which a page must be full when items are gone through in order: some 30 ms. What is not
found by then is rare, and is looked for among the candidates of an index."""
_GLANCE_STEPS = 20_000
"""The same where the candidates of an area are soon put in order: some 3 ms."""
_COUNT_STEPS, _SLOW_COUNT_STEPS = 150_000, 30_000
"""Steps that counting may take beyond the search itself: some 20 ms."""
_ITEM_STEPS = 8
"""An item takes no fewer to be looked at."""


@dataclass(frozen=True, slots=True)
class Page:
    """Keys of the items on a page."""

    keys: list[int]
    values: Sequence[Any]
    """Sort values of the last of them; empty on the last page."""
    matched: int | None


def find_page(
    connection: sqlite3.Connection, request: SearchRequest, entitlement: Entitlement, place: Place | None
) -> Page:
    """The page that begins at ``place``.

    Raises
    ------
    BadInput
        ``search.*`` for what means nothing in the request; ``search.too_broad`` if it takes too long.
    """
    plan, rows = _asked(connection, request, entitlement, place)
    more, rows = len(rows) > request.limit, rows[: request.limit]
    values = rows[-1][1 : len(sort_keys(request)) + 1] if more else ()
    matched = None
    if request.count:
        if place is not None:
            matched = place.matched
        elif not more:
            matched = len(rows)
        elif plan.few:
            matched = rows[0][-1]
        else:
            matched = _counted(connection, plan, request, entitlement)
    return Page([row[0] for row in rows], values, matched)


def _asked(
    connection: sqlite3.Connection, request: SearchRequest, entitlement: Entitlement, place: Place | None
) -> tuple[Plan, list[tuple[Any, ...]]]:
    """Rows of the page and one more, by the way that is shortest as far as can be told beforehand."""
    if sliced(request):
        with database.bounded(connection, seconds=QUERY_S):
            plan = make_plan(connection, request, entitlement, few=0)
            if plan.area is not None:
                return _in_area(connection, plan, request, place)
    with database.bounded(connection, seconds=QUERY_S):
        plan = make_plan(connection, request, entitlement, few=FEW)
    if plan.indexed and not plan.few:
        rows = _at_once(connection, plan, request, place, _WALK_STEPS) if along_an_index(request) else None
        if rows is not None:
            return plan, rows
        with database.bounded(connection, seconds=QUERY_S):
            plan = make_plan(connection, request, entitlement, few=MANY)
    with database.bounded(connection, seconds=QUERY_S):
        return plan, _rows(connection, plan, request, place, request.limit + 1)


def _in_area(
    connection: sqlite3.Connection, plan: Plan, request: SearchRequest, place: Place | None
) -> tuple[Plan, list[tuple[Any, ...]]]:
    """By time within an area: its items one by one, or along all there are, or slice by slice."""
    area = Area(connection, plan, newest_first=sort_keys(request)[0][1] == "desc", place=place)
    wanted, found = request.limit + 1, area.few(FEW)
    if found is not None:
        few = plan.among(keyed(key for _, key in found), few=True)
        return few, _rows(connection, few, request, place, wanted)
    rows = _at_once(connection, plan, request, place, _GLANCE_STEPS)
    if rows is not None:
        return plan, rows

    def ask(part: Plan, most: int) -> list[tuple[Any, ...]]:
        return _rows(connection, part, request, place, most)

    with database.bounded(connection, seconds=QUERY_S):
        rows = area.rows(wanted, ask, most=MANY)
        return plan, _rows(connection, plan, request, place, wanted) if rows is None else rows


def _at_once(
    connection: sqlite3.Connection, plan: Plan, request: SearchRequest, place: Place | None, steps: int
) -> list[tuple[Any, ...]] | None:
    """Rows of the page where they are found within so many steps; None where not."""
    try:
        with database.bounded(connection, seconds=QUERY_S, steps=steps):
            return _rows(connection, plan, request, place, request.limit + 1)
    except BadInput as error:
        if error.kind != "search.too_broad":
            raise
        return None


def _rows(
    connection: sqlite3.Connection, plan: Plan, request: SearchRequest, place: Place | None, wanted: int
) -> list[tuple[Any, ...]]:
    """Keys, each with its sort values, and with the number of all where that costs nothing and is wanted."""
    keys = sort_keys(request)
    conditions = [plan.condition] if place is None else [plan.condition, behind(keys, place.values)]
    columns = Sql.join(", ".join(["{}"] * len(keys)), *(expression for expression, _ in keys))
    order = Sql.join(
        ", ".join(f"{{}} {direction} NULLS LAST" for _, direction in keys), *(expression for expression, _ in keys)
    )
    counted = ", count(*) OVER ()" if request.count and place is None and plan.few else ""
    query = Sql.join(
        f"SELECT i.key, {{}}{counted} FROM {{}} WHERE {{}} ORDER BY {{}} LIMIT {{}}",  # noqa: S608 - our names
        columns, plan.source, all_of(conditions), order, Sql("?", (wanted,)),
    )  # fmt: skip
    return connection.execute(query.text, query.values).fetchall()


def _counted(
    connection: sqlite3.Connection, plan: Plan, request: SearchRequest, entitlement: Entitlement
) -> int | None:
    """How many match, if that can be said without much ado."""
    names = request.collections or [row[0] for row in connection.execute("SELECT id FROM collections")]
    among = sum(extents.extent_of(connection, name)[0] for name in set(names) if entitlement.permits_collection(name))
    if plan.unconditional:
        return among
    steps = _SLOW_COUNT_STEPS if plan.slow else _COUNT_STEPS
    if among * _ITEM_STEPS > steps:
        return None
    counting = Sql.join("SELECT count(*) FROM {} WHERE {}", plan.source, plan.condition)
    try:
        with database.bounded(connection, seconds=QUERY_S, steps=steps):
            (count,) = connection.execute(counting.text, counting.values).fetchone()
    except BadInput:
        return None
    return int(count)
