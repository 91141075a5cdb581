"""The stage that turns delivered counts into physical values, lazily."""

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize

from processing.model.errors import BadInput, Defect
from processing.model.levels import Quantity
from processing.model.scene import Scene
from processing.radiometry.gain import calibration_of, radiance_factors
from processing.radiometry.illumination import SunLattice, sun_lattice
from processing.radiometry.reflectance import solar_irradiance, toa_reflectance
from processing.radiometry.sun import earth_sun_distance

_UNITS = {Quantity.DN: "1", Quantity.RADIANCE: "W m-2 sr-1 um-1", Quantity.TOA_REFLECTANCE: "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """All that turns a block of counts into values. Tuples only: the same token in every process."""

    nodata: int | None
    scales: tuple[float, ...] = ()
    biases: tuple[float, ...] = ()
    esun: tuple[float, ...] = ()
    distance_au: float = 1.0
    sun: SunLattice | None = None


def calibrate(scene: Scene, to: Quantity = Quantity.TOA_REFLECTANCE, *, mean_height_m: float = 0.0) -> Scene:
    """A scene in physical values. Lazy: reads and computes nothing but the sun's lattice.

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
        Pixels float32, NaN where nodata; ``saturation`` true where any band reached the saturated count; warnings
        added where the delivery's sun angle is doubtful.

    Raises
    ------
    BadInput
        ``scene.no_pixels``, ``radiometry.gain``, ``radiometry.esun``, ``radiometry.uncalibrated``,
        ``radiometry.night``, ``radiometry.no_sun``.
    Defect
        ``radiometry.quantity`` for a scene that is calibrated already, or an unknown goal.
    """
    if scene.pixels is None:
        raise BadInput(
            f"scene '{scene.scene_id}' has no pixels: {scene.no_pixels or 'no reason stated'}", kind="scene.no_pixels"
        )
    if scene.quantity is not Quantity.DN or to not in _UNITS:
        raise Defect(f"cannot turn {scene.quantity} into {to}", kind="radiometry.quantity")
    figures, warnings = _figures(scene, to, mean_height_m)
    counts = _counts(scene.pixels)
    values = da.map_blocks(
        _values,
        counts,
        figures=figures,
        name=f"calibrate-{tokenize(counts.name, figures)}",
        dtype=np.float32,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )
    pixels = xr.DataArray(
        values,
        dims=("band", "line", "sample"),
        coords={"band": list(scene.band_names)},
        attrs={"units": _UNITS[to], "quantity": str(to)},
    )
    saturation = None
    if scene.saturated is not None:
        flags = da.map_blocks(
            _saturated,
            counts,
            threshold=scene.saturated,
            name=f"saturated-{tokenize(counts.name, scene.saturated)}",
            drop_axis=0,
            dtype=np.bool_,
            meta=np.empty((0, 0), dtype=np.bool_),
        )
        saturation = xr.DataArray(flags, dims=("line", "sample"))
    return scene.but(
        pixels=pixels,
        saturation=saturation,
        quantity=to,
        nodata=None,
        warnings=tuple(dict.fromkeys((*scene.warnings, *warnings))),
    )


def _counts(pixels: xr.DataArray) -> da.Array:
    """The counts as one dask array whose chunks hold all bands."""
    ordered = pixels.transpose("band", "line", "sample")
    array: da.Array = (
        ordered.data if isinstance(ordered.data, da.Array) else da.from_array(ordered.to_numpy(), chunks=2048)
    )
    whole: da.Array = array.rechunk({0: -1})
    return whole


def _figures(scene: Scene, to: Quantity, mean_height_m: float) -> tuple[_Figures, tuple[str, ...]]:
    """The figures a goal needs, each checked, and what to warn of."""
    if to is Quantity.DN:
        return _Figures(nodata=scene.nodata), ()
    calibrations = [calibration_of(band) for band in scene.bands]
    factors = [radiance_factors(calibration) for calibration in calibrations]
    scales, biases = tuple(scale for scale, _ in factors), tuple(bias for _, bias in factors)
    if to is Quantity.RADIANCE:
        return _Figures(nodata=scene.nodata, scales=scales, biases=biases), ()
    sun, warnings = sun_lattice(scene, mean_height_m)
    esun = tuple(
        solar_irradiance(band, calibration) for band, calibration in zip(scene.bands, calibrations, strict=True)
    )
    distance = earth_sun_distance(scene.acquired)
    return _Figures(
        nodata=scene.nodata, scales=scales, biases=biases, esun=esun, distance_au=distance, sun=sun
    ), warnings


def _values(
    counts: npt.NDArray[Any], *, figures: _Figures, block_info: dict[Any, Any] | None = None
) -> npt.NDArray[np.float32]:
    """Values of one block of counts (all bands), float64 inside."""
    assert block_info is not None
    _, lines, samples = block_info[0]["array-location"]
    result = np.empty(counts.shape, dtype=np.float32)
    cosine = None if figures.sun is None else figures.sun.cos_zenith(tuple(lines), tuple(samples))
    for band, dn in enumerate(counts):
        value = dn.astype(np.float64)
        if figures.scales:
            value = value * figures.scales[band] + figures.biases[band]
        if cosine is not None:
            value = toa_reflectance(
                value, esun=figures.esun[band], distance_au=figures.distance_au, cos_sun_zenith=cosine
            )
        if figures.nodata is not None:
            value[dn == figures.nodata] = np.nan
        result[band] = value
    return result


def _saturated(counts: npt.NDArray[Any], *, threshold: int) -> npt.NDArray[np.bool_]:
    """Where any band has reached the saturated count."""
    return np.asarray((counts >= threshold).any(axis=0))
