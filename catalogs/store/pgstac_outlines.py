"""What an entitlement comes to on pgstac's tables: which items, and what of their outlines."""

from catalogs.entitlement import Entitlement, Hidden
from catalogs.store.filters import Sql
from catalogs.store.pgstac_filters import compile_filter, place_of

_NOTHING = "'SRID=4326;GEOMETRYCOLLECTION EMPTY'::geometry"


def let_through(entitlement: Entitlement) -> list[Sql]:
    """Conditions on ``items AS i`` besides its collections: what policy says, and that something is left to be seen."""
    found = [] if entitlement.condition is None else [compile_filter(dict(entitlement.condition))]
    if entitlement.hidden:
        touched = Sql.join(" OR ".join(["{}"] * len(entitlement.hidden)), *map(_concerned, entitlement.hidden))
        left = Sql.join("ST_IsEmpty(i.geometry) OR NOT ST_IsEmpty({})", outline(entitlement))
        found.append(Sql.join("CASE WHEN {} THEN {} ELSE TRUE END", touched, left))
    return found


def outline(entitlement: Entitlement) -> Sql:
    """What is left of an item's outline; an empty one for an item without a place."""
    found = Sql("i.geometry")
    for part in entitlement.hidden:
        taken = Sql.join(f"coalesce(CASE WHEN {{}} THEN {{}} END, {_NOTHING})", _concerned(part), place_of(part.shape))
        found = Sql.join("ST_Difference({}, {})", found, taken)
    return found


def outline_or_unknown(entitlement: Entitlement) -> Sql:
    """The same for conditions: of an item without a place, nothing is known."""
    return Sql.join("CASE WHEN NOT ST_IsEmpty(i.geometry) THEN {} END", outline(entitlement))


def _concerned(part: Hidden) -> Sql:
    """Whether ground is hidden of an item; of most, their boxes tell that it is not."""
    conditions = [Sql.join("i.geometry && {}", place_of(part.shape))]
    if part.where is not True:
        conditions.append(compile_filter(part.where))
    if part.unless is not False:
        conditions.append(Sql.join("NOT coalesce({}, FALSE)", compile_filter(part.unless)))
    return Sql.join("(" + " AND ".join(["({})"] * len(conditions)) + ")", *conditions)
