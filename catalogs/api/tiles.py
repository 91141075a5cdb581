"""Map tiles, previews and values of catalogued images, by (collection, item, asset) alone: no address is ever taken.

What somebody may not see is as if it were not there. A tile beside an image is an empty picture, not an error: a map
asks for many such. Everything heavy is imported when it is asked for first.
"""

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, Literal

import anyio.to_thread
import orjson
from anyio import CapacityLimiter
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from catalogs.api import tiles_documents, tiles_layers
from catalogs.api.answers import matches
from catalogs.api.errors import NotFound
from catalogs.api.links import TILES, tiles_href
from catalogs.api.principal import ANONYMOUS, principal_of
from catalogs.api.tiles_layers import MAX_ZOOM, Layer, Shown
from catalogs.policy.terms import Action
from processing.model.errors import BadInput

router = APIRouter(prefix=TILES + "/{collection_id}/{item_id}", tags=["Tiles"])
MAX_WIDTH = 2_048
MAX_POINTS = 1_000
_MAX_DIGITS = 8
_TILE_PX = 256
_VERSION = version("qyran")
_MEDIA = {"png": "image/png", "webp": "image/webp"}
type Responses = dict[int | str, dict[str, Any]]
_UNCHANGED: Responses = {304: {"description": "Unchanged"}, 404: {"description": "Not there, or not for you"}}
_PICTURE: Responses = {**_UNCHANGED, 200: {"content": {media: {} for media in _MEDIA.values()}}}
_TOO_LARGE: Responses = {422: {"description": "More than is answered at once; says what to do instead"}}

type Format = Literal["png", "webp"]
type Degrees = Annotated[str, Query(description="Degrees of WGS 84.")]


@router.get("", responses=_UNCHANGED)
async def list_layers(request: Request, collection_id: str, item_id: str) -> Response:
    """What of an item can be looked at, and where."""
    found = await _shown(request, collection_id, item_id)
    document = tiles_documents.layers(tiles_href(request, collection_id, item_id), found)
    return await _answer(request, "application/json", _digest(found), lambda: orjson.dumps(document))


@router.get("/WMTSCapabilities.xml", response_class=Response, responses=_UNCHANGED)
async def wmts_capabilities(request: Request, collection_id: str, item_id: str) -> Response:
    """All layers of an item for desktop GIS: WMTS 1.0.0 with addresses of tiles."""
    found = await _shown(request, collection_id, item_id)
    make = tiles_documents.wmts
    here = tiles_href(request, collection_id, item_id)
    return await _answer(request, "application/xml", _digest(found), lambda: make(here, found))


@router.get("/preview.{kind}", response_class=Response, responses={**_PICTURE, **_TOO_LARGE})
async def item_preview(request: Request, collection_id: str, item_id: str, kind: Format, width: int = 512) -> Response:
    """The whole item, as its picture for the eye or its first render preset shows it."""
    found = await _shown(request, collection_id, item_id, Action.PREVIEW)
    if not found.names:
        raise NotFound("there is nothing to look at")
    return await _preview(request, found, found.names[0], (width, kind))


@router.get("/{layer}/preview.{kind}", response_class=Response, responses={**_PICTURE, **_TOO_LARGE})
async def layer_preview(
    request: Request, collection_id: str, item_id: str, layer: str, kind: Format, width: int = 512
) -> Response:
    """A whole layer, on its own grid."""
    found = await _shown(request, collection_id, item_id, Action.PREVIEW)
    return await _preview(request, found, layer, (width, kind))


@router.get("/{layer}/tilejson.json", responses=_UNCHANGED)
async def tilejson(request: Request, collection_id: str, item_id: str, layer: str, kind: Format = "webp") -> Response:
    """TileJSON 3.0 of a layer."""
    found = await _shown(request, collection_id, item_id)
    look = await _layer(request, found, layer)
    document = tiles_documents.tilejson(tiles_href(request, collection_id, item_id), found, look, kind)
    return await _answer(request, "application/json", _digest(found), lambda: orjson.dumps(document))


@router.get("/{layer}/{z}/{x}/{y}.{kind}", response_class=Response, responses=_PICTURE)
async def tile(
    request: Request, collection_id: str, item_id: str, layer: str, z: str, x: str, y: str, kind: str
) -> Response:
    """A tile of WebMercatorQuad, 256 pixels wide, or 512 as ``{y}@2x``; transparent where there is no value."""
    zoom, column, row = (_number(text) for text in (z, x, y.removesuffix("@2x")))
    if kind not in _MEDIA or zoom > MAX_ZOOM or max(column, row) >= 2**zoom:
        raise NotFound("there is no such tile")
    picture: Format = "png" if kind == "png" else "webp"
    size = _TILE_PX * (2 if y.endswith("@2x") else 1)
    found = await _shown(request, collection_id, item_id)
    look = await _layer(request, found, layer)

    def make() -> bytes:
        from catalogs.api import tiles_pictures

        if not tiles_layers.touches(found.item, zoom, column, row):
            return tiles_pictures.empty(size, picture)
        return tiles_pictures.tile(look, tiles_layers.tile_outline(zoom, column, row), size, picture)

    return await _answer(request, _MEDIA[kind], _digest(found, look), make)


@router.get("/{asset}/statistics", responses={**_UNCHANGED, **_TOO_LARGE})
async def statistics(
    request: Request,
    collection_id: str,
    item_id: str,
    asset: str,
    bbox: Annotated[str | None, Query(description="West, south, east, north in degrees; left out: all.")] = None,
    approximate: Annotated[bool, Query(description="From an overview, where there are too many pixels.")] = False,
) -> Response:
    """Figures of an asset's pixels in physical values, or the shares of quality flags."""
    box = None if bbox is None else _numbers(bbox, "bbox", (4, 6))
    found = await _shown(request, collection_id, item_id)
    look = await _layer(request, found, asset, plain=True)

    def make() -> bytes:
        from catalogs.api import tiles_values

        return orjson.dumps(tiles_values.statistics(look.sources[0], box, approximate=approximate))

    return await _answer(request, "application/json", _digest(found, look), make)


