"""Band order, calibration and special values of a DIMAP v2 product document."""

import re

from configs.schema import RadianceRule
from processing.model.errors import BadInput
from processing.model.scene import BandCalibration
from processing.readers.dimap_xml import XmlNode
from processing.readers.known_sensors import KnownSensor, calibration

_RASTER = "Raster_Data"
_MEASUREMENTS = "Radiometric_Data/Radiometric_Calibration/Instrument_Calibration/Band_Measurement_List"


def indexed_labels(document: XmlNode) -> tuple[str, ...]:
    """Labels by the file's own Raster_Index, set after set; empty when it has none."""
    labels: list[str] = []
    displays = document.all(f"{_RASTER}/Data_Access/Data_Files/Raster_Display") or document.all(
        f"{_RASTER}/Raster_Display"
    )
    for display in displays:
        entries = display.all("Raster_Index_List/Raster_Index")
        labels += [entry.text("BAND_ID") for entry in sorted(entries, key=lambda entry: entry.integer("BAND_INDEX"))]
    return tuple(labels)


def band_calibrations(document: XmlNode, known: KnownSensor, where: str) -> dict[str, BandCalibration | None]:
    """Calibration by band label, in the order listed.

    Raises
    ------
    BadInput
        ``radiometry.rule``, ``radiometry.range``, ``bands``, ``xml.missing``.
    """
    measurements = document.need(_MEASUREMENTS)
    esun = {
        entry.text("BAND_ID"): entry.number("VALUE")
        for entry in measurements.all("Band_Solar_Irradiance")
        if entry.maybe("VALUE")
    }
    found: dict[str, BandCalibration | None] = {}
    for entry in measurements.all("Band_Radiance"):
        label = entry.text("BAND_ID")
        _check_formula(entry, known.profile.radiance, where)
        found[label] = calibration(
            known,
            label,
            gain=entry.number("GAIN"),
            bias=entry.number("BIAS"),
            esun=esun.get(label),
            calibrated_on=entry.maybe("CALIBRATION_DATE"),
            where=where,
        )
    _check_spectra(measurements, known, where)
    return found


def _check_formula(entry: XmlNode, rule: RadianceRule | None, where: str) -> None:
    """A file that states its formula must agree with the profile: a mix-up is a factor of GAIN squared."""
    formula = (entry.maybe("MEASURE_DESC") or "").upper().replace(" ", "")
    stated = {"L=DN/GAIN+BIAS": RadianceRule.DIVIDE, "L=DN*GAIN+BIAS": RadianceRule.MULTIPLY}
    meant = next((meaning for text, meaning in stated.items() if text in formula), rule)
    unit = (entry.maybe("MEASURE_UNIT") or "micrometers").lower()
    if (rule is not None and meant is not rule) or not re.search(r"micro|um|µm|m-6", unit):
        raise BadInput(
            f"band {entry.text('BAND_ID')} states {entry.maybe('MEASURE_DESC')!r} in {unit!r}, "
            f"its profile means {rule}",
            kind="radiometry.rule",
            where=where,
            remedy="Check 'radiance' of the delivery profile in configs/sensors.",
        )


def _check_spectra(measurements: XmlNode, known: KnownSensor, where: str) -> None:
    """Refuse a file whose label names one band and whose wavelengths another."""
    for entry in measurements.all("Band_Spectral_Range"):
        span = entry.find("FWHM") or entry
        name = known.sensor.band_by_label(entry.text("BAND_ID"))
        if name is None or span.maybe("MIN") is None:
            continue
        scale = 1000.0 if "micro" in (entry.maybe("MEASURE_UNIT") or "").lower() else 1.0
        centre = scale * (span.number("MIN") + span.number("MAX")) / 2
        low, high = known.sensor.bands[name].edges_nm
        if not low - 50 <= centre <= high + 50:
            raise BadInput(
                f"band {entry.text('BAND_ID')} is centred at {centre:.0f} nm, "
                f"{name} lies within {low:.0f}-{high:.0f} nm",
                kind="bands",
                where=where,
            )


def special_values(document: XmlNode) -> dict[str, int]:
    """NODATA and SATURATED, those that the document states."""
    specials = document.all(f"{_RASTER}/Raster_Display/Special_Value") or document.all(
        f"{_RASTER}/Data_Access/Data_Files/Raster_Display/Special_Value"
    )
    return {entry.text("SPECIAL_VALUE_TEXT"): entry.integer("SPECIAL_VALUE_COUNT") for entry in specials}
