"""A server that packages are fetched from: what it is asked, what of its answers is believed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from catalogs.delivery.package import DELIVERY, MAX_DELIVERY_BYTES
from processing.model.errors import BadInput, QyranError, Retryable

TRIES = 8
"""Attempts in a row that bring nothing, before it is given up."""
_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class LinkOver(Exception):
    """A link does not open any more."""


@dataclass(frozen=True, slots=True)
class Served:
    """A file as the server lists it."""

    path: str
    href: str


class OrderServer:
    """A server's orders, as one customer may see them.

    Parameters
    ----------
    url
        Origin, ``https://host:port``.
    token
        The customer's; it is sent to ``/orders`` of this origin and nowhere else.
    """

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            raise BadInput(f"'{url}' is no server", kind="download.server", remedy="Write it https://host:port.")
        self.origin = f"{parts.scheme}://{parts.netloc}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._headers = headers
        # No redirect is followed: a token, or a file's bytes, come from this origin or not at all.
        self._client = httpx.Client(timeout=_TIMEOUT, follow_redirects=False)

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def files(self, order: str) -> dict[str, Served]:
        """Files of an order's package with fresh links, by path.

        Raises
        ------
        BadInput
            ``order.unknown``, ``download.token``, ``order.not_ready``, ``download.server`` if what answers is no such
            server.
        Retryable
            ``download.unavailable``.
        """
        document = self._json(f"/orders/{order}/files")
        try:
            found = {str(entry["path"]): Served(str(entry["path"]), str(entry["href"])) for entry in document["files"]}
        except (KeyError, TypeError) as error:
            raise self._strange("its list of files cannot be read") from error
        if not found:
            state = self._json(f"/orders/{order}").get("state", "unknown")
            raise BadInput(f"the order is {state}: there is nothing to fetch", kind="order.not_ready", where=order,
                           remedy="Wait until it is ready; its history says what it waits for.")  # fmt: skip
        for served in found.values():
            parts = urlsplit(served.href)
            if f"{parts.scheme}://{parts.netloc}" != self.origin:
                raise self._strange(f"it sends elsewhere for {served.path}")
        return found

    def key(self) -> str:
        """The public key that it says it signs with."""
        return str(self._json("/orders/key").get("key", ""))

    def delivery(self, served: Served) -> bytes:
        """The delivery document: its signature is the caller's to check."""
        for attempt in range(TRIES):
            try:
                with self.opened(served.href, 0, None) as answer:
                    content = b""
                    for piece in answer.iter_bytes():
                        content += piece
                        if len(content) > MAX_DELIVERY_BYTES:
                            raise self._strange("its delivery document has no end")
                    return content
            except Retryable:
                if attempt == TRIES - 1:
                    raise
                pause(attempt)
        raise self._strange(f"it gives no {DELIVERY}")

    @contextmanager
    def opened(self, href: str, offset: int, sha256: str | None) -> Iterator[httpx.Response]:
        """An answer with a file's bytes from one on: 206, or 200 with all of them where the rest is of another file.

        Raises
        ------
        LinkOver
            If the link does not open any more.
        BadInput
            ``download.gone``, ``download.server``.
        Retryable
            ``download.unavailable`` if the way or the server failed, before or while bytes came.
        """
        # A signed link carries its own right; only what is not signed is asked for with the token.
        headers = {"Accept-Encoding": "identity", **({} if "?" in href else self._headers)}
        if offset and sha256 is not None:
            headers |= {"Range": f"bytes={offset}-", "If-Range": f'"{sha256}"'}
        try:
            with self._client.stream("GET", href, headers=headers) as answer:
                self._require_file(answer)
                yield answer
        except httpx.HTTPError as error:
            raise _away(error) from error

    def _require_file(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in (200, 206):
            return
        if status in (401, 403, 410):
            raise LinkOver
        if status == 404:
            raise BadInput("the server has no such file (any more)", kind="download.gone", where=self.origin,
                           remedy="See the order: it may have expired, or been made anew.")  # fmt: skip
        if status in (408, 416, 425, 429) or status >= 500:
            pause_for(answer)
            raise Retryable(f"the server answered {status}", kind="download.unavailable", where=self.origin)
        raise self._strange(f"it answered {status}")

    def _json(self, path: str) -> dict[str, Any]:
        trouble: QyranError = self._strange("it does not answer")
        for attempt in range(TRIES):
            try:
                answer = self._client.get(f"{self.origin}{path}", headers=self._headers)
            except httpx.HTTPError as error:
                trouble = _away(error)
                pause(attempt)
                continue
            if answer.status_code in (429, 503) or answer.status_code >= 500:
                trouble = Retryable(f"the server answered {answer.status_code}", kind="download.unavailable",
                                    where=self.origin)  # fmt: skip
                pause_for(answer)
                continue
            return self._document(answer, path)
        raise trouble

    def _document(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        if answer.status_code == 401:
            raise BadInput("the server wants a valid token", kind="download.token", where=self.origin,
                           remedy="Give --token, or set QYRAN_TOKEN.")  # fmt: skip
        if answer.status_code == 404:
            raise BadInput("the server knows no such order of this customer's", kind="order.unknown", where=path)
        if answer.status_code != 200 or not answer.headers.get("content-type", "").startswith("application/json"):
            raise self._strange(f"it answered {answer.status_code} {answer.headers.get('content-type', '')}")
        try:
            document = json.loads(answer.content)
        except ValueError as error:
            raise self._strange("its answer is no JSON") from error
        if not isinstance(document, dict):
            raise self._strange("its answer is no object")
        return document

    def _strange(self, why: str) -> BadInput:
        return BadInput(
            f"this is no server of deliveries, or something stands before it: {why}", kind="download.server",
            where=self.origin, remedy="Check its address and the network.",
        )  # fmt: skip


def _away(error: httpx.HTTPError) -> Retryable:
    return Retryable(f"the connection failed: {type(error).__name__}", kind="download.unavailable",
                     remedy="Run it again: what has come is kept.")  # fmt: skip


def pause(attempt: int) -> None:
    """Wait before the next attempt, longer each time."""
    time.sleep(_WAITS_S[min(attempt, len(_WAITS_S) - 1)])


def pause_for(answer: httpx.Response) -> None:
    """Wait as long as the server asks, within reason."""
    asked = answer.headers.get("retry-after", "")
    time.sleep(min(float(asked), 30.0) if asked.isdigit() else 0.5)