@router.get("/point", responses=_UNCHANGED)
async def point(request: Request, collection_id: str, item_id: str, lon: Degrees, lat: Degrees) -> Response:
    """Values of all bands in the pixel that a point falls into, and the quality flags set there."""
    place = _place(lon, lat)
    return await _values(request, (collection_id, item_id), [place], lambda found: found[0])


@router.get("/profile", responses={**_UNCHANGED, **_TOO_LARGE})
async def profile(
    request: Request,
    collection_id: str,
    item_id: str,
    line: Annotated[str, Query(description="lon,lat,lon,lat,...: corners of the line, degrees of WGS 84.")],
    points: Annotated[int, Query(ge=2, description=f"How many, at equal distances; at most {MAX_POINTS}.")] = 100,
) -> Response:
    """Values of all bands along a line."""
    numbers = _numbers(line, "line", range(4, 2 * MAX_POINTS + 1, 2))
    corners = [_place(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    if points > MAX_POINTS:
        raise BadInput(
            f"{points:,} points are more than the {MAX_POINTS:,} that are answered at once", kind="tiles.too_large",
            remedy="Ask for fewer, or for parts of the line.",
        )  # fmt: skip
    places = tiles_layers.along(corners, points)
    return await _values(request, (collection_id, item_id), places, lambda found: {"points": found})


async def _values(
    request: Request, names: tuple[str, str], places: list[tuple[float, float]], shape: Callable[[list[object]], object]
) -> Response:
    found = await _shown(request, *names)
    sources = await _run(request, lambda: [found.source(key) for key in (*found.data, *found.flags)])

    def make() -> bytes:
        from catalogs.api import tiles_values

        return orjson.dumps(shape(tiles_values.at_points(sources, places)))

    return await _answer(request, "application/json", _digest(found), make)


async def _preview(request: Request, found: Shown, name: str, wanted: tuple[int, Format]) -> Response:
    width, kind = wanted
    if not 1 <= width <= MAX_WIDTH:
        raise BadInput(
            f"a preview {width:,} pixels wide is not made", kind="tiles.too_large",
            remedy=f"Ask for 1 to {MAX_WIDTH:,}, for tiles, or order the product itself.",
        )  # fmt: skip
    look = await _layer(request, found, name)

    def make() -> bytes:
        from catalogs.api import tiles_pictures

        return tiles_pictures.preview(look, width, kind, tallest=2 * MAX_WIDTH)

    return await _answer(request, _MEDIA[kind], _digest(found, look), make)


async def _shown(request: Request, collection: str, item: str, action: Action = Action.TILE) -> Shown:
    asking, state = principal_of(request), request.app.state
    return await anyio.to_thread.run_sync(
        tiles_layers.shown, state.home, state.store, asking, (collection, item), action
    )


async def _layer(request: Request, found: Shown, name: str, *, plain: bool = False) -> Layer:
    return await _run(request, lambda: found.asset(name) if plain else found.layer(name))


async def _run[Result](request: Request, work: Callable[[], Result]) -> Result:
    """Work in a thread, on no more than there are cores: pictures may not hold up downloads and searches."""
    state = request.app.state
    if not hasattr(state, "pictures"):
        state.pictures = CapacityLimiter(os.cpu_count() or 1)
    return await anyio.to_thread.run_sync(work, limiter=state.pictures)


async def _answer(request: Request, media: str, digest: str, make: Callable[[], bytes]) -> Response:
    """The answer, or that it is unchanged: what is looked at never changes but with its files, or this program."""
    asked = f"{request.url}\0{digest}\0{_VERSION}"
    weak = "" if media.startswith("image/") else "W/"
    etag = f'{weak}"{hashlib.blake2b(asked.encode("utf-8", "replace"), digest_size=16).hexdigest()}"'
    public = principal_of(request).name == ANONYMOUS
    # Not for long: what is public may cease to be.
    headers = {
        "ETag": etag,
        "Cache-Control": "public, max-age=60" if public else "private, no-cache",
        "Vary": "Authorization, Cookie",
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    body = await _run(request, make)
    return Response(body, media_type=media, headers=headers)


def _digest(found: Shown, look: Layer | None = None) -> str:
    """What an answer is made from."""
    kept = found.item["properties"]
    looks = "" if look is None else repr((look.rescale, look.palette, [source.digest for source in look.sources]))
    return f"{kept.get('version')}\0{kept.get('updated', kept.get('created'))}\0{looks}\0{found.reduced.digest}"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise NotFound("there is no such tile")
    return int(text)


def _numbers(text: str, name: str, counts: tuple[int, ...] | range) -> tuple[float, ...]:
    parts = text.split(",") if len(text) < 100 * MAX_POINTS else []
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise BadInput(
            f"{name} is not a list of as many numbers as it should be", kind="search.bbox",
            remedy="Write degrees with commas between: west,south,east,north, or lon,lat,lon,lat.",
        )  # fmt: skip
    return numbers


def _place(lon: str | float, lat: str | float) -> tuple[float, float]:
    try:
        place = float(lon), float(lat)
    except ValueError:
        place = (float("nan"), float("nan"))
    if not (-180 <= place[0] <= 180 and -90 <= place[1] <= 90):
        raise BadInput("that is no place on Earth", kind="search.place", remedy="Write lon and lat in degrees.")
    return place
