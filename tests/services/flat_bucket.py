"""A bucket on loopback whose names are only names, as Amazon's are.

SeaweedFS keeps objects in folders, and takes ``a//b`` for ``a/b``; our client sends no name that ends in a slash, as
other programs do for folders. This one speaks as much of S3 as a landing zone needs, asks for no keys, and holds what
``objects`` says, whatever the names.
"""

import contextlib
import hashlib
import html
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_TIME = "Thu, 29 Nov 2018 07:05:43 GMT"
_TIME_LISTED = "2018-11-29T07:05:43.000Z"


class FlatBucket:
    """A running server of one bucket."""

    name = "flat"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.listing: bytes | None = None
        """What it answers in place of a listing."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.bucket = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def listed(self, prefix: str) -> bytes:
        if self.listing is not None:
            return self.listing
        found = "".join(
            f"<Contents><Key>{html.escape(key)}</Key><LastModified>{_TIME_LISTED}</LastModified>"
            f"<ETag>{html.escape(etag(content))}</ETag><Size>{len(content)}</Size></Contents>"
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def flat_bucket() -> Iterator[FlatBucket]:
    bucket = FlatBucket()
    try:
        yield bucket
    finally:
        bucket.close()


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    bucket: FlatBucket


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Silent."""

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path)[1:].partition("/")[2]

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            return self._answer(200, self.server.bucket.listed(asked.get("prefix", [""])[0]))
        content = self.server.bucket.objects.get(self._key())
        if content is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self._answer(200, content, {"ETag": etag(content), "Last-Modified": _TIME})

    do_HEAD = do_GET  # noqa: N815 - the names are http.server's

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        source = self.headers.get("x-amz-copy-source")
        if source is not None:
            content = self.server.bucket.objects[unquote(source).strip("/").partition("/")[2]]
        self.server.bucket.objects[self._key()] = content
        told = f"<CopyObjectResult><ETag>{html.escape(etag(content))}</ETag></CopyObjectResult>" if source else ""
        self._answer(200, told.encode(), {"ETag": etag(content)})

    def do_DELETE(self) -> None:
        self.server.bucket.objects.pop(self._key(), None)
        self._answer(204, b"")

    def do_POST(self) -> None:
        """Several are deleted at once."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        keys = [html.unescape(key) for key in re.findall("<Key>(.*?)</Key>", body, flags=re.DOTALL)]
        for key in keys:
            self.server.bucket.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{html.escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
