"""An item as a row: what is searched stands in columns, the rest is compressed; JSON is kept once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import shapely
from numcodecs import lz4
from shapely.geometry.base import BaseGeometry

from catalogs.policy.terms import doubts
from catalogs.store.protocol import Item
from catalogs.store.request import geometry, microseconds
from catalogs.store.words import item_words
from processing.model.errors import BadInput

type Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

PARTS = 8
"""Boxes an item has in the R*Tree at most: their ids are its key times this, and up."""
DECADE_US = 3_650 * 86_400_000_000
"""The R*Tree weighs a decade like a degree: then it groups by place first, and by time where a place has many items."""
CLOUD = "eo:cloud_cover"
_MOST_TIMES = 255
"""LZ4 packs nothing tighter."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the tables hold of an item."""

    collection: str
    id: str
    moment: int
    """Microseconds since 1970: the item's datetime, or its start where it has none."""
    starts: int
    stops: int
    parts: tuple[Bounds, ...]
    """Boxes around the parts of its geometry: one that crosses the antimeridian has parts on both sides."""
    shape: bytes | None
    """Its geometry as WKB."""
    cloud: object
    properties: bytes
    rest: bytes
    words: str
    doubts: tuple[str, ...] = ()
    """Properties that policy takes as unknown."""

    @property
    def bounds(self) -> Bounds | tuple[None, None, None, None]:
        """Box around it all."""
        if not self.parts:
            return None, None, None, None
        wests, souths, easts, norths = zip(*self.parts, strict=True)
        return min(wests), min(souths), max(easts), max(norths)

    @property
    def slack(self) -> int:
        """How far its moment may lie from its ends, microseconds."""
        return max(self.moment - self.starts, self.stops - self.moment, 0)


def to_row(item: Item) -> Row:
    """Take an item apart: :func:`to_rows` of one."""
    (row,) = to_rows((item,))
    return row


def to_rows(items: Sequence[Item]) -> list[Row]:
    """Take items apart; of many together, the geometry takes a third of its time.

    Raises
    ------
    BadInput
        ``search.geometry``, ``search.datetime`` where its place or time means nothing; ``item.json`` if JSON has no
        word for something in it.
    """
    places = _places(items)
    shapes = shapely.to_wkb(places)
    boxes = shapely.bounds(places)
    return [
        _row(item, place, shape, tuple(box)) for item, place, shape, box in zip(
            items, places, shapes, boxes.tolist(), strict=True
        )
    ]  # fmt: skip


def _row(item: Item, place: BaseGeometry | None, shape: bytes | None, box: Bounds) -> Row:
    properties = item["properties"]
    moment, starts, stops = _times(properties)
    cloud = properties.get(CLOUD)
    return Row(
        collection=str(item["collection"]),
        id=str(item["id"]),
        moment=moment,
        starts=starts,
        stops=stops,
        parts=part_bounds(place, box),
        shape=shape,
        cloud=cloud if isinstance(cloud, int | float | str) else None,
        properties=_dumped(properties, item),
        rest=packed(_dumped({key: part for key, part in item.items() if key != "properties"}, item)),
        words=item_words(str(item["id"]), str(item["collection"]), properties),
        doubts=doubts(item),
    )


def packed(text: bytes) -> bytes:
    """What of an item is never searched: a third longer than Zstandard's, and unpacked in a tenth of the time."""
    found: bytes = lz4.compress(text)
    return found


def to_item(properties: bytes, rest: bytes) -> Item:
    """Put an item together again.

    Raises
    ------
    ValueError
        If the row is damaged.
    """
    # How long it will be stands in front: memory is not taken for what a damaged row says.
    if int.from_bytes(rest[:4], "little") > _MOST_TIMES * len(rest):
        raise ValueError("a row cannot be unpacked: it says that it is longer than it can be")
    try:
        item: Item = orjson.loads(lz4.decompress(rest))
    except RuntimeError as error:
        raise ValueError(f"a row cannot be unpacked: {error}") from error
    item["properties"] = orjson.loads(properties)
    return item


def words_of(collection: str, item_id: str, properties: bytes) -> str:
    """The words under which an item was indexed."""
    return item_words(item_id, collection, orjson.loads(properties))


def version_of(properties: bytes) -> str | None:
    """The version an item states."""
    version = orjson.loads(properties).get("version")
    return version if isinstance(version, str) else None


def rfc3339(moment: int) -> str:
    """Microseconds since 1970 in STAC's words."""
    return (_EPOCH + timedelta(microseconds=moment)).isoformat().replace("+00:00", "Z")


def _places(items: Sequence[Item]) -> npt.NDArray[np.object_]:
    """Geometries; None where an item has none."""
    stated = [item.get("geometry") for item in items]
    texts = [None if value is None else _dumped(value, item) for value, item in zip(stated, items, strict=True)]
    # GEOS reads GeoJSON five times faster than Python does; what it cannot take is told of by the slower reader.
    found = shapely.force_2d(shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore"))
    for number in np.flatnonzero(shapely.is_empty(found) | ~shapely.is_valid(found)):
        if (value := stated[number]) is not None:
            found[number] = geometry(value)
    return np.asarray(found, dtype=object)


def _times(properties: Mapping[str, Any]) -> tuple[int, int, int]:
    """Moment, start and end of an item, microseconds."""
    stated, first, last = (properties.get(name) for name in ("datetime", "start_datetime", "end_datetime"))
    if stated and not first and not last:
        moment = microseconds(stated)
        return moment, moment, moment
    starts, stops = microseconds(str(first or stated)), microseconds(str(last or stated))
    return microseconds(stated) if stated else starts, starts, stops


def _dumped(part: Any, item: Item) -> bytes:
    try:
        return orjson.dumps(part)
    except TypeError as error:
        raise BadInput(f"not JSON: {error}", kind="item.json", where=str(item.get("id"))) from error


def part_bounds(place: BaseGeometry | None, box: Bounds | None = None) -> tuple[Bounds, ...]:
    """Boxes around the parts of a geometry, ``PARTS`` at most; ``box`` is that around it all, where it is known."""
    if place is None:
        return ()
    found = [part.bounds for part in place.geoms] if hasattr(place, "geoms") else [box or place.bounds]
    if len(found) > PARTS:
        wests, souths, easts, norths = zip(*found[PARTS - 1 :], strict=True)
        found = [*found[: PARTS - 1], (min(wests), min(souths), max(easts), max(norths))]
    return tuple(found)
