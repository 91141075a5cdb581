"""The product document (.dim) of a Keystone delivery."""

from xml.etree.ElementTree import Element

import numpy as np

from processing.testing.exposure import Exposure
from processing.testing.xml_tree import leaves, node


def product_document(exposure: Exposure, name: str) -> Element:
    """Everything Keystone states about an image.

    Parameters
    ----------
    exposure
        The image.
    name
        Product code.
    """
    date = f"{exposure.located[1].time:%Y-%m-%d}"
    return node(
        "Dimap_Document",
        [
            node(
                "Metadata_Id",
                [node("METADATA_FORMAT", "DIMAP", version="1.1"), node("METADATA_PROFILE", "DMCii")],
            ),
            node(
                "Dataset_Id",
                [
                    node("DATASET_NAME", name),
                    node("DATASET_TN_PATH", href=f"{name}_thumb.jpg"),
                    node("DATASET_QL_PATH", href=f"{name}_browse.jpg"),
                ],
            ),
            node(
                "Production",
                leaves(DATASET_PRODUCER_NAME="Qyran simulator", DATASET_PRODUCTION_DATE=date, PRODUCT_TYPE="L1R"),
            ),
            node(
                "Data_Processing",
                leaves(GEOMETRIC_PROCESSING="RAW", RADIOMETRIC_PROCESSING="SCALED RADIANCE"),
            ),
            _frame(exposure),
            node(
                "Raster_Encoding",
                leaves(NBITS=16, DATA_TYPE="SHORT", BYTEORDER="I", TILE_WIDTH=256, TILE_HEIGHT=256),
            ),
            node(
                "Data_Access",
                [
                    node("DATA_FILE_FORMAT", "GEOTIFF"),
                    node("Data_File", [node("DATA_FILE_PATH", href=f"{name}.tif")]),
                ],
            ),
            node(
                "Raster_Dimensions",
                leaves(NCOLS=exposure.shape[1], NROWS=exposure.shape[0], NBANDS=len(exposure.array.bands)),
            ),
            _interpretation(exposure),
            _display(exposure),
            _sources(exposure, name),
        ],
    )


def _frame(exposure: Exposure) -> Element:
    lines, samples = exposure.shape
    places = ((1, 1), (samples, 1), (samples, lines), (1, lines))
    return node(
        "Dataset_Frame",
        [
            node(
                "Vertex",
                [
                    node("FRAME_LON", lon, unit="DEG"),
                    node("FRAME_LAT", lat, unit="DEG"),
                    *leaves(FRAME_COL=column, FRAME_ROW=row),
                ],
            )
            for (lon, lat), (column, row) in zip(exposure.corners, places, strict=True)
        ],
    )


def _interpretation(exposure: Exposure) -> Element:
    """PHYSICAL_GAIN multiplies: 16-bit radiance in steps of the gain."""
    return node(
        "Image_Interpretation",
        [
            node(
                "Spectral_Band_Info",
                leaves(
                    BAND_INDEX=number,
                    BAND_DESCRIPTION=band.label,
                    PHYSICAL_GAIN=1.0 / band.counts_per_radiance,
                    PHYSICAL_BIAS=0.0,
                    PHYSICAL_UNIT="W/m2/sr/m-6",
                ),
            )
            for number, band in enumerate(exposure.array.bands, start=1)
        ],
    )


def _display(exposure: Exposure) -> Element:
    statistics = [
        node(
            "Band_Statistics",
            leaves(
                BAND_INDEX=number,
                STX_STDV=float(np.std(counts)),
                STX_MEAN=float(np.mean(counts)),
                STX_MIN=float(counts.min()),
                STX_MAX=float(counts.max()),
            ),
        )
        for number, counts in enumerate(exposure.counts, start=1)
    ]
    # As in real Keystone products the order of display does not tell which band is red.
    order = leaves(RED_CHANNEL=1, GREEN_CHANNEL=2, BLUE_CHANNEL=3)
    special = node("Special_Value", leaves(SPECIAL_VALUE_INDEX=0, SPECIAL_VALUE_TEXT="nodata"))
    return node("Image_Display", [node("Band_Display_Order", order), special, *statistics])


def _sources(exposure: Exposure, name: str) -> Element:
    top, centre, bottom = exposure.located
    scene = [
        *leaves(
            MISSION="KazEOSat 2",
            INSTRUMENT="KEIS",
            IMAGING_DATE=f"{centre.time:%Y-%m-%d}",
            IMAGING_TIME=f"{centre.time:%H:%M:%S.%f}",
            IMAGING_START_TIME=f"{top.time:%Y-%m-%dT%H:%M:%S.%f}Z",
            IMAGING_STOP_TIME=f"{bottom.time:%Y-%m-%dT%H:%M:%S.%f}Z",
        ),
        node("INCIDENCE_ANGLE", centre.incidence, unit="DEG"),
        node("VIEWING_ANGLE", centre.viewing, unit="DEG"),
        node("SUN_AZIMUTH", centre.sun_azimuth, unit="DEG"),
        node("SUN_ELEVATION", centre.sun_elevation, unit="DEG"),
        node("THEORETICAL_RESOLUTION", exposure.array.gsd_m, unit="M"),
    ]
    azimuth = (centre.satellite_azimuth + 180.0) % 360.0 - 180.0
    qualities = [
        _quality("Scene altitude (meter)", "ALTITUDE", centre.altitude_m),
        _quality("Sensor azimuth at scene center (deg)", "SENSOR_AZIMUTH", azimuth),
        _quality("Sensor elevation at scene center (deg)", "SENSOR_ELEVATION", 90.0 - centre.incidence),
    ]
    information = [
        node("SOURCE_ID", name.replace("_MUL_L1R", "_L0R")),
        node("Scene_Source", scene),
        node("Quality_Assessment", [node("QUALITY_TABLES", "SPACEMETRIC", version="1.0"), *qualities]),
    ]
    return node("Dataset_Sources", [node("Source_Information", information)])


def _quality(description: str, code: str, value: float) -> Element:
    return node(
        "Quality_Parameter",
        leaves(
            QUALITY_PARAMETER_DESC=description,
            QUALITY_PARAMETER_CODE=f"SPACEMETRIC:{code}",
            QUALITY_PARAMETER_VALUE=value,
        ),
    )
