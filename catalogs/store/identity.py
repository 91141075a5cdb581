"""What is made once of each object, and kept with it: for objects that cannot be compared, or not cheaply."""

from collections.abc import Callable

import shapely
from shapely.geometry.base import BaseGeometry


def by_identity[Thing, Made](make: Callable[[Thing], Made], *, most: int = 512) -> Callable[[Thing], Made]:
    """Keep what a function makes of the very object it is given. The object must not change.

    Parameters
    ----------
    make
        The function.
    most
        So many objects are held; with the next one all are let go.
    """
    kept: dict[int, tuple[Thing, Made]] = {}

    def made_once(thing: Thing) -> Made:
        found = kept.get(id(thing))
        if found is not None and found[0] is thing:
            return found[1]
        if len(kept) >= most:
            kept.clear()
        made = make(thing)
        kept[id(thing)] = thing, made  # held, its number cannot become another's
        return made

    return made_once


wkb_of: Callable[[BaseGeometry], bytes] = by_identity(shapely.to_wkb)
"""A geometry as WKB. A policy's areas are large, and the same objects in every question."""
