"""Versions of the libraries that decode pixels, for lineage and ``qyran doctor``."""

import rasterio


def gdal_version() -> str:
    """GDAL's release, e.g. ``3.12.2``."""
    return str(rasterio.__gdal_version__)
