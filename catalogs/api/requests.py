"""Parameters of a request, from the address or from a body, and what they ask the store for."""

import json
from typing import Annotated, Any, Literal

import attr
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stac_fastapi.types.search import APIRequest

from catalogs.store.cql import parse_filter
from catalogs.store.protocol import SearchRequest, SortKey
from catalogs.store.request import is_instant
from processing.model.errors import BadInput

PAGE = 10
MAX_PAGE = 500
"""Items on one page at most, however many are asked for."""
MAX_VERTICES = 1_000
MAX_GEOMETRY = 524_288
MAX_NAMES = 1_000

type Limit = Annotated[int | None, Query(ge=1, description=f"Items a page; at most {MAX_PAGE} come.")]
type Text = str | None
_QUERY_OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_LIKE = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


@attr.s(auto_attribs=True, kw_only=True)
class _PageGet(APIRequest):
    """What every ``GET`` of a page of items takes."""

    bbox: Annotated[Text, Query(description="West, south, east, north in degrees; west > east across 180.")] = None
    datetime: Annotated[Text, Query(description="RFC 3339 instant, or A/B; .. is an open end.")] = None
    limit: Limit = PAGE
    token: Annotated[Text, Query(description="What the next link of the page before says.")] = None
    filter: Annotated[Text, Query(description="CQL2.")] = None
    filter_lang: Annotated[Literal["cql2-text", "cql2-json"] | None, Query(alias="filter-lang")] = None
    filter_crs: Annotated[Text, Query(alias="filter-crs")] = None
    sortby: Annotated[Text, Query(description="-datetime,+eo:cloud_cover")] = None
    fields: Annotated[Text, Query(description="id,properties.datetime,-assets")] = None
    q: Annotated[Text, Query(description="Free text: terms with commas between.")] = None


@attr.s(auto_attribs=True, kw_only=True)
class ItemsGet(_PageGet):
    """``GET`` of the items of one collection."""

    collection_id: str


@attr.s(auto_attribs=True, kw_only=True)
class SearchGet(_PageGet):
    """``GET`` of a search."""

    collections: Annotated[Text, Query(description="Ids with commas between.")] = None
    ids: Annotated[Text, Query(description="Ids with commas between.")] = None
    intersects: Annotated[Text, Query(description="GeoJSON geometry; not together with bbox.")] = None
    query: Annotated[Text, Query(description='{"eo:cloud_cover": {"lt": 10}}')] = None


@attr.s(auto_attribs=True, kw_only=True)
class AggregateGet(SearchGet):
    """``GET`` of figures about a search."""

    aggregations: Annotated[Text, Query(description="Names with commas between.")] = None


@attr.s(auto_attribs=True)
class CollectionsGet(APIRequest):
    """``GET`` of collections."""

    bbox: Annotated[Text, Query(description="West, south, east, north in degrees.")] = None
    datetime: Annotated[Text, Query(description="RFC 3339 instant, or A/B; .. is an open end.")] = None
    limit: Limit = None
    token: Annotated[Text, Query(description="What the next link of the page before says.")] = None
    sortby: Annotated[Text, Query(description="-title,+id")] = None
    fields: Annotated[Text, Query(description="id,title,-links")] = None
    q: Annotated[Text, Query(description="Free text: terms with commas between.")] = None


class Fields(BaseModel):
    """Which fields to give; nothing: all."""

    model_config = ConfigDict(frozen=True)

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class SearchBody(BaseModel):
    """Body of a search."""

    model_config = ConfigDict(populate_by_name=True)

    collections: list[str] | None = None
    ids: list[str] | None = None
    bbox: list[float] | None = None
    intersects: dict[str, Any] | None = None
    datetime: str | None = None
    limit: int | None = Field(default=PAGE, ge=1)
    token: str | None = None
    filter: dict[str, Any] | str | bool | None = None
    filter_lang: Literal["cql2-text", "cql2-json"] | None = Field(default=None, alias="filter-lang")
    filter_crs: str | None = Field(default=None, alias="filter-crs")
    sortby: list[SortKey] | None = None
    fields: Fields = Fields()
    query: dict[str, dict[str, Any]] | None = None
    q: list[str] | str | None = None


class AggregateBody(SearchBody):
    """Body of a question for figures."""

    aggregations: list[str] | None = None


