"""What a store says about itself: CF grid mapping and the GeoZarr conventions, in words that readers share.

The three GeoZarr conventions (proj, spatial, multiscales) are at v0.1 and recognised by UUID; their constants are
fixed by the schemas at https://github.com/zarr-conventions. They are written beside CF, not instead of it.
"""

from collections.abc import Sequence
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS

from processing.archive.layout import GRID_MAPPING
from processing.model.errors import Defect

_PROJ_UUID = "f17cb550-5864-4468-aeb7-f3180cfb622f"
_SPATIAL_UUID = "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4"
_MULTISCALES_UUID = "d35379db-88df-4056-af3a-620245f8e347"


def _convention(name: str, uuid: str, description: str) -> dict[str, str]:
    return {
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
        "uuid": uuid,
        "name": name,
        "description": description,
    }


PROJ = _convention("proj", _PROJ_UUID, "Coordinate reference system information for geospatial data")
SPATIAL = _convention("spatial", _SPATIAL_UUID, "Spatial coordinate information")
MULTISCALES = _convention("multiscales", _MULTISCALES_UUID, "Multiscale layout of zarr datasets")
# rioxarray 0.23 knows the conventions by the names they had before v0.1, colon included.
_EARLIER_NAMES = [{"uuid": _PROJ_UUID, "name": "proj:"}, {"uuid": _SPATIAL_UUID, "name": "spatial:"}]


def crs_code(crs: CRS) -> str | None:
    """``EPSG:n``, or None for a CRS that has no code."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else None


def map_crs(geobox: GeoBox) -> CRS:
    """CRS of a grid.

    Raises
    ------
    Defect
        ``archive.crs`` if the grid has none: pixels without a place cannot be archived.
    """
    if geobox.crs is None:
        raise Defect("the grid has no coordinate reference system", kind="archive.crs")
    return geobox.crs.proj


def _proj(crs: CRS) -> dict[str, Any]:
    """The proj convention wants exactly one of code, WKT and PROJJSON."""
    code = crs_code(crs)
    return {"proj:code": code} if code else {"proj:wkt2": crs.to_wkt()}


def _spatial(geobox: GeoBox) -> dict[str, Any]:
    box = geobox.boundingbox
    return {
        "spatial:dimensions": ["y", "x"],
        "spatial:bbox": [box.left, box.bottom, box.right, box.top],
        "spatial:transform_type": "affine",
        "spatial:transform": list(geobox.transform)[:6],
        "spatial:shape": [int(length) for length in geobox.shape],
        "spatial:registration": "pixel",
    }


def grid_attributes(geobox: GeoBox) -> dict[str, Any]:
    """Attributes of anything that lies on one grid: a level's group, and each array in it."""
    return {
        "zarr_conventions": [PROJ, SPATIAL, *_EARLIER_NAMES],
        **_proj(map_crs(geobox)),
        **_spatial(geobox),
    }


def multiscales_attributes(levels: Sequence[tuple[str, GeoBox]]) -> dict[str, Any]:
    """Attributes of a measurement group: its levels, finest first, each by name and grid."""
    layout: list[dict[str, Any]] = []
    for index, (name, geobox) in enumerate(levels):
        entry: dict[str, Any] = {"asset": name}
        if index:
            # Pixel centres of a level lie half a pixel of the finer one further in.
            entry |= {
                "derived_from": levels[index - 1][0],
                "transform": {"scale": [2.0, 2.0], "translation": [0.5, 0.5]},
                "resampling_method": "average",
            }
        else:
            entry["transform"] = {"scale": [1.0, 1.0], "translation": [0.0, 0.0]}
        spatial = _spatial(geobox)
        layout.append(entry | {key: spatial[key] for key in ("spatial:shape", "spatial:transform")})
    base = levels[0][1]
    return {
        "zarr_conventions": [MULTISCALES, PROJ, SPATIAL, *_EARLIER_NAMES],
        "multiscales": {"layout": layout, "resampling_method": "average"},
        **_proj(map_crs(base)),
        **_spatial(base),
    }


def grid_mapping_attributes(geobox: GeoBox) -> dict[str, Any]:
    """CF attributes of the ``spatial_ref`` variable, with the two that GDAL reads."""
    crs = map_crs(geobox)
    transform: Affine = geobox.transform
    attributes: dict[str, Any] = dict(crs.to_cf())
    attributes["spatial_ref"] = attributes["crs_wkt"]
    attributes["GeoTransform"] = " ".join(f"{value:.17g}" for value in transform.to_gdal())
    return attributes


def axis_attributes(crs: CRS, axis: str) -> dict[str, Any]:
    """CF attributes of the ``x`` or ``y`` coordinate."""
    if crs.is_geographic:
        return {
            "x": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
            "y": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
        }[axis]
    name = f"projection_{axis}_coordinate"
    return {"standard_name": name, "long_name": f"{axis} of the pixel's centre", "units": "m", "axis": axis.upper()}


def linked_to_grid(attributes: dict[str, Any], geobox: GeoBox) -> dict[str, Any]:
    """Attributes of an array, tied to its grid in CF's way and in GeoZarr's."""
    return attributes | {"grid_mapping": GRID_MAPPING, "coordinates": GRID_MAPPING} | grid_attributes(geobox)
