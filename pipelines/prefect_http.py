"""A client of Prefect's server for processes that do without importing Prefect: that takes 2 s of a processor."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import httpx


@contextmanager
def prefect_client(environment: Mapping[str, str], *, timeout_s: float = 30.0) -> Iterator[httpx.Client]:
    """A client that is signed in, and proves where its requests come from.

    Parameters
    ----------
    environment
        ``PREFECT_API_URL`` and ``PREFECT_API_AUTH_STRING``.
    timeout_s
        The longest to wait for an answer.
    """
    user, _, password = environment.get("PREFECT_API_AUTH_STRING", "").partition(":")
    us = uuid4().hex  # a token is of one client: another that asks under the same name makes it void
    with httpx.Client(
        base_url=environment["PREFECT_API_URL"],
        auth=(user, password) if user else None,
        trust_env=False,
        timeout=timeout_s,
    ) as client:
        token = client.get("/csrf-token", params={"client": us})
        if token.status_code == httpx.codes.OK:
            client.headers.update({"Prefect-Csrf-Token": token.json()["token"], "Prefect-Csrf-Client": us})
        yield client