def body_of(parameters: dict[str, Any]) -> AggregateBody:
    """Parameters of an address as the body that asks the same.

    Raises
    ------
    BadInput
        ``request.invalid`` for what cannot be read.
    """
    found = {name: value for name, value in parameters.items() if value is not None}
    found |= {name: _listed(found[name]) for name in ("collections", "ids", "q", "aggregations") if name in found}
    found |= {name: _json(name, found[name]) for name in ("intersects", "query") if name in found}
    if "bbox" in found:
        found["bbox"] = _numbers(found["bbox"])
    if "sortby" in found:
        found["sortby"] = sort_keys(found["sortby"])
    if "fields" in found:
        found["fields"] = fields_of(found["fields"])
    if found.get("filter_lang") == "cql2-json" and "filter" in found:
        found["filter"] = _json("filter", found["filter"])
    try:
        return AggregateBody.model_validate(found)
    except ValidationError as error:
        raise _unreadable("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())) from error


def search_request(
    body: SearchBody, *, collection: str | None = None, unasked: frozenset[str] = frozenset()
) -> SearchRequest:
    """What a body asks the store for.

    Parameters
    ----------
    unasked
        Properties that are as if they were not there: nothing may be filtered or sorted by them.

    Raises
    ------
    BadInput
        ``search.*`` for what means nothing or is too much; ``search.filter`` for what is not to be asked by.
    """
    _check(body)
    if unasked:
        _refuse_asking_by(unasked, body)
    try:
        return SearchRequest(
            collections=(collection,) if collection is not None else tuple(body.collections or ()),
            ids=tuple(body.ids or ()),
            bbox=None if body.bbox is None else tuple(body.bbox),
            intersects=body.intersects,
            datetime=body.datetime,
            filter=_filter(body),
            text=(body.q,) if isinstance(body.q, str) else tuple(body.q or ()),
            sortby=tuple(body.sortby or ()),
            limit=min(body.limit or PAGE, MAX_PAGE),
            token=body.token,
            count=True,
        )
    except ValidationError as error:
        raise _unreadable("; ".join(fault["msg"] for fault in error.errors())) from error


def sort_keys(text: str) -> list[SortKey]:
    """``-datetime,+id`` as keys."""
    try:
        return [
            SortKey(field=part.strip().lstrip("+-"), direction="desc" if part.strip().startswith("-") else "asc")
            for part in text.split(",")
        ]
    except ValidationError as error:
        raise _unreadable("sortby names a field, a + or - before it") from error


def fields_of(text: str) -> Fields:
    """``id,+title,-assets`` as fields."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return Fields(
        include=tuple(part.lstrip("+") for part in parts if not part.startswith("-")),
        exclude=tuple(part[1:] for part in parts if part.startswith("-")),
    )


def _check(body: SearchBody) -> None:
    # The store takes a plain day for all of it; the STAC API knows instants only.
    ends = [] if body.datetime is None else body.datetime.split("/")
    if len(ends) > 2 or not all(is_instant(end) or (len(ends) == 2 and end in ("", "..")) for end in ends):
        raise BadInput(
            "datetime is an instant of RFC 3339, or two with / between", kind="search.datetime",
            remedy="Write 2026-04-24T05:20:00Z, or A/B, or ../B, or A/.. .",
        )  # fmt: skip
    if len(body.collections or ()) > MAX_NAMES or len(body.ids or ()) > MAX_NAMES or len(body.sortby or ()) > 10:
        raise BadInput(f"at most {MAX_NAMES} ids or collections, and 10 fields to sort by", kind="search.too_large")
    if body.filter_crs not in (None, "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "EPSG:4326"):
        raise BadInput("coordinates are longitude and latitude on WGS 84 only", kind="search.filter_crs")
    if body.intersects is not None:
        vertices = _vertices(body.intersects.get("coordinates", body.intersects.get("geometries")))
        if vertices > MAX_VERTICES or len(json.dumps(body.intersects)) > MAX_GEOMETRY:
            raise BadInput(
                f"the geometry has more than {MAX_VERTICES} vertices", kind="search.geometry", remedy="Simplify it."
            )


def _refuse_asking_by(unasked: frozenset[str], body: SearchBody) -> None:
    named = {key.field for key in body.sortby or ()} | set(body.query or {})
    # Parsing once more costs something: only where one of the names stands in it at all.
    if body.filter is not None and any(name in str(body.filter) for name in unasked):
        named |= _named(parse_filter(body.filter) if not isinstance(body.filter, bool) else body.filter)
    for name in sorted(named):
        plain = name.removeprefix("properties.")
        if any(one in plain for one in unasked):
            raise BadInput(
                f"'{plain}' is not asked by here: not all images, or not all of them, are shown to you",
                kind="search.filter",
                remedy="Ask by place: bbox, intersects, or S_INTERSECTS on the geometry.",
            )  # fmt: skip


def _named(node: Any) -> set[str]:
    """Properties that a filter names; not recursive, as it comes from outside."""
    names, waiting = set[str](), [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            names |= {str(part["property"])} if "property" in part else set()
            waiting += part.get("args", [])
        elif isinstance(part, list):
            waiting += part
    return names


def _vertices(node: Any) -> int:
    """Pairs of numbers in nested lists; not recursive, as they come from outside."""
    count, waiting = 0, [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            part = list(part.values())
        if isinstance(part, list):
            if part and isinstance(part[0], int | float):
                count += 1
            else:
                waiting += part
    return count


def _filter(body: SearchBody) -> str | dict[str, Any] | None:
    parts: list[dict[str, Any] | str] = []
    if body.filter is not None:
        if isinstance(body.filter, bool):
            raise BadInput("the filter is not CQL2", kind="search.filter")
        parts.append(body.filter)
    parts += [
        _queried(name, operator, value)
        for name, tests in (body.query or {}).items()
        for operator, value in tests.items()
    ]
    if len(parts) < 2:
        return parts[0] if parts else None
    return {"op": "and", "args": [parse_filter(part) for part in parts]}


def _queried(name: str, operator: str, value: Any) -> dict[str, Any]:
    """One test of the Query extension in CQL2."""
    field = {"property": name}
    if operator in _QUERY_OPERATORS and isinstance(value, str | int | float | bool):
        return {"op": _QUERY_OPERATORS[operator], "args": [field, value]}
    if operator in _LIKE and isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return {"op": "like", "args": [field, _LIKE[operator].format(escaped)]}
    if operator == "in" and isinstance(value, list) and value:
        return {"op": "in", "args": [field, value]}
    known = ", ".join((*_QUERY_OPERATORS, *_LIKE, "in"))
    raise BadInput(f"the query on '{name[:80]}' means nothing", kind="search.query", remedy=f"Known: {known}.")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BadInput("bbox is four or six numbers with commas between", kind="search.bbox") from error


def _json(name: str, text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"{name} is not JSON") from error
    if not isinstance(found, dict):
        raise _unreadable(f"{name} is not a JSON object")
    return found


def _unreadable(words: str) -> BadInput:
    return BadInput(words, kind="request.invalid")
