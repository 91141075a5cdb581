"""A few words with a Prefect server from processes that do not load Prefect: it takes 100 MB and seconds."""

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import uuid4

_TIMEOUT_S = 10.0


def prefect_url() -> str | None:
    """Address of the server's API that this process was told of."""
    return os.environ.get("PREFECT_API_URL") or None


def ask_prefect(path: str, body: Any = None) -> Any:
    """What the server answers: to a GET, or to a POST of ``body``.

    Raises
    ------
    OSError
        If it cannot be reached, or refuses.
    """
    url = prefect_url()
    if url is None:
        raise ConnectionError("no Prefect server is known")
    if body is None:
        return _ask(url + path, None, {})
    client = uuid4().hex
    try:
        token = _ask(f"{url}/csrf-token?client={client}", None, {})["token"]
        proof = {"Prefect-Csrf-Token": str(token), "Prefect-Csrf-Client": client}
    except urllib.error.HTTPError:
        proof = {}  # the server protects itself in another way
    return _ask(url + path, json.dumps(body).encode(), proof)


@cache
def _opener() -> urllib.request.OpenerDirector:
    """Made once: each new one reads the system's certificates.

    Proxies are for the world outside; the server is on this machine or in this network.
    """
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(url: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **headers})  # noqa: S310
    password = os.environ.get("PREFECT_API_AUTH_STRING")
    if password:
        request.add_header("Authorization", "Basic " + base64.b64encode(password.encode()).decode())
    with _opener().open(request, timeout=_TIMEOUT_S) as answer:
        text = answer.read()
    return json.loads(text) if text else None
