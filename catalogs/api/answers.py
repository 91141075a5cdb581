"""JSON answers: written fast, given again only when they changed, asked for by HEAD, compressed."""

import gzip
import hashlib
from typing import Any

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COMPRESSED_FROM = 1_024
_TEXTUAL = ("application/json", "application/geo+json", "application/schema+json", "application/vnd.oai", "text/")


class Json(Response):
    """JSON as orjson writes it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Bytes of a document."""
        return orjson.dumps(content)


class GeoJson(Json):
    """GeoJSON: items and pages of them."""

    media_type = "application/geo+json"


class SchemaJson(Json):
    """A JSON Schema."""

    media_type = "application/schema+json"


class Conditional:
    """Middleware for whole, textual answers: ``ETag`` and 304, HEAD, gzip. Files and streams pass untouched.

    Parameters
    ----------
    untouched
        Paths that begin so see to all this themselves.
    """

    def __init__(self, app: ASGIApp, untouched: tuple[str, ...]) -> None:
        self._app = app
        self._untouched = untouched

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(self._untouched):
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, _Held(Headers(scope=scope), method, send))


class _Held:
    """An answer that is held back until it is whole, if it is text and not endless."""

    def __init__(self, asked: Headers, method: str, send: Send) -> None:
        self._asked, self._method, self._send = asked, method, send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            if headers.get("content-type", "").startswith(_TEXTUAL) and "content-encoding" not in headers:
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._release(self._start)
            return
        if message["type"] == "http.response.body" and self._method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    async def _release(self, start: Message) -> None:
        body, status = bytes(self._body), start["status"]
        headers = MutableHeaders(raw=list(start["headers"]))
        headers.add_vary_header("Accept-Encoding")
        if status == 200 and self._method in ("GET", "HEAD"):
            # Weak: the same words, whether or not compressed.
            headers.setdefault("etag", f'W/"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')
            headers.setdefault("cache-control", "no-cache")
            headers.add_vary_header("Authorization")
            if matches(self._asked.get("if-none-match"), headers["etag"]):
                del headers["content-length"]
                await self._finish({**start, "status": 304, "headers": headers.raw}, b"")
                return
        if len(body) >= _COMPRESSED_FROM and "gzip" in self._asked.get("accept-encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            headers["content-encoding"] = "gzip"
        if status not in (204, 304):
            headers["content-length"] = str(len(body))
        await self._finish({**start, "headers": headers.raw}, b"" if self._method == "HEAD" else body)

    async def _finish(self, start: Message, body: bytes) -> None:
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def matches(asked: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names this very answer."""
    if asked is None:
        return False
    known = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
