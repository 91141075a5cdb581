"""The application: everything that one origin serves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import CollectionUri, EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.aggregation import AggregationExtension
from stac_fastapi.extensions.collection_search import CollectionSearchExtension
from stac_fastapi.extensions.fields import FieldsConformanceClasses, FieldsExtension
from stac_fastapi.extensions.filter import FilterConformanceClasses, FilterExtension
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses, FreeTextExtension
from stac_fastapi.extensions.query import QueryExtension
from stac_fastapi.extensions.sort import SortExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.extension import ApiExtension
from starlette.middleware.cors import CORSMiddleware

from catalogs.api import (
    client,
    documentation,
    downloads,
    figures,
    links,
    officers,
    operations,
    order_downloads,
    orders,
    sign_in,
    subscriptions,
    tiles,
    transactions,
)
from catalogs.api.answers import Conditional, Json
from catalogs.api.entrance import Entrance
from catalogs.api.errors import add_handlers
from catalogs.api.guard import Guard, Limits
from catalogs.api.on_record import OnRecord
from catalogs.api.principal import Gate, principal_of
from catalogs.api.request_counts import RequestCounts
from catalogs.api.requests import AggregateBody, AggregateGet, CollectionsGet, ItemsGet, SearchBody, SearchGet
from catalogs.customers.oidc import Oidc
from catalogs.customers.store import CustomerStore, open_customers
from catalogs.policy.live import LivePolicy
from catalogs.portal import pages
from catalogs.store.protocol import CatalogueStore
from configs.schema.catalogue import CatalogueConfig
from configs.sign_in import load_sign_in_config

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_SORT_1_0 = "https://api.stacspec.org/v1.0.0/item-search#sort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What an application serves, and as whom."""

    home: Path
    """The installation: downloads come from its archive and products."""
    store: CatalogueStore
    authority: str
    """``host:port`` it listens on."""
    config: CatalogueConfig = field(default_factory=CatalogueConfig)
    operator_token: str | None = None
    """The operators' secret; None: nobody may change anything."""


def create_app(serving: Serving, routers: tuple[APIRouter, ...] = ()) -> FastAPI:
    """Everything under one origin: ``/stac``, ``/download``, ``/healthz``, ``/metrics``, ``/docs``, and more.

    Parameters
    ----------
    routers
        What else is served there: tiles, orders, the portal. They find home, store, config and gate in ``app.state``.
    """
    config = serving.config
    meters = operations.Meters()
    customers = open_customers(serving.home)
    app = FastAPI(
        title=config.title,
        description=config.description,
        version=version("qyran"),
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        default_response_class=Json,
        dependencies=[Depends(operations.note_route)],
        lifespan=_closing(serving.store, customers),
    )
    app.openapi_version = "3.1.0"
    state = app.state
    state.home, state.store, state.config, state.meters = serving.home, serving.store, config, meters
    provider = load_sign_in_config(serving.home / "configs").oidc
    oidc = None if provider is None else Oidc(provider, serving.home, customers)
    state.entrance = Entrance(customers, oidc, operator_token=serving.operator_token)
    state.customers = customers
    policy = LivePolicy(serving.home / "configs", config.policy)
    state.record = OnRecord(serving.home)
    state.gate = Gate(
        config.public_collections, serving.operator_token, policy=policy, entrance=state.entrance, record=state.record
    )
    for router in (
        operations.router,
        documentation.router,
        orders.router,
        officers.router,
        subscriptions.router,
        order_downloads.router,  # before the downloads of items: "orders" is no collection
        downloads.router,
        tiles.router,
        transactions.router,
        sign_in.router,
        _versions(),
        pages.router,
    ):
        app.include_router(router)
    _add_stac(app, config)
    for router in routers:
        app.include_router(router)
    add_handlers(app)
    # What stands last is asked first.
    app.add_middleware(Conditional, untouched=(links.DOWNLOAD + "/", pages.FILES))
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.cors_origins), allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type", "Range", "If-None-Match"], expose_headers=["ETag", "Link"],
        )  # fmt: skip
    limits = Limits(config.requests_per_second, config.burst)
    state.counts = RequestCounts(customers)
    app.add_middleware(
        Guard, **_names(serving), gate=state.gate, limits=limits, counts=state.counts, cors=bool(config.cors_origins)
    )
    app.add_middleware(operations.Measured, meters=meters)
    return app


def _names(serving: Serving) -> dict[str, Any]:
    """By which names the server goes: its public address behind a proxy, else whatever loopback is called."""
    if serving.config.public_url is not None:
        public = urlsplit(serving.config.public_url)
        return {"authority": public.netloc, "scheme": public.scheme, "own_names": frozenset()}
    return {"authority": serving.authority, "scheme": "http", "own_names": _LOOPBACK}


