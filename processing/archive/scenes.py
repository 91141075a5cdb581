"""A year of scenes at once: any products of one map as one lazy array, each read where it lies.

Where a cube is one index over one tile at the finest level, this takes any list of products, at any level that they
share, over any number of tiles, from folders and buckets alike. No pixel is copied or moved: all scenes of a sensor
lie on one lattice.

>>> year = open_scenes([item["assets"]["zarr"]["href"] for item in items], resolution=16, mask=["cloud"])
>>> year.pixels.sel(band="nir").mean("time")
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from processing.archive.layout import QA
from processing.archive.objects import Place
from processing.archive.open import choose, mask_bits
from processing.archive.remote_open import Store, digest_of
from processing.archive.shard_read import Region
from processing.archive.source import LevelFacts, Reading, read_metadata
from processing.archive.stack import Moment, stacked
from processing.archive.window import Bounds, window_of
from processing.model.errors import BadInput
from processing.model.product import Encoding

_SLACK_PX = 1e-6


class _Scene(NamedTuple):
    store: Store
    facts: LevelFacts
    acquired: datetime
    item: str
    revision: str


def open_scenes(
    paths: Sequence[Path | str | Place],
    *,
    group: str | None = None,
    resolution: float | None = None,
    bounds: Bounds | GeoBox | None = None,
    crs: Any = None,
    masked: bool = True,
    mask: Sequence[str] = (),
) -> xr.Dataset:
    """Open products as one lazy array, sorted by time.

    Parameters
    ----------
    paths
        Folders or addresses of stores, as :func:`~processing.archive.open.open_product` takes them; at least one.
    group, resolution, masked, mask
        As in :func:`~processing.archive.open.open_product`, the same for all.
    bounds, crs
        The window; scenes that do not reach into it are left out. Left out: the rectangle around all scenes.

    Returns
    -------
    dataset
        As :func:`~processing.archive.cube.open_cube`: ``pixels`` ``(time, band, y, x)``, ``qa`` ``(time, y, x)``.

    Raises
    ------
    BadInput
        ``scenes.none`` if there is none, or none in the window; ``scenes.grid`` if their pixels do not lie on each
        other: other map, other pixel size, or a level that the lattice does not reach; ``scenes.encoding`` for
        integers as stored that mean different things; and what opening a product raises.
    """
    scenes = [_scene(path, group, resolution) for path in paths]
    if not scenes:
        raise BadInput("no scene was named", kind="scenes.none")
    scenes.sort(key=lambda scene: (scene.acquired, scene.item))
    places = _places(scenes)
    box, window = _window(scenes, places, bounds, crs)
    shown = [
        (scene, _ScenePlanes(scene.facts, place))
        for scene, place in zip(scenes, places, strict=True)
        if all(_meet(span, wanted) for span, wanted in zip(_extent(scene, place), window, strict=True))
    ]
    if not shown:
        raise BadInput("no scene reaches into the window", kind="scenes.none")
    bands = _bands([scene for scene, _ in shown], masked=masked)
    moments = [Moment(scene.acquired, scene.item, scene.revision, planes) for scene, planes in shown]
    token = hashlib.sha256(" ".join(f"{digest_of(scene.store)}/{scene.facts.place}" for scene, _ in shown).encode())
    return stacked(
        moments, bands, box, (window[0].start, window[1].start), Reading(masked, mask_bits(mask)), token.hexdigest()
    )


def _scene(path: Path | str | Place, group: str | None, resolution: float | None) -> _Scene:
    chosen = choose(path, group=group, resolution=resolution)
    root = read_metadata(chosen.store, "", listed=True)["attributes"]
    try:
        return _Scene(
            chosen.store,
            chosen.facts,
            datetime.fromisoformat(str(root["acquired"])),
            str(root["id"]),
            str(root["revision"]),
        )
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"the store does not say what it is of: {error}",
            kind="scenes.time",
            where=str(path),
            remedy="Only published products have a time; exports have none.",
        ) from error


def _places(scenes: Sequence[_Scene]) -> list[tuple[int, int]]:
    """First row and column of each scene, counted on the grid of the first of them."""
    first = scenes[0].facts
    places = []
    for scene in scenes:
        facts = scene.facts
        size = first.transform[0]
        down, across = (
            (facts.transform[5] - first.transform[5]) / -size,
            (facts.transform[2] - first.transform[2]) / size,
        )
        aligned = (
            facts.crs == first.crs
            and math.isclose(facts.transform[0], size, rel_tol=1e-12)
            and abs(down - round(down)) < _SLACK_PX
            and abs(across - round(across)) < _SLACK_PX
        )
        if not aligned:
            raise BadInput(
                f"the pixels of {scene.item} do not lie on those of {scenes[0].item}",
                kind="scenes.grid",
                where=f"{facts.crs.to_string()}, {facts.transform[0]:g}; {first.crs.to_string()}, {size:g}",
                remedy="Take scenes of one sensor and zone, and one of the three finest levels.",
            )
        places.append((round(down), round(across)))
    return places


def _extent(scene: _Scene, place: tuple[int, int]) -> Region:
    rows, columns = (slice(first, first + length) for first, length in zip(place, scene.facts.flags.shape, strict=True))
    return rows, columns


def _meet(one: slice, other: slice) -> bool:
    return bool(one.start < other.stop and other.start < one.stop)


def _window(
    scenes: Sequence[_Scene], places: Sequence[tuple[int, int]], bounds: Bounds | GeoBox | None, crs: Any
) -> tuple[GeoBox, Region]:
    """The grid of the result, and where it lies on the grid of the first scene."""
    facts = scenes[0].facts
    extents = [_extent(scene, place) for scene, place in zip(scenes, places, strict=True)]
    top, left = (min(extent[axis].start for extent in extents) for axis in (0, 1))
    bottom, right = (max(extent[axis].stop for extent in extents) for axis in (0, 1))
    whole = Affine(*facts.transform) @ Affine.translation(left, top)
    rows, columns = slice(0, bottom - top), slice(0, right - left)
    if bounds is not None:
        if isinstance(bounds, GeoBox):
            rectangle, crs = bounds.boundingbox, bounds.crs
            bounds = (rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
        rows, columns = window_of(bounds, crs, tuple(whole)[:6], (rows.stop, columns.stop), facts.crs)
    box = GeoBox(
        (rows.stop - rows.start, columns.stop - columns.start),
        whole @ Affine.translation(columns.start, rows.start),
        facts.crs.to_wkt(),
    )
    return box, (slice(rows.start + top, rows.stop + top), slice(columns.start + left, columns.stop + left))


def _bands(scenes: Sequence[_Scene], *, masked: bool) -> dict[str, Encoding]:
    """Bands of any of the scenes, in the order in which they are met."""
    bands: dict[str, Encoding] = {}
    for scene in scenes:
        for name, array in scene.facts.bands.items():
            known, own = bands.setdefault(name, array.kept_as), array.kept_as
            if not masked and known.model_dump(exclude={"title"}) != own.model_dump(exclude={"title"}):
                raise BadInput(
                    f"{name} of {scene.item} is kept in other numbers than in earlier scenes",
                    kind="scenes.encoding",
                    remedy="Ask for physical values: masked=True.",
                )
    return bands


class _ScenePlanes:
    """The arrays of one product on the grid of the first."""

    def __init__(self, facts: LevelFacts, place: tuple[int, int]) -> None:
        self.facts, self.place = facts, place
        rows, columns = (slice(first, first + size) for first, size in zip(place, facts.flags.shape, strict=True))
        self.extent = (rows, columns)

    def encoding(self, band: str) -> Encoding | None:
        """How a band's numbers are kept; None if the scene has no such band."""
        array = self.facts.bands.get(band)
        return array.kept_as if array is not None else None

    def read(self, band: str, region: Region) -> npt.NDArray[Any]:
        """Stored numbers of a window inside the extent."""
        array = self.facts.flags if band == QA else self.facts.bands[band]
        rows, columns = (
            slice(part.start - first, part.stop - first) for part, first in zip(region, self.place, strict=True)
        )
        return array.read((rows, columns))
