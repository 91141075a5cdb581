"""Opening a product: lazy, in physical units, and never silent about what is missing."""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from processing.archive.encode import decode
from processing.archive.layout import GRID_MAPPING, MEASUREMENTS, QA
from processing.archive.objects import Place
from processing.archive.remote_open import Store, array_of, digest_of, group_of, read_region, store_of
from processing.model.angle_layers import ANGLES
from processing.model.errors import BadInput, Defect
from processing.model.product import Encoding


def list_groups(path: Path | str | Place) -> dict[str, tuple[str, ...]]:
    """Measurement groups of a store, each with its level names, finest first.

    Raises
    ------
    BadInput
        ``product.not_found`` if there is no product at ``path``.
    """
    return {name: _levels(attributes) for name, attributes in _groups(store_of(path)).items()}


def _groups(store: Store) -> dict[str, dict[str, Any]]:
    """Attributes of the measurement groups."""
    try:
        measurements = group_of(store, MEASUREMENTS)
        return {name: dict(group.attrs) for name, group in sorted(measurements.groups())}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(
            f"there is no product at {store.name}", kind="product.not_found", where=str(store), remedy="Check the path."
        ) from error


def _levels(attributes: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry["asset"]) for entry in attributes["multiscales"]["layout"])


def open_product(
    path: Path | str | Place, *, group: str | None = None, level: int = 0, masked: bool = True
) -> xr.Dataset:
    """Open one level of one group.

    Parameters
    ----------
    path
        Folder of the store, or the link to it; or its address, ``s3://bucket/prefix/.../<revision>.zarr``.
    group
        Measurement group; may be left out where the product has only one, its angles apart.
    level
        0 is the finest; each further one has pixels twice as large.
    masked
        True: float32 physical values, NaN where nodata. False: the integers as stored.

    Returns
    -------
    dataset
        Bands and ``qa`` (uint16), dims ``(y, x)``, coordinates of pixel centres and ``spatial_ref``; lazy, one
        Dask block a shard. A chunk that is missing, or whose checksum is wrong, raises when it is read.

    Raises
    ------
    BadInput
        ``product.not_found``; ``product.group`` or ``product.level`` if there is no such group or level; of an
        address, what :func:`~processing.archive.objects.open_objects` raises.
    Retryable
        ``s3.unavailable`` if the server does not answer, now or when pixels are read.
    """
    store = store_of(path)
    groups = _groups(store)
    name = _chosen(tuple(groups), group, store)
    levels = _levels(groups[name])
    if not 0 <= level < len(levels):
        raise BadInput(f"{name} has levels 0 to {len(levels) - 1}, not {level}", kind="product.level", where=str(store))
    place = f"{MEASUREMENTS}/{name}/{levels[level]}"
    token = digest_of(store)
    variables = {key: _variable(store, f"{place}/{key}", masked, token) for key in (*groups[name]["bands"], QA)}
    axes = {axis: array_of(store, f"{place}/{axis}") for axis in ("y", "x")}
    coordinates = {
        axis: xr.Variable((axis,), read_region(store, f"{place}/{axis}", slice(None)), dict(array.attrs))
        for axis, array in axes.items()
    }
    mapping = xr.Variable((), np.int32(0), dict(array_of(store, f"{place}/{GRID_MAPPING}").attrs))
    attributes = dict(group_of(store, place).attrs)
    return xr.Dataset(variables, {**coordinates, GRID_MAPPING: mapping}, attributes)


def _chosen(names: tuple[str, ...], group: str | None, store: Store) -> str:
    if group in names:
        return group
    images = [name for name in names if name != ANGLES]
    if group is None and len(images) == 1:
        return images[0]
    asked = "none was named" if group is None else f"there is no '{group}'"
    raise BadInput(f"the product has the groups {list(names)}, and {asked}", kind="product.group", where=str(store))


def _variable(store: Store, path: str, masked: bool, token: str) -> xr.Variable:
    array = array_of(store, path)
    attributes: dict[str, Any] = dict(array.attrs)
    if array.shards is None:
        raise Defect("an array of a product is not sharded", kind="archive.layout", where=f"{store}/{path}")
    blocks = da.from_array(
        _Stored(store, path, array.shape, array.dtype),
        chunks=array.shards,
        name=f"stored-{token}-{path}",
        meta=np.empty((0, 0), array.dtype),
    )
    if masked and array.dtype.kind != "f" and not path.endswith(f"/{QA}"):
        encoding = Encoding(
            title=str(attributes["long_name"]),
            dtype=str(array.dtype),
            scale=float(attributes.pop("scale_factor")),
            offset=float(attributes.pop("add_offset")),
            nodata=int(attributes.pop("_FillValue")),
            units=str(attributes["units"]),
        )
        blocks = da.map_blocks(decode, blocks, encoding=encoding, dtype=np.float32, name=f"decoded-{token}-{path}")
    return xr.Variable(("y", "x"), blocks, attributes)


class _Stored:
    """A stored array that says what it is without being opened, and opens itself wherever it is read."""

    def __init__(self, store: Store, path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.store, self.path, self.shape, self.dtype, self.ndim = store, path, shape, dtype, len(shape)

    def __getitem__(self, region: tuple[slice, ...]) -> npt.NDArray[np.generic]:
        return read_region(self.store, self.path, region)
