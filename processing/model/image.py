"""An image on a map."""

from dataclasses import dataclass

import xarray as xr
from odc.geo.geobox import GeoBox

from processing.model.levels import Quantity
from processing.model.scene import Band


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthoImage:
    """Bands of one group, orthorectified onto one grid, lazy.

    ``pixels``: float32 ``(band, y, x)`` in physical units, NaN where nodata.
    ``qa``: uint16 ``(y, x)``, the bits of ``processing.quality.bits``.
    Both are chunked by whole shards of the archive, so that one task makes and writes one shard.
    """

    group: str
    """Measurement group of the product: ``reflectance``, ``pan``, ``index``."""
    geobox: GeoBox
    bands: tuple[Band, ...]
    pixels: xr.DataArray
    qa: xr.DataArray
    quantity: Quantity | str
    warnings: tuple[str, ...] = ()
    """What a careful reader should know, from the delivery to here."""
