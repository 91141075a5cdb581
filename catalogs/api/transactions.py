"""Changes to the catalogue over HTTP: for operators only."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response

from catalogs.api import links
from catalogs.api.answers import GeoJson, Json
from catalogs.api.client import store_of
from catalogs.api.errors import NotFound
from catalogs.api.principal import Gate
from catalogs.store.protocol import Collection, Item
from catalogs.validate import validate_collection, validate_item
from processing.model.errors import BadInput, Conflict, Defect

router = APIRouter(prefix=links.STAC, tags=["Transactions"])
CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
    "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
)
type Document = Annotated[dict[str, Any], Body()]
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not valid"}, 401: {"description": "No operator's token"}, 404: {"description": "Not there"},
    409: {"description": "It is there already, or something depends on it"}, 422: {"description": "Not valid STAC"},
}  # fmt: skip


@router.post("/collections", status_code=201, response_class=Json, responses=_ERRORS)
def create_collection(request: Request, document: Document) -> Response:
    """Add a collection."""
    _operator(request)
    _check(document, None)
    if store_of(request).get_collection(str(document["id"])) is not None:
        raise Conflict("there is such a collection already", kind="collection.exists")
    return _put_collection(request, document, 201)


@router.put("/collections/{collection_id}", response_class=Json, responses=_ERRORS)
def update_collection(request: Request, collection_id: str, document: Document) -> Response:
    """Replace a collection; its items stay."""
    _operator(request)
    _there(store_of(request).get_collection(collection_id))
    _check(document | {"id": document.get("id", collection_id)}, collection_id)
    return _put_collection(request, document | {"id": collection_id}, 200)


@router.patch("/collections/{collection_id}", response_class=Json, responses=_ERRORS)
def patch_collection(request: Request, collection_id: str, document: Document) -> Response:
    """Change fields of a collection, by JSON merge patch (RFC 7396)."""
    _operator(request)
    changed = _merged(_there(store_of(request).get_collection(collection_id)), document)
    _check(changed, collection_id)
    return _put_collection(request, changed, 200)


@router.delete("/collections/{collection_id}", response_class=Json, responses=_ERRORS)
def delete_collection(request: Request, collection_id: str) -> Response:
    """Remove a collection that holds no items."""
    _operator(request)
    if not store_of(request).delete_collection(collection_id):
        raise NotFound("there is no such collection")
    return Json({"deleted": collection_id})


@router.post("/collections/{collection_id}/items", status_code=201, response_class=GeoJson, responses=_ERRORS)
def create_items(request: Request, collection_id: str, document: Document) -> Response:
    """Add an item, or all items of a FeatureCollection."""
    _operator(request)
    store = store_of(request)
    _there(store.get_collection(collection_id))
    if document.get("type") == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list) or not all(isinstance(one, dict) for one in features):
            raise BadInput("a FeatureCollection has features", kind="request.invalid")
        items = [_item(one, collection_id, None) for one in features]
        for item in items:
            _absent(store.get_item(collection_id, str(item["id"])))
        return Json({"created": store.put_items(items)}, status_code=201)
    item = _item(document, collection_id, None)
    _absent(store.get_item(collection_id, str(item["id"])))
    store.put_item(item)
    headers = {"Location": links.item_href(request, collection_id, str(item["id"]))}
    return GeoJson(links.published_item(request, item), status_code=201, headers=headers)


@router.put("/collections/{collection_id}/items/{item_id}", response_class=GeoJson, responses=_ERRORS)
def update_item(request: Request, collection_id: str, item_id: str, document: Document) -> Response:
    """Replace an item."""
    _operator(request)
    _there(store_of(request).get_item(collection_id, item_id))
    return _put_item(request, _item(document, collection_id, item_id))


@router.patch("/collections/{collection_id}/items/{item_id}", response_class=GeoJson, responses=_ERRORS)
def patch_item(request: Request, collection_id: str, item_id: str, document: Document) -> Response:
    """Change fields of an item, by JSON merge patch (RFC 7396)."""
    _operator(request)
    changed = _merged(_there(store_of(request).get_item(collection_id, item_id)), document)
    return _put_item(request, _item(changed, collection_id, item_id))


@router.delete("/collections/{collection_id}/items/{item_id}", response_class=Json, responses=_ERRORS)
def delete_item(request: Request, collection_id: str, item_id: str) -> Response:
    """Take an item out of the catalogue; its files stay in the archive."""
    _operator(request)
    if not store_of(request).delete_item(collection_id, item_id):
        raise NotFound("there is no such item")
    return Json({"deleted": item_id})


def _operator(request: Request) -> None:
    gate: Gate = request.app.state.gate
    gate.operator(request)


def _there(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        raise NotFound("it is not there")
    return found


def _absent(found: Item | None) -> None:
    if found is not None:
        raise Conflict(f"there is an item '{found['id']}' already", kind="item.exists", remedy="PUT replaces it.")


def _item(document: Item, collection: str, item_id: str | None) -> Item:
    item = document | {"collection": document.get("collection", collection)}
    stated = item.get("links", [])
    if isinstance(stated, list) and not any(isinstance(one, dict) and one.get("rel") == "collection" for one in stated):
        # STAC wants this link in every item of a collection; clients leave it to the server.
        item["links"] = [*stated, links.link("collection", "../collection.json")]
    if item["collection"] != collection or (item_id is not None and item.get("id") != item_id):
        raise BadInput("the item's id or collection is not the one of the address", kind="request.invalid")
    _validated(validate_item, item)
    return item


def _check(document: Collection, collection_id: str | None) -> None:
    if collection_id is not None and document.get("id") != collection_id:
        raise BadInput("the collection's id is not the one of the address", kind="request.invalid")
    _validated(validate_collection, document)


def _validated(validate: Any, document: dict[str, Any]) -> None:
    """Validate what came from outside: what is a defect in our own documents is a bad request here."""
    try:
        json.dumps(document, allow_nan=False)
        validate(document)
    except Defect as error:
        raise BadInput(error.message, kind="stac.invalid", remedy=error.remedy) from error
    except (ValueError, RecursionError) as error:
        raise BadInput("the document is not JSON as STAC has it", kind="stac.invalid") from error


def _put_collection(request: Request, document: Collection, status: int) -> Response:
    store_of(request).put_collection(document)
    return Json(links.published_collection(request, document), status_code=status)


def _put_item(request: Request, item: Item) -> Response:
    store_of(request).put_item(item)
    return GeoJson(links.published_item(request, item))


def _merged(document: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
