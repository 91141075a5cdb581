"""Items of an area along time: those that its index names, looked at slice by slice from the wanted end.

The index of places gives the moment of every item with its key, rounded. So candidates are put in order before one of
them is looked at, and only as many are looked at as a page is made of, however much a filter leaves out.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from catalogs.store.filters import Sql
from catalogs.store.plan import Plan, in_boxes, keyed
from catalogs.store.request import BEGINNING, END, Place
from catalogs.store.rows import DECADE_US

_ROUNDED_US = 900_000_000
"""What 32 bits make of a moment is nearer to it than that for a hundred years to come."""
_FIRST = 256
_GROWTH = 3

type Candidate = tuple[float, int]
"""When it is, in decades and rounded down, and its key."""
type Ask = Callable[[Plan, int], list[tuple[Any, ...]]]
"""Rows that a plan finds, in order, so many at most."""


class Candidates:
    """What the index of places names of an area, from where a page begins; read as far as it is asked for."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self._found: list[Candidate] = []

    def upto(self, most: int) -> list[Candidate] | None:
        """All of them; None if they are more than ``most``."""
        self._found += self._cursor.fetchmany(most + 1 - len(self._found))
        return None if len(self._found) > most else self._found


def candidates_in(connection: sqlite3.Connection, plan: Plan, *, newest_first: bool, place: Place | None) -> Candidates:
    """Ask the index of places for what a plan's area holds."""
    assert plan.area is not None
    low, high = plan.moments or (None, None)
    if place is not None:
        low, high = (low, place.values[0]) if newest_first else (place.values[0], high)
    question = in_boxes(plan.area, plan.span, moments=(low, high))
    return Candidates(connection.execute(f"SELECT early, key FROM ({question.text})", question.values))  # noqa: S608


def along_time(
    plan: Plan, candidates: list[Candidate], *, wanted: int, newest_first: bool, ask: Ask
) -> list[tuple[Any, ...]]:
    """Up to ``wanted`` rows among candidates by their moment; ``ask`` asks for the rows of one slice."""
    candidates.sort()
    rows: list[tuple[Any, ...]] = []
    for keys, first, last in _slices(candidates, max(_FIRST, 2 * wanted), newest_first=newest_first):
        within = Sql("i.moment >= ? AND i.moment < ?", (first, last))
        rows += ask(plan.among(keyed(keys), within), wanted - len(rows))
        if len(rows) == wanted:
            break
    return rows


def _slices(candidates: list[Candidate], size: int, *, newest_first: bool) -> Iterator[tuple[list[int], int, int]]:
    """Keys that may lie between two moments, and these: the earlier belongs to the slice, the later does not.

    A candidate's time is rounded down, so its moment lies there or a little later. The bounds of a slice are exact;
    candidates that may lie on either side of one are asked for in both.
    """
    times = [time for time, _ in candidates]
    low, high, first, last = 0, len(times), BEGINNING, END
    while low < high:
        if newest_first:
            begin, end = max(0, high - size), high
            first = BEGINNING if begin == 0 else _moment(times[begin])
        else:
            begin, end = low, min(high, low + size)
            last = END if end == high else _moment(times[end])
        reach = 0 if first == BEGINNING else bisect_left(times, (first - _ROUNDED_US) / DECADE_US)
        yield [key for _, key in candidates[reach:end]], first, last
        if newest_first:
            high, last = begin, first
        else:
            low, first = end, last
        size *= _GROWTH


def _moment(time: float) -> int:
    return int(time * DECADE_US) - 1_000  # what a float of that size cannot tell apart
