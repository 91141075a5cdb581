"""Files of catalogued assets, and nothing else: what the catalogue does not name cannot be asked for."""

import os
from dataclasses import dataclass
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
from catalogs.api.principal import principal_of
from catalogs.entitlement import Entitlement
from catalogs.store.protocol import CatalogueStore, Item
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
    entitlement, state = principal_of(request).entitlement, request.app.state
    found = await anyio.to_thread.run_sync(
        find_file, state.home, state.store, entitlement, (collection_id, item_id, asset_key, path)
    )
    return _answer(request, found)


def find_file(home: Path, store: CatalogueStore, entitlement: Entitlement, place: tuple[str, str, str, str]) -> Found:
    """The file behind collection, item (``ID`` or ``ID@VERSION``), asset key, and the rest of the path.

    Raises
    ------
    NotFound
        If the catalogue names no such file, or not to this asker, or it does not lie with its product.
    """
    collection, name, key, rest = place
    item_id, _, version = name.partition("@")
    item = item_of(store, entitlement, collection, item_id, version)
    asset = (item or {}).get("assets", {}).get(key)
    if item is None or asset is None:
        raise NotFound("there is no such file")
    target = place_of(home, item, str(asset["href"]), earlier=bool(version))
    base, _, inner = rest.partition("/")
    if target is None or base != target.name:
        raise NotFound("there is no such file")
    if target.is_dir():
        return _object_of(target, inner)
    if inner or not target.is_file():
        raise NotFound("there is no such file")
    checksum = str(asset.get("file:checksum", ""))
    sha256 = checksum.removeprefix(_SHA256_MULTIHASH) if checksum.startswith(_SHA256_MULTIHASH) else None
    return Found(target, str(asset.get("type", "application/octet-stream")), sha256, asset.get("file:size"))


def item_of(
    store: CatalogueStore, entitlement: Entitlement, collection: str, item_id: str, version: str
) -> Item | None:
    """An item in its latest or an earlier version; None if there is none, or not for this asker."""
    if not version:
        return store.get_item(collection, item_id, entitlement)
    kept = store.versions(collection, item_id, entitlement)
    return next((found for found in kept if found["properties"].get("version") == version), None)


def place_of(home: Path, item: Item, href: str, *, earlier: bool) -> Path | None:
    """Where an asset lies; None if that is not among the files of its own product."""
    if "://" in href or "\0" in href:
        return None
    collection, item_id = str(item["collection"]), str(item["id"])
    folder = home / "products" / collection / item_id
    nominal = Path(os.path.normpath(folder / href))
    if earlier and nominal.is_relative_to(folder):
        nominal = _superseded(home, item, folder) / nominal.relative_to(folder)
    try:
        real, base = nominal.resolve(strict=True), home.resolve()
    except (OSError, RuntimeError):
        return None
    within = real.relative_to(base).parts if real.is_relative_to(base) else ()
    # products/COLLECTION/ID/..., or archive/COLLECTION/YYYY/MM/DD/ID/...
    own = within[:3] == ("products", collection, item_id) or (
        within[:2] == ("archive", collection) and within[5:6] == (item_id,)
    )
    return nominal if own else None


def _superseded(home: Path, item: Item, folder: Path) -> Path:
    """Where the files of an earlier version lie: beside its store."""
    href = str(item.get("assets", {}).get("zarr", {}).get("href", ""))
    store = Path(os.path.normpath(folder / href))
    return store.with_suffix(".files") if store.suffix == ".zarr" and store.is_relative_to(home) else folder


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
        raise NotFound("there is no such file") from error
    if found.size is not None and stat.st_size != found.size:
        raise Retryable(
            "the file is not the one that the catalogue names", kind="download.changed", remedy="Ask again in a while."
        )
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": _CSP,
        "Content-Disposition": _disposition(found),
        "Vary": "Authorization",
    }
    if found.sha256 is not None:
        headers["ETag"] = f'"{found.sha256}"'
    answer = FileResponse(found.path, headers=headers, media_type=found.media, stat_result=stat)
    if matches(request.headers.get("if-none-match"), answer.headers["etag"]):
        kept = {name: answer.headers[name] for name in ("etag", "cache-control", "vary", "last-modified")}
        return Response(status_code=304, headers=kept)
    return answer


def _disposition(found: Found) -> str:
    kind = "inline" if found.media.split(";")[0] in _INLINE else "attachment"
    return f"{kind}; filename*=utf-8''{quote(found.path.name)}"
