"""STAC extensions in use: their identifiers, which are also the addresses of their schemas."""

from collections.abc import Iterator
from typing import Any

_ROOT = "https://stac-extensions.github.io"

ACCURACY = f"{_ROOT}/accuracy/v1.0.0-beta.1/schema.json"
ALTERNATE = f"{_ROOT}/alternate-assets/v1.2.0/schema.json"
CLASSIFICATION = f"{_ROOT}/classification/v1.1.0/schema.json"
EO = f"{_ROOT}/eo/v2.0.0/schema.json"
FILE = f"{_ROOT}/file/v2.1.0/schema.json"
GRID = f"{_ROOT}/grid/v1.1.0/schema.json"
LANGUAGE = f"{_ROOT}/language/v1.0.0/schema.json"
ORDER = f"{_ROOT}/order/v1.1.0/schema.json"
PROCESSING = f"{_ROOT}/processing/v1.2.0/schema.json"
PRODUCT = f"{_ROOT}/product/v1.0.0/schema.json"
PROJECTION = f"{_ROOT}/projection/v2.0.0/schema.json"
RASTER = f"{_ROOT}/raster/v2.0.0/schema.json"
RENDER = f"{_ROOT}/render/v2.0.0/schema.json"
SAT = f"{_ROOT}/sat/v1.2.0/schema.json"
STORAGE = f"{_ROOT}/storage/v2.0.0/schema.json"
TIMESTAMPS = f"{_ROOT}/timestamps/v1.1.0/schema.json"
VERSION = f"{_ROOT}/version/v1.2.0/schema.json"
VIEW = f"{_ROOT}/view/v1.1.0/schema.json"

_FIELDS = {
    "accuracy:": ACCURACY,
    "alternate": ALTERNATE,
    "classification:": CLASSIFICATION,
    "eo:": EO,
    "file:": FILE,
    "grid:": GRID,
    "language": LANGUAGE,
    "processing:": PROCESSING,
    "product:": PRODUCT,
    "proj:": PROJECTION,
    "raster:": RASTER,
    "renders": RENDER,
    "sat:": SAT,
    "storage:": STORAGE,
    "published": TIMESTAMPS,
    "version": VERSION,
    "view:": VIEW,
}


def used_in(*parts: Any) -> list[str]:
    """Extensions whose fields occur in parts of a document: what it must declare, and nothing else."""
    keys = {key for part in parts for key in _keys(part)}
    return sorted(
        extension
        for field, extension in _FIELDS.items()
        if any(key.startswith(field) if field.endswith(":") else key == field for key in keys)
    )


def _keys(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from _keys(child)
