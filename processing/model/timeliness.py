"""How final a delivery is, and whether another of the same scene is better: a near-real-time one comes first.

What decides is what deliveries say of themselves: where their orbit and attitude are from, how many lines and which
bands they hold. When they came decides nothing: the better one stays, in whatever order they arrive.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

type Fact = str | float | int


class Timeliness(StrEnum):
    """Categories of STAC's product extension, in Copernicus's words."""

    NEAR_REAL_TIME = "NRT"
    """Made from a predicted or otherwise provisional orbit or attitude: a better delivery may follow."""
    FINAL = "NTC"
    """Not time-critical: made from what is known for good."""


class Grade(IntEnum):
    """What an orbit or attitude is worth."""

    PROVISIONAL = 0
    UNSTATED = 1
    DEFINITIVE = 2


class Rank(StrEnum):
    """What one delivery is to another of the same scene."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    MIXED = "mixed"
    """Better in one respect and worse in another: nobody but the supplier can say which counts."""


ORBIT, ATTITUDE = "orbit_source", "attitude_source"
"""Names among the facts of scenes and products: where a delivery says that its orbit and attitude are from."""
_PROVISIONAL = frozenset(
    ("PREDICTED", "PREDICTION", "PRELIMINARY", "PROVISIONAL", "ONBOARD", "ON-BOARD", "ON_BOARD", "RAPID", "RAW", "NRT")
)
_DEFINITIVE = frozenset(("CORRECTED", "ACCURATE", "PRECISE", "RESTITUTED", "REFINED", "DEFINITIVE", "FINAL"))


def grade(stated: object) -> Grade:
    """What a delivery's word for the source of its orbit or attitude means; unknown words say nothing."""
    word = str(stated or "").strip().upper()
    if word in _PROVISIONAL:
        return Grade.PROVISIONAL
    return Grade.DEFINITIVE if word in _DEFINITIVE else Grade.UNSTATED


def worst_sources(scenes: Iterable[Mapping[str, Fact]]) -> dict[str, Fact]:
    """What all scenes of one delivery are from: of each fact the word that is worth least, where it is one at all."""
    all_of = list(scenes)
    words = {name: min((facts.get(name, "") for facts in all_of), key=grade, default="") for name in (ORBIT, ATTITUDE)}
    return {name: word for name, word in words.items() if word}


def timeliness_of(facts: Mapping[str, Fact]) -> Timeliness | None:
    """The category of a product by its facts; None where its delivery says too little to tell."""
    grades = {grade(facts.get(ORBIT)), grade(facts.get(ATTITUDE))}
    if Grade.PROVISIONAL in grades:
        return Timeliness.NEAR_REAL_TIME
    return Timeliness.FINAL if grades == {Grade.DEFINITIVE} else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that decides between deliveries of one scene."""

    orbit: Grade
    attitude: Grade
    bands: frozenset[str]
    pixels: Mapping[str, int]
    """Lines times samples as delivered, by the sensor's band group; empty where that is not recorded."""

    @classmethod
    def of(cls, facts: Mapping[str, Fact], bands: Iterable[str]) -> "Standing":
        """The standing of a product, by its facts and the names of its bands."""
        groups = [name.removeprefix("lines_") for name in facts if name.startswith("lines_")]
        return cls(
            orbit=grade(facts.get(ORBIT)),
            attitude=grade(facts.get(ATTITUDE)),
            bands=frozenset(bands),
            pixels={group: int(facts[f"lines_{group}"]) * int(facts.get(f"samples_{group}", 0)) for group in groups},
        )

    def against(self, other: "Standing") -> Rank:
        """What this delivery is to another of the same scene."""
        signs = set(self._signs(other))
        if {1, -1} <= signs:
            return Rank.MIXED
        return Rank.BETTER if 1 in signs else Rank.WORSE if -1 in signs else Rank.SAME

    def _signs(self, other: "Standing") -> Iterator[int]:
        """1 for each respect in which this one is better, -1 for each in which the other is."""
        pairs: list[tuple[int, int]] = [(self.orbit, other.orbit), (self.attitude, other.attitude)]
        pairs += [(self.pixels[group], other.pixels[group]) for group in self.pixels.keys() & other.pixels.keys()]
        yield from ((mine > its) - (mine < its) for mine, its in pairs)
        yield from (1 for _ in self.bands - other.bands)
        yield from (-1 for _ in other.bands - self.bands)
