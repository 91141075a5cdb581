"""CQL2 as it comes from outside: read within limits, the same for every store.

The parser of the ``cql2`` package recurses, and a text nested deep enough ends the process; so nesting is counted
before it may look.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cql2
from shapely.geometry.base import BaseGeometry

from catalogs.store.request import bbox_geometry, geometry
from processing.model.errors import BadInput

type Node = Any
"""A piece of CQL2 JSON."""

MAX_CHARACTERS = 65_536
MAX_DEPTH = 10
MAX_OPERATIONS = 50
MAX_CHOICES = 100
_NESTED = 40
"""Parentheses, NOTs and signs that the parser may recurse into; MAX_DEPTH is about what they come to."""
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_NOT = re.compile(r"\bnot\b", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"(?=.{1,200}$)[A-Za-z][A-Za-z0-9_:-]*(?:\.[A-Za-z][A-Za-z0-9_:-]*)*")
# Where one of these holds, the boxes around the two geometries have a point in common.
_TOUCHING = {"s_" + name for name in ("intersects", "equals", "touches", "within", "overlaps", "crosses", "contains")}


def parse_filter(expression: str | Mapping[str, Any]) -> Node:
    """CQL2, text or JSON, as JSON.

    Raises
    ------
    BadInput
        ``search.filter`` if it is not CQL2, or goes beyond the limits: 64 Ki characters, operations nested 10 deep,
        50 of them, lists of 100, names of letters, digits and ``_ : . -``.
    """
    text = expression if isinstance(expression, str) else _as_text(expression)
    if len(text) > MAX_CHARACTERS:
        raise bad_filter(f"the filter has more than {MAX_CHARACTERS} characters")
    if isinstance(expression, str):
        _check_nesting(expression)
    try:
        parsed = cql2.parse_text(expression) if isinstance(expression, str) else cql2.parse_json(text)
        node = parsed.to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError, TypeError, RecursionError) as error:
        raise bad_filter("the filter is not CQL2", where=_excerpt(text)) from error
    _check(node)
    return _modern(node)


def bad_filter(message: str, *, where: str | None = None) -> BadInput:
    """A filter that means nothing here."""
    remedy = "See OGC 21-065r2, or write like: eo:cloud_cover < 10 AND platform = 'x'."
    return BadInput(message, kind="search.filter", where=where, remedy=remedy)


def with_outline(node: Node, outline: object) -> Node:
    """The same condition on another outline than the item's own."""
    if not (isinstance(node, Mapping) and "op" in node):
        return node
    spatial, arguments = str(node["op"]).lower().startswith("s_"), node.get("args", [])
    return {
        **node,
        "args": [
            outline
            if spatial and isinstance(part, Mapping) and part.get("property") == "geometry"
            else with_outline(part, outline)
            for part in arguments
        ],
    }


def filter_area(node: Node) -> BaseGeometry | None:
    """A geometry whose box every item that satisfies the filter touches, where the filter names one."""
    for part in _conjuncts(node):
        if str(part.get("op", "")).lower() in _TOUCHING:
            for argument in part["args"]:
                if isinstance(argument, Mapping) and "bbox" in argument:
                    return bbox_geometry(argument["bbox"])
                if isinstance(argument, Mapping) and "type" in argument:
                    return geometry(dict(argument))
    return None


def _conjuncts(node: Node) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping) and str(node.get("op", "")).lower() == "and":
        for part in node["args"]:
            yield from _conjuncts(part)
    elif isinstance(node, Mapping):
        yield node


def _as_text(expression: Mapping[str, Any]) -> str:
    try:
        return json.dumps(expression)
    except (RecursionError, ValueError, TypeError) as error:
        raise bad_filter("the filter is not CQL2") from error


def _check_nesting(text: str) -> None:
    bare = _QUOTED.sub(" ", text)
    depth = deepest = 0
    for sign in bare:
        depth += (sign == "(") - (sign == ")")
        deepest = max(deepest, depth)
    if deepest > _NESTED or len(_NOT.findall(bare)) > _NESTED or re.search(r"(?:[-+]\s*){5}|(?:\^[^,()]*){5}", bare):
        raise bad_filter("the filter is nested too deep")


def _check(node: Node) -> None:
    """Hold the tree against the limits; not recursive itself."""
    operations, waiting = 0, [(node, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise bad_filter(f"the filter is nested deeper than {MAX_DEPTH}")
        if isinstance(part, Mapping) and "property" in part and not _is_name(str(part["property"])):
            raise bad_filter(f"{_excerpt(json.dumps(part['property']))} is not the name of a property")
        if isinstance(part, Mapping) and "op" in part:
            operations += 1
            waiting += [(argument, depth + 1) for argument in part.get("args", [])]
            if str(part["op"]).lower() == "in" and len(_list_in(part)) > MAX_CHOICES:
                raise bad_filter(f"IN takes at most {MAX_CHOICES} values")
        elif isinstance(part, list):
            if len(part) > MAX_CHOICES:
                raise bad_filter(f"a list holds at most {MAX_CHOICES} values")
            waiting += [(entry, depth) for entry in part]
        if operations > MAX_OPERATIONS:
            raise bad_filter(f"the filter has more than {MAX_OPERATIONS} operations")


def _is_name(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name.removeprefix("properties.")) is not None


def _modern(node: Node) -> Node:
    """BETWEEN as the standard has it; drafts wrapped its two limits in a list, and clients still do."""
    if isinstance(node, list):
        return [_modern(part) for part in node]
    if not (isinstance(node, Mapping) and "op" in node):
        return node
    arguments = [_modern(part) for part in node.get("args", [])]
    if str(node["op"]).lower() == "between" and len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]
    return {**node, "args": arguments}


def _list_in(node: Mapping[str, Any]) -> Sequence[Any]:
    arguments = node.get("args", [])
    return arguments[1] if len(arguments) == 2 and isinstance(arguments[1], list) else ()


def _excerpt(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
