"""Queryables, sortables and aggregations: what can be asked, and figures about what matches."""

from typing import Any

import attr
from stac_fastapi.extensions.aggregation.client import BaseAggregationClient
from stac_fastapi.extensions.filter.client import BaseFiltersClient
from stac_fastapi.extensions.sort.client import BaseSortablesClient
from starlette.requests import Request

from catalogs.api import links
from catalogs.api.answers import Json, SchemaJson
from catalogs.api.client import store_of, visible_collection
from catalogs.api.collections import queryables
from catalogs.api.principal import principal_of
from catalogs.api.requests import AggregateBody, body_of, search_request
from catalogs.store.protocol import AGGREGATIONS, Aggregation

_TYPES = {"total_count": "integer", "datetime_min": "datetime", "datetime_max": "datetime"}
_KEYS = {"datetime_frequency": "datetime", "cloud_cover_frequency": "numeric"}


@attr.s
class Queryables(BaseFiltersClient):
    """What filters may name."""

    def get_queryables(self, collection_id: str | None = None, **kwargs: Any) -> Any:
        """As a JSON Schema, for all collections or for one."""
        return SchemaJson(_schema(kwargs["request"], collection_id))


@attr.s
class Sortables(BaseSortablesClient):
    """What items and collections can be sorted by."""

    def get_sortables(self, request: Request | None = None, **_: Any) -> Any:
        """Of a search."""
        return SchemaJson(_sortables(request, None))

    def get_collection_sortables(self, collection_id: str, request: Request | None = None, **_: Any) -> Any:
        """Of one collection's items."""
        return SchemaJson(_sortables(request, collection_id))

    def get_collections_sortables(self, request: Request | None = None, **_: Any) -> Any:
        """Of the collections."""
        assert request is not None
        text = {"type": "string"}
        return SchemaJson(_schema(request, None) | {
            "title": "Sortables", "properties": dict.fromkeys(("id", "title", "license", "description"), text),
            "additionalProperties": False,
        })  # fmt: skip


@attr.s
class Figures(BaseAggregationClient):
    """Figures about all items that match."""

    def get_aggregations(self, collection_id: str | None = None, **kwargs: Any) -> Any:
        """Which figures there are."""
        request: Request = kwargs["request"]
        if collection_id is not None:
            visible_collection(request, collection_id)
        known = [{"name": name, "data_type": _TYPES.get(name, "frequency_distribution")} for name in AGGREGATIONS]
        return Json(_collected(request, known))

    def aggregate(self, *given: AggregateBody, **parameters: Any) -> Any:  # type: ignore[override]
        """The figures that are asked for; all when none is named."""
        request: Request = parameters.pop("request")
        body = given[0] if given else body_of(parameters)
        collection = request.path_params.get("collection_id")
        if collection is not None:
            visible_collection(request, collection)
        asking = principal_of(request)
        found = store_of(request).aggregate(
            search_request(body, collection=collection, unasked=asking.unasked),
            tuple(dict.fromkeys(body.aggregations or AGGREGATIONS)),
            asking.entitlement,
        )
        return Json(_collected(request, [_told(one) for one in found]))


def _told(one: Aggregation) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name, "data_type": one.data_type}
    if one.data_type != "frequency_distribution":
        return told | ({} if one.value is None else {"value": one.value})
    kind = _KEYS.get(one.name, "string")
    buckets = []
    for bucket in one.buckets:
        ends = {"from": bucket.start, "to": bucket.stop}
        buckets.append(
            {"key": bucket.key, "data_type": kind, "frequency": bucket.frequency}
            | {name: end for name, end in ends.items() if end is not None}
        )
    return told | {"buckets": buckets, "overflow": 0}


def _collected(request: Request, found: list[dict[str, Any]]) -> dict[str, Any]:
    here = [links.link("self", str(request.url)), links.link("root", links.root(request) + "/")]
    return {"type": "AggregationCollection", "aggregations": found, "links": here}


def _schema(request: Request, collection_id: str | None) -> dict[str, Any]:
    if collection_id is None:
        shown = store_of(request).collections(principal_of(request).entitlement)
    else:
        shown = (visible_collection(request, collection_id),)
    return queryables(str(request.url.replace(query="")), {str(one["id"]): one for one in shown})


def _sortables(request: Request | None, collection_id: str | None) -> dict[str, Any]:
    assert request is not None
    schema = _schema(request, collection_id)
    known = {name: one for name, one in schema["properties"].items() if name != "geometry"}
    return schema | {"title": "Sortables", "description": "What items can be sorted by.", "properties": known}
