"""What stands before every request: whose name the server goes by, how large, how many; and what every answer says."""

import time
from collections import OrderedDict
from dataclasses import dataclass

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogs.api.errors import refusal
from catalogs.api.principal import Gate
from catalogs.api.request_counts import RequestCounts

MAX_BODY = 1_048_576
_DRAINED = 64 * MAX_BODY
"""So much of a body that is too large is read and thrown away, so that its sender hears the answer."""
_CLIENTS = 10_000
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask for."""

    per_second: float
    burst: int


class Guard:
    """Middleware around everything.

    Parameters
    ----------
    authority
        ``host:port`` by which the server calls itself in links: what the request's Host header says is not believed,
        unless it is another name of this very machine.
    scheme
        ``http`` or ``https``.
    own_names
        Hosts that a request may name instead; links then go by that name. Empty behind a proxy.
    gate
        Tells whose token a request carries.
    counts
        Counts customers' requests of a month, if that is wanted.
    cors
        Whether pages of other origins may read answers: these then carry no ``Cross-Origin-Resource-Policy``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authority: str,
        scheme: str,
        own_names: frozenset[str],
        gate: Gate,
        limits: Limits,
        counts: RequestCounts | None = None,
        cors: bool = False,
    ) -> None:
        self._app = app
        self._authority, self._scheme, self._own_names = authority, scheme, own_names
        self._gate, self._limits, self._buckets, self._counts = gate, limits, _Buckets(), counts
        self._headers = {name: text for name, text in _HEADERS.items() if not (cors and "Resource" in name)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope = {**scope, "scheme": self._scheme, "headers": self._named(scope["headers"], headers)}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, text in self._headers.items():
                    answer.setdefault(name, text)
            await send(message)

        # A token of ours is a client of its own; one that is made up is not.
        known = await self._client(HTTPConnection(scope), headers)
        wait = self._buckets.take(known or str((scope.get("client") or ("",))[0]), self._limits_of(scope))
        came = scope.get("state", {}).get("principal")
        if wait <= 0 and self._counts is not None and came is not None and came.credential is not None:
            wait = self._counts.take(came.party.id)
        if wait > 0:
            words = "Too many requests. Wait, then go on more slowly."
            await refusal(429, "too_many", words, {"Retry-After": str(int(wait) + 1)})(scope, receive, dressed)
            return
        body = await _body(headers, receive)
        if body is None:
            words = f"The request is larger than {MAX_BODY} bytes. Simplify its geometry, or ask for less at once."
            await refusal(422, "search.too_large", words)(scope, receive, dressed)
            return
        await self._app(scope, _replayed(body, receive), dressed)

    async def _client(self, request: HTTPConnection, headers: Headers) -> str | None:
        if headers.get("authorization", "").count(".") == 2:
            # An access token: its provider's keys may have to be fetched, and nobody else is to wait for that.
            return await anyio.to_thread.run_sync(self._gate.client, request)
        return self._gate.client(request)

    def _limits_of(self, scope: Scope) -> Limits:
        """What an operator has set for this customer, or what holds for all."""
        came = scope.get("state", {}).get("principal")
        own = None if came is None else came.credential
        if own is None or (own.per_second is None and own.burst is None):
            return self._limits
        per_second = self._limits.per_second if own.per_second is None else own.per_second
        return Limits(per_second, own.burst or max(1, int(per_second * 10)))

    def _named(self, raw: list[tuple[bytes, bytes]], headers: Headers) -> list[tuple[bytes, bytes]]:
        host = headers.get("host", "")
        name, _, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "")
        trusted = name.lower() in self._own_names and (port.isdigit() or not port)
        authority = host if trusted else self._authority
        return [(key, value) for key, value in raw if key != b"host"] + [(b"host", authority.encode("latin-1"))]


class _Buckets:
    """Token buckets by client; the one that was quiet longest is forgotten first."""

    def __init__(self) -> None:
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, limits: Limits) -> float:
        """Seconds to wait before the next request; 0: go on."""
        now = time.monotonic()
        level, then = self._levels.pop(client, (float(limits.burst), now))
        level = min(limits.burst, level + (now - then) * limits.per_second)
        allowed = level >= 1
        self._levels[client] = (level - 1 if allowed else level, now)
        if len(self._levels) > _CLIENTS:
            self._levels.popitem(last=False)
        return 0.0 if allowed else (1 - level) / limits.per_second


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The body; None if it is too large."""
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return b""
    body, length = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        length += len(message.get("body", b""))
        if length <= MAX_BODY:
            body += message.get("body", b"")
        if not message.get("more_body", False) or length > _DRAINED:
            return bytes(body) if length <= MAX_BODY else None


def _replayed(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
