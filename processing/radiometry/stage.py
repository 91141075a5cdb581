"""The stage that turns delivered counts into physical values, lazily."""

from dataclasses import replace

from processing.model.calibration import Calibration
from processing.model.errors import BadInput, Defect
from processing.model.levels import Quantity
from processing.model.scene import Scene
from processing.radiometry.gain import calibration_of, radiance_factors
from processing.radiometry.illumination import sun_lattice
from processing.radiometry.reflectance import solar_irradiance, toa_reflectance
from processing.radiometry.sun import earth_sun_distance

_KNOWN = (Quantity.DN, Quantity.RADIANCE, Quantity.TOA_REFLECTANCE)


def calibrate(scene: Scene, to: Quantity = Quantity.TOA_REFLECTANCE, *, mean_height_m: float = 0.0) -> Scene:
    """A scene in physical values. Reads no pixel: only says how they become values.

    Parameters
    ----------
    scene
        In delivered counts.
    to
        ``TOA_REFLECTANCE`` (0-1, per-pixel sun angle), ``RADIANCE`` (W m-2 sr-1 um-1), or ``DN``: the counts
        themselves, in the form the later stages take.
    mean_height_m
        Of the ground, above the ellipsoid; places the sun.

    Returns
    -------
    Scene
        With its ``calibration``; warnings added where the delivery's sun angle is doubtful.

    Raises
    ------
    BadInput
        ``scene.no_pixels``, ``radiometry.gain``, ``radiometry.esun``, ``radiometry.uncalibrated``,
        ``radiometry.night``, ``radiometry.no_sun``.
    Defect
        ``radiometry.quantity`` for a scene that is calibrated already, or an unknown goal.
    """
    if scene.source is None:
        raise BadInput(
            f"scene '{scene.scene_id}' has no pixels: {scene.no_pixels or 'no reason stated'}", kind="scene.no_pixels"
        )
    if scene.quantity is not Quantity.DN or to not in _KNOWN:
        raise Defect(f"cannot turn {scene.quantity} into {to}", kind="radiometry.quantity")
    calibration, warnings = _calibration(scene, to, mean_height_m)
    return scene.but(
        calibration=calibration,
        quantity=to,
        nodata=None,
        warnings=tuple(dict.fromkeys((*scene.warnings, *warnings))),
    )


def _calibration(scene: Scene, to: Quantity, mean_height_m: float) -> tuple[Calibration, tuple[str, ...]]:
    """The figures a goal needs, each checked, and what to warn of."""
    bands = len(scene.bands)
    plain = Calibration(gains=(1.0,) * bands, offsets=(0.0,) * bands, nodata=scene.nodata, saturated=scene.saturated)
    if to is Quantity.DN:
        return plain, ()
    calibrations = [calibration_of(band) for band in scene.bands]
    factors = [radiance_factors(calibration) for calibration in calibrations]
    if to is Quantity.RADIANCE:
        gains, offsets = zip(*factors, strict=True)
        return replace(plain, gains=gains, offsets=offsets), ()
    pairs = zip(scene.bands, calibrations, strict=True)
    distance = earth_sun_distance(scene.acquired)
    # What a radiance of one is as reflectance under a sun in the zenith.
    units = [
        float(toa_reflectance(1.0, esun=solar_irradiance(*pair), distance_au=distance, cos_sun_zenith=1.0))
        for pair in pairs
    ]
    sun, warnings = sun_lattice(scene, mean_height_m)
    return replace(
        plain,
        gains=tuple(scale * unit for (scale, _), unit in zip(factors, units, strict=True)),
        offsets=tuple(bias * unit for (_, bias), unit in zip(factors, units, strict=True)),
        illumination=sun,
    ), warnings
