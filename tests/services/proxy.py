"""A loopback proxy between an S3 client and its server that spoils chosen requests.

It forwards bytes as they are, the ``Host`` header too, so signatures stay valid. What it does to a request is decided
by number, counted from 0 in the order of arrival.
"""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = (
    "answer 500",  # nothing is done, and it says so
    "answer 503",
    "done, answer 500",  # it is done, and it says it is not
    "done, answer lost",  # it is done, and nobody says anything
    "reset",  # the connection breaks before anything is done
    "reset in the body",
    "answer cut",  # the answer ends before its end
    "answer flipped",  # one bit of an answer's body
    "flipped",  # one bit of what is sent
    "stall",  # no answer until the client gives up
)
type Plan = Callable[[int, str, str], str | None]


class FaultProxy:
    """A running proxy. ``plan`` may be changed at any time; ``received`` counts bytes of answers."""

    def __init__(self, upstream: str, plan: Plan = lambda *_: None) -> None:
        self.upstream, self.plan, self.victim = urlsplit(upstream), plan, 0
        self.numbers = itertools.count()
        self.spoiled: list[tuple[int, str, str, str]] = []
        self.received = 0
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def restart(self, plan: Plan) -> None:
        """Count from 0 again, by another plan."""
        self.numbers, self.plan, self.spoiled, self.received = itertools.count(), plan, [], 0

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def fault_proxy(upstream: str, plan: Plan = lambda *_: None) -> Iterator[FaultProxy]:
    proxy = FaultProxy(upstream, plan)
    try:
        yield proxy
    finally:
        proxy.close()


def once(fault: str, number: int) -> Plan:
    """Spoil one request."""
    return lambda count, *_: fault if count == number else None


def from_then_on(fault: str, number: int) -> Plan:
    """Spoil every request from one on: the server has gone."""
    return lambda count, *_: fault if count >= number else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections broken on purpose are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Silent."""

    def _handle(self) -> None:
        proxy = self.server.proxy
        number = next(proxy.numbers)
        fault = proxy.plan(number, self.command, self.path)
        if fault:
            proxy.spoiled.append((number, fault, self.command, self.path))
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "reset":
            return self._reset()
        if fault in ("reset in the body", "kill"):
            self.rfile.read(length // 2)
            if fault == "kill":
                os.kill(proxy.victim, signal.SIGKILL)
            return self._reset()
        body = self.rfile.read(length)
        if fault == "stall":
            proxy.over.wait(30)
            return self._reset()
        if fault in ("answer 500", "answer 503"):
            return self._answer(int(fault[-3:]), {}, b"<Error><Code>SlowDown</Code></Error>")
        if fault == "flipped" and body:
            body = _flipped(body)
        status, headers, content = self._ask(body)
        proxy.received += len(content)
        if fault == "done, answer lost":
            return self._reset()
        if fault == "done, answer 500":
            return self._answer(500, {}, b"<Error><Code>InternalError</Code></Error>")
        if fault == "answer flipped" and content:
            content = _flipped(content)
        return self._answer(status, headers, content, cut=fault == "answer cut")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 - the names are http.server's

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = self.server.proxy.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        dropped = {"transfer-encoding", "connection"} | (set() if self.command == "HEAD" else {"content-length"})
        for name, value in headers.items():
            if name.lower() not in dropped:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._reset()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
