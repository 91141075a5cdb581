"""What an entitlement comes to in the embedded store: which items, and what of their outlines."""

from dataclasses import replace
from itertools import batched

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.entitlement import Entitlement, Hidden
from catalogs.store.filters import Sql, compile_filter
from catalogs.store.identity import by_identity, wkb_of

_ARGUMENTS = 100
_WORLD = (-180.0, -90.0, 180.0, 90.0)
_SIDES = ("west", "south", "east", "north")


def let_through(entitlement: Entitlement) -> list[Sql]:
    """Conditions on ``items AS i`` besides its collections: what policy says, and that something is left to be seen."""
    found = [] if entitlement.condition is None else [compile_filter(dict(entitlement.condition))]
    if entitlement.hidden:
        found.append(
            Sql.join("CASE WHEN {} THEN is_something({}) ELSE 1 END", _touched(entitlement), _left(entitlement))
        )
    return found


def outline(entitlement: Entitlement) -> Sql:
    """What is left of an item's outline, as WKB."""
    if not entitlement.hidden:
        return Sql("i.shape")
    return Sql.join("CASE WHEN {} THEN {} ELSE i.shape END", _touched(entitlement), _left(entitlement))


def near(entitlement: Entitlement, area: BaseGeometry | None) -> Entitlement:
    """The same for whoever asks for what touches a place: ground that is hidden elsewhere changes nothing there."""
    if area is None or not entitlement.hidden:
        return entitlement
    return replace(
        entitlement, hidden=tuple(part for part in entitlement.hidden if shapely.intersects(part.shape, area))
    )


def _left(entitlement: Entitlement) -> Sql:
    found = Sql("i.shape")
    # Side by side, as SQLite's parser nests but a hundred deep.
    for parts in batched(entitlement.hidden, _ARGUMENTS):
        taken = [
            Sql.join("CASE WHEN {} THEN {} END", _concerned(part), Sql("?", (wkb_of(part.shape),))) for part in parts
        ]
        found = Sql.join(f"outside({{}}{', {}' * len(taken)})", found, *taken)
    return found


def bounds(entitlement: Entitlement) -> list[Sql]:
    """West, south, east, north of what is left of an item's outline."""
    if not entitlement.hidden:
        return [Sql(f"i.{side}") for side in _SIDES]
    touched, left = _touched(entitlement), _left(entitlement)
    return [
        Sql.join(f"CASE WHEN {{}} THEN bound({{}}, {place}) ELSE i.{side} END", touched, left)
        for place, side in enumerate(_SIDES)
    ]


def _touched(entitlement: Entitlement) -> Sql:
    return Sql.join(" OR ".join(["{}"] * len(entitlement.hidden)), *map(_concerned, entitlement.hidden))


@by_identity
def _concerned(part: Hidden) -> Sql:
    """Whether ground is hidden of an item; of most, their boxes tell that it is not."""
    conditions = []
    if part.shape.bounds != _WORLD:
        west, south, east, north = part.shape.bounds
        near = "(i.west <= ? AND i.east >= ? AND i.south <= ? AND i.north >= ?)"
        conditions.append(Sql(near, (east, west, north, south)))
    if part.where is not True:
        conditions.append(compile_filter(part.where))
    if part.unless is not False:
        conditions.append(Sql.join("NOT coalesce({}, 0)", compile_filter(part.unless)))
    return Sql.join("(" + (" AND ".join(["({})"] * len(conditions)) or "1") + ")", *conditions)
