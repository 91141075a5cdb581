"""Two-line elements: read strictly, from a file or from ``HOME/auxiliary/tle``, and never older than they should be.

Elements are refreshed by dropping a file into that folder: of each satellite the set whose epoch is nearest counts.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sgp4.api import Satrec
from sgp4.conveniences import sat_epoch_datetime

from configs.settings import Home
from processing.model.errors import BadInput

log = logging.getLogger(__name__)

MAX_BYTES = 20_000_000
SUFFIXES = (".tle", ".txt", ".3le", ".2le")
REMEDY = "Put a file with today's two-line elements into HOME/auxiliary/tle."
_LINE = {
    "1": re.compile(
        r"1 [0-9A-Z][0-9 ]{4}[UCS ] [0-9A-Z ]{8} [0-9 ][0-9][0-9 ]{3}\.[0-9]{8} [-+ ]\.[0-9]{8} [-+ ][0-9]{5}[-+][0-9] "
        r"[-+ ][0-9]{5}[-+][0-9] [0-9 ] [0-9 ]{4}[0-9]"
    ),
    "2": re.compile(
        r"2 [0-9A-Z][0-9 ]{4} [0-9 ]{3}\.[0-9]{4} [0-9 ]{3}\.[0-9]{4} [0-9 ]{7} [0-9 ]{3}\.[0-9]{4} "
        r"[0-9 ]{3}\.[0-9]{4} [0-9 ]{2}\.[0-9]{8}[0-9 ]{5}[0-9]"
    ),
}
"""Columns as NORAD lays them down; a blank stands for a leading zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """One satellite's elements."""

    name: str
    norad_id: int
    epoch: datetime
    revolution: int
    """Number of the orbit that the epoch lies in, counted from launch at ascending nodes."""
    line1: str
    line2: str

    @property
    def satellite(self) -> Satrec:
        """SGP4's record of it."""
        return Satrec.twoline2rv(self.line1, self.line2)

    def age_days(self, when: datetime) -> float:
        """How far a moment lies from the epoch, either way."""
        return abs((when - self.epoch).total_seconds()) / 86400.0


def tle_folder(home: Home) -> Path:
    """Where an operator drops elements."""
    return home.path / "auxiliary" / "tle"


def checksum(line: str) -> int:
    """Digit that the 69th column must hold: the sum of all digits, minus signs counting one, modulo ten."""
    return sum(int(letter) if letter.isdigit() else letter == "-" for letter in line[:68]) % 10


def parse_tle(text: str, where: str) -> tuple[Elements, ...]:
    """Every set of elements in a text: two lines each, with or without a name's line before them.

    Parameters
    ----------
    text
        Empty lines, and lines that begin with ``#``, say nothing.
    where
        Name of the text in messages.

    Raises
    ------
    BadInput
        ``tle.*``, with the number of the line.
    """
    lines = [
        (number, line.rstrip())
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    found: list[Elements] = []
    name = ""
    position = 0
    while position < len(lines):
        number, line = lines[position]
        if not line.startswith(("1 ", "2 ")) or len(line) < 60:
            if name:
                raise _refused(where, number, "two names follow one another", "tle.layout")
            name = line.removeprefix("0 ").strip()
            position += 1
            continue
        if line.startswith("2 ") or position + 1 == len(lines):
            raise _refused(where, number, "a line 1 and a line 2 must follow one another", "tle.layout")
        found.append(_elements(name, lines[position], lines[position + 1], where))
        name = ""
        position += 2
    if name:
        raise _refused(where, lines[-1][0], f"no elements follow the name '{name[:40]}'", "tle.layout")
    if not found:
        raise BadInput("no two-line elements in it", kind="tle.empty", where=where, remedy=REMEDY)
    return tuple(found)


def _elements(name: str, first: tuple[int, str], second: tuple[int, str], where: str) -> Elements:
    for kind, (number, line) in (("1", first), ("2", second)):
        if not _LINE[kind].fullmatch(line):
            raise _refused(where, number, f"this is no line {kind} of two-line elements", "tle.layout")
        if checksum(line) != int(line[68]):
            raise _refused(
                where, number, f"the checksum is {line[68]}, but the line adds up to {checksum(line)}", "tle.checksum"
            )
    (number, line1), (_, line2) = first, second
    if line1[2:7] != line2[2:7]:
        raise _refused(where, number, f"its two lines name {line1[2:7]} and {line2[2:7]}", "tle.mismatch")
    satellite = Satrec.twoline2rv(line1, line2)
    day = float(line1[20:32].replace(" ", "0"))
    revolutions_a_day = float(line2[52:63])
    if not 1.0 <= day < 367.0:
        raise _refused(where, number, f"day {day:g} of the year", "tle.range")
    if not 6.4 < revolutions_a_day < 17.0:
        text = f"{revolutions_a_day:g} orbits a day: only low orbits, of less than 225 minutes, are predicted"
        raise _refused(where, number, text, "tle.not_low_orbit")
    if not float(line2[8:16]) <= 180.0 or satellite.error:
        raise _refused(where, number, "SGP4 finds no orbit in these elements", "tle.range")
    return Elements(
        name=name or f"NORAD {satellite.satnum}",
        norad_id=int(satellite.satnum),
        epoch=sat_epoch_datetime(satellite).astimezone(UTC),
        revolution=int(satellite.revnum),
        line1=line1,
        line2=line2,
    )


def _refused(where: str, number: int, message: str, kind: str) -> BadInput:
    return BadInput(
        f"line {number}: {message}", kind=kind, where=where, remedy="Get the elements again from their source."
    )


def read_tle(path: Path) -> tuple[Elements, ...]:
    """The elements of one file.

    Raises
    ------
    BadInput
        ``tle.*``.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput("too long for two-line elements", kind="tle.too_long", where=str(path), remedy=REMEDY)
    return parse_tle(path.read_text(encoding="utf-8", errors="replace"), str(path))


def installed_tle(home: Home) -> tuple[tuple[Elements, ...], tuple[str, ...]]:
    """All elements of ``HOME/auxiliary/tle``, and a warning for each file that is no such thing."""
    found: list[Elements] = []
    warnings = []
    for path in sorted(tle_folder(home).glob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            found += read_tle(path)
        except (BadInput, OSError) as error:
            warnings.append(f"{path.name} was left out: {error}")
    return tuple(found), tuple(warnings)


def nearest(elements: Iterable[Elements], when: datetime) -> dict[int, Elements]:
    """Of each satellite, by its NORAD id, the set whose epoch is nearest to a moment."""
    chosen: dict[int, Elements] = {}
    for each in elements:
        known = chosen.get(each.norad_id)
        if known is None or each.age_days(when) < known.age_days(when):
            chosen[each.norad_id] = each
    return chosen


def age_warnings(elements: Sequence[Elements], when: datetime, stale_days: float) -> Iterator[str]:
    """A line for each set that is older than it should be."""
    for each in elements:
        age = each.age_days(when)
        if age > stale_days:
            side = "old" if each.epoch < when else "ahead of that time"
            yield (
                f"{each.name}: its elements of {each.epoch:%Y-%m-%d} are {age:.0f} days {side}; "
                f"passes may be off by {_drift(age)}. {REMEDY}"
            )


def _drift(age_days: float) -> str:
    """What SGP4 at 600-750 km may be off by: some 1 km along the track per day, and it grows with the square."""
    seconds = 0.15 * age_days + 0.01 * age_days**2
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
