"""How a search is asked of pgstac's tables: what must hold, in which order, and from where on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from catalogs.entitlement import Entitlement
from catalogs.store.cql import filter_area, parse_filter, with_outline
from catalogs.store.filters import Sql
from catalogs.store.pgstac_filters import MOMENT, compile_filter, field, moment, place_of
from catalogs.store.pgstac_outlines import let_through, outline, outline_or_unknown
from catalogs.store.pgstac_writing import to_item
from catalogs.store.protocol import NEWEST_FIRST, Item, SearchRequest
from catalogs.store.request import BEGINNING, END, interval, search_area
from catalogs.store.words import terms
from processing.model.errors import BadInput

_CASTS = {"number": "float8", "text": 'text COLLATE "C"', "moment": "bigint"}


@dataclass(frozen=True, slots=True)
class Key:
    """One expression to sort by. NULLs come last in either direction."""

    value: Sql
    kind: Literal["number", "text", "moment"]
    direction: Literal["asc", "desc"]


def sort_keys(request: SearchRequest) -> list[Key]:
    """What to sort by, down to what tells any two items apart. Numbers sort before texts."""
    keys = []
    for wanted in request.sortby or NEWEST_FIRST:
        value = field(wanted.field)
        number, text = value.number, value.text
        found = []
        if number is not None:
            found.append(Key(number, "moment" if number.text == MOMENT else "number", wanted.direction))
        if text is not None:
            found.append(Key(text, "text", wanted.direction))
        keys += found if wanted.direction == "asc" else found[::-1]
    ends = [field(name).text for name in ("collection", "id")]
    return [*keys, *(Key(end, "text", "asc") for end in ends if end is not None)]


def conditions(request: SearchRequest, entitlement: Entitlement) -> Sql:
    """What must hold of ``pgstac.items AS i``.

    Raises
    ------
    BadInput
        ``search.*`` for what means nothing in the request.
    """
    found = []
    area, node = search_area(request), None if request.filter is None else parse_filter(request.filter)
    if request.datetime is not None:
        start, stop = interval(request.datetime)
        if stop != END:
            found.append(Sql.join("i.datetime <= {}", moment(stop)))
        if start != BEGINNING:
            found.append(Sql.join("i.end_datetime >= {}", moment(start)))
    wanted = terms(request.text)
    if request.ids:
        found.append(Sql('i.id COLLATE "C" = ANY(%s)', (list(request.ids),)))
    if request.collections or entitlement.collections is not None:
        permitted = request.collections or sorted(entitlement.collections or ())
        names = [name for name in permitted if entitlement.permits_collection(name)]
        found.append(Sql("i.collection = ANY(%s)", (names,)))
    if area is not None:
        found.append(Sql.join("ST_Intersects(i.geometry, {})", place_of(area)))
        if entitlement.hidden:
            found.append(Sql.join("ST_Intersects({}, {})", outline(entitlement), place_of(area)))
    if node is not None:
        near = filter_area(node)
        if near is not None:
            found.append(Sql.join("i.geometry && {}", place_of(near)))
        seen = with_outline(node, outline_or_unknown(entitlement)) if entitlement.hidden else node
        found.append(compile_filter(seen))
    if wanted:
        found.append(_spoken(wanted))
    found += let_through(entitlement)
    return all_of(found)


def all_of(found: Sequence[Sql]) -> Sql:
    """All of them hold."""
    return Sql.join(" AND ".join(["({})"] * len(found)) or "TRUE", *found)


def page(
    connection: Connection[Any],
    request: SearchRequest,
    condition: Sql,
    keys: Sequence[Key],
    place: Sequence[Any] | None,
) -> list[tuple[Item, list[Any]]]:
    """Items of a page and one more, each with its sort values."""
    if place is not None:
        condition = all_of([condition, _behind(keys, place)])
    columns = Sql.join(", ".join(["{}"] * len(keys)), *(key.value for key in keys))
    order = Sql.join(
        ", ".join(
            f"{{}} {key.direction} NULLS LAST" if key.kind != "moment" else f"{{}} {key.direction}" for key in keys
        ),
        *(key.value for key in keys),
    )
    query = Sql.join(
        "SELECT i.collection, i.id, i.content, {} FROM pgstac.items AS i WHERE {} ORDER BY {} LIMIT {}",
        columns, condition, order, Sql("%s", (request.limit + 1,)),
    )  # fmt: skip
    rows = connection.execute(query.text.encode(), query.values).fetchall()
    return [(to_item(*row[:3]), list(row[3:])) for row in rows]


def check_place(keys: Sequence[Key], place: Sequence[Any]) -> None:
    """Whether the values of a page token can be of these keys.

    Raises
    ------
    BadInput
        ``search.token`` if not.
    """
    kinds: dict[str, tuple[type, ...]] = {"number": (float, int), "text": (str,), "moment": (int,)}
    for key, value in zip(keys, place, strict=True):
        unknown = value is None and key.kind != "moment"
        if not unknown and (not isinstance(value, kinds[key.kind]) or "\0" in str(value)):
            raise BadInput("the page token does not belong to this search", kind="search.token", remedy="Start again.")


def _behind(keys: Sequence[Key], place: Sequence[Any]) -> Sql:
    """Rows that sort behind ``place``."""
    choices: list[Sql] = []
    same: list[Sql] = []
    for key, value in zip(keys, place, strict=True):
        bound = Sql(f"%s::{_CASTS[key.kind]}", (value,))
        if value is not None:
            sign = ">" if key.direction == "asc" else "<"
            after = Sql.join(f"({{}} {sign} {{}} OR {{}} IS NULL)", key.value, bound, key.value)
            choices.append(all_of([*same, after]))
            same.append(Sql.join("{} = {}", key.value, bound))
        else:
            same.append(Sql.join("{} IS NULL", key.value))
    found = Sql.join(" OR ".join(["({})"] * len(choices)), *choices)
    if keys[0].kind == "moment":  # never NULL: an index can begin where the page begins
        sign = ">=" if keys[0].direction == "asc" else "<="
        return Sql.join(f"{{}} {sign} {{}} AND ({{}})", keys[0].value, Sql("%s::bigint", (place[0],)), found)
    return found


def _spoken(wanted: Sequence[Sequence[str]]) -> Sql:
    """One of the terms: all its words by an index, then one after the other. Words hold no sign of a pattern."""
    one = "(string_to_array(i.private->>'words', ' ') @> %s AND ' ' || (i.private->>'words') || ' ' LIKE %s)"
    values = [part for term in wanted for part in (list(term), f"% {' '.join(term)} %")]
    return Sql("(" + " OR ".join([one] * len(wanted)) + ")", tuple(values))
