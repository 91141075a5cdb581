"""What the ground is made of: reflectance spectra, classes, and the atmosphere's simple share."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Cover(IntEnum):
    """Classes of the truth. 1 to 5 are clear land."""

    NONE = 0
    """Not seen by this image."""
    FIELD = 1
    GRASS = 2
    FOREST = 3
    ROCK = 4
    BUILT = 5
    WATER = 6
    SNOW = 7
    CLOUD = 8
    CLOUD_SHADOW = 9
    TERRAIN_SHADOW = 10


class Material(IntEnum):
    """Rows of the table of spectra."""

    LAKE = 0
    RIVER = 1
    GRAVEL = 2
    SOIL_DARK = 3
    SOIL_LIGHT = 4
    WHEAT = 5
    ALFALFA = 6
    YOUNG_CROP = 7
    STUBBLE = 8
    RAPE = 9
    GRASS_LUSH = 10
    GRASS_DRY = 11
    SHRUB = 12
    CONIFER = 13
    BROADLEAF = 14
    ROCK_GREY = 15
    ROCK_RED = 16
    SCREE = 17
    SNOW = 18
    ICE = 19
    ASPHALT = 20
    CONCRETE = 21
    ROOF_RED = 22
    ROOF_GREY = 23
    ROOF_BLUE = 24
    ROOF_WHITE = 25
    TRACK = 26
    CLOUD = 27


_NODES_NM = (480.0, 555.0, 660.0, 710.0, 800.0)
# Bottom-of-atmosphere reflectances at the nodes, of the magnitude that spectral libraries give such surfaces.
_SPECTRA = {
    Material.LAKE: (0.032, 0.040, 0.024, 0.016, 0.008),
    Material.RIVER: (0.070, 0.090, 0.075, 0.060, 0.035),
    Material.GRAVEL: (0.160, 0.180, 0.200, 0.210, 0.230),
    Material.SOIL_DARK: (0.070, 0.090, 0.120, 0.140, 0.180),
    Material.SOIL_LIGHT: (0.130, 0.170, 0.220, 0.250, 0.300),
    Material.WHEAT: (0.035, 0.065, 0.040, 0.140, 0.420),
    Material.ALFALFA: (0.030, 0.070, 0.032, 0.150, 0.520),
    Material.YOUNG_CROP: (0.060, 0.090, 0.085, 0.150, 0.320),
    Material.STUBBLE: (0.100, 0.140, 0.190, 0.230, 0.300),
    Material.RAPE: (0.050, 0.170, 0.140, 0.220, 0.460),
    Material.GRASS_LUSH: (0.035, 0.075, 0.045, 0.150, 0.400),
    Material.GRASS_DRY: (0.080, 0.115, 0.150, 0.200, 0.290),
    Material.SHRUB: (0.030, 0.050, 0.045, 0.110, 0.270),
    Material.CONIFER: (0.018, 0.032, 0.022, 0.060, 0.200),
    Material.BROADLEAF: (0.025, 0.055, 0.028, 0.120, 0.400),
    Material.ROCK_GREY: (0.140, 0.155, 0.170, 0.175, 0.185),
    Material.ROCK_RED: (0.090, 0.120, 0.180, 0.200, 0.230),
    Material.SCREE: (0.180, 0.200, 0.215, 0.220, 0.230),
    Material.SNOW: (0.760, 0.770, 0.760, 0.740, 0.700),
    Material.ICE: (0.520, 0.540, 0.490, 0.450, 0.370),
    Material.ASPHALT: (0.080, 0.085, 0.090, 0.095, 0.100),
    Material.CONCRETE: (0.220, 0.240, 0.260, 0.265, 0.280),
    Material.ROOF_RED: (0.080, 0.100, 0.220, 0.250, 0.280),
    Material.ROOF_GREY: (0.140, 0.150, 0.155, 0.160, 0.170),
    Material.ROOF_BLUE: (0.250, 0.200, 0.140, 0.150, 0.220),
    Material.ROOF_WHITE: (0.480, 0.500, 0.510, 0.520, 0.520),
    Material.TRACK: (0.150, 0.190, 0.240, 0.270, 0.310),
    Material.CLOUD: (0.720, 0.730, 0.740, 0.740, 0.730),
}


def spectra(edges_um: tuple[tuple[float, float], ...]) -> Array:
    """Reflectance of every material in every band: the mean of the piecewise linear spectrum between the band's edges.

    Parameters
    ----------
    edges_um
        Lower and upper edge of each band, um.

    Returns
    -------
    Array
        Shape (materials, bands), 0-1.
    """
    table = np.empty((len(Material), len(edges_um)))
    for column, (low, high) in enumerate(edges_um):
        wavelengths = np.linspace(low * 1000, high * 1000, 61)
        for material in Material:
            table[material, column] = np.interp(wavelengths, _NODES_NM, _SPECTRA[material]).mean()
    return table


def atmosphere(edges_um: tuple[tuple[float, float], ...]) -> Array:
    """Path reflectance at sea level, two-way transmission and diffuse share of the light, per band.

    A simple stand-in for radiative transfer with the colours of a clear sky: path and diffuse light fall with the
    third power of the wavelength. It makes the picture plausible; no claim beyond that is made, and the truth of the
    top-of-atmosphere reflectance holds whatever these numbers are.

    Returns
    -------
    Array
        Shape (bands, 3).
    """
    centres = np.array([(low + high) / 2 for low, high in edges_um])
    blueness = (0.55 / centres) ** 3
    return np.stack([0.042 * blueness, 1.0 - 0.11 * blueness, 0.04 + 0.11 * blueness], axis=1)
