"""``/``: the page for customers. One document and its modules; everything that it shows comes from the API beside it.

No script and no style stands in the document, and the policy that goes with it lets nothing in from elsewhere: a title
that somebody wrote as a script stays a title.
"""

import hashlib
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from catalogs.api.answers import Json, matches
from catalogs.api.errors import NotFound
from catalogs.portal.files import site
from configs.portal import load_portal_config
from configs.schema.catalogue import CatalogueConfig

FILES = "/portal/"
router = APIRouter(include_in_schema=False)
MAX_OVERLAY = 32 * 1_048_576
_FOR_EVER = "public, max-age=31536000, immutable"
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
    " worker-src 'self'; font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'"
)


@router.get("/")
@router.get("/item/{collection_id}/{item_id}")
@router.get("/compare")
@router.get("/basket")
@router.get("/my-orders")
@router.get("/my-orders/{order_id}")
@router.get("/desk")
@router.get("/desk/{order_id}")
@router.get("/report")
@router.get("/account")
def page() -> Response:
    """The document: the same for every address of the page, whose script reads which it is."""
    # The page may not be kept without asking: it names the files of its release.
    return HTMLResponse(site().page, headers={"Content-Security-Policy": _CSP, "Cache-Control": "no-cache"})


@router.get("/favicon.ico")
def icon() -> Response:
    """For those who ask for it under its old name."""
    return Response(site().parts["icon.svg"].plain, media_type="image/svg+xml", headers={"Cache-Control": _FOR_EVER})


@router.get(FILES + "settings.json")
def settings(request: Request) -> Response:
    """What the operator set, for the script."""
    catalogue: CatalogueConfig = request.app.state.config
    config = load_portal_config(_configs(request))
    known = {
        "title": config.title or catalogue.title,
        "language": config.language,
        "start": config.start,
        "world_borders": config.world_borders,
        "overlays": [f"{FILES}overlays/{name}" for name in config.overlays],
        "contact": config.contact,
    }
    return Json(known, headers={"Cache-Control": "no-cache"})


@router.get(FILES + "overlays/{name}")
def overlay(request: Request, name: str) -> Response:
    """A map of the operator's own: only what the settings name."""
    folder = _configs(request)
    if name not in load_portal_config(folder).overlays:
        raise NotFound("there is no such map")
    document = _document(folder / "portal" / name)
    return Json(document, headers={"Cache-Control": "no-cache"})


@router.get(FILES + "{stamp}/{path:path}")
@router.head(FILES + "{stamp}/{path:path}")
def part(request: Request, stamp: str, path: str) -> Response:
    """A file of the page, as the browser takes it: compressed wherever it may be."""
    found = site().parts.get(path) if stamp == site().stamp else None
    if found is None:
        raise NotFound("there is no such file")
    etag = f'"{hashlib.blake2b(found.packed, digest_size=16).hexdigest()}"'
    headers = {"Cache-Control": _FOR_EVER, "ETag": etag, "Vary": "Accept-Encoding"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.media, headers=headers | {"Content-Encoding": "gzip"})
    return Response(found.plain, media_type=found.media, headers=headers)


def _configs(request: Request) -> Path:
    home: Path = request.app.state.home
    return home / "configs"


def _document(path: Path) -> Any:
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_OVERLAY else b""
        return orjson.loads(content)
    except (OSError, orjson.JSONDecodeError) as error:
        raise NotFound("the map is not there, too large, or no JSON") from error
