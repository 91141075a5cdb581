"""The RPC file in the dialect of PeruSat-1: ``Rpc_Document``, rows and columns counted from 1 at pixel centres."""

from xml.etree.ElementTree import Element

from processing.geometry.rpc import Rpc
from processing.model.sensor_model import PixelConvention
from processing.testing.dimap2.product import identification
from processing.testing.exposure import Exposure
from processing.testing.xml_tree import leaves, node


def rpc_document(exposure: Exposure) -> Element:
    """Ground-to-image model of an image, with the domain it was fitted on."""
    rpc = exposure.rpc
    lines, samples = exposure.shape
    shift = PixelConvention.CENTRE_ONE.value
    return node(
        "Rpc_Document",
        [
            identification("KZ1_SENSOR"),
            node("Resource_Reference", leaves(RESOURCE_TITLE="NITF", RESOURCE_ID="RPC00B")),
            node("Inverse_Model", _coefficients(rpc)),
            node(
                "Validity",
                [
                    node(
                        "Inverse_Model_Validity_Domain",
                        leaves(
                            FIRST_LON=rpc.lon_off - rpc.lon_scale,
                            FIRST_LAT=rpc.lat_off - rpc.lat_scale,
                            LAST_LON=rpc.lon_off + rpc.lon_scale,
                            LAST_LAT=rpc.lat_off + rpc.lat_scale,
                        ),
                    ),
                    node(
                        "Direct_Model_Validity_Domain",
                        leaves(FIRST_ROW=1, FIRST_COL=1, LAST_ROW=lines, LAST_COL=samples),
                    ),
                    *leaves(
                        LON_SCALE=rpc.lon_scale,
                        LON_OFF=rpc.lon_off,
                        LAT_SCALE=rpc.lat_scale,
                        LAT_OFF=rpc.lat_off,
                        HEIGHT_SCALE=rpc.height_scale,
                        HEIGHT_OFF=rpc.height_off,
                        COL_SCALE=rpc.sample_scale,
                        COL_OFF=rpc.sample_off - shift,
                        ROW_SCALE=rpc.line_scale,
                        ROW_OFF=rpc.line_off - shift,
                    ),
                ],
            ),
        ],
    )


def _coefficients(rpc: Rpc) -> list[Element]:
    polynomials = (
        ("COL_NUM", rpc.sample_num),
        ("COL_DEN", rpc.sample_den),
        ("ROW_NUM", rpc.line_num),
        ("ROW_DEN", rpc.line_den),
    )
    return [
        node(f"{name}_COEFF_{number}", coefficient)
        for name, coefficients in polynomials
        for number, coefficient in enumerate(coefficients, start=1)
    ]
