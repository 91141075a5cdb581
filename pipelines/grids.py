"""Grids of archived products."""

from affine import Affine
from odc.geo.geobox import GeoBox

from processing.model.product import StoredGroup


def geobox_of(group: StoredGroup) -> GeoBox:
    """The grid of a stored group."""
    return GeoBox(group.shape, Affine(*group.transform), group.crs)
