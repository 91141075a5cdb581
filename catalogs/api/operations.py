"""Health and figures of the server itself."""

import time
from contextlib import suppress
from importlib.metadata import version

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogs.api.answers import Json
from catalogs.api.principal import principal_of
from catalogs.store.protocol import CatalogueStore, SearchRequest

router = APIRouter(tags=["Operations"])
OPERATIONS = "logs/metrics/operations.prom"
"""In HOME: figures that the operations side writes, in the words of Prometheus too."""
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """What is counted, in a registry of its own: several applications live in one process in tests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        labels = ("method", "route", "status")
        self.requests = Counter("qyran_http_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "qyran_http_request_seconds", "Time to the end of the answer.", ("method", "route"), buckets=_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.sent = Counter("qyran_http_sent_bytes", "Bytes of bodies sent.", ("route",), registry=self.registry)
        self.running = Gauge("qyran_http_requests_running", "Requests being answered.", registry=self.registry)


class Measured:
    """Middleware that counts what passes. Routes are named by their pattern: addresses would make endless labels."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app, self._meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, sent = time.perf_counter(), 500, 0
        # The router writes into the innermost scope; this dictionary is handed down as it is.
        scope.setdefault("state", {})["measured"] = place = {"route": "other"}

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        with self._meters.running.track_inprogress():
            try:
                await self._app(scope, receive, watched)
            finally:
                method = (
                    scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
                )
                self._meters.requests.labels(method, place["route"], str(status)).inc()
                self._meters.seconds.labels(method, place["route"]).observe(time.perf_counter() - started)
                self._meters.sent.labels(place["route"]).inc(sent)


def note_route(request: Request) -> None:
    """Tell the meters which route answers. A dependency of the whole application."""
    place = request.scope.get("state", {}).get("measured")
    route = request.scope.get("route")
    if place is not None and route is not None:
        place["route"] = getattr(route, "path", "other")


@router.get("/healthz", response_class=Json, responses={503: {"description": "The catalogue does not answer"}})
def health(request: Request) -> Response:
    """Whether the server and its catalogue answer."""
    store: CatalogueStore = request.app.state.store
    try:
        store.search(SearchRequest(limit=1))
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is that it is not well
        return Json({"status": "down", "reason": type(error).__name__}, status_code=503)
    return Json({"status": "ok", "version": version("qyran")})


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Figures in the words of Prometheus. They count requests, not items: they tell nothing of what is hidden.

    Operators, by their token, also get those of the operations side: scenes, queues, disk, elements, passes.
    """
    meters: Meters = request.app.state.meters
    text = generate_latest(meters.registry)
    if principal_of(request).operator:
        with suppress(OSError):
            text += (request.app.state.home / OPERATIONS).read_bytes()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
