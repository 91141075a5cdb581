"""The catalogue in one SQLite file: several processes, no server, and what was acknowledged survives a power cut."""

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from catalogs.store import database
from catalogs.store.filters import Sql, compile_filter, field
from catalogs.store.protocol import Collection, Item, ItemPage, SearchRequest, SortKey
from catalogs.store.request import geometry, interval, microseconds, read_token, search_area, write_token
from processing.model.errors import BadInput, Defect

_FILE = "catalogue.sqlite"
_COLUMNS = ("collection", "id", "moment", "starts", "stops", "west", "south", "east", "north", "shape", "document")
_REPLACED = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[2:])
_UPSERT = (
    f"INSERT INTO items ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - our names
    f" ON CONFLICT (collection, id) DO UPDATE SET {_REPLACED} RETURNING key"
)
_NEWEST_FIRST = (SortKey(field="datetime", direction="desc"),)


class EmbeddedStore:
    """Implements :class:`~catalogs.store.protocol.CatalogueStore` on SQLite with an R*Tree.

    Parameters
    ----------
    folder
        Where the database lies; created when it is not there.

    Raises
    ------
    Defect
        ``catalogue.version`` if the database was made by a newer Qyran.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._finalizer = weakref.finalize(self, _close_all, self._open)
        database.create(self._path)

    def put_collection(self, collection: Collection) -> None:
        """Add or replace a collection."""
        with database.transaction(self._connection) as connection:
            connection.execute(
                "INSERT INTO collections (id, document) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (str(collection["id"]), _dumped(collection)),
            )

    def get_collection(self, collection: str) -> Collection | None:
        """One collection with the extent of its items."""
        found = self._connection.execute("SELECT document FROM collections WHERE id = ?", (collection,)).fetchone()
        return None if found is None else self._with_extent(json.loads(found[0]))

    def collections(self) -> tuple[Collection, ...]:
        """All collections."""
        rows = self._connection.execute("SELECT document FROM collections ORDER BY id").fetchall()
        return tuple(self._with_extent(json.loads(row[0])) for row in rows)

    def put_item(self, item: Item) -> None:
        """Add or replace an item."""
        place = geometry(item["geometry"]) if item.get("geometry") is not None else None
        with database.transaction(self._connection) as connection:
            try:
                (key,) = connection.execute(
                    _UPSERT,
                    (
                        str(item["collection"]), str(item["id"]), *_times(item["properties"]),
                        *((None,) * 5 if place is None else (*place.bounds, shapely.to_wkb(place))), _dumped(item),
                    ),
                ).fetchone()  # fmt: skip
            except sqlite3.IntegrityError as error:
                raise BadInput(
                    f"there is no collection '{item['collection']}'",
                    kind="collection.unknown",
                    where=str(item["id"]),
                    remedy="Put the collection first.",
                ) from error
            _forget_boxes(connection, key)
            for west, south, east, north in _part_bounds(place):
                part = connection.execute("INSERT INTO parts (item) VALUES (?)", (key,)).lastrowid
                connection.execute("INSERT INTO boxes VALUES (?, ?, ?, ?, ?)", (part, west, east, south, north))

    def get_item(self, collection: str, item_id: str) -> Item | None:
        """One item."""
        found = self._connection.execute(
            "SELECT document FROM items WHERE collection = ? AND id = ?", (collection, item_id)
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def find_item(self, reference: str) -> Item | None:
        """The item of ``COLLECTION/ID`` or of an unambiguous ``ID``."""
        collection, slash, item_id = reference.rpartition("/")
        if slash:
            return self.get_item(collection, item_id)
        rows = self._connection.execute(
            "SELECT collection, document FROM items WHERE id = ? ORDER BY collection", (item_id,)
        ).fetchall()
        if len(rows) > 1:
            raise BadInput(
                f"'{item_id}' is in several collections: {', '.join(row[0] for row in rows)}",
                kind="item.ambiguous",
                remedy="Write COLLECTION/ID.",
            )
        return json.loads(rows[0][1]) if rows else None

    def delete_item(self, collection: str, item_id: str) -> bool:
        """Remove an item."""
        with database.transaction(self._connection) as connection:
            found = connection.execute(
                "SELECT key FROM items WHERE collection = ? AND id = ?", (collection, item_id)
            ).fetchone()
            if found is None:
                return False
            _forget_boxes(connection, found[0])
            connection.execute("DELETE FROM items WHERE key = ?", found)
            return True

    def search(self, request: SearchRequest) -> ItemPage:
        """One page of what matches."""
        matching = _conditions(request)
        keys = [(field(key.field), key.direction) for key in request.sortby or _NEWEST_FIRST]
        keys += [(Sql("i.collection"), "asc"), (Sql("i.id"), "asc")]
        after = read_token(request, len(keys))
        conditions = matching if after is None else [*matching, _after(keys, after)]
        columns = Sql.join(", ".join(["{}"] * len(keys)), *(expression for expression, _ in keys))
        order = Sql.join(
            ", ".join(f"{{}} {direction} NULLS LAST" for _, direction in keys), *(expression for expression, _ in keys)
        )
        limit = Sql("?", (request.limit + 1,))
        query = Sql.join(
            "SELECT i.document, {} FROM items AS i WHERE {} ORDER BY {} LIMIT {}",
            columns, _all(conditions), order, limit,
        )  # fmt: skip
        connection = self._connection
        rows = connection.execute(query.text, query.values).fetchall()
        more, rows = len(rows) > request.limit, rows[: request.limit]
        matched = None
        if request.count:
            counting = Sql.join("SELECT count(*) FROM items AS i WHERE {}", _all(matching))
            (matched,) = connection.execute(counting.text, counting.values).fetchone()
        return ItemPage(
            items=tuple(json.loads(row[0]) for row in rows),
            next=write_token(request, rows[-1][1:]) if more else None,
            matched=matched,
        )

    def close(self) -> None:
        """Close every connection."""
        self._finalizer()

    @property
    def _connection(self) -> sqlite3.Connection:
        """Connection of the calling thread; one that a fork inherited is never used."""
        if not self._finalizer.alive:
            raise Defect("the catalogue was closed", kind="catalogue.closed", where=str(self._path))
        held = getattr(self._local, "held", None)
        if held is None or held[0] != os.getpid():
            held = (os.getpid(), database.connect(self._path))
            self._local.held = held
            self._open.append(held[1])
        connection: sqlite3.Connection = held[1]
        return connection

    def _with_extent(self, collection: Collection) -> Collection:
        """What the items cover, in the place of what the collection was put with."""
        first, last, west, south, east, north = self._connection.execute(
            "SELECT min(starts), max(stops), min(west), min(south), max(east), max(north) FROM items"
            " WHERE collection = ?",
            (collection["id"],),
        ).fetchone()
        if first is None:
            return collection
        spatial = {"bbox": [[west, south, east, north]]} if west is not None else collection["extent"]["spatial"]
        temporal = {"interval": [[_rfc3339(first), _rfc3339(last)]]}
        return collection | {"extent": {"spatial": spatial, "temporal": temporal}}


def _close_all(connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
    connections.clear()


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _times(properties: dict[str, Any]) -> tuple[int, int, int]:
    """Moment, start and end of an item, microseconds."""
    stated = properties.get("datetime")
    starts = microseconds(str(properties.get("start_datetime") or stated))
    stops = microseconds(str(properties.get("end_datetime") or stated))
    return microseconds(stated) if stated else starts, starts, stops


def _rfc3339(moment: int) -> str:
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).isoformat()
    return text.replace("+00:00", "Z")


def _part_bounds(place: BaseGeometry | None) -> list[tuple[float, float, float, float]]:
    return [] if place is None else [part.bounds for part in getattr(place, "geoms", [place])]


def _forget_boxes(connection: sqlite3.Connection, key: int) -> None:
    connection.execute("DELETE FROM boxes WHERE part IN (SELECT part FROM parts WHERE item = ?)", (key,))
    connection.execute("DELETE FROM parts WHERE item = ?", (key,))


def _conditions(request: SearchRequest) -> list[Sql]:
    """All that an item must satisfy, the page aside."""
    found = [
        Sql(f"i.{column} IN ({', '.join('?' * len(values))})", values)
        for column, values in (("collection", request.collections), ("id", request.ids))
        if values
    ]
    if request.datetime is not None:
        start, stop = interval(request.datetime)
        found.append(Sql("i.starts <= ? AND i.stops >= ?", (stop, start)))
    area = search_area(request)
    if area is not None:
        found.append(_touching(area))
    if request.filter is not None:
        found.append(compile_filter(request.filter))
    return found


def _touching(area: BaseGeometry) -> Sql:
    """Boxes first: the R*Tree keeps them in 32 bits, rounded outwards, so it never misses. Then the geometry itself."""
    boxes = [part.bounds for part in getattr(area, "geoms", [area])]
    overlaps = " OR ".join(["(west <= ? AND east >= ? AND south <= ? AND north >= ?)"] * len(boxes))
    return Sql(
        f"i.key IN (SELECT item FROM boxes JOIN parts USING (part) WHERE {overlaps})"  # noqa: S608 - only placeholders
        " AND related('intersects', i.shape, ?)",
        (*(value for west, south, east, north in boxes for value in (east, west, north, south)), shapely.to_wkb(area)),
    )


def _all(conditions: Sequence[Sql]) -> Sql:
    return Sql.join(" AND ".join(["({})"] * len(conditions)) or "1", *conditions)


def _after(keys: Sequence[tuple[Sql, str]], place: Sequence[Any]) -> Sql:
    """Rows that sort behind ``place``; NULLs sort last in either direction."""
    choices = []
    for index, ((expression, direction), value) in enumerate(zip(keys, place, strict=True)):
        if value is None:
            continue
        same = [Sql.join("{} IS {}", key, Sql("?", (was,))) for (key, _), was in zip(keys[:index], place, strict=False)]
        sign = ">" if direction == "asc" else "<"
        behind = Sql.join(f"({{}} {sign} {{}} OR {{}} IS NULL)", expression, Sql("?", (value,)), expression)
        choices.append(_all([*same, behind]))
    return Sql.join("(" + " OR ".join(["({})"] * len(choices)) + ")", *choices)
