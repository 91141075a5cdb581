"""The bits of every product's ``qa`` array: what is wrong with a pixel, and what was not looked at."""

from enum import IntFlag


class Qa(IntFlag):
    """Bits of a uint16. A pixel without any bit is sound, and every test was made. Bits are never re-used."""

    NODATA = 1 << 0
    SATURATED = 1 << 1
    NO_TERRAIN = 1 << 2
    OUT_OF_RANGE = 1 << 3
    CLOUD = 1 << 4
    SHADOW = 1 << 5
    SNOW = 1 << 6
    WATER = 1 << 7
    TERRAIN_SHADOW = 1 << 8
    OCCLUDED = 1 << 9
    CLOUD_NOT_TESTED = 1 << 10
    SHADOW_NOT_TESTED = 1 << 11
    SNOW_NOT_TESTED = 1 << 12
    WATER_NOT_TESTED = 1 << 13
