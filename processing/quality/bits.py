"""What each QA bit means, in words, and how the bits of an image are counted."""

import numpy as np
import numpy.typing as npt

from processing.model.qa import Qa

__all__ = ["DESCRIPTIONS", "UNUSABLE", "Qa", "percentages"]

DESCRIPTIONS: dict[Qa, str] = {
    Qa.NODATA: "at least one band holds no value here",
    Qa.SATURATED: "at least one band is saturated in a source pixel that went in",
    Qa.NO_TERRAIN: "the elevation model is void here, so the image could not be placed",
    Qa.OUT_OF_RANGE: "at least one band's value was clipped to the range that its encoding can hold",
    Qa.CLOUD: "cloud",
    Qa.SHADOW: "cloud shadow",
    Qa.SNOW: "snow or ice",
    Qa.WATER: "water",
    Qa.TERRAIN_SHADOW: "terrain keeps the sun off",
    Qa.OCCLUDED: "terrain hides the ground from the sensor",
    Qa.CLOUD_NOT_TESTED: "cloud was not tested for",
    Qa.SHADOW_NOT_TESTED: "cloud shadow was not tested for",
    Qa.SNOW_NOT_TESTED: "snow was not tested for",
    Qa.WATER_NOT_TESTED: "water was not tested for",
}

UNUSABLE = Qa.NODATA | Qa.NO_TERRAIN
"""Bits of pixels that hold no measurement. The others say something about a measurement that is there."""


def percentages(qa: npt.NDArray[np.uint16]) -> dict[str, float]:
    """Share of pixels with each bit, percent of all pixels, by the bit's name in lower case."""
    size = max(qa.size, 1)
    return {bit.name.lower(): 100.0 * int(np.count_nonzero(qa & np.uint16(bit))) / size for bit in Qa if bit.name}
