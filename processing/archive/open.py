"""Opening a product: lazy, in physical units, and never silent about what is missing.

>>> almaty = (76.8, 43.1, 77.0, 43.3)
>>> dataset = open_product("s3://archive/.../5f0c.zarr", resolution=20, bounds=almaty, crs="EPSG:4326", mask=["cloud"])
>>> ndvi = (dataset.nir - dataset.red) / (dataset.nir + dataset.red)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from processing.archive.geozarr import grid_attributes, grid_mapping_attributes
from processing.archive.layout import GRID_MAPPING, MEASUREMENTS, QA
from processing.archive.objects import Place
from processing.archive.remote_open import Store, digest_of, group_of, store_of
from processing.archive.shard_read import Region
from processing.archive.source import BandSource, LevelFacts, Reading, StoredArray, level_facts
from processing.archive.window import Bounds, window_of
from processing.model.composite_layers import BESIDE
from processing.model.errors import BadInput
from processing.model.qa import Qa


class Chosen(NamedTuple):
    """What an opening settles on: one level of one group, and the window of it."""

    store: Store
    group: str
    facts: LevelFacts
    window: Region


def list_groups(path: Path | str | Place) -> dict[str, tuple[str, ...]]:
    """Measurement groups of a store, each with its level names, finest first.

    Raises
    ------
    BadInput
        ``product.not_found`` if there is no product at ``path``.
    """
    groups = _groups(store_of(path))
    return {name: tuple(level for level, _ in _levels(attributes)) for name, attributes in groups.items()}


def _groups(store: Store) -> dict[str, dict[str, Any]]:
    """Attributes of the measurement groups."""
    try:
        measurements = group_of(store, MEASUREMENTS)
        return {name: dict(group.attrs) for name, group in sorted(measurements.groups())}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(
            f"there is no product at {store.name}", kind="product.not_found", where=str(store), remedy="Check the path."
        ) from error


def _levels(attributes: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Name and pixel size of each level, finest first."""
    layout = attributes["multiscales"]["layout"]
    return tuple((str(entry["asset"]), abs(float(entry["spatial:transform"][0]))) for entry in layout)


def open_product(
    path: Path | str | Place,
    *,
    group: str | None = None,
    level: int | None = None,
    resolution: float | None = None,
    bounds: Bounds | GeoBox | None = None,
    crs: Any = None,
    masked: bool = True,
    mask: Sequence[str] = (),
) -> xr.Dataset:
    """Open one level of one group, or a window of it.

    Parameters
    ----------
    path
        Folder of the store, or the link to it; or its address, ``s3://bucket/prefix/.../<revision>.zarr``.
    group
        Measurement group; may be left out where the product has only one image: angles and observations are none.
    level
        0 is the finest, and the default; each further one has pixels twice as large.
    resolution
        Instead of a level: the coarsest one whose pixels are no larger, in units of the map; else the finest.
    bounds
        Left, bottom, right, top in ``crs``, or a :class:`~odc.geo.geobox.GeoBox`: the window of whole pixels that
        covers it. Nothing is resampled; :func:`~processing.archive.window.onto` does that.
    crs
        Of four bounds; the product's own by default.
    masked
        True: float32 physical values, NaN where nodata. False: the integers as stored.
    mask
        Names of flags, ``("cloud", "shadow")``: pixels that carry one of them are nodata too.

    Returns
    -------
    dataset
        Bands and ``qa`` (uint16, always as stored), dims ``(y, x)``, coordinates of pixel centres and
        ``spatial_ref``; lazy. Dask blocks are shards, but a slice reads no more than the chunks it touches. A chunk
        that is missing, or whose checksum is wrong, raises when it is read.

    Raises
    ------
    BadInput
        ``product.not_found``; ``product.group``, ``product.level`` or ``product.mask`` if there is none such;
        ``window.outside`` if the product does not reach into the window; of an address, what
        :func:`~processing.archive.objects.open_objects` raises.
    Defect
        ``archive.missing`` or ``archive.corrupt``, now or when pixels are read.
    Retryable
        ``s3.unavailable`` if the server does not answer, now or when pixels are read.
    """
    chosen = choose(path, group=group, level=level, resolution=resolution, bounds=bounds, crs=crs)
    store, _, facts, window = chosen
    reading = Reading(masked, mask_bits(mask))
    token = digest_of(store)
    variables = {name: _variable(band, facts, reading, window, token) for name, band in facts.bands.items()}
    variables[QA] = _variable(facts.flags, facts, Reading(masked=False), window, token)
    grid = grid_of(facts)[window[0], window[1]]
    attributes = {**facts.attributes, **spatial_attributes(grid)}
    return xr.Dataset(variables, grid_coordinates(facts, grid, window), attributes)


