"""The guards of conftest.py guard."""

import socket
from pathlib import Path

import dask.array as da
import pytest


def test_no_test_reaches_another_machine() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match="only loopback"):
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(AssertionError, match="only loopback"):
        socket.getaddrinfo("example.org", 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside, pytest.raises(AssertionError):
        outside.sendto(b"x", ("192.0.2.1", 53))


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")


def test_an_unasked_compute_fails(no_compute: None) -> None:
    lazy = da.ones(4, chunks=2) + 1
    with pytest.raises(pytest.fail.Exception, match="lazy code computed"):
        lazy.compute()


def test_no_test_finds_the_developers_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from configs.settings import Home

    assert not Home.resolve().path.exists()
    assert Home.resolve().path != Path("qyran-home").resolve()
