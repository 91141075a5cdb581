"""What all items of a collection make up: how many, from when to when, around what. Kept up, never searched for."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

type Reach = tuple[int | None, int | None, float | None, float | None, float | None, float | None]
"""First start, last end (microseconds), west, south, east, north; None where nothing says."""

_NOWHERE: Reach = (None, None, None, None, None, None)
_PICKS: tuple[Callable[..., Any], ...] = (min, max, min, min, max, max)
_MEASURED = (
    "SELECT count(*), min(starts), max(stops), min(west), min(south), max(east), max(north),"
    " coalesce(max(max(moment - starts, stops - moment, 0)), 0) FROM items WHERE collection = ?"
)
_STORED = "SELECT items, first, last, west, south, east, north, slack FROM extents WHERE collection = ?"


class Changes:
    """Items that come into collections and go out of them, told one after the other and then applied at once."""

    def __init__(self) -> None:
        self._items: defaultdict[str, int] = defaultdict(int)
        self._added: dict[str, Reach] = {}
        self._taken: dict[str, list[Reach]] = defaultdict(list)
        self._slack: defaultdict[str, int] = defaultdict(int)

    def add(self, collection: str, reach: Reach, slack: int) -> None:
        """An item comes."""
        self._items[collection] += 1
        self._added[collection] = _united(self._added.get(collection, _NOWHERE), reach)
        self._slack[collection] = max(self._slack[collection], slack)

    def take(self, collection: str, reach: Reach) -> None:
        """An item goes."""
        self._items[collection] -= 1
        self._taken[collection].append(reach)

    def apply(self, connection: sqlite3.Connection) -> None:
        """Bring the extents up to date. Where an item goes that lay at an edge, the collection is measured anew."""
        for collection, items in self._items.items():
            stored = connection.execute(_STORED, (collection,)).fetchone() or (0, *_NOWHERE, 0)
            reach: Reach = stored[1:7]
            if any(_touches(gone, reach) for gone in self._taken.get(collection, ())):
                _store(connection, collection, connection.execute(_MEASURED, (collection,)).fetchone())
                continue
            united = _united(reach, self._added.get(collection, _NOWHERE))
            slack = max(stored[7], self._slack[collection])
            _store(connection, collection, (stored[0] + items, *united, slack))


def extent_of(connection: sqlite3.Connection, collection: str) -> tuple[int, Reach]:
    """Number of items of a collection, and their reach."""
    found = connection.execute(_STORED, (collection,)).fetchone()
    return (0, _NOWHERE) if found is None else (found[0], found[1:7])


def slack(connection: sqlite3.Connection) -> int:
    """How far the moment of an item may lie from its ends, microseconds."""
    (found,) = connection.execute("SELECT coalesce(max(slack), 0) FROM extents").fetchone()
    return int(found)


def _store(connection: sqlite3.Connection, collection: str, values: Sequence[float | None]) -> None:
    connection.execute("INSERT OR REPLACE INTO extents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (collection, *values))


def _united(one: Reach, other: Reach) -> Reach:
    picked: list[Any] = []
    for pick, left, right in zip(_PICKS, one, other, strict=True):
        given = [end for end in (left, right) if end is not None]
        picked.append(pick(given) if given else None)
    first, last, west, south, east, north = picked
    return first, last, west, south, east, north


def _touches(gone: Reach, reach: Reach) -> bool:
    """Whether what goes may have been what an edge is made of."""
    return any(edge is None or edge == end for edge, end in zip(gone, reach, strict=True) if edge is not None)
