"""Stored arrays as things that can be sliced: they say what they are without being read, and travel as an address.

What is sliced here is decoded and masked in the same breath, so that a window of a lazy array costs the chunks under
the window, not the shards under them: Dask hands a slice down to its source, but not through a function.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from processing.archive.encode import decode, fill_of
from processing.archive.layout import GRID_MAPPING
from processing.archive.objects import explained, open_objects
from processing.archive.remote_open import Store, listed_digest, read_region
from processing.archive.shard_read import ArrayLayout, Region, read_window
from processing.model.errors import Defect
from processing.model.product import Encoding

type Metadata = dict[str, Any]
"""A ``zarr.json``, parsed."""


def read_metadata(store: Store, path: str, *, listed: bool = False) -> Metadata:
    """The ``zarr.json`` of a group or array, what is consolidated in it included.

    Parameters
    ----------
    listed
        Hold it against the manifest: pixels carry checksums of their own, but what gives them a meaning does not. One
        bit of a scale factor turns into other values, and nothing else would notice.

    Raises
    ------
    FileNotFoundError
        If there is none.
    Defect
        ``archive.corrupt`` if it cannot be parsed, or is not what was published.
    """
    key = f"{path}/zarr.json" if path else "zarr.json"
    if isinstance(store, Path):
        content = (store / key).read_bytes()
    else:
        with explained(store.place, key):
            content = bytes(open_objects(store.place).get(key).bytes())
    if listed and hashlib.sha256(content).hexdigest() != listed_digest(store, key):
        raise Defect(
            "metadata is not what was published",
            kind="archive.corrupt",
            where=f"{store}/{key}",
            remedy="qyran verify --deep says what else is damaged; --repair fetches it from a second place.",
        )
    try:
        metadata = json.loads(content)
        attributes = dict(metadata["attributes"])
    except (ValueError, KeyError, TypeError) as error:
        raise Defect(f"metadata cannot be read: {error}", kind="archive.corrupt", where=f"{store}/{key}") from error
    return {**metadata, "attributes": attributes}


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One two-dimensional array of a product, as stored."""

    store: Store
    path: str
    layout: ArrayLayout
    attributes: Metadata

    @classmethod
    def of(cls, store: Store, path: str, metadata: Metadata) -> Self:
        """An array by its metadata.

        Raises
        ------
        Defect
            ``archive.layout`` if it is not laid out as the archive's arrays are.
        """
        layout = ArrayLayout.of(metadata)
        if layout is None:
            raise Defect("an array of a product is not sharded", kind="archive.layout", where=f"{store}/{path}")
        return cls(store, path, layout, metadata["attributes"])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.layout.shape

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Pixels of a window; a chunk that is missing or damaged raises."""
        if isinstance(self.store, Path):
            return read_window(self.store, self.path, self.layout, region)
        return read_region(self.store, self.path, region)

    @property
    def kept_as(self) -> Encoding:
        """How its numbers are kept; those of real numbers and flags mean themselves."""
        own = self.attributes
        return Encoding(
            title=str(own.get("long_name", "")),
            dtype=str(self.layout.dtype),
            scale=float(own.get("scale_factor", 1.0)),
            offset=float(own.get("add_offset", 0.0)),
            nodata=int(own.get("_FillValue", 0)) if self.layout.dtype.kind != "f" else 0,
            units=str(own.get("units", "1")),
        )

    @property
    def encoding(self) -> Encoding | None:
        """How its integers are to be decoded; None of real numbers and flags."""
        return self.kept_as if "scale_factor" in self.attributes and self.layout.dtype.kind != "f" else None


@dataclass(frozen=True, slots=True)
class Reading:
    """How stored numbers become values."""

    masked: bool = True
    """Physical float32, NaN where nodata; else the integers as stored."""
    bits: int = 0
    """Flags of :class:`~processing.model.qa.Qa` whose pixels are to count as nodata."""

    def dtype(self, encoding: Encoding | None, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Of the values."""
        return np.dtype(np.float32) if self.masked and encoding is not None else stored

    def values(
        self, stored: npt.NDArray[Any], encoding: Encoding | None, flags: npt.NDArray[Any] | None
    ) -> npt.NDArray[Any]:
        """Values of stored numbers; ``flags`` of the same pixels where ``bits`` are set."""
        physical = self.masked and encoding is not None
        values = decode(stored, encoding) if physical and encoding is not None else stored
        if self.bits and flags is not None:
            absent = np.nan if physical or encoding is None else fill_of(encoding)
            values = np.where(flags & np.uint16(self.bits), values.dtype.type(absent), values)
        return values


