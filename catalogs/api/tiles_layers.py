"""What of an item can be looked at: its bands, flags and render presets, found by name and never by an address."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from shapely import LineString

from catalogs.api.errors import NotFound
from catalogs.api.places import item_of, place_of
from catalogs.api.principal import Principal
from catalogs.api.rights import WHOLE, Reduced
from catalogs.api.tiles_assets import viewable
from catalogs.api.tiles_copies import reduced_file
from catalogs.policy.terms import Action
from catalogs.store.protocol import CatalogueStore, Item
from processing.archive.layout import BandPlace
from processing.model.errors import Retryable

MAX_ZOOM = 24
_EQUATOR_M = 40_075_016.685578488
"""Around the sphere of Web Mercator."""
_TILE_PX = 256
_EDGE_LATITUDE = 85.051128
_FALLBACK_M = 10.0
_LIGHTEST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One image of an item."""

    key: str
    title: str
    place: Path | BandPlace
    """A COG, or a band of the item's Zarr store."""
    digest: str
    """Of its bytes, as the catalogue has it; of a store's manifest, which stands for all of it."""
    scale: float | None
    """physical = stored * scale + offset; None where the numbers mean nothing by themselves: a picture, flags."""
    offset: float
    unit: str
    flags: tuple[tuple[str, int], ...]
    """Names and bits, where it holds quality flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Something to look at."""

    name: str
    title: str
    sources: tuple[Source, ...]
    """One image, or three of one band each."""
    rescale: tuple[tuple[float, float], ...] = ()
    """Stored numbers that are darkest and lightest, for each source; empty: it is a picture already, or flags."""
    palette: str | None = None
    """Colour table of rio-tiler's, for one band."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An item, and where its files lie."""

    item: Item
    home: Path
    earlier: bool
    """It is not the latest version."""
    assets: Mapping[str, Mapping[str, Any]]
    """All that can be looked at: COGs, and what of the store has none."""
    stored: Mapping[str, BandPlace]
    """Where the latter lie."""
    reduced: Reduced = WHOLE
    """What is left of its pixels for the one who looks."""

    @classmethod
    def of(cls, item: Item, home: Path, reduced: Reduced, *, earlier: bool) -> Self:
        """An item, once it is settled that somebody may look at it.

        Raises
        ------
        Defect
            ``archive.corrupt`` if a band lies in its store alone, and that is damaged.
        """
        found = viewable(home, item, earlier=earlier)
        return cls(item, home, earlier, found.assets, found.stored, reduced)

    @property
    def presets(self) -> dict[str, Any]:
        """Render presets whose assets are all there."""
        renders = self.item["properties"].get("renders", {})
        return {name: found for name, found in renders.items() if all(map(self._is_shown, found["assets"]))}

    @property
    def names(self) -> tuple[str, ...]:
        """Layers: the picture first, then presets, then the other images."""
        keys = [key for key in self.assets if self._is_shown(key)]
        return tuple(dict.fromkeys([*(key for key in keys if key == "visual"), *self.presets, *keys]))

    @property
    def data(self) -> tuple[str, ...]:
        """Assets of physical values."""
        return tuple(key for key, asset in self.assets.items() if self._is_shown(key) and "raster:scale" in asset)

    @property
    def flags(self) -> tuple[str, ...]:
        """Assets of quality flags."""
        return tuple(
            key for key, asset in self.assets.items() if self._is_shown(key) and "classification:bitfields" in asset
        )

    def _is_shown(self, key: str) -> bool:
        if self.reduced.drop_bands and (key in self.reduced.drop_bands or key == "visual"):
            return False
        return key in self.assets

    def layer(self, name: str) -> Layer:
        """A layer by its name; a preset goes before an asset of the same name.

        Raises
        ------
        NotFound
            If there is none.
        """
        preset = self.presets.get(name)
        if preset is None:
            return self.asset(name)
        limits = tuple((float(low), float(high)) for low, high in preset["rescale"])
        return Layer(
            name=name,
            title=str(preset.get("title", name)),
            sources=tuple(self.source(key) for key in preset["assets"]),
            rescale=limits,
            palette=preset.get("colormap_name"),
        )

    def asset(self, key: str) -> Layer:
        """An asset as it is: grey between what most of its pixels lie between, if it holds values.

        Raises
        ------
        NotFound
            If there is no such image.
        """
        source = self.source(key)
        # What is masked stretches no contrast either.
        known = {} if self.reduced.mask is not None else self.assets[key].get("statistics", {})
        limits = () if source.scale is None else (_limits(source, known or _measured(source)),)
        return Layer(name=key, title=source.title, sources=(source,), rescale=limits)

    def source(self, key: str) -> Source:
        """An image by its asset's key, or the copy of it that may be looked at.

        Raises
        ------
        NotFound
            If the item has none of that key, or it does not lie with its product.
        Retryable
            ``tiles.changed`` if the file is not the one that the catalogue names: it is just being replaced.
        """
        if not self._is_shown(key):
            raise NotFound("there is no such layer")
        asset = self.assets[key]
        place, digest = self._place(key)
        flags = tuple((str(bit["name"]), 1 << int(bit["offset"])) for bit in asset.get("classification:bitfields", ()))
        place, digest = reduced_file(self.home, place, digest, self.reduced, flags=bool(flags))
        return Source(
            key=key,
            title=str(asset.get("title", key)),
            place=place,
            digest=digest,
            scale=asset.get("raster:scale"),
            offset=float(asset.get("raster:offset", 0.0)),
            unit=str(asset.get("unit", "1")),
            flags=flags,
        )

    def _place(self, key: str) -> tuple[Path | BandPlace, str]:
        """Where an image lies, and a digest of what it holds."""
        stored, asset = self.stored.get(key), self.assets[key]
        if stored is not None:
            return stored, f"{stored.manifest_sha256}/{stored.group}/{stored.name}"
        place = place_of(self.home, self.item, str(asset["href"]), earlier=self.earlier)
        if place is None or not place.is_file():
            raise NotFound("there is no such layer")
        path = place.resolve()
        if asset.get("file:size", path.stat().st_size) != path.stat().st_size:
            raise Retryable(
                "the file is not the one that the catalogue names", kind="tiles.changed", remedy="Ask again in a while."
            )
        return path, str(asset.get("file:checksum", ""))