def _closing(store: CatalogueStore, customers: CustomerStore) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()
        app.state.counts.close()
        customers.close()
        app.state.record.close()

    return lifespan


def _versions() -> APIRouter:
    """History of an item."""
    router = APIRouter(prefix=f"{links.STAC}/collections/{{collection_id}}/items/{{item_id}}", tags=["Versions"])
    router.add_api_route("/versions", client.item_versions, methods=["GET"])
    router.add_api_route("/versions/{version}", client.item_version, methods=["GET"])
    return router


def _add_stac(app: FastAPI, config: CatalogueConfig) -> None:
    router = APIRouter(prefix=links.STAC, tags=["STAC"], dependencies=[Depends(principal_of)])
    settings = ApiSettings(
        _env_file=None,
        stac_fastapi_title=config.title,
        stac_fastapi_description=config.description,
        stac_fastapi_landing_id="qyran",
        stac_fastapi_version=version("qyran"),
        openapi_url="/openapi.json",
        docs_url="/docs",
    )
    api = StacApi(
        settings=settings,
        client=client.StacClient(landing_page_id="qyran"),
        extensions=_extensions(),
        app=app,
        router=router,
        search_get_request_model=SearchGet,
        search_post_request_model=SearchBody,
        collections_get_request_model=CollectionsGet,
        items_get_request_model=ItemsGet,
        exceptions={},
        middlewares=[],
        response_class=Json,
        stac_version="1.1.0",
    )
    # Without its last slash too: it is the address that people are told.
    landing = create_async_endpoint(api.client.landing_page, EmptyRequest)
    app.add_api_route(links.STAC, landing, methods=["GET"], include_in_schema=False, response_class=Json)


def _extensions() -> list[ApiExtension]:
    cql2 = FilterConformanceClasses
    search = [
        FilterExtension(
            client=figures.Queryables(),
            conformance_classes=[
                cql2.FILTER, cql2.SEARCH, cql2.ITEMS, cql2.CQL2_TEXT, cql2.CQL2_JSON, cql2.BASIC_CQL2,
                cql2.ADVANCED_COMPARISON_OPERATORS, cql2.BASIC_SPATIAL_FUNCTIONS, cql2.BASIC_SPATIAL_FUNCTIONS_PLUS,
                cql2.SPATIAL_FUNCTIONS, cql2.TEMPORAL_FUNCTIONS, cql2.ARRAY_FUNCTIONS, cql2.PROPERTY_PROPERTY,
                cql2.ARITHMETIC, cql2.CASE_INSENSITIVE_COMPARISON, cql2.ACCENT_INSENSITIVE_COMPARISON,
            ],
        ),
        SortExtension(client=figures.Sortables()),
        FieldsExtension(conformance_classes=[FieldsConformanceClasses.SEARCH, FieldsConformanceClasses.ITEMS]),
        QueryExtension(),
        FreeTextExtension(
            conformance_classes=[FreeTextConformanceClasses.SEARCH, FreeTextConformanceClasses.ITEMS]
        ),
        _Aggregation(client=figures.Figures()),
    ]  # fmt: skip
    # pystac-client looks for the earlier version of Sort, which asks the same.
    search[1].conformance_classes.append(_SORT_1_0)
    among = CollectionSearchExtension(GET=CollectionsGet)
    among.conformance_classes = [
        *among.conformance_classes, FreeTextConformanceClasses.COLLECTIONS, FieldsConformanceClasses.COLLECTIONS,
    ]  # fmt: skip
    return [*search, among, _Transactions()]


class _Aggregation(AggregationExtension):
    """The extension with parameters of ours, and every operation under a name of its own."""

    def register(self, app: FastAPI) -> None:
        """Add the routes."""
        client: Any = self.client
        router = APIRouter(prefix=links.STAC, tags=["Aggregation"], default_response_class=Json)
        for place, path in ((CollectionUri, "/collections/{collection_id}"), (EmptyRequest, "")):
            within = "of a collection" if path else "of all collections"
            names = create_async_endpoint(client.get_aggregations, place)
            router.add_api_route(f"{path}/aggregations", names, methods=["GET"], name=f"Aggregations {within}")
            for method, model in (("GET", AggregateGet), ("POST", AggregateBody)):
                router.add_api_route(
                    f"{path}/aggregate",
                    create_async_endpoint(client.aggregate, model),
                    methods=[method],
                    name=f"Aggregate {within} {method}",
                )
        app.include_router(router)


class _Transactions(ApiExtension):
    """Says that there are transactions; their routes stand in a module of their own."""

    def __init__(self) -> None:
        self.conformance_classes = list(transactions.CONFORMANCE)

    def register(self, app: FastAPI) -> None:
        """Nothing to add."""
