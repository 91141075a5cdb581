"""Versions of the libraries that only the edges may import."""

import rasterio


def gdal_version() -> str:
    """Version of the GDAL library inside rasterio, e.g. ``3.12.2``."""
    return str(rasterio.__gdal_version__)
