"""CQL2 to SQL over the embedded store's ``items`` table.

:mod:`catalogs.store.cql` reads it; what comes out is compiled here, value by value bound, never pasted. Missing
properties are NULL and comparisons with NULL are unknown, as CQL2 wants it; so are comparisons between text and
number, which SQLite alone would order.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.policy.terms import FACTS
from catalogs.store.cql import Node, bad_filter
from catalogs.store.identity import wkb_of
from catalogs.store.request import BEGINNING, END, bbox_geometry, geometry, interval, microseconds
from catalogs.store.rows import CLOUD
from catalogs.store.temporal import TEMPORAL, TIME_COMPARISONS

type Comparison = Callable[[str, Sequence[Node]], "Sql"]
"""An operator and its two arguments, as a store compares them."""


_READ = ("json_extract", "CASE WHEN json_type", "CASE WHEN i.key NOT IN")
"""How what is read out of a row's JSON begins."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values bound in it, in order."""

    text: str
    values: tuple[Any, ...] = ()

    @classmethod
    def join(cls, template: str, *parts: "Sql") -> "Sql":
        """``template`` with each ``{}`` replaced by a part."""
        return cls(template.format(*(part.text for part in parts)), tuple(v for part in parts for v in part.values))


def compile_filter(node: Node) -> Sql:
    """CQL2 JSON as an SQL condition on ``items AS i``.

    Raises
    ------
    BadInput
        ``search.filter`` if it uses what this catalogue does not know.
    """
    return _condition(node)


def field(name: str) -> Sql:
    """The value of a field of the item: ``id``, ``collection``, ``datetime``, else a property."""
    plain = name.removeprefix("properties.")
    if plain in ("id", "collection"):
        return Sql(f"i.{plain}")
    if plain == "datetime":
        return Sql("i.moment")
    if plain == CLOUD:
        return Sql("i.cloud")
    if '"' in plain or "\\" in plain or not plain:
        raise bad_filter(f"'{name}' is not the name of a property")
    return Sql("json_extract(i.properties, ?)", (f'$."{plain}"',))


def _fact(node: Mapping[str, Any]) -> Sql:
    """A property as policy reads it: unknown where it is of another kind, or in doubt."""
    name, path = str(node["fact"]), f'$."{node["fact"]}"'
    sound = "i.key NOT IN (SELECT key FROM doubts WHERE fact = ?)"
    if name in FACTS:  # whatever is of another kind is in doubt
        return Sql(f"CASE WHEN {sound} THEN json_extract(i.properties, ?) END", (name, path))
    kinds = "'integer', 'real'" if node["is"] == "number" else "'text'"
    return Sql(
        f"CASE WHEN json_type(i.properties, ?) IN ({kinds}) THEN json_extract(i.properties, ?) END", (path, path)
    )


def _condition(node: Node) -> Sql:
    if isinstance(node, bool):
        return Sql("1" if node else "0")
    if not (isinstance(node, Mapping) and "op" in node):
        raise bad_filter(f"not a condition: {json.dumps(node)[:120]}")
    op, arguments = str(node["op"]).lower(), node.get("args", [])
    if op in ("and", "or", "not"):
        # What costs least is asked first: whatever it decides spares the rest.
        return joined(op, sorted((_condition(argument) for argument in arguments), key=_cost))
    if op == "isnull":
        return Sql.join("({} IS NULL)", _value(only(arguments)))
    if op == "flagged":
        named = ", ".join("?" * len(arguments))
        return Sql(f"i.key IN (SELECT key FROM doubts WHERE fact IN ({named}))", tuple(arguments))  # noqa: S608
    builder = _BUILDERS.get(op)
    if builder is None:
        raise bad_filter(f"'{op}' is not supported")
    return builder(op, arguments)


def _cost(part: Sql) -> int:
    """How much there is to do to answer a condition: columns are at hand, JSON must be read, geometry computed."""
    if "related(" in part.text:
        return 2
    return 1 if "json" in part.text or "text_like(" in part.text else 0


