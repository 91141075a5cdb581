"""Bands and arrays in STAC's words, shared by items and collections."""

from collections.abc import Mapping
from typing import Any

from configs.schema import SensorConfig
from processing.archive.layout import ZARR_TYPE
from processing.model.product import StoredBand
from processing.model.qa import Qa

_THERMAL_NM = (7_500.0, 14_000.0)
_HYPERSPECTRAL_BANDS = 30


def spectral(
    name: str,
    *,
    common_name: str | None = None,
    centre_nm: float | None = None,
    fwhm_nm: float | None = None,
    esun: float | None = None,
) -> dict[str, Any]:
    """A STAC 1.1 band object. Wavelengths in micrometres, solar illumination in W m-2 um-1."""
    facts = {
        "name": name,
        "eo:common_name": common_name,
        "eo:center_wavelength": None if centre_nm is None else round(centre_nm / 1000, 6),
        "eo:full_width_half_max": None if fwhm_nm is None else round(fwhm_nm / 1000, 6),
        "eo:solar_illumination": esun,
    }
    return {key: value for key, value in facts.items() if value is not None}


def stored_band(band: StoredBand) -> dict[str, Any]:
    """Band object of an archived band."""
    return spectral(
        band.name, common_name=band.common_name, centre_nm=band.centre_nm, fwhm_nm=band.fwhm_nm, esun=band.esun
    )


def names_in_store(item: Mapping[str, Any]) -> frozenset[str]:
    """Names of the bands that an item's Zarr store holds, as the item says."""
    zarr: Mapping[str, Any] = item.get("assets", {}).get("zarr", {})
    if str(zarr.get("type", "")) != ZARR_TYPE:
        return frozenset()
    return frozenset(str(band["name"]) for band in zarr.get("bands", ()) if "name" in band)


def storage(*, dtype: str, nodata: int, units: str, scale: float, offset: float) -> dict[str, Any]:
    """How an array stores its values: physical = stored * scale + offset."""
    return {
        "data_type": dtype,
        "nodata": nodata,
        "unit": units,
        "raster:scale": scale,
        "raster:offset": offset,
    }


def statistics(band: StoredBand) -> dict[str, float]:
    """Statistics of the valid pixels in physical units, and the share of the footprint that is valid."""
    values = {
        "minimum": band.minimum,
        "maximum": band.maximum,
        "mean": band.mean,
        "stddev": band.stddev,
        "valid_percent": band.valid_percent,
    }
    return {key: value for key, value in values.items() if value is not None}


def spectral_kind(sensor: SensorConfig) -> str:
    """What an instrument sees, of several the most sensitive: ``tir``, ``hs``, ``ms`` or ``pan``.

    Whatever is made of its images inherits it.
    """
    if any(_THERMAL_NM[0] <= band.centre_nm <= _THERMAL_NM[1] for band in sensor.bands.values()):
        return "tir"
    if len(sensor.bands) >= _HYPERSPECTRAL_BANDS:
        return "hs"
    return "ms" if len(sensor.bands) > 1 else "pan"


def bitfields() -> list[dict[str, Any]]:
    """The quality flags, each with what its bit means."""
    fields = []
    for flag in Qa:
        name = str(flag.name).lower()
        plain = name.replace("_", " ")
        fields.append(
            {
                "name": name,
                "offset": flag.value.bit_length() - 1,
                "length": 1,
                "classes": [
                    {"value": 0, "name": f"no_{name}", "description": f"not flagged: {plain}"},
                    {"value": 1, "name": name, "description": f"flagged: {plain}"},
                ],
            }
        )
    return fields
