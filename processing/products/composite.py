"""One image of several observations of the same ground: which of them are clear, and what becomes of those that are.

All of it pixel by pixel, along the first axis of stacks ``(observation, y, x)``: no result depends on what lies beside
a pixel, nor on the order of observations, where that is not a preference.
"""

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from processing.model.qa import Qa

type Flags = npt.NDArray[np.uint16]
type Truth = npt.NDArray[np.bool_]


class Method(StrEnum):
    """What becomes of several clear observations of a pixel."""

    MEDIAN = "median"
    """Of each band by itself; of an even number the mean of the two in the middle, rounded half to even as stored."""
    LATEST = "latest"
    """The last one, all bands of it."""
    CLEAREST = "clearest"
    """The one with the least reason to doubt it, all bands of it."""


UNCLEAR = (
    Qa.NODATA | Qa.NO_TERRAIN | Qa.OCCLUDED | Qa.CLOUD | Qa.SHADOW | Qa.SATURATED | Qa.OUT_OF_RANGE
)  # fmt: skip
"""Bits of an observation that does not show the ground as it is; snow, water and ground in a mountain's shadow are."""
_DOUBTS = ((Qa.CLOUD_NOT_TESTED, 8), (Qa.SHADOW_NOT_TESTED, 4), (Qa.TERRAIN_SHADOW, 2), (Qa.SNOW, 1))
"""Reasons to prefer another clear observation, the gravest first: each outweighs all after it."""
_NONE = -1


def is_clear(flags: Flags) -> Truth:
    """Whether observations show the ground, by their flags, any shape.

    What nobody looked for counts as absent: of a product without a cloud mask every pixel with a value is clear.
    """
    clear: Truth = (flags & np.uint16(UNCLEAR)) == 0
    return clear


def doubts(flags: Flags) -> npt.NDArray[np.uint8]:
    """How much there is to doubt in clear observations, 0 to 15, any shape."""
    found = np.zeros(flags.shape, np.uint8)
    for bit, weight in _DOUBTS:
        found += ((flags & np.uint16(bit)) != 0) * np.uint8(weight)
    return found


def count_clear(clear: Truth) -> npt.NDArray[np.uint16]:
    """Clear observations of each pixel, ``(y, x)``, of a stack ``(observation, y, x)``."""
    return clear.sum(axis=0, dtype=np.uint16)


def chosen_of(flags: Flags, clear: Truth, method: Method) -> npt.NDArray[np.intp]:
    """Which observation each pixel is taken from, for a method that takes one.

    Parameters
    ----------
    flags, clear
        ``(observation, y, x)``, the observations in order of preference: of those that are equal the first is taken.
    method
        ``latest``: the first clear one. ``clearest``: the least doubtful of the clear ones.

    Returns
    -------
    chosen
        ``(y, x)``: place in the stack, -1 where none is clear.
    """
    if not len(clear):
        return np.full(clear.shape[1:], _NONE, np.intp)
    if method is Method.CLEAREST:
        best = np.where(clear, doubts(flags), np.uint8(255)).argmin(axis=0)
    else:
        best = clear.argmax(axis=0)
    return np.where(clear.any(axis=0), best, _NONE)


def pick[Stored: np.generic](
    stack: npt.NDArray[Stored], chosen: npt.NDArray[np.intp], absent: int
) -> npt.NDArray[Stored]:
    """Numbers of the chosen observations, ``(y, x)``, of a stack ``(observation, y, x)``; ``absent`` where none is."""
    if not len(stack):
        return np.full(chosen.shape, absent, stack.dtype)
    found = np.take_along_axis(stack, np.maximum(chosen, 0)[np.newaxis], axis=0)[0]
    return np.where(chosen == _NONE, stack.dtype.type(absent), found)


def median(stack: npt.NDArray[Any], clear: Truth, nodata: int) -> npt.NDArray[Any]:
    """The median of the clear observations of each pixel, in integers.

    Parameters
    ----------
    stack
        Stored integers ``(observation, y, x)``.
    clear
        Same shape: which of them count. One without a value never does.
    nodata
        What stands for no value.

    Returns
    -------
    middle
        ``(y, x)``, the stack's type; ``nodata`` where none counts. Of an even number the mean of the two in the middle,
        rounded half to even: decoding is linear, so that is the median of the values.
    """
    if not len(stack):
        return np.full(stack.shape[1:], nodata, stack.dtype)
    counts = clear & (stack != nodata)
    number = counts.sum(axis=0)
    highest = np.iinfo(stack.dtype).max
    ordered = np.sort(np.where(counts, stack, stack.dtype.type(highest)), axis=0)
    places = np.maximum(number - 1, 0) // 2, number // 2
    # Past the last one there may be none; where the number is odd, both are one and the same.
    lower, upper = (
        np.take_along_axis(ordered, np.minimum(place, len(stack) - 1)[np.newaxis], axis=0)[0].astype(np.int64)
        for place in places
    )
    upper = np.where(number % 2 == 1, lower, upper)
    total = lower + upper
    half = total >> 1
    middle = half + ((total & 1) & (half & 1))
    return np.where(number > 0, middle, nodata).astype(stack.dtype)


def joined_flags(flags: Flags, clear: Truth) -> Flags:
    """Flags ``(y, x)`` of what was made of several: each is up where any clear observation has it up."""
    found: Flags = np.bitwise_or.reduce(np.where(clear, flags, np.uint16(0)), axis=0)
    return found
