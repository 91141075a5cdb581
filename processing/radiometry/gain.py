"""Counts to radiance: the same tag names mean opposite things, so the rule comes with the figures."""

import numpy as np
import numpy.typing as npt

from configs.schema import RadianceRule
from processing.model.errors import BadInput
from processing.model.scene import Band, BandCalibration


def radiance_factors(calibration: BandCalibration) -> tuple[float, float]:
    """``(scale, bias)`` of ``radiance = dn * scale + bias``, both W m-2 sr-1 um-1.

    ``DIVIDE`` (DIMAP v2: SPOT, Pleiades, KazEOSat-1) is L = DN / GAIN + BIAS, ``MULTIPLY`` (Keystone, RapidEye,
    KazEOSat-2) is L = DN * GAIN + BIAS. Taking one for the other is wrong by the gain squared.

    Raises
    ------
    BadInput
        ``radiometry.gain`` when the gain is not positive, ``radiometry.bias`` when the bias is not finite.
    """
    if not (np.isfinite(calibration.gain) and calibration.gain > 0):
        raise BadInput(f"a gain must be positive, got {calibration.gain}", kind="radiometry.gain")
    if not np.isfinite(calibration.bias):
        raise BadInput(f"a bias must be finite, got {calibration.bias}", kind="radiometry.bias")
    scale = 1.0 / calibration.gain if calibration.rule is RadianceRule.DIVIDE else calibration.gain
    return scale, calibration.bias


def radiance(dn: npt.ArrayLike, calibration: BandCalibration) -> npt.NDArray[np.float64]:
    """Radiance, W m-2 sr-1 um-1, of counts; NaN stays NaN."""
    scale, bias = radiance_factors(calibration)
    return np.asarray(dn, dtype=np.float64) * scale + bias


def calibration_of(band: Band) -> BandCalibration:
    """A band's calibration.

    Raises
    ------
    BadInput
        ``radiometry.uncalibrated`` when its delivery states none.
    """
    if band.calibration is None:
        raise BadInput(
            f"the delivery states no calibration of band '{band.name}'",
            kind="radiometry.uncalibrated",
            where=band.label,
            remedy="Keep its counts (--calibrate none), or state the delivery's rule in the sensor's configuration.",
        )
    return band.calibration