def joined(op: str, parts: Sequence[Sql]) -> Sql:
    """Conditions joined by ``and`` or ``or``, or the one turned round by ``not``."""
    if op == "not":
        return Sql.join("(NOT {})", only(parts))
    return Sql.join("(" + f" {op.upper()} ".join(["{}"] * len(parts)) + ")", *parts)


def only[Argument](arguments: Sequence[Argument]) -> Argument:
    """The one argument."""
    if len(arguments) != 1:
        raise bad_filter("one argument expected")
    return arguments[0]


def two(op: str, arguments: Sequence[Node]) -> tuple[Node, Node]:
    """The two arguments."""
    if len(arguments) != 2:
        raise bad_filter(f"'{op}' takes two arguments")
    return arguments[0], arguments[1]


def _comparison(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    if is_time(left) or is_time(right) or compares_datetime(left, right):
        return _time_comparison(op, left, right)
    return _compare(_value(left), op, _value(right))


def _compare(left: Sql, op: str, right: Sql) -> Sql:
    """Unknown where one side is text and the other is not. A property is read out of its JSON once."""
    if right.text == "?" and left.text.startswith(_READ):
        is_text = "=" if isinstance(right.values[0], str) else "<>"
        inner = Sql.join("(SELECT {} AS v LIMIT 1)", left)
        chosen = f"CASE WHEN typeof(v) {is_text} 'text' THEN v {op} {{}} END"
        return Sql.join(f"(SELECT {chosen} FROM {{}})", right, inner)  # noqa: S608 - op is one of six
    return Sql.join(
        f"CASE WHEN (typeof({{}}) = 'text') = (typeof({{}}) = 'text') THEN {{}} {op} {{}} END", left, right, left, right
    )


def between(arguments: Sequence[Node], comparison: Comparison) -> Sql:
    """``between`` by a store's comparison."""
    if len(arguments) != 3:
        raise bad_filter("'between' takes three arguments")
    value, low, high = arguments
    return Sql.join("({} AND {})", comparison(">=", [value, low]), comparison("<=", [value, high]))


def membership(op: str, arguments: Sequence[Node], comparison: Comparison) -> Sql:
    """``in`` by a store's comparison."""
    value, choices = two(op, arguments)
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise bad_filter("'in' takes a list")
    return joined("or", [comparison("=", [value, choice]) for choice in choices])


def _like(op: str, arguments: Sequence[Node]) -> Sql:
    value, pattern = two(op, arguments)
    return Sql.join("text_like({}, {})", _value(value), _value(pattern))


def _spatial(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    related = Sql.join(f"related('{op.removeprefix('s_')}', {{}}, {{}})", _shape(left), _shape(right))
    if not isinstance(right, BaseGeometry) or op not in ("s_intersects", "s_within"):
        return related
    # A policy's area is asked of every item: most are told by their boxes.
    west, south, east, north = right.bounds
    near = Sql("i.west <= ? AND i.east >= ? AND i.south <= ? AND i.north >= ?", (east, west, north, south))
    return Sql.join("CASE WHEN i.shape IS NULL THEN NULL WHEN {} THEN {} ELSE 0 END", near, related)


def _shape(node: Node) -> Sql:
    if isinstance(node, Sql):
        return node
    if isinstance(node, BaseGeometry):
        return Sql("?", (wkb_of(node),))
    if isinstance(node, Mapping) and node.get("property") == "geometry":
        return Sql("i.shape")
    if isinstance(node, Mapping) and "bbox" in node:
        return Sql("?", (shapely.to_wkb(bbox_geometry(node["bbox"])),))
    if isinstance(node, Mapping) and "type" in node:
        return Sql("?", (shapely.to_wkb(geometry(dict(node))),))
    raise bad_filter("a spatial condition compares the item's geometry with a geometry")


def _array(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    return Sql.join(f"array_{op.removeprefix('a_')}({{}}, {{}})", _list(left), _list(right))


def _list(node: Node) -> Sql:
    if isinstance(node, list):
        return Sql("?", (json.dumps(node),))
    return _value(node)


def is_time(node: Node) -> bool:
    """Whether a node is a time as such."""
    return isinstance(node, Mapping) and bool({"timestamp", "date", "interval"} & node.keys())


def compares_datetime(left: Node, right: Node) -> bool:
    """Whether the item's own time is compared with a text that can only be a time."""
    return (is_datetime(left) and isinstance(right, str)) or (is_datetime(right) and isinstance(left, str))


def is_datetime(node: Node) -> bool:
    """Whether a node is the item's own time."""
    return isinstance(node, Mapping) and str(node.get("property", "")).removeprefix("properties.") == "datetime"


def _span(node: Node) -> tuple[Sql, Sql]:
    """First and last moment of a time, in microseconds."""
    if isinstance(node, str) or is_time(node):
        start, stop = literal_span(node)
        return Sql("?", (start,)), Sql("?", (stop,))
    if is_datetime(node):
        return Sql("i.starts"), Sql("i.stops")
    if isinstance(node, Mapping) and "property" in node:
        moment = Sql.join("moment({})", field(str(node["property"])))
        return moment, moment
    raise bad_filter("a temporal condition compares a property with a time")


def literal_span(node: Node) -> tuple[int, int]:
    """First and last moment of a time as such, in microseconds; open ends are ``BEGINNING`` and ``END``."""
    if isinstance(node, str):
        return interval(node)
    if "timestamp" in node:
        moment = microseconds(str(node["timestamp"]))
        return moment, moment
    if "date" in node:
        return interval(str(node["date"]))
    ends = [BEGINNING if index == 0 else END for index in range(2)]
    for index, end in enumerate(node["interval"]):
        if isinstance(end, Mapping):
            raise bad_filter("the ends of an interval must be times, not properties")
        if str(end) not in ("", ".."):
            ends[index] = interval(str(end))[index]
    return ends[0], ends[1]


def _time_comparison(op: str, left: Node, right: Node) -> Sql:
    (a, b), (c, d) = _span(left), _span(right)
    return ordered(TIME_COMPARISONS[op], a, b, c, d)


def _temporal(op: str, arguments: Sequence[Node]) -> Sql:
    left, right = two(op, arguments)
    return ordered(TEMPORAL[op], *_span(left), *_span(right))


def ordered(template: str, *parts: Sql) -> Sql:
    """Fill a template that names its parts by number, keeping the bound values in the order of the text."""
    named = re.findall(r"\{(\d)\}", template)
    return Sql.join(re.sub(r"\{\d\}", "{}", template), *(parts[int(number)] for number in named))


_ARITHMETIC = {"+": "({} + {})", "-": "({} - {})", "*": "({} * {})", "/": "({} * 1.0 / {})", "%": "mod({}, {})"} | {
    "^": "pow({}, {})",
    "div": "trunc({} / {})",
}


def _value(node: Node) -> Sql:
    if node is None or isinstance(node, str | int | float):
        return Sql("?", (int(node) if isinstance(node, bool) else node,))
    if isinstance(node, Mapping) and "property" in node:
        return field(str(node["property"]))
    if isinstance(node, Mapping) and "fact" in node:
        return _fact(node)
    if isinstance(node, Mapping) and "op" in node:
        op, arguments = str(node["op"]).lower(), node.get("args", [])
        if op in ("casei", "accenti"):
            return Sql.join(f"{op}({{}})", _value(only(arguments)))
        if op in _ARITHMETIC:
            left, right = two(op, arguments)
            return Sql.join(_ARITHMETIC[op], _value(left), _value(right))
    raise bad_filter(f"not a value: {json.dumps(node)[:120]}")


SPATIAL = ("intersects", "disjoint", "equals", "touches", "within", "overlaps", "crosses", "contains")
_BUILDERS: dict[str, Callable[[str, Sequence[Node]], Sql]] = {
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), _comparison),
    "between": lambda _, arguments: between(arguments, _comparison),
    "in": lambda op, arguments: membership(op, arguments, _comparison),
    "like": _like,
    **dict.fromkeys((f"s_{name}" for name in SPATIAL), _spatial),
    **dict.fromkeys(TEMPORAL, _temporal),
    **dict.fromkeys(("a_equals", "a_contains", "a_containedby", "a_overlaps"), _array),
}
