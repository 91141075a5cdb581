"""Scenes of one map as one lazy array of time, band, y and x: each stays where it is, and reads as it always does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.geobox import GeoBox

from processing.archive.encode import fill_of
from processing.archive.geozarr import axis_attributes, grid_attributes, grid_mapping_attributes, map_crs
from processing.archive.layout import GRID_MAPPING, QA
from processing.archive.shard_read import Region
from processing.archive.source import Reading, sliced
from processing.model.conventions import SHARD_PX
from processing.model.product import Encoding
from processing.model.qa import Qa


class Planes(Protocol):
    """The arrays of one scene on one grid."""

    @property
    def extent(self) -> Region:
        """Pixels of the shared grid that the scene reaches; slices with start and stop, which may be negative."""
        ...

    def encoding(self, band: str) -> Encoding | None:
        """How a band's numbers are kept; None if the scene has no such band."""
        ...

    def read(self, band: str, region: Region) -> npt.NDArray[Any]:
        """Stored numbers of a band, or of the flags, in a window inside the extent."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """One scene of a stack."""

    acquired: datetime
    item: str
    revision: str
    planes: Planes


def stacked(
    moments: Sequence[Moment],
    bands: Mapping[str, Encoding],
    box: GeoBox,
    first: tuple[int, int],
    reading: Reading,
    token: str,
) -> xr.Dataset:
    """One lazy dataset of scenes in the order given.

    Parameters
    ----------
    bands
        By name, in the order of the result; a scene without one is nodata there.
    box
        The grid of the result, whose first pixel is ``first`` (row, column) of the grid that the extents count on.
    token
        Changes whenever a pixel might.
    """
    origin = tuple(-place % SHARD_PX for place in first)
    blocks = tuple(_blocks(int(length), start) for length, start in zip(box.shape, origin, strict=True))
    name = f"{token}-{first}-{tuple(box.shape)}-{reading.masked:d}-{reading.bits}"
    values = _Stack(moments, tuple(bands), bands, first, (int(box.shape[0]), int(box.shape[1])), reading)
    flags = _Stack(moments, None, bands, first, (int(box.shape[0]), int(box.shape[1])), Reading(masked=False))
    pixels = da.from_array(values, chunks=(1, 1, *blocks), name=f"stack-{name}", meta=np.empty((0,) * 4, values.dtype))
    qa = da.from_array(flags, chunks=(1, *blocks), name=f"stack-qa-{name}", meta=np.empty((0,) * 3, np.uint16))
    crs = map_crs(box)
    coordinates = {
        "time": ("time", _times(moments), {"standard_name": "time", "long_name": "acquisition, UTC"}),
        "item": ("time", np.array([moment.item for moment in moments], dtype=np.str_)),
        "revision": ("time", np.array([moment.revision for moment in moments], dtype=np.str_)),
        "band": ("band", np.array(list(bands), dtype=np.str_)),
        "y": ("y", _axis(box, "y"), axis_attributes(crs, "y")),
        "x": ("x", _axis(box, "x"), axis_attributes(crs, "x")),
        GRID_MAPPING: ((), np.int32(0), grid_mapping_attributes(box)),
    }
    linked = {"grid_mapping": GRID_MAPPING}
    units = {encoding.units for encoding in bands.values()}
    attributes = {"units": units.pop(), **linked} if len(units) == 1 else linked
    return xr.Dataset(
        {"pixels": (("time", "band", "y", "x"), pixels, attributes), QA: (("time", "y", "x"), qa, dict(linked))},
        coordinates,
        {"Conventions": "CF-1.11", **grid_attributes(box)},
    )


def _axis(box: GeoBox, axis: str) -> npt.NDArray[np.float64]:
    a, _, c, _, e, f = tuple(box.affine)[:6]
    first, step, count = (c, a, box.shape[1]) if axis == "x" else (f, e, box.shape[0])
    return np.asarray(first + (np.arange(int(count)) + 0.5) * step, dtype=np.float64)


def _times(moments: Sequence[Moment]) -> npt.NDArray[np.datetime64]:
    return np.array([moment.acquired.astimezone(UTC).replace(tzinfo=None) for moment in moments], "datetime64[us]")


def _blocks(length: int, origin: int) -> tuple[int, ...]:
    """Lengths of blocks: whole shards of the shared grid, cut at the ends."""
    lengths = [min(origin, length)] if origin else []
    while sum(lengths) < length:
        lengths.append(min(SHARD_PX, length - sum(lengths)))
    return tuple(lengths)


class _Stack:
    """What Dask slices: (time, band, y, x) of values, or (time, y, x) of flags where there are no bands."""

    def __init__(
        self,
        moments: Sequence[Moment],
        bands: tuple[str, ...] | None,
        encodings: Mapping[str, Encoding],
        first: tuple[int, int],
        shape: tuple[int, int],
        reading: Reading,
    ) -> None:
        self.moments, self.bands, self.encodings = tuple(moments), bands, dict(encodings)
        self.first, self.reading = first, reading
        self.shape = (len(moments), *(() if bands is None else (len(bands),)), *shape)
        self.ndim = len(self.shape)
        kinds = [reading.dtype(_physical(encoding), np.dtype(encoding.dtype)) for encoding in encodings.values()]
        self.dtype = np.dtype(np.uint16) if bands is None else np.result_type(*kinds)

    def __getitem__(self, region: tuple[Any, ...]) -> npt.NDArray[Any]:
        return sliced(self._window, region, self.shape)

    def _window(self, region: tuple[slice, ...]) -> npt.NDArray[Any]:
        spans = [range(part.start, part.stop) for part in region]
        result = np.empty([len(span) for span in spans], dtype=self.dtype)
        rows, columns = (
            slice(span.start + first, span.stop + first) for span, first in zip(spans[-2:], self.first, strict=True)
        )
        for number, time in enumerate(spans[0]):
            planes = self.moments[time].planes
            if self.bands is None:
                result[number] = read_plane(planes, QA, (rows, columns), int(Qa.NODATA), np.dtype(np.uint16))
                continue
            flags = None
            if self.reading.bits:
                flags = read_plane(planes, QA, (rows, columns), int(Qa.NODATA), np.dtype(np.uint16))
            for place, band in enumerate(spans[1]):
                result[number, place] = self._values(planes, self.bands[band], (rows, columns), flags)
        return result

    def _values(self, planes: Planes, band: str, region: Region, flags: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        encoding = planes.encoding(band)
        how = encoding or self.encodings[band]
        kind, fill = np.dtype(how.dtype), fill_of(how)
        shape = tuple(part.stop - part.start for part in region)
        stored = np.full(shape, fill, kind) if encoding is None else read_plane(planes, band, region, fill, kind)
        return self.reading.values(stored, _physical(how), flags)


def _physical(encoding: Encoding) -> Encoding | None:
    """The encoding, where numbers have to be decoded at all."""
    return None if np.dtype(encoding.dtype).kind == "f" else encoding


def read_plane(planes: Planes, name: str, region: Region, fill: float, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """A window of one array of a scene; what lies outside the scene is fill, and nobody is asked for it."""
    inside = tuple(
        slice(max(part.start, own.start), min(part.stop, own.stop))
        for part, own in zip(region, planes.extent, strict=True)
    )
    shape = tuple(part.stop - part.start for part in region)
    if any(part.start >= part.stop for part in inside):
        return np.full(shape, fill, kind)
    if inside == tuple(region):
        return planes.read(name, region)
    result = np.full(shape, fill, kind)
    target = tuple(
        slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(inside, region, strict=True)
    )
    result[target] = planes.read(name, (inside[0], inside[1]))
    return result
