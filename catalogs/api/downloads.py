"""Files of catalogued assets, and nothing else: what the catalogue does not name cannot be asked for."""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from catalogs.api.answers import matches
from catalogs.api.errors import NotFound, refusal
from catalogs.api.links import DOWNLOAD
from catalogs.api.on_record import OnRecord
from catalogs.api.parents import NAMING, known_parents, tells_of_hidden
from catalogs.api.places import item_of, place_of
from catalogs.api.principal import Principal, principal_of
from catalogs.api.rights import actions_of
from catalogs.api.thumbnails import Picture, thumbnail
from catalogs.api.tiles_layers import Shown
from catalogs.policy.terms import Action, Decision
from catalogs.store.protocol import CatalogueStore
from processing.archive.layout import MANIFEST
from processing.archive.manifest import ObjectRecord, read_manifest
from processing.model.errors import Defect, Retryable

router = APIRouter(tags=["Downloads"])
_ROUTE = DOWNLOAD + "/{collection_id}/{item_id}/{asset_key}/{path:path}"
_SHA256_MULTIHASH = "1220"
_MAX_RANGES = 16
_INLINE = ("image/webp", "image/png", "image/jpeg", "application/json", "application/geo+json", "text/plain")
# What is opened in a browser may run nothing and reach nothing.
_CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of an asset."""

    path: Path
    media: str
    sha256: str | None
    size: int | None
    name: str = ""
    """Of the asset, where it must be on record that somebody got it: ``COLLECTION/ID/ASSET``."""
    decision: Decision | None = None


@router.head(_ROUTE, include_in_schema=False)
@router.get(
    _ROUTE,
    response_class=Response,
    responses={200: {"description": "The file"}, 206: {"description": "Parts of it"}, 304: {"description": "Unchanged"},
               404: {"description": "Not there"}, 416: {"description": "Ranges that it does not have"}},
)  # fmt: skip
async def download(request: Request, collection_id: str, item_id: str, asset_key: str, path: str) -> Response:
    """The file of an asset, whole or in ranges; of a Zarr store, any of its objects."""
    if request.headers.get("range", "").count(",") >= _MAX_RANGES:
        return refusal(416, "range", f"At most {_MAX_RANGES} ranges at once.")
    asking, state = principal_of(request), request.app.state
    place = (collection_id, item_id, asset_key, path)
    found = await anyio.to_thread.run_sync(find_file, state.home, state.store, asking, place)
    if isinstance(found, Picture):
        headers = {**_headers(found.name, found.media), "ETag": f'"{hashlib.sha256(found.content).hexdigest()}"'}
        if matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media, headers=headers)
    if found.decision is not None:
        # Nothing goes out that is not on record.
        record: OnRecord = state.record
        await anyio.to_thread.run_sync(record.given, asking.party, (found.name, found.sha256), found.decision)
    return _answer(request, found)


def find_file(
    home: Path, store: CatalogueStore, asking: Principal, place: tuple[str, str, str, str]
) -> Found | Picture:
    """The file behind collection, item (``ID`` or ``ID@VERSION``), asset key, and the rest of the path.

    A thumbnail that shows more than its asker may see is made anew, from the pixels that are left.

    Raises
    ------
    NotFound
        If the catalogue names no such file, or not to this asker, or it does not lie with its product.
    """
    collection, name, key, rest = place
    item_id, _, version = name.partition("@")
    item = item_of(store, asking, collection, item_id, version)
    asset = (item or {}).get("assets", {}).get(key)
    if item is None or asset is None or not asking.rights.shows(item):
        raise NotFound("there is no such item")
    action = actions_of(asset, key)[0]
    whole = asking.rights.whole_file(item, asset, key)
    if not whole and action is not Action.PREVIEW:
        raise NotFound("there is no such item")
    if key in NAMING and tells_of_hidden(item, known_parents(store, asking, (item,))):
        raise NotFound("there is no such item")
    target = place_of(home, item, str(asset["href"]), earlier=bool(version))
    base, _, inner = rest.partition("/")
    if target is None or base != target.name:
        raise NotFound("there is no such item")
    decision = asking.rights.given(item, action)
    told = (f"{collection}/{name}/{key}", decision) if action is Action.DOWNLOAD else ("", None)
    if target.is_dir():
        return replace(_object_of(target, inner), name=told[0], decision=told[1])
    if inner or not target.is_file():
        raise NotFound("there is no such item")
    media = str(asset.get("type", "application/octet-stream"))
    if not whole:
        return thumbnail(
            Shown.of(item, home, asking.rights.reduced(item, decision), earlier=bool(version)), target, media
        )
    checksum = str(asset.get("file:checksum", ""))
    sha256 = checksum.removeprefix(_SHA256_MULTIHASH) if checksum.startswith(_SHA256_MULTIHASH) else None
    return Found(target, media, sha256, asset.get("file:size"), *told)


def _object_of(store: Path, key: str) -> Found:
    """One object of a Zarr store: only what its manifest lists, and the manifest."""
    real = store.resolve()
    if key == MANIFEST:
        return Found(real / MANIFEST, "application/json", None, None)
    record = _records(real, (real / MANIFEST).stat().st_mtime_ns).get(key) if (real / MANIFEST).is_file() else None
    if record is None:
        raise NotFound("the store has no such object")
    media = "application/json" if key.endswith("zarr.json") else "application/octet-stream"
    return Found(real / key, media, record.sha256, record.size)


@lru_cache(maxsize=64)
def _records(store: Path, _changed: int) -> dict[str, ObjectRecord]:
    try:
        return dict(read_manifest(store))
    except Defect as error:
        raise NotFound("the store cannot be read") from error


def _answer(request: Request, found: Found) -> Response:
    try:
        stat = found.path.stat()
    except OSError as error:
        raise NotFound("there is no such item") from error
    if found.size is not None and stat.st_size != found.size:
        raise Retryable(
            "the file is not the one that the catalogue names", kind="download.changed", remedy="Ask again in a while."
        )
    headers = _headers(found.path.name, found.media)
    if found.sha256 is not None:
        headers["ETag"] = f'"{found.sha256}"'
    answer = FileResponse(found.path, headers=headers, media_type=found.media, stat_result=stat)
    if matches(request.headers.get("if-none-match"), answer.headers["etag"]):
        kept = {name: answer.headers[name] for name in ("etag", "cache-control", "vary", "last-modified")}
        return Response(status_code=304, headers=kept)
    return answer


def _headers(name: str, media: str) -> dict[str, str]:
    kind = "inline" if media.partition(";")[0] in _INLINE else "attachment"
    return {
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": _CSP,
        "Content-Disposition": f"{kind}; filename*=utf-8''{quote(name)}",
        "Vary": "Authorization, Cookie",
    }
