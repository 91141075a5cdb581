"""CQL2 to SQL over pgstac's ``items`` table, meaning the same as over the embedded store's.

pgstac has a translation of its own; it compares JSON with JSON, so that text and numbers have an order, and knows
neither ``CASEI`` beyond ASCII nor times with two ends. So that both stores find the same items, this one is used.

A property is a JSON value, and is looked at twice: as a number and as a text. One of the two is NULL in every row, so
that comparisons between text and number are unknown.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.store.cql import Node, bad_filter
from catalogs.store.filters import (
    SPATIAL,
    Sql,
    between,
    compares_datetime,
    is_datetime,
    is_time,
    joined,
    literal_span,
    membership,
    only,
    ordered,
    two,
)
from catalogs.store.request import BEGINNING, END, bbox_geometry, geometry
from catalogs.store.rows import rfc3339
from catalogs.store.temporal import TEMPORAL, TIME_COMPARISONS

MOMENT = "((i.private->>'moment')::bigint)"
"""Microseconds since 1970, as an index has it."""
_COLLATION = 'COLLATE "C"'


@dataclass(frozen=True, slots=True)
class Value:
    """What can be compared: a number, a text, or in each row one of the two."""

    number: Sql | None = None
    text: Sql | None = None


def compile_filter(node: Node) -> Sql:
    """CQL2 JSON as an SQL condition on ``pgstac.items AS i``.

    Raises
    ------
    BadInput
        ``search.filter`` if it uses what this catalogue does not know.
    """
    if isinstance(node, bool):
        return Sql("TRUE" if node else "FALSE")
    if not (isinstance(node, Mapping) and "op" in node):
        raise bad_filter(f"not a condition: {json.dumps(node)[:120]}")
    op, arguments = str(node["op"]).lower(), node.get("args", [])
    if op in ("and", "or", "not"):
        return joined(op, [compile_filter(argument) for argument in arguments])
    if op == "flagged":
        return Sql("coalesce(i.private->'doubts' ?| %s::text[], FALSE)", (list(arguments),))
    if op == "isnull":
        value = _value(only(arguments))
        views = [view for view in (value.number, value.text) if view is not None]
        return Sql.join("(" + (" AND ".join(["{} IS NULL"] * len(views)) or "TRUE") + ")", *views)
    builder = _BUILDERS.get(op)
    if builder is None:
        raise bad_filter(f"'{op}' is not supported")
    return builder(op, arguments)


def field(name: str) -> Value:
    """The value of a field of the item: ``id``, ``collection``, ``datetime``, else a property."""
    plain = name.removeprefix("properties.")
    if plain in ("id", "collection"):
        return Value(text=Sql(f"i.{plain} {_COLLATION}"))
    if plain == "datetime":
        return Value(number=Sql(MOMENT))
    document = _property(name)
    return Value(
        number=Sql.join("qyran.number({})", document), text=Sql.join(f"(qyran.word({{}}) {_COLLATION})", document)
    )


def _fact(node: Mapping[str, Any]) -> Value:
    """A property as policy reads it: unknown where it is of another kind, or in doubt."""
    name = str(node["fact"])
    document, kind = _property(name), "number" if node["is"] == "number" else "string"
    sound = Sql(f"jsonb_typeof({document.text}) = '{kind}' AND NOT coalesce(i.private->'doubts' ? %s, FALSE)", (name,))
    if node["is"] == "number":
        return Value(number=Sql.join("CASE WHEN {} THEN qyran.number({}) END", sound, document))
    return Value(text=Sql.join(f"(CASE WHEN {{}} THEN qyran.word({{}}) END {_COLLATION})", sound, document))


def place_of(shape: shapely.Geometry) -> Sql:
    """A geometry, lon, lat, as an SQL value."""
    return Sql("ST_GeomFromWKB(%s, 4326)", (shapely.to_wkb(shape),))


def _property(name: str) -> Sql:
    plain = name.removeprefix("properties.")
    if '"' in plain or "\\" in plain or "\0" in plain or not plain:
        raise bad_filter(f"'{name[:80]}' is not the name of a property")
    # Written out, not bound: an index of an expression is found by its words.
    quoted = plain.replace("'", "''").replace("%", "%%")
    return Sql(f"(i.content->'properties'->'{quoted}')")


def _comparison(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    if is_time(left) or is_time(right) or compares_datetime(left, right):
        (a, b), (c, d) = _span(left), _span(right)
        return ordered(TIME_COMPARISONS[op], a, b, c, d)
    return _compare(_value(left), op, _value(right))


def _compare(left: Value, op: str, right: Value) -> Sql:
    views = ((left.number, right.number), (left.text, right.text))
    parts = [Sql.join(f"({{}} {op} {{}})", one, other) for one, other in views if one is not None and other is not None]
    if not parts:
        return Sql("NULL::boolean")
    return parts[0] if len(parts) == 1 else Sql.join("coalesce({}, {})", *parts)


def _like(op: str, arguments: Sequence[Node]) -> Sql:
    value, pattern = (_value(argument).text for argument in two(op, arguments))
    if value is None or pattern is None:
        return Sql("NULL::boolean")
    return Sql.join("qyran.text_like({}, {})", value, pattern)


def _spatial(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    return Sql.join(f"ST_{op.removeprefix('s_').capitalize()}({{}}, {{}})", _shape(left), _shape(right))


def _shape(node: Node) -> Sql:
    if isinstance(node, Sql):
        return node
    if isinstance(node, Mapping) and node.get("property") == "geometry":
        # An item without a place has an empty one here, and nothing is known of it.
        return Sql("CASE WHEN NOT ST_IsEmpty(i.geometry) THEN i.geometry END")
    if isinstance(node, BaseGeometry):
        return place_of(node)
    if isinstance(node, Mapping) and "bbox" in node:
        return place_of(bbox_geometry(node["bbox"]))
    if isinstance(node, Mapping) and "type" in node:
        return place_of(geometry(dict(node)))
    raise bad_filter("a spatial condition compares the item's geometry with a geometry")


def _array(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    return Sql.join(f"qyran.array_{op.removeprefix('a_')}({{}}, {{}})", _list(left), _list(right))


def _list(node: Node) -> Sql:
    if isinstance(node, list):
        return Sql("%s::jsonb", (json.dumps(node),))
    if isinstance(node, Mapping) and "property" in node:
        return _property(str(node["property"]))
    _value(node)
    return Sql("NULL::jsonb")


def _span(node: Node) -> tuple[Sql, Sql]:
    """First and last moment of a time."""
    if isinstance(node, str) or is_time(node):
        start, stop = literal_span(node)
        return moment(start), moment(stop)
    if is_datetime(node):
        return Sql("i.datetime"), Sql("i.end_datetime")
    if isinstance(node, Mapping) and "property" in node:
        found = Sql.join("qyran.moment({})", _property(str(node["property"])))
        return found, found
    raise bad_filter("a temporal condition compares a property with a time")


def moment(microseconds: int) -> Sql:
    """A moment, microseconds since 1970, as an SQL value."""
    if microseconds in (BEGINNING, END):
        return Sql(f"'{'-' if microseconds == BEGINNING else ''}infinity'::timestamptz")
    return Sql("%s::timestamptz", (rfc3339(microseconds),))


def _temporal(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    return ordered(TEMPORAL[op], *_span(left), *_span(right))


# Unknown where SQLite says unknown; PostgreSQL would refuse the whole search for one such row.
_ARITHMETIC = {
    "+": "({} + {})",
    "-": "({} - {})",
    "*": "({} * {})",
    "/": "({} / nullif({}, 0))",
    "%": "qyran.remainder({}, {})",
    "^": "qyran.power({}, {})",
    "div": "trunc({} / nullif({}, 0))",
}


def _value(node: Node) -> Value:
    if isinstance(node, bool | int | float):
        return Value(number=Sql("%s::float8", (float(node),)))
    if isinstance(node, str):
        return Value(text=Sql(f"(%s::text {_COLLATION})", (node,)))
    if node is None:
        return Value()
    if isinstance(node, Mapping) and "property" in node:
        return field(str(node["property"]))
    if isinstance(node, Mapping) and "fact" in node:
        return _fact(node)
    if isinstance(node, Mapping) and "op" in node:
        return _computed(str(node["op"]).lower(), node.get("args", []))
    raise bad_filter(f"not a value: {json.dumps(node)[:120]}")


def _computed(op: str, arguments: Sequence[Node]) -> Value:
    if op in ("casei", "accenti"):
        argument = only(arguments)
        if isinstance(argument, str):
            return _value(_FOLDED[op](argument))
        value = _value(argument)
        text = None if value.text is None else Sql.join(f"(qyran.{op}({{}}) {_COLLATION})", value.text)
        return Value(number=value.number, text=text)
    if op in _ARITHMETIC:
        left, right = (_value(argument).number for argument in two(op, arguments))
        if left is None or right is None:
            return Value(number=Sql("NULL::float8"))
        return Value(number=Sql.join(_ARITHMETIC[op], left, right))
    raise bad_filter(f"'{op}' is not supported")


def _without_marks(text: str) -> str:
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(sign for sign in apart if not unicodedata.combining(sign)))


_FOLDED: dict[str, Callable[[str], str]] = {"casei": str.casefold, "accenti": _without_marks}
_BUILDERS: dict[str, Callable[[str, Sequence[Any]], Sql]] = {
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), _comparison),
    "between": lambda _, arguments: between(arguments, _comparison),
    "in": lambda op, arguments: membership(op, arguments, _comparison),
    "like": _like,
    **dict.fromkeys((f"s_{name}" for name in SPATIAL), _spatial),
    **dict.fromkeys(TEMPORAL, _temporal),
    **dict.fromkeys(("a_equals", "a_contains", "a_containedby", "a_overlaps"), _array),
}
