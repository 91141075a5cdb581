"""The empty house: groups, arrays and attributes of a store, before a pixel is in it; and its metadata, sealed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from processing.archive import geozarr
from processing.archive.documents import ArraySpec, consolidate_group, write_array, write_group, write_small
from processing.archive.encode import fill_of
from processing.archive.layout import (
    GRID_MAPPING,
    MEASUREMENTS,
    QA,
    chunk_and_shard,
    level_name,
    shard_keys,
)
from processing.archive.pyramid import level_geoboxes
from processing.model.errors import Defect
from processing.model.image import OrthoImage
from processing.model.product import Encoding
from processing.model.qa import Qa


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One resolution of one group."""

    path: str
    """Inside the store."""
    geobox: GeoBox

    @property
    def name(self) -> str:
        """``r4m``."""
        return self.path.rpartition("/")[2]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return int(self.geobox.shape[0]), int(self.geobox.shape[1])

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns of a chunk."""
        rows, columns = self.shape
        return chunk_and_shard(rows)[0], chunk_and_shard(columns)[0]

    @property
    def shard(self) -> tuple[int, int]:
        """Rows and columns of a whole shard."""
        rows, columns = self.shape
        return chunk_and_shard(rows)[1], chunk_and_shard(columns)[1]

    def shards(self) -> Iterator[tuple[int, int]]:
        """Indices of all shards, row by row."""
        counts = [-(-length // shard) for length, shard in zip(self.shape, self.shard, strict=True)]
        yield from np.ndindex(counts[0], counts[1])

    def region(self, index: tuple[int, int]) -> tuple[slice, slice]:
        """Pixels of one shard."""
        rows, columns = (
            slice(number * shard, min((number + 1) * shard, length))
            for number, shard, length in zip(index, self.shard, self.shape, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Arrays that share one grid, as they will be stored."""

    name: str
    encodings: Mapping[str, Encoding]
    """By band, in the order of the image's band axis."""
    levels: tuple[Level, ...]

    @property
    def path(self) -> str:
        """Inside the store."""
        return f"{MEASUREMENTS}/{self.name}"

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the two-dimensional arrays of each level."""
        return (*self.encodings, QA)

    def expected_keys(self) -> Iterator[str]:
        """Every key this group must have in a finished store."""
        yield f"{self.path}/zarr.json"
        for level in self.levels:
            yield f"{level.path}/zarr.json"
            for name in self.arrays:
                yield f"{level.path}/{name}/zarr.json"
                yield from shard_keys(f"{level.path}/{name}", level.shape)
            for name, chunk in (("x", "c/0"), ("y", "c/0"), (GRID_MAPPING, "c")):
                yield f"{level.path}/{name}/zarr.json"
                yield f"{level.path}/{name}/{chunk}"


def plan_group(image: OrthoImage, encodings: Mapping[str, Encoding]) -> Group:
    """How one image will lie in the store.

    Raises
    ------
    Defect
        ``archive.encoding`` if a band has no encoding.
    """
    missing = [band.name for band in image.bands if band.name not in encodings]
    if missing:
        raise Defect(f"no encoding for bands {missing}", kind="archive.encoding", where=image.group)
    unit = "deg" if geozarr.map_crs(image.geobox).is_geographic else "m"
    levels = tuple(
        Level(path=f"{MEASUREMENTS}/{image.group}/{level_name(abs(box.affine.a), unit)}", geobox=box)
        for box in level_geoboxes(image.geobox)
    )
    return Group(name=image.group, encodings={band.name: encodings[band.name] for band in image.bands}, levels=levels)


def create_store(
    store: Path, groups: Sequence[Group], images: Sequence[OrthoImage], attributes: Mapping[str, Any]
) -> None:
    """Create the hierarchy with all its metadata and coordinates, and no pixel.

    Parameters
    ----------
    store
        Folder to create; must not exist.
    groups, images
        Pairwise: the plan and what it was made from.
    attributes
        Of the root: identity and provenance. Nothing in them may depend on when or where this runs.
    """
    write_group(store, "", attributes)
    write_group(store, MEASUREMENTS, {})
    for group, image in zip(groups, images, strict=True):
        placed = geozarr.multiscales_attributes([(level.name, level.geobox) for level in group.levels])
        write_group(store, group.path, {**placed, "bands": list(group.encodings)})
        bands = {band.name: band for band in image.bands}
        for level in group.levels:
            write_group(store, level.path, {"Conventions": "CF-1.11", **geozarr.grid_attributes(level.geobox)})
            for name, encoding in group.encodings.items():
                band = bands[name]
                facts = {
                    "common_name": band.common_name,
                    "wavelength_nm": band.centre_nm,
                    "fwhm_nm": band.fwhm_nm,
                    "quantity": str(image.quantity),
                }
                _create_band(store, level, name, encoding, {key: value for key, value in facts.items() if value})
            _create_qa(store, level)
            _create_coordinates(store, level)


def _create_band(store: Path, level: Level, name: str, encoding: Encoding, facts: dict[str, Any]) -> None:
    attributes: dict[str, Any] = {"long_name": encoding.title, "units": encoding.units}
    if np.dtype(encoding.dtype).kind != "f":
        attributes |= {
            "_FillValue": encoding.nodata,
            "scale_factor": encoding.scale,
            "add_offset": encoding.offset,
        }
    _create_array(store, level, name, encoding.dtype, fill_of(encoding), attributes | facts)


def _create_qa(store: Path, level: Level) -> None:
    flags = list(Qa)
    attributes = {
        "long_name": "quality flags",
        "standard_name": "quality_flag",
        "flag_masks": [int(flag) for flag in flags],
        "flag_meanings": " ".join(str(flag.name).lower() for flag in flags),
    }
    _create_array(store, level, QA, "uint16", int(Qa.NODATA), attributes)


def _create_array(
    store: Path, level: Level, name: str, dtype: str, fill_value: float, attributes: dict[str, Any]
) -> None:
    spec = ArraySpec(
        shape=level.shape, dtype=dtype, fill_value=fill_value, dimensions=("y", "x"), chunk=level.chunk,
        shard=level.shard,
    )  # fmt: skip
    write_array(store, f"{level.path}/{name}", spec, geozarr.linked_to_grid(attributes, level.geobox))


def _create_coordinates(store: Path, level: Level) -> None:
    geobox = level.geobox
    for axis in ("y", "x"):
        values = np.asarray(geobox.coordinates[geobox.dimensions[("y", "x").index(axis)]].values, np.float64)
        attributes = geozarr.axis_attributes(geozarr.map_crs(geobox), axis)
        write_small(store, f"{level.path}/{axis}", values, (axis,), attributes)
    mapping = np.zeros((), dtype=np.int32)
    write_small(store, f"{level.path}/{GRID_MAPPING}", mapping, (), geozarr.grid_mapping_attributes(geobox))


def consolidate(store: Path, groups: Sequence[Group]) -> None:
    """Consolidate every level, every measurement group and the root, from the leaves up.

    Readers that open a level or a group by its own address (OpenLayers, xarray) then need one request too.
    """
    for path in [level.path for group in groups for level in group.levels] + [group.path for group in groups] + [""]:
        consolidate_group(store, path)


def expected_keys(groups: Sequence[Group]) -> set[str]:
    """Every key a finished store must have, its manifest excepted."""
    return {"zarr.json", f"{MEASUREMENTS}/zarr.json"} | {key for group in groups for key in group.expected_keys()}
