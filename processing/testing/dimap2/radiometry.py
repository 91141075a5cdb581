"""Raster and radiometric parts of the product document."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from processing.testing.exposure import Exposure
from processing.testing.xml_tree import leaves, node

TILE_PX = 2048
"""Longest side of an image file; larger images come in tiles R1C1, R1C2, ..."""
_CALIBRATED = "2026-01-15T12:00:00Z"
_FORMULA = "Raw radiometric counts (DN) to TOA Radiance (L). Formulae L=DN/GAIN+BIAS"


def raster_data(exposure: Exposure, tiles: Iterable[tuple[int, int, str]]) -> Element:
    """Files, dimensions, encoding and special values of the pixels."""
    files = [
        node("Data_File", [node("DATA_FILE_PATH", href=name)], tile_R=str(row), tile_C=str(column))
        for row, column, name in tiles
    ]
    rows, columns = (max(int(entry.attrib[place]) for entry in files) for place in ("tile_R", "tile_C"))
    lines, samples = exposure.shape
    dimensions = leaves(NROWS=lines, NCOLS=samples, NBANDS=len(exposure.array.bands))
    if len(files) > 1:
        dimensions.append(_tile_set(exposure, rows, columns))
    access = [
        *leaves(
            DATA_FILE_ORGANISATION="BAND_COMPOSITE",
            DATA_FILE_FORMAT="image/tiff",
            DATA_FILE_TILES="true" if len(files) > 1 else "false",
        ),
        node("Data_Files", files),
    ]
    encoding = leaves(DATA_TYPE="INTEGER", NBITS=16, SIGN="UNSIGNED", COMPRESSION_TYPE="LOSSLESS")
    return node(
        "Raster_Data",
        [
            node("Data_Access", access),
            node("Raster_Dimensions", dimensions),
            node("Raster_Encoding", encoding),
            _display(exposure),
        ],
    )


def _tile_set(exposure: Exposure, rows: int, columns: int) -> Element:
    # The first tile is never cut short, so its size is the regular one.
    lines, samples = exposure.shape
    size = {"nrows": str(min(lines, TILE_PX)), "ncols": str(min(samples, TILE_PX))}
    tiling = [
        node("NTILES_SIZE", None, **size),
        node("NTILES_COUNT", None, ntiles_R=str(rows), ntiles_C=str(columns)),
        *leaves(OVERLAP_COL=0, OVERLAP_ROW=0),
    ]
    return node("Tile_Set", [node("NTILES", rows * columns), node("Regular_Tiling", tiling)])


def _display(exposure: Exposure) -> Element:
    labels = [band.label for band in exposure.array.bands]
    order = ("RED_CHANNEL", "GREEN_CHANNEL", "BLUE_CHANNEL", "ALPHA_CHANNEL")
    shown = (labels[2], labels[1], labels[0], labels[3]) if len(labels) == 4 else (labels[0],) * 3
    channels = [node(channel, label) for channel, label in zip(order, shown, strict=False)]
    specials = [
        node("Special_Value", leaves(SPECIAL_VALUE_TEXT=text, SPECIAL_VALUE_COUNT=count))
        for text, count in (("NODATA", 0), ("SATURATED", exposure.instrument.saturated))
    ]
    return node("Raster_Display", [node("Band_Display_Order", channels), *specials])


def radiometric_data(exposure: Exposure) -> Element:
    """Range and calibration: spectral ranges, gains and solar irradiances."""
    bands = exposure.array.bands
    ranges, gains, irradiances = [], [], []
    for band in bands:
        head = {"BAND_ID": band.label, "CALIBRATION_DATE": _CALIBRATED}
        ranges.append(
            leaves(
                **head,
                MEASURE_DESC="Spectral Range values of raw radiometric Band",
                MEASURE_UNIT="micrometers",
                MEASURE_UNCERTAINTY=0.005,
                MIN=band.edges_um[0],
                MAX=band.edges_um[1],
            )
        )
        gains.append(
            leaves(
                **head,
                MEASURE_DESC=_FORMULA,
                MEASURE_UNIT="watt/m2/steradians/micrometers",
                MEASURE_UNCERTAINTY=5,
                GAIN=band.counts_per_radiance,
                BIAS=0,
            )
        )
        irradiances.append(
            leaves(
                **head,
                MEASURE_DESC="Solar irradiance value of raw radiometric Band",
                MEASURE_UNIT="W/(m^2*um)",
                MEASURE_UNCERTAINTY=5,
                VALUE=band.esun,
            )
        )
    measurements = [
        *(node("Band_Spectral_Range", entry) for entry in ranges),
        *(node("Band_Radiance", entry) for entry in gains),
        *(node("Band_Solar_Irradiance", entry) for entry in irradiances),
    ]
    calibration = node("Instrument_Calibration", [node("Band_Measurement_List", measurements)])
    return node(
        "Radiometric_Data",
        [
            node("Dynamic_Range", leaves(ACQUISITION_RANGE=12, PRODUCT_RANGE=12)),
            node("Radiometric_Calibration", [calibration]),
        ],
    )
