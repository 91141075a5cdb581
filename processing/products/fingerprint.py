"""A keyed pattern of single counts, by which a delivered image tells whose it was.

The pattern hangs on the absolute grid: a pixel's row and column count from the map's own origin, so that a cut-out
carries the same pattern as the whole. A block of it is a stream of Philox, keyed with HMAC-SHA256 of band and block
under the order's key: whoever has not the installation's secret can tell neither where marks are nor where not.
"""

import hashlib
import hmac
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK = 64
SHARE = 1 / 32
"""Of all pixels, those that are marked where they may be."""
LARGEST_CHANGE = 1
"""Counts by which a marked pixel differs."""
SCHEME = "hmac-sha256-philox-1"
FALSE_POSITIVE = 1e-9
"""Chance that a comparison of one band with one order's pattern finds it where it is not, at most."""
_SIXTEENTH = 4
"""Of 256 values of a byte, so many mean one count more, and as many one count less."""

type Marks = npt.NDArray[np.int8]
"""-1, 0 or 1 for each pixel."""


def order_key(secret: bytes, order: str) -> bytes:
    """The key of an order's pattern."""
    return hmac.digest(secret, b"fingerprint\0" + order.encode(), hashlib.sha256)


def marks(key: bytes, band: str, place: tuple[int, int], shape: tuple[int, int]) -> Marks:
    """The pattern in a window.

    Parameters
    ----------
    key
        Of an order.
    band
        Name of the band: each has a pattern of its own.
    place
        Absolute row and column of the window's first pixel; may be negative.
    shape
        Rows and columns.
    """
    (row, column), (rows, columns) = place, shape
    first, left = row // BLOCK, column // BLOCK
    last, right = (row + rows - 1) // BLOCK + 1, (column + columns - 1) // BLOCK + 1
    found = np.empty(((last - first) * BLOCK, (right - left) * BLOCK), np.int8)
    for y in range(first, last):
        for x in range(left, right):
            at = (
                slice((y - first) * BLOCK, (y - first + 1) * BLOCK),
                slice((x - left) * BLOCK, (x - left + 1) * BLOCK),
            )
            found[at] = _block(key, band, y, x)
    top, side = row - first * BLOCK, column - left * BLOCK
    return found[top : top + rows, side : side + columns]


def _block(key: bytes, band: str, y: int, x: int) -> Marks:
    named = hmac.digest(key, f"{band}\0{y}\0{x}".encode(), hashlib.sha256)
    stream = np.random.Philox(key=int.from_bytes(named[:16], "little")).random_raw(BLOCK * BLOCK // 8)
    values = stream.astype("<u8").view(np.uint8).reshape(BLOCK, BLOCK)
    return (values < _SIXTEENTH).astype(np.int8) - (values >= 256 - _SIXTEENTH).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well a band's differences from the original agree with a pattern."""

    marked: int
    """Pixels that the pattern marks and both images have."""
    agreeing: int
    """Of them, those that differ by just the count that the pattern says."""
    log10_p: float
    """Logarithm of the chance that so many agree where the pattern is not, at most."""

    @property
    def found(self) -> bool:
        """Whether the pattern is there, with a chance of error of ``FALSE_POSITIVE`` at most."""
        return self.log10_p <= math.log10(FALSE_POSITIVE)


def evidence(differences: npt.NDArray[np.integer], there: npt.NDArray[np.bool_], pattern: Marks) -> Evidence:
    """Hold differences against a pattern.

    Where the pattern is not, a marked pixel differs by the count that it says no more often than any pixel does, in
    one direction: that share is measured where the pattern marks nothing, and taken as its upper confidence bound.

    Parameters
    ----------
    differences
        Stored counts less those of the original.
    there
        Where both have a value, and marks may be.
    """
    placed, rest = there & (pattern != 0), there & (pattern == 0)
    count, agreeing = int(placed.sum()), int((placed & (differences == pattern)).sum())
    others = int(rest.sum())
    ones = max(int((rest & (differences == 1)).sum()), int((rest & (differences == -1)).sum()))
    chance = (ones + 5 * math.sqrt(ones) + 20) / others if others else 1.0
    if not count or chance >= 1:
        return Evidence(count, agreeing, 0.0)
    return Evidence(count, agreeing, _log10_tail(agreeing / count, chance) * count)


def _log10_tail(share: float, chance: float) -> float:
    """Chernoff's bound of a binomial tail, for each trial: the chance itself is lower."""
    if share <= chance:
        return 0.0
    found = share * math.log10(chance / share)
    return found if share == 1 else found + (1 - share) * math.log10((1 - chance) / (1 - share))