def sliced(
    read: Callable[[tuple[slice, ...]], npt.NDArray[Any]], region: tuple[Any, ...], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """What numpy's slicing would give, of something that reads windows only.

    Parameters
    ----------
    read
        Takes slices with start and stop, and steps of one.
    region
        Slices of any step, lists, and whole numbers: what Dask makes of one slice of another.
    """
    windows: list[slice] = []
    picks: list[Any] = []
    for part, length in zip((*region, *(slice(None),) * (len(shape) - len(region))), shape, strict=True):
        places = np.arange(length)[part if isinstance(part, slice) else np.atleast_1d(part)]
        low, high = (int(places.min()), int(places.max()) + 1) if places.size else (0, 0)
        windows.append(slice(low, high))
        plain = places.size == high - low and (places.size < 2 or places[0] < places[1])
        picks.append(slice(None) if plain else places - low)
    pixels = read(tuple(windows))
    for axis, pick in enumerate(picks):  # one axis after the other: lists choose rows and columns, not points
        if not isinstance(pick, slice):
            pixels = np.take(pixels, pick, axis=axis)
    single = tuple(number for number, part in enumerate(region) if np.ndim(part) == 0 and not isinstance(part, slice))
    return np.squeeze(pixels, axis=single) if single else pixels


class BandSource:
    """A band as values: what Dask slices."""

    ndim = 2

    def __init__(self, band: StoredArray, flags: StoredArray | None, reading: Reading) -> None:
        self.band, self.flags, self.reading = band, flags, reading
        self.shape = band.shape
        self.dtype = reading.dtype(band.encoding, band.layout.dtype)

    def __getitem__(self, region: tuple[Any, ...]) -> npt.NDArray[Any]:
        return sliced(self._window, region, self.shape)

    def _window(self, region: tuple[slice, ...]) -> npt.NDArray[Any]:
        rows, columns = region
        flags = self.flags.read((rows, columns)) if self.flags is not None and self.reading.bits else None
        return self.reading.values(self.band.read((rows, columns)), self.band.encoding, flags)


@dataclass(frozen=True, slots=True)
class LevelFacts:
    """One resolution of one group: its arrays and its grid."""

    place: str
    """Path inside the store."""
    attributes: Metadata
    bands: dict[str, StoredArray]
    flags: StoredArray
    grid_mapping: Metadata
    """CF attributes of ``spatial_ref``."""
    axes: dict[str, Metadata]
    """CF attributes of ``x`` and ``y``."""

    @property
    def transform(self) -> tuple[float, ...]:
        """Affine a, b, c, d, e, f."""
        return tuple(float(value) for value in self.attributes["spatial:transform"])

    @property
    def crs(self) -> CRS:
        """Of the map."""
        return CRS.from_wkt(str(self.grid_mapping["crs_wkt"]))

    def coordinates(self, axis: str) -> npt.NDArray[np.float64]:
        """Centres of the pixels along ``x`` or ``y``."""
        a, _, c, _, e, f = self.transform
        first, step, count = (c, a, self.flags.shape[1]) if axis == "x" else (f, e, self.flags.shape[0])
        return np.asarray(first + (np.arange(count) + 0.5) * step, dtype=np.float64)


def level_facts(store: Store, place: str, bands: tuple[str, ...], flags: str) -> LevelFacts:
    """Everything about a level but its pixels, by one read.

    Raises
    ------
    Defect
        ``archive.corrupt`` if something is missing in it.
    """
    metadata = read_metadata(store, place, listed=True)
    try:
        nodes = metadata["consolidated_metadata"]["metadata"]
        return LevelFacts(
            place=place,
            attributes=metadata["attributes"],
            bands={name: StoredArray.of(store, f"{place}/{name}", nodes[name]) for name in bands},
            flags=StoredArray.of(store, f"{place}/{flags}", nodes[flags]),
            grid_mapping=nodes[GRID_MAPPING]["attributes"],
            axes={axis: nodes[axis]["attributes"] for axis in ("y", "x")},
        )
    except (KeyError, TypeError) as error:
        raise Defect(f"metadata of a level lacks {error}", kind="archive.corrupt", where=f"{store}/{place}") from error