def shown(home: Path, store: CatalogueStore, asking: Principal, names: tuple[str, str], action: Action) -> Shown:
    """An item by collection and ``ID`` or ``ID@VERSION``, as far as somebody may look at it.

    Raises
    ------
    NotFound
        If there is none, or not for this asker.
    """
    item_id, _, version = names[1].partition("@")
    item = item_of(store, asking, names[0], item_id, version)
    decision = asking.rights.given(item, action)
    assert item is not None
    return Shown.of(item, home, asking.rights.reduced(item, decision), earlier=bool(version))


def extent(item: Item) -> tuple[float, float, float, float]:
    """West, south, east, north of an item, in degrees; west is greater than east across the antimeridian."""
    box = [float(value) for value in item["bbox"]]
    west, south, east, north = box if len(box) == 4 else (box[0], box[1], box[3], box[4])
    return west, south, east, north


def plain_extent(item: Item) -> tuple[float, float, float, float]:
    """As :func:`extent`, but the whole way round for what crosses the antimeridian: TileJSON and WMTS know no other."""
    west, south, east, north = extent(item)
    return (west, south, east, north) if west <= east else (-180.0, south, 180.0, north)


def along(corners: list[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    """Points at equal distances along a line through corners, in degrees; both ends belong to it."""
    line = LineString(corners)
    if line.length == 0:
        return [corners[0]] * count
    points = (line.interpolate(place / (count - 1), normalized=True) for place in range(count))
    return [(point.x, point.y) for point in points]


def native_zoom(
    item: Item, assets: Mapping[str, Mapping[str, Any]], keys: tuple[str, ...], floor_m: float | None = None
) -> int:
    """The zoom level whose pixels are no coarser than the finest of some assets, or than a floor."""
    every = [
        float(asset["raster:spatial_resolution"]) for asset in assets.values() if "raster:spatial_resolution" in asset
    ]
    own = [
        float(assets[key]["raster:spatial_resolution"]) for key in keys if "raster:spatial_resolution" in assets[key]
    ]
    resolution = max(min(own or every or [float(item["properties"].get("gsd", _FALLBACK_M))]), floor_m or 0.0)
    _, south, _, north = extent(item)
    shrunk = max(math.cos(math.radians(min(abs(south + north) / 2, _EDGE_LATITUDE))), 0.05)
    at_zero = _EQUATOR_M / _TILE_PX * shrunk
    return min(max(math.ceil(math.log2(at_zero / max(resolution, _LIGHTEST)) - 1e-6), 0), MAX_ZOOM)


def tile_outline(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    """West, south, east, north of a tile in metres of Web Mercator."""
    side = _EQUATOR_M / 2**z
    west, north = x * side - _EQUATOR_M / 2, _EQUATOR_M / 2 - y * side
    return west, north - side, west + side, north


def touches(item: Item, z: int, x: int, y: int) -> bool:
    """Whether a tile may show something of an item; its outline is taken a little wider than it is."""
    west, south, east, north = extent(item)
    per_tile = 360.0 / 2**z
    slack = per_tile / 16 + 1e-3
    left, right = x * per_tile - 180.0 - slack, (x + 1) * per_tile - 180.0 + slack
    low, high = (_tile_row(latitude, z) for latitude in (north + slack, south - slack))
    if not low <= y <= high:
        return False
    sides = ((west, east),) if west <= east else ((west, 180.0), (-180.0, east))
    return any(left <= last and first <= right for first, last in sides)


def _tile_row(latitude: float, z: int) -> int:
    latitude = math.radians(min(max(latitude, -_EDGE_LATITUDE), _EDGE_LATITUDE))
    rows = 1 << z
    row = math.floor((1 - math.asinh(math.tan(latitude)) / math.pi) / 2 * rows)
    return min(max(row, 0), rows - 1)


def _measured(source: Source) -> dict[str, float]:
    """Figures of the pixels that are left, physical values."""
    return _kept_figures(source) if source.digest else _figures(source)


def _figures(source: Source) -> dict[str, float]:
    from catalogs.api.tiles_values import figures_of

    return figures_of(source)


_kept_figures = lru_cache(maxsize=1_000)(_figures)
"""The same digest has the same figures."""


def _limits(source: Source, statistics: Mapping[str, float]) -> tuple[float, float]:
    """Two standard deviations around the mean, as far as there are values; in stored numbers."""
    scale = source.scale or 1.0
    low, high = statistics.get("minimum", 0.0), statistics.get("maximum", 1.0)
    if "mean" in statistics and "stddev" in statistics:
        mean, spread = statistics["mean"], 2 * statistics["stddev"]
        low, high = max(low, mean - spread), min(high, mean + spread)
    darkest, lightest = ((value - source.offset) / scale for value in (low, high))
    return darkest, max(lightest, darkest + 1)
