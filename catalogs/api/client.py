"""The STAC API's answers, from a store."""

from typing import Any

import attr
from stac_fastapi.types.core import BaseCoreClient
from starlette.requests import Request
from starlette.responses import Response

from catalogs.api import collections as among_collections
from catalogs.api import links
from catalogs.api.answers import GeoJson, Json
from catalogs.api.errors import NotFound
from catalogs.api.parents import known_parents, tells_of_hidden, without_parents
from catalogs.api.principal import principal_of
from catalogs.api.requests import SearchBody, body_of, search_request
from catalogs.store.protocol import CatalogueStore, Collection, Item, ItemPage
from catalogs.turns import Turns

_PUTTING_TOGETHER = Turns()
"""Of answers: what policy says of every item, addresses, texts."""


def store_of(request: Request) -> CatalogueStore:
    """The application's catalogue."""
    store: CatalogueStore = request.app.state.store
    return store


def visible_collection(request: Request, collection_id: str) -> Collection:
    """A collection that the asker may see.

    Raises
    ------
    NotFound
        If there is none, or not for this asker.
    """
    found = store_of(request).get_collection(collection_id, principal_of(request).entitlement)
    if found is None:
        raise NotFound("there is no such collection")
    return found


@attr.s(auto_attribs=True)
class StacClient(BaseCoreClient):
    """Implements stac-fastapi's endpoints; each runs in a thread of its own."""

    def landing_page(self, **kwargs: Any) -> Any:
        """The catalogue's root, with a child for every collection."""
        request: Request = kwargs["request"]
        page: dict[str, Any] = dict(super().landing_page(**kwargs))
        shown = store_of(request).collections(principal_of(request).entitlement)
        page["links"] = [
            *page["links"],
            *(
                links.link("child", f"{links.root(request)}/collections/{one['id']}", title=one.get("title", one["id"]))
                for one in shown
            ),
        ]
        return Json(page)

    def conformance(self, **_: Any) -> Any:
        """What this API promises."""
        return Json({"conformsTo": self.conformance_classes()})

    def get_search(self, **parameters: Any) -> Any:  # type: ignore[override]
        """``GET`` of a search."""
        request: Request = parameters.pop("request")
        return self._page(request, body_of(parameters))

    def post_search(self, search_request: SearchBody, **kwargs: Any) -> Any:  # type: ignore[override]
        """``POST`` of a search."""
        return self._page(kwargs["request"], search_request, posted=True)

    def item_collection(self, collection_id: str, **parameters: Any) -> Any:  # type: ignore[override]
        """Items of one collection."""
        request: Request = parameters.pop("request")
        visible_collection(request, collection_id)
        return self._page(request, body_of(parameters), collection=collection_id)

    def get_item(self, item_id: str, collection_id: str, **kwargs: Any) -> Any:
        """One item in its latest version."""
        request: Request = kwargs["request"]
        found, earlier = _with_versions(request, collection_id, item_id)
        return GeoJson(links.with_history(request, _published(request, found), earlier))

    def get_collection(self, collection_id: str, **kwargs: Any) -> Any:
        """One collection."""
        request: Request = kwargs["request"]
        return Json(links.published_collection(request, visible_collection(request, collection_id)))

    def all_collections(self, **kwargs: Any) -> Any:
        """Collections that fit."""
        request: Request = kwargs.pop("request")
        body = body_of(kwargs)
        limit = body.limit if kwargs.get("limit") is not None else None
        shown = store_of(request).collections(principal_of(request).entitlement)
        found = among_collections.matching(shown, body)
        page, token = among_collections.page_of(found, limit, body.token)
        here = f"{links.root(request)}/collections"
        documents = [
            links.with_fields(links.published_collection(request, one), body.fields.include, body.fields.exclude)
            for one in page
        ]
        found_links = [links.link("self", str(request.url)), links.link("root", links.root(request) + "/")]
        if token is not None:
            found_links.append(links.link("next", str(request.url.include_query_params(token=token)), method="GET"))
        answer = {"collections": documents, "links": found_links}
        return Json(
            answer | {"numberMatched": len(found), "numberReturned": len(page)}, headers={"Link": f"<{here}>; rel=self"}
        )

    def _page(
        self, request: Request, body: SearchBody, *, collection: str | None = None, posted: bool = False
    ) -> Response:
        asking = principal_of(request)
        wanted = search_request(body, collection=collection, unasked=asking.unasked)
        page = store_of(request).search(wanted, asking.entitlement)
        with _PUTTING_TOGETHER.taken():
            # The store's condition lets through at least what policy does: whoever is shown an item is asked again.
            shown = [item for item in page.items if asking.rights.shows(item)]
            known = known_parents(store_of(request), asking, shown)
            features = [
                links.with_fields(_told(request, item, known), body.fields.include, body.fields.exclude)
                for item in shown
            ]
        answer: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": features,
            "links": _page_links(request, page, body if posted else None, collection),
            "numberReturned": len(features),
        }
        if page.matched is not None and len(shown) == len(page.items):
            answer["numberMatched"] = page.matched
        return GeoJson(answer)


