"""Stored documents as they go out: every address absolute, on this server, and one that works."""

import copy
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from catalogs.bands import names_in_store
from catalogs.store.protocol import Collection, Item
from processing.archive.layout import COG_TYPE

STAC = "/stac"
DOWNLOAD = "/download"
TILES = "/tiles"
GEOJSON, JSON = "application/geo+json", "application/json"
# What is known from where a document stands is said anew, never repeated from what was stored.
_OURS = {
    "self", "root", "parent", "collection", "items", "item", "version-history", "latest-version",
    "predecessor-version", "successor-version", "tilejson", "wmts",
}  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_ITEM_FILE = re.compile(r"(?:\.\./)+(?:products/)?([^/]+)/([^/]+)/item\.json")
_EARLIER_FILE = re.compile(r"(?:\.\./)+archive/([^/]+)/\d{4}/\d\d/\d\d/([^/]+)/([0-9a-f]+)\.files/item\.json")

type Link = dict[str, Any]


def link(rel: str, href: str, media: str = JSON, **more: Any) -> Link:
    """A STAC link."""
    return {"rel": rel, "type": media, "href": href, **more}


def origin(request: Request) -> str:
    """``http://host:port`` under which this server is asked; the guard saw to it that it is ours."""
    return str(request.base_url).rstrip("/")


def root(request: Request) -> str:
    """Address of the STAC API's landing page, without its last slash."""
    return origin(request) + STAC


def item_href(request: Request, collection: str, item_id: str) -> str:
    """Address of an item."""
    return f"{root(request)}/collections/{_part(collection)}/items/{_part(item_id)}"


def published_collection(request: Request, collection: Collection) -> Collection:
    """A collection as it goes out."""
    here = f"{root(request)}/collections/{_part(collection['id'])}"
    links = [
        link("self", here),
        link("root", root(request) + "/"),
        link("parent", root(request) + "/"),
        link("items", f"{here}/items", GEOJSON),
        link("http://www.opengis.net/def/rel/ogc/1.0/queryables", f"{here}/queryables", "application/schema+json"),
        link("aggregate", f"{here}/aggregate"),
        link("aggregations", f"{here}/aggregations"),
        *_kept(collection),
    ]
    return collection | {"links": links}


def published_item(request: Request, item: Item, *, version: str | None = None) -> Item:
    """An item as it goes out: its links, and assets that can be downloaded from here.

    Parameters
    ----------
    version
        Of an earlier version: its files are told apart from those of the latest.
    """
    collection, item_id = str(item["collection"]), str(item["id"])
    base = origin(request)
    above = f"{base}{STAC}/collections/{_part(collection)}"
    latest = f"{above}/items/{_part(item_id)}"
    here = latest if version is None else f"{latest}/versions/{_part(version)}"
    links = [
        link("self", here, GEOJSON),
        link("root", f"{base}{STAC}/"),
        link("parent", above),
        link("collection", above),
        *(_derived(request, found) for found in _kept(item)),
    ]
    named = item_id if version is None else f"{item_id}@{version}"
    links += _map_links(tiles_href(request, collection, named), item)
    files = f"{base}{DOWNLOAD}/{_part(collection)}/{_part(named, safe='@')}"
    assets = {
        key: asset | {"href": _asset_href(files, key, str(asset["href"]))}
        for key, asset in item.get("assets", {}).items()
    }
    return item | {"links": links, "assets": assets}


def with_history(request: Request, item: Item, versions: Sequence[Item], *, version: str | None = None) -> Item:
    """An item with links to its other versions.

    Parameters
    ----------
    versions
        Earlier ones, the last superseded first.
    version
        Which of them ``item`` is; None: the latest.
    """
    if not versions:
        return item
    latest = item_href(request, str(item["collection"]), str(item["id"]))
    names = [str(found["properties"].get("version")) for found in versions]
    hrefs = [latest, *(f"{latest}/versions/{_part(name)}" for name in names)]
    place = 0 if version is None else names.index(version) + 1
    links = [link("version-history", f"{latest}/versions", GEOJSON)]
    if place > 0:
        links += [link("latest-version", latest, GEOJSON), link("successor-version", hrefs[place - 1], GEOJSON)]
    if place + 1 < len(hrefs):
        links.append(link("predecessor-version", hrefs[place + 1], GEOJSON))
    properties = item["properties"] if version is None else item["properties"] | {"deprecated": True}
    return item | {"links": [*item["links"], *links], "properties": properties}


def with_fields(document: dict[str, Any], include: Sequence[str], exclude: Sequence[str]) -> dict[str, Any]:
    """A document with only the fields that were asked for, by the Fields extension; ``id`` and ``type`` always stay."""
    if not include and not exclude:
        return document
    found: dict[str, Any] = copy.deepcopy(document)
    if include:
        kept: dict[str, Any] = {}
        for path in (*include, "id", "type", "collection"):
            _copy_path(found, kept, path.split("."))
        found = kept
    for path in exclude:
        if path not in ("id", "type", "collection") and path not in include:
            _drop_path(found, path.split("."))
    return found


def _copy_path(source: dict[str, Any], target: dict[str, Any], path: list[str]) -> None:
    *above, last = path
    for name in above:
        inner = source.get(name)
        if not isinstance(inner, dict):
            return
        source, target = inner, target.setdefault(name, {})
    if last in source and isinstance(target, dict):
        target[last] = source[last]


def _drop_path(document: dict[str, Any], path: list[str]) -> None:
    *above, last = path
    for name in above:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return
        document = inner
    document.pop(last, None)


def _kept(document: dict[str, Any]) -> list[Link]:
    return [dict(found) for found in document.get("links", ()) if found.get("rel") not in _OURS]


def _derived(request: Request, found: Link) -> Link:
    """Links between items go by their files' places: here by their addresses."""
    href = str(found.get("href", ""))
    if other := _EARLIER_FILE.fullmatch(href):
        there = f"{item_href(request, other[1], other[2])}/versions/{other[3]}"
    elif other := _ITEM_FILE.fullmatch(href):
        there = item_href(request, other[1], other[2])
    else:
        return found
    return found | {"href": there, "type": GEOJSON}


def tiles_href(request: Request, collection: str, item: str) -> str:
    """Address of what of an item can be looked at; ``item`` is ``ID`` or ``ID@VERSION``."""
    return f"{origin(request)}{TILES}/{_part(collection)}/{_part(item, safe='@')}"


def _map_links(here: str, item: Item) -> list[Link]:
    """Where maps find an item, in the words of STAC's web-map-links; nothing where it has neither COGs nor a store."""
    assets = item.get("assets", {})
    images = {key for key, asset in assets.items() if asset.get("type") == COG_TYPE} | names_in_store(item)
    renders = {
        name: render
        for name, render in item["properties"].get("renders", {}).items()
        if images.issuperset(render["assets"])
    }
    if not images:
        return []
    tilejsons = [
        link("tilejson", f"{here}/{_part(name)}/tilejson.json", title=str(render.get("title", name)))
        for name, render in renders.items()
    ]
    return [
        *tilejsons,
        link("wmts", f"{here}/WMTSCapabilities.xml", "application/xml", **{"wmts:layer": list(renders)}),
    ]


def _asset_href(files: str, key: str, href: str) -> str:
    if "://" in href:
        return href
    name = href.rstrip("/").rpartition("/")[2]
    return f"{files}/{_part(key)}/{_part(name)}"


def _part(text: str, safe: str = "") -> str:
    # Asked many times for each item of a page: nearly all names need no quoting, which takes ten times as long.
    return text if _PLAIN(text) else quote(text, safe=safe)
