"""The product document (DIM_*.XML) of one image."""

from collections.abc import Iterable
from datetime import datetime
from xml.etree.ElementTree import Element

from processing.testing.dimap2.geometry import geometric_data
from processing.testing.dimap2.masks import MaskFile
from processing.testing.dimap2.radiometry import radiometric_data, raster_data
from processing.testing.exposure import Exposure
from processing.testing.xml_tree import leaves, node


def stamp(moment: datetime) -> str:
    """UTC to the microsecond, as DIMAP writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def identification(profile: str) -> Element:
    """Format and profile: what a reader decides by."""
    return node(
        "Metadata_Identification",
        [node("METADATA_FORMAT", "DIMAP", version="2.0"), node("METADATA_PROFILE", profile)],
    )


def component(title: str, href: str, content: str | None = None) -> Element:
    """A reference to another file of the package."""
    children = [node("COMPONENT_TITLE", title)]
    if content is not None:
        children.append(node("COMPONENT_CONTENT", content))
    return node(
        "Component", [*children, node("COMPONENT_TYPE", "DIMAP", version="2.0"), node("COMPONENT_PATH", href=href)]
    )


def product_document(
    exposure: Exposure,
    *,
    dataset: str,
    name: str,
    spectral: str,
    tiles: Iterable[tuple[int, int, str]],
    masks: Iterable[MaskFile],
) -> Element:
    """Everything stated about one image.

    Parameters
    ----------
    exposure
        The image.
    dataset
        Data-set id of the acquisition.
    name
        Stem that the image's files share.
    spectral
        ``P`` or ``MS``.
    tiles
        Row, column and name of each image file.
    masks
        The mask files.
    """
    lineage = component("Processing", f"LINEAGE/PROCESSING_{name}_DIM.XML", "Lineage Information")
    strip = component("Strip Source", f"LINEAGE/STRIP_{dataset}_DIM.XML", "Lineage Information")
    rpc = component("RPC Model", f"RPC_{name}.XML", "Geoposition Model")
    return node(
        "Dimap_Document",
        [
            identification("KZ1_SENSOR"),
            node(
                "Dataset_Identification",
                [
                    *leaves(DATASET_TYPE="RASTER_SENSOR", DATASET_NAME=dataset),
                    node("DATASET_TN_PATH", href=f"ICON_{name}.JPG"),
                    node("DATASET_TN_FORMAT", "image/jpeg"),
                    node("DATASET_QL_PATH", href=f"PREVIEW_{name}.JPG"),
                    node("DATASET_QL_FORMAT", "image/jpeg"),
                    node("Legal_Constraints", leaves(COPYRIGHT="Simulated by Qyran; free of rights")),
                ],
            ),
            node(
                "Dataset_Content",
                [
                    node("CLOUD_COVERAGE", round(exposure.cloud_percent, 2), unit="percent"),
                    node("Dataset_Components", [lineage, strip]),
                    _extent(exposure),
                ],
            ),
            node(
                "Product_Information",
                [
                    node("Producer_Information", leaves(PRODUCER_NAME="Qyran simulator")),
                    node(
                        "Delivery_Identification",
                        leaves(
                            PRODUCTION_DATE=stamp(exposure.located[1].time),
                            JOB_ID=dataset,
                            PRODUCT_TYPE="FULL_ROI",
                            DELIVERY_TYPE="NETWORK",
                        ),
                    ),
                ],
            ),
            _reference_systems(),
            node(
                "Geoposition",
                [
                    node(
                        "Raster_CRS",
                        leaves(
                            RASTER_GEOMETRY="SENSOR",
                            PIXEL_ORIENTATION="CENTER",
                            PIXEL_CRS_TYPE="POINT",
                            PIXEL_ORIGIN=1,
                        ),
                    ),
                    node("Geoposition_Models", [node("Rational_Function_Model", [rpc])]),
                ],
            ),
            _processing(spectral),
            raster_data(exposure, tiles),
            radiometric_data(exposure),
            geometric_data(exposure),
            _quality(masks),
            _sources(exposure, dataset, strip),
        ],
    )


def _extent(exposure: Exposure) -> Element:
    lines, samples = exposure.shape
    places = ((1, 1), (samples, 1), (samples, lines), (1, lines))
    vertices = [
        node("Vertex", leaves(LON=lon, LAT=lat, COL=column, ROW=row))
        for (lon, lat), (column, row) in zip(exposure.corners, places, strict=True)
    ]
    centre = leaves(LON=exposure.centre[0], LAT=exposure.centre[1], COL=(samples + 1) / 2, ROW=(lines + 1) / 2)
    return node("Dataset_Extent", [node("EXTENT_TYPE", "Bounding_Polygon"), *vertices, node("Center", centre)])


def _reference_systems() -> Element:
    geodetic = leaves(
        GEODETIC_CRS_TYPE="GEOGRAPHIC2D",
        GEODETIC_CRS_NAME="WGS84",
        GEODETIC_CRS_CODE="urn:ogc:def:crs:EPSG::4326",
    )
    return node(
        "Coordinate_Reference_System",
        [
            node("Geodetic_CRS", [node("CRS_TABLES", "EPSG", version="6.3"), *geodetic]),
            node("Temporal_CRS", [node("CRS_TABLES", "ITU", version="0.0"), node("TEMPORAL_CRS_NAME", "UTC")]),
        ],
    )


def _processing(spectral: str) -> Element:
    return node(
        "Processing_Information",
        [
            node("Production_Facility", [node("SOFTWARE", "Qyran simulator"), node("PROCESSING_CENTER", "Qyran")]),
            node(
                "Product_Settings",
                [
                    *leaves(PROCESSING_LEVEL="SENSOR", SPECTRAL_PROCESSING=spectral),
                    node(
                        "Geometric_Settings",
                        leaves(
                            GEOMETRIC_PROCESSING="SENSOR",
                            EPHEMERIS_USED="CORRECTED",
                            ATTITUDES_USED="ACCURATE",
                            GROUND_SETTING="false",
                            VERTICAL_SETTING="false",
                        ),
                    ),
                    node("Radiometric_Settings", leaves(RADIOMETRIC_PROCESSING="BASIC")),
                ],
            ),
        ],
    )


def _quality(masks: Iterable[MaskFile]) -> Element:
    def measurement(mask: MaskFile) -> Element:
        entry = node(
            "Component",
            [
                *leaves(
                    COMPONENT_TITLE=f"{mask.title} Mask", COMPONENT_CONTENT="GML MASK", COMPONENT_TYPE="ENCAPSULATED"
                ),
                node("COMPONENT_PATH", href=mask.href),
            ],
        )
        facts = leaves(QUALITY_TABLES="KZ1", MEASURE_NAME=f"{mask.title} ({mask.code})", MEASURE_TYPE="AUTOMATIC")
        return node("Imaging_Quality_Measurement", [*facts, node("Quality_Mask", [entry])])

    return node("Quality_Assessment", [measurement(mask) for mask in masks])


def _sources(exposure: Exposure, dataset: str, strip: Element) -> Element:
    # PeruSat-1 writes its mission's code and number apart, and the time of the strip's start to the second.
    first = exposure.acquisition.moment(float(exposure.camera.seconds_at(0.5)))
    source = leaves(
        MISSION="DZHR",
        MISSION_INDEX=1,
        INSTRUMENT="NAOMI",
        INSTRUMENT_INDEX=1,
        IMAGING_DATE=f"{first:%Y-%m-%d}",
        IMAGING_TIME=f"{first:%H:%M:%S.%f}",
    )
    identity = leaves(SOURCE_ID=dataset, SOURCE_TYPE="Strip_Source", SOURCE_DESCRIPTION="Image Archive Product")
    return node("Dataset_Sources", [node("Source_Identification", [*identity, node("Strip_Source", source), strip])])
