"""Items of an area along time: those that its index names, looked at slice by slice from the wanted end.

The index of places gives the moment of every item with its key, rounded. So candidates are put in order before one of
them is looked at, and hardly more are looked at than a page is made of, however much a filter leaves out. The index
is asked for one part of time after the other, each as long as those before let expect to be enough.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from catalogs.store.filters import Sql
from catalogs.store.plan import Plan, in_boxes, keyed
from catalogs.store.request import BEGINNING, END, Place
from catalogs.store.rows import DECADE_US

_ROUNDED_US = 900_000_000
"""What 32 bits make of a moment is nearer to it than that for a hundred years to come."""
_PART, _SHRINKS = 1 / 256, 3
"""Of all time there is: how long the first part is; how often a part that holds too many is shortened."""
_FIRST, _GROWTH, _LONGER, _SPARE = 128, 4.0, 8.0, 1.25
"""Candidates in the first slice; how much larger the next may be, and how much longer the next part of time; more than
what is expected to be enough."""

type Candidate = tuple[float, int]
"""When it is, in decades and rounded down, and its key."""
type Span = tuple[int, int]
"""Two moments: the earlier belongs to it, the later does not."""
type Ask = Callable[[Plan, int], list[tuple[Any, ...]]]
"""Rows that a plan finds, in order, so many at most."""


class Area:
    """What the index of places names of a plan's area, by time.

    Parameters
    ----------
    newest_first
        Which end of time is wanted first.
    place
        Where a page begins, if not at that end.
    """

    def __init__(self, connection: sqlite3.Connection, plan: Plan, *, newest_first: bool, place: Place | None) -> None:
        low, high = plan.moments or (None, None)
        if place is not None:
            low, high = (low, place.values[0]) if newest_first else (place.values[0], high)
        self.newest_first = newest_first
        self._connection, self._plan, self._ends = connection, plan, (low, high)

    def few(self, most: int) -> list[Candidate] | None:
        """All candidates; None if they are more than ``most``."""
        found = self._upto(most, self._ends)
        return found if len(found) <= most else None

    def rows(self, wanted: int, ask: Ask, *, most: int) -> list[tuple[Any, ...]] | None:
        """Up to ``wanted`` rows in order; None if even a short part of time has more candidates than ``most``.

        Parameters
        ----------
        ask
            Asks for the rows among some candidates.
        """
        pager = _Pager(self._plan, wanted, ask)
        oldest, newest = self._whole()
        width, bound, shrinks = (newest - oldest) * _PART, END if self.newest_first else BEGINNING, 0
        reached = newest if self.newest_first else oldest
        while True:
            step = max(round(width), 1)
            if self.newest_first:
                first, last = reached - step if reached - step > oldest else BEGINNING, bound
            else:
                first, last = bound, reached + step if reached + step < newest else END
            found = self._upto(most, self._within(first, last))
            if len(found) > most:
                if shrinks == _SHRINKS:
                    return None
                width, shrinks = width / _LONGER, shrinks + 1
                continue
            over = first == BEGINNING if self.newest_first else last == END
            if pager.filled(sorted(found), (first, last), newest_first=self.newest_first) or over:
                return pager.rows
            bound = reached = first if self.newest_first else last
            longer = min(pager.enough, most / 2) / len(found) if found else _LONGER
            width *= min(max(longer, 1.0), _LONGER)

    def _whole(self) -> tuple[int, int]:
        """Between which moments all there is lies."""
        oldest, newest = self._connection.execute("SELECT min(first), max(last) FROM extents").fetchone()
        low, high = self._ends
        return max(oldest or 0, low or BEGINNING), min(newest or 0, high or END)

    def _within(self, first: int, last: int) -> tuple[int | None, int | None]:
        low, high = self._ends
        lows = [end for end in (low, None if first == BEGINNING else first) if end is not None]
        highs = [end for end in (high, None if last == END else last) if end is not None]
        return max(lows, default=None), min(highs, default=None)

    def _upto(self, most: int, moments: tuple[int | None, int | None]) -> list[Candidate]:
        assert self._plan.area is not None
        question = in_boxes(self._plan.area, self._plan.span, moments=moments)
        cursor = self._connection.execute(
            f"SELECT early, key FROM ({question.text}) LIMIT ?",  # noqa: S608 - our own words
            (*question.values, most + 1),
        )
        return cursor.fetchall()


class _Pager:
    """A page that is filled from slices, each as large as those before let expect to be enough."""

    def __init__(self, plan: Plan, wanted: int, ask: Ask) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self._plan, self._wanted, self._ask = plan, wanted, ask
        self._size, self._looked = max(_FIRST, 2 * wanted), 0

    @property
    def enough(self) -> float:
        """About how many more candidates will fill the page, if others are like those that were looked at."""
        if not self.rows:
            return _GROWTH * max(self._looked, _FIRST)
        return _SPARE * (self._wanted - len(self.rows)) * self._looked / len(self.rows)

    def filled(self, candidates: list[Candidate], span: Span, *, newest_first: bool) -> bool:
        """Go on with candidates in order of time; whether the page is full then."""
        left = (0, len(candidates))
        times = [time for time, _ in candidates]
        while left[0] < left[1] and span[0] < span[1] and len(self.rows) < self._wanted:
            part, left, (first, last) = _slice(times, left, span, self._size, newest_first=newest_first)
            within = Sql("i.moment >= ? AND i.moment < ?", (first, last))
            keys = [key for _, key in candidates[part]]
            self.rows += self._ask(self._plan.among(keyed(keys), within), self._wanted - len(self.rows))
            self._looked += len(keys)
            span = (span[0], first) if newest_first else (last, span[1])
            self._size = round(min(max(self.enough, _FIRST), self._size * _GROWTH))
        return len(self.rows) >= self._wanted


def _slice(
    times: Sequence[float], left: tuple[int, int], span: Span, size: int, *, newest_first: bool
) -> tuple[slice, tuple[int, int], Span]:
    """The next candidates, the places of those that are left then, and between which moments the former are asked for.

    A candidate's time is rounded down, so its moment lies there or a little later. The bounds of a slice are exact;
    candidates that may lie on either side of one are asked for in both.
    """
    (low, high), (first, last) = left, span
    if newest_first:
        begin, end = max(low, high - size), high
        if begin > low:
            first = max(first, _moment(times[begin]))
        left = (low, begin)
    else:
        begin, end = low, min(high, low + size)
        if end < high:
            last = min(last, _moment(times[end]))
        left = (end, high)
    reach = 0 if first == BEGINNING else bisect_left(times, (first - _ROUNDED_US) / DECADE_US)
    return slice(reach, end), left, (first, last)


def _moment(time: float) -> int:
    return int(time * DECADE_US) - 1_000  # what a float of that size cannot tell apart
