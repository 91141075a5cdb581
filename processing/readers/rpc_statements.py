"""What an RPC document says besides its RPC, and what its RPC can be checked by."""

import math

from processing.geometry.guards import Domain
from processing.geometry.rpc import Rpc
from processing.geometry.rpc_direct import DirectRpc
from processing.model.sensor_model import PixelConvention
from processing.readers.dimap_xml import XmlNode

_DIRECT_MODELS = ("Direct_Model", "ImagetoGround_Values")


def direct_model(model: XmlNode, rpc: Rpc) -> DirectRpc | None:
    """The producer's own inverse of its RPC; None where the document holds none, or not the whole of it.

    Parameters
    ----------
    model
        The element that holds both directions.
    rpc
        The RPC of that element: offsets and scales serve both.
    """
    direct = next((found for name in _DIRECT_MODELS if (found := model.find(name)) is not None), None)
    if direct is None:
        return None
    polynomials = [
        tuple(_figure(direct, f"{name}_COEFF_{index}") for index in range(1, 21))
        for name in ("SAMP_NUM", "SAMP_DEN", "LINE_NUM", "LINE_DEN")
    ]
    if not all(math.isfinite(figure) for polynomial in polynomials for figure in polynomial):
        return None
    return DirectRpc(
        offsets=(rpc.line_off, rpc.sample_off, rpc.lon_off, rpc.lat_off, rpc.height_off),
        scales=(rpc.line_scale, rpc.sample_scale, rpc.lon_scale, rpc.lat_scale, rpc.height_scale),
        lon_num=polynomials[0],
        lon_den=polynomials[1],
        lat_num=polynomials[2],
        lat_den=polynomials[3],
    )


def image_domain(validity: XmlNode, convention: PixelConvention) -> Domain | None:
    """The pixels that the producer made its RPC for, in corner-zero coordinates; None where it does not say."""
    figures = [
        _figure(validity, f"Direct_Model_Validity_Domain/{end}_{axis}")
        for axis in ("ROW", "COL")
        for end in ("FIRST", "LAST")
    ]
    if not all(math.isfinite(figure) for figure in figures):
        return None
    first_row, last_row, first_col, last_col = (figure + convention.value for figure in figures)
    return Domain(line=(first_row - 0.5, last_row + 0.5), sample=(first_col - 0.5, last_col + 0.5))


def _figure(node: XmlNode, path: str) -> float:
    """A number, NaN where there is none: what only serves as a check need not be there."""
    try:
        return float(node.maybe(path) or math.nan)
    except ValueError:
        return math.nan
