"""Zarr v3 metadata documents, and the few small chunks beside the shards.

Byte for byte what :mod:`zarr` writes for the same hierarchy (which the tests hold it to), without starting it: half a
second that a writer of one image does not have. Reading is left to :mod:`zarr`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from processing.archive.codecs import BYTES, CRC32C, blosc, packed, with_checksum

METADATA = "zarr.json"
_EMPTY: dict[str, Any] = {"kind": "inline", "must_understand": False, "metadata": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """An array: what its document says."""

    shape: tuple[int, ...]
    dtype: str
    fill_value: float
    dimensions: tuple[str, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None = None
    """None: chunks are objects of their own."""


def write_group(store: Path, path: str, attributes: Mapping[str, Any]) -> None:
    """Create a group: its folder, and its document in it."""
    _write(store / path, {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"})


def write_array(store: Path, path: str, spec: ArraySpec, attributes: Mapping[str, Any]) -> None:
    """Create an array without chunks."""
    size = np.dtype(spec.dtype).itemsize
    codecs = [BYTES, blosc(size), CRC32C] if spec.shape else [BYTES, CRC32C]
    if spec.shard is not None:
        codecs = [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": list(spec.chunk),
                    "codecs": codecs,
                    "index_codecs": [BYTES, CRC32C],
                    "index_location": "end",
                },
            }
        ]
    fill: float | str = "NaN" if np.isnan(spec.fill_value) else spec.fill_value
    named = {"dimension_names": list(spec.dimensions)} if spec.dimensions else {}
    _write(
        store / path,
        {
            "shape": list(spec.shape),
            "data_type": spec.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(spec.shard or spec.chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill,
            "codecs": codecs,
            "attributes": dict(attributes),
            **named,
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        },
    )


def write_small(
    store: Path, path: str, values: npt.NDArray[Any], dimensions: tuple[str, ...], attributes: Mapping[str, Any]
) -> None:
    """Create an array with its one chunk: an axis of ``float64``, or a scalar."""
    fill = np.nan if values.dtype.kind == "f" else -1
    spec = ArraySpec(
        shape=values.shape, dtype=str(values.dtype), fill_value=fill, dimensions=dimensions, chunk=values.shape
    )
    write_array(store, path, spec, attributes)
    chunk = store / path / "/".join(("c", *("0" for _ in values.shape)))
    chunk.parent.mkdir(parents=True, exist_ok=True)
    ordered = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    chunk.write_bytes(with_checksum(packed(ordered) if values.shape else ordered.tobytes()))


def consolidate_group(store: Path, path: str) -> None:
    """Put the documents of everything below a group into the group's own."""
    root = store / path
    found = {folder.parent.relative_to(root).as_posix(): folder for folder in root.rglob(METADATA)}
    below = {}
    for key in sorted(found, key=lambda key: (key.count("/"), key)):
        if key != ".":
            document = json.loads(found[key].read_bytes())
            below[key] = _with_consolidated(document, _EMPTY) if document["node_type"] == "group" else document
    document = json.loads((root / METADATA).read_bytes())
    _write(root, _with_consolidated(document, {**_EMPTY, "metadata": below}))


def _with_consolidated(group: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "attributes": group["attributes"],
        "zarr_format": 3,
        "consolidated_metadata": metadata,
        "node_type": "group",
    }


def _write(folder: Path, document: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METADATA).write_bytes(json.dumps(document, indent=2, allow_nan=False).encode())
