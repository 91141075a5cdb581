"""The map grid that both generations of DIMAP state by one pixel and a pixel size."""

from affine import Affine

from processing.model.errors import BadInput
from processing.model.scene import MapGrid
from processing.readers.dimap_xml import XmlNode


def inserted_grid(insert: XmlNode, crs: str, *, by_centre: bool) -> MapGrid:
    """Corner-based grid of a ``Geoposition_Insert``.

    Parameters
    ----------
    insert
        With ULXMAP, ULYMAP, XDIM, YDIM.
    crs
        ``EPSG:n``.
    by_centre
        Whether the upper left pixel is stated by its centre, not by its outer corner.

    Raises
    ------
    BadInput
        ``georef.range`` for pixels without size; ``xml.missing``, ``xml.number``.
    """
    x_size, y_size = insert.number("XDIM"), insert.number("YDIM")
    if x_size <= 0 or y_size <= 0:
        raise BadInput(f"a pixel of {x_size} x {y_size} on the map", kind="georef.range", where=insert.file)
    transform = Affine(x_size, 0.0, insert.number("ULXMAP"), 0.0, -y_size, insert.number("ULYMAP"))
    if by_centre:
        transform @= Affine.translation(-0.5, -0.5)
    return MapGrid(crs=crs, transform=transform)
