"""Radiance to top-of-atmosphere reflectance."""

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput
from processing.model.scene import Band, BandCalibration


def toa_reflectance(
    radiance: npt.ArrayLike, *, esun: float, distance_au: float, cos_sun_zenith: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Top-of-atmosphere reflectance ``pi L d^2 / (ESUN cos theta_s)``, 0-1; NaN stays NaN.

    Parameters
    ----------
    radiance
        W m-2 sr-1 um-1.
    esun
        Band solar irradiance at 1 AU, W m-2 um-1.
    distance_au
        Earth-Sun distance, AU.
    cos_sun_zenith
        Cosine of the sun's zenith angle; broadcasts with ``radiance``.
    """
    scale = np.pi * distance_au**2 / esun
    return np.asarray(np.asarray(radiance, dtype=np.float64) * scale / np.asarray(cos_sun_zenith))


def solar_irradiance(band: Band, calibration: BandCalibration) -> float:
    """A band's ESUN, W m-2 um-1: the delivery's own, or the configuration's where that is what the reader found.

    Raises
    ------
    BadInput
        ``radiometry.esun`` when none is known, or it is not positive.
    """
    if calibration.esun is None:
        raise BadInput(
            f"no solar irradiance is known for band '{band.name}'",
            kind="radiometry.esun",
            where=band.label,
            remedy="State esun of this band in the sensor's configuration, or ask for radiance.",
        )
    if not (np.isfinite(calibration.esun) and calibration.esun > 0):
        raise BadInput(f"the solar irradiance of band '{band.name}' is {calibration.esun}", kind="radiometry.esun")
    return calibration.esun
