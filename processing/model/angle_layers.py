"""The angle layers of a product: what they are called, what they mean, how they are stored."""

from processing.model.product import Encoding

ANGLES = "angles"
"""Name of the measurement group, and its quantity."""
VIEW_ZENITH, VIEW_AZIMUTH = "view_zenith", "view_azimuth"
SUN_ZENITH, SUN_AZIMUTH, SUN_INCIDENCE = "sun_zenith", "sun_azimuth", "sun_incidence"
LAYERS = (VIEW_ZENITH, VIEW_AZIMUTH, SUN_ZENITH, SUN_AZIMUTH, SUN_INCIDENCE)

_TITLES = {
    VIEW_ZENITH: "Angle between the ellipsoid's normal and the line to the satellite",
    VIEW_AZIMUTH: "Azimuth of the satellite, clockwise from north; continuous in an image, so it may leave 0 to 360",
    SUN_ZENITH: "Angle between the ellipsoid's normal and the line to the sun",
    SUN_AZIMUTH: "Azimuth of the sun, clockwise from north; continuous in an image, so it may leave 0 to 360",
    SUN_INCIDENCE: "Angle between the slope's normal and the line to the sun; beyond 90 the slope faces away from it",
}
ROLES = {
    VIEW_ZENITH: ("metadata", "incidence-angle"),
    VIEW_AZIMUTH: ("metadata", "azimuth"),
    SUN_ZENITH: ("metadata", "sun-zenith"),
    SUN_AZIMUTH: ("metadata", "sun-azimuth"),
    SUN_INCIDENCE: ("metadata", "terrain-illumination"),
}
"""Roles of their assets, in the words of STAC's view extension where it has one."""
_STEP_DEG = 0.01
_AZIMUTH_FROM_DEG = -180.0
"""Azimuths are stored from here on: around north an image goes through zero without a jump, so that coarser levels may
average them."""
_ABSENT = 65535


def encoding_of(layer: str) -> Encoding:
    """How a layer is stored: hundredths of a degree in 16 bits."""
    return Encoding(
        title=_TITLES[layer],
        dtype="uint16",
        scale=_STEP_DEG,
        offset=_AZIMUTH_FROM_DEG if layer in (VIEW_AZIMUTH, SUN_AZIMUTH) else 0.0,
        nodata=_ABSENT,
        units="deg",
    )