def choose(
    path: Path | str | Place,
    *,
    group: str | None = None,
    level: int | None = None,
    resolution: float | None = None,
    bounds: Bounds | GeoBox | None = None,
    crs: Any = None,
) -> Chosen:
    """What :func:`open_product` would open, with the same words and errors; no pixel is touched."""
    store = store_of(path)
    groups = _groups(store)
    name = _chosen_group(tuple(groups), group, store)
    levels = _levels(groups[name])
    number = _chosen_level(levels, level, resolution, store)
    facts = level_facts(store, f"{MEASUREMENTS}/{name}/{levels[number][0]}", tuple(groups[name]["bands"]), QA)
    shape = facts.flags.shape
    if bounds is None:
        return Chosen(store, name, facts, (slice(0, shape[0]), slice(0, shape[1])))
    if isinstance(bounds, GeoBox):
        box, crs = bounds.boundingbox, bounds.crs
        bounds = (box.left, box.bottom, box.right, box.top)
    return Chosen(store, name, facts, window_of(bounds, crs, facts.transform, shape, facts.crs))


def _chosen_group(names: tuple[str, ...], group: str | None, store: Store) -> str:
    if group in names:
        return group
    images = [name for name in names if name not in BESIDE]
    if group is None and len(images) == 1:
        return images[0]
    asked = "none was named" if group is None else f"there is no '{group}'"
    raise BadInput(f"the product has the groups {list(names)}, and {asked}", kind="product.group", where=str(store))


def _chosen_level(
    levels: tuple[tuple[str, float], ...], level: int | None, resolution: float | None, store: Store
) -> int:
    if level is not None and resolution is not None:
        raise BadInput("a level and a resolution were both asked for", kind="product.level", remedy="Name one of them.")
    if resolution is not None:
        if not resolution > 0:
            raise BadInput(f"a resolution of {resolution:g} is no pixel size", kind="product.level")
        return max((number for number, (_, size) in enumerate(levels) if size <= resolution * (1 + 1e-9)), default=0)
    if not 0 <= (level or 0) < len(levels):
        raise BadInput(f"there are levels 0 to {len(levels) - 1}, not {level}", kind="product.level", where=str(store))
    return level or 0


def mask_bits(names: Sequence[str]) -> int:
    """The bits of flags by name.

    Raises
    ------
    BadInput
        ``product.mask`` if there is no such flag.
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    known = {str(flag.name).lower(): int(flag) for flag in Qa}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadInput(
            f"there is no quality flag {unknown}", kind="product.mask", remedy=f"There are: {', '.join(known)}."
        )
    return sum({known[name] for name in wanted})


def _variable(band: StoredArray, facts: LevelFacts, reading: Reading, window: Region, token: str) -> xr.Variable:
    source = BandSource(band, facts.flags, reading)
    shard = band.layout.shard
    blocks = da.from_array(
        source,
        chunks=shard,
        name=f"stored-{token}-{band.path}-{reading.masked:d}-{reading.bits}",
        meta=np.empty((0, 0), source.dtype),
    )
    attributes = dict(band.attributes)
    if source.dtype != band.layout.dtype:
        for spent in ("scale_factor", "add_offset", "_FillValue"):
            attributes.pop(spent, None)
    attributes |= spatial_attributes(grid_of(facts)[window[0], window[1]])
    return xr.Variable(("y", "x"), blocks[window], attributes)


def grid_of(facts: LevelFacts) -> GeoBox:
    """The grid of a whole level."""
    return GeoBox(facts.flags.shape, Affine(*facts.transform), facts.crs.to_wkt())


def grid_coordinates(facts: LevelFacts, grid: GeoBox, window: Region) -> dict[str, xr.Variable]:
    """Coordinates of a window of a level, ``spatial_ref`` among them."""
    axes = {
        axis: xr.Variable((axis,), facts.coordinates(axis)[part], facts.axes[axis])
        for axis, part in zip(("y", "x"), window, strict=True)
    }
    return {**axes, GRID_MAPPING: xr.Variable((), np.int32(0), grid_mapping_attributes(grid))}


def spatial_attributes(grid: GeoBox) -> dict[str, Any]:
    """What a window's attributes say of its own place, instead of the whole level's."""
    return {key: value for key, value in grid_attributes(grid).items() if key.startswith("spatial:")}
