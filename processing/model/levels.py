"""Processing levels and physical quantities."""

from enum import StrEnum


class Level(StrEnum):
    """How far an image has come."""

    SENSOR = "sensor"
    """In the geometry of the sensor: what Qyran orthorectifies."""
    SYSTEM = "system"
    """On a map, without terrain."""
    ORTHO = "ortho"
    """On a map, terrain removed by the vendor."""


class Quantity(StrEnum):
    """What a pixel's number means."""

    DN = "dn"
    RADIANCE = "radiance"
    """W m-2 sr-1 um-1."""
    TOA_REFLECTANCE = "toa_reflectance"
    """0-1, dimensionless."""
    SURFACE_REFLECTANCE = "surface_reflectance"
    """0-1, dimensionless."""