def _page_links(
    request: Request, page: ItemPage, posted: SearchBody | None, collection: str | None
) -> list[links.Link]:
    found = [links.link("root", links.root(request) + "/")]
    if collection is not None:
        found.append(links.link("collection", f"{links.root(request)}/collections/{collection}"))
    here = str(request.url)
    if posted is None:
        found.append(links.link("self", here, links.GEOJSON))
        if page.next is not None:
            href = str(request.url.include_query_params(token=page.next))
            found.append(links.link("next", href, links.GEOJSON, method="GET"))
        return found
    found.append(links.link("self", here, links.GEOJSON, method="POST"))
    if page.next is not None:
        body = posted.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"token": page.next}
        found.append(links.link("next", here, links.GEOJSON, method="POST", body=body, merge=False))
    return found


def item_versions(request: Request, collection_id: str, item_id: str) -> Response:
    """All versions of an item, the latest first."""
    latest, earlier = _with_versions(request, collection_id, item_id)
    features = [links.with_history(request, _published(request, latest), earlier)]
    features += [_earlier(request, found, earlier) for found in earlier]
    here = f"{links.item_href(request, collection_id, item_id)}/versions"
    found_links = [links.link("self", here, links.GEOJSON), links.link("root", links.root(request) + "/")]
    return GeoJson(
        {"type": "FeatureCollection", "features": features, "links": found_links, "numberReturned": len(features)}
    )


def item_version(request: Request, collection_id: str, item_id: str, version: str) -> Response:
    """One earlier version of an item, or its latest by its version's name."""
    latest, earlier = _with_versions(request, collection_id, item_id)
    for found in earlier:
        if found["properties"].get("version") == version:
            return GeoJson(_earlier(request, found, earlier))
    if latest["properties"].get("version") != version:
        raise NotFound("there is no such item")
    return GeoJson(links.with_history(request, _published(request, latest), earlier))


def _with_versions(request: Request, collection_id: str, item_id: str) -> tuple[Item, tuple[Item, ...]]:
    """An item and its earlier versions, as far as the asker may know of them."""
    asking, store = principal_of(request), store_of(request)
    latest = store.get_item(collection_id, item_id, asking.entitlement)
    if latest is None or not asking.rights.shows(latest):
        raise NotFound("there is no such item")
    earlier = store.versions(collection_id, item_id, asking.entitlement)
    return latest, tuple(found for found in earlier if asking.rights.shows(found))


def _published(request: Request, item: Item, version: str | None = None) -> Item:
    """An item as it goes out to this asker."""
    return _told(request, item, known_parents(store_of(request), principal_of(request), (item,)), version)


def _told(request: Request, item: Item, known: frozenset[str], version: str | None = None) -> Item:
    found = principal_of(request).rights.trimmed(item, links.published_item(request, item, version=version))
    return without_parents(found) if tells_of_hidden(item, known) else found


def _earlier(request: Request, item: Item, versions: tuple[Item, ...]) -> Item:
    version = str(item["properties"].get("version"))
    return links.with_history(request, _published(request, item, version), versions, version=version)
