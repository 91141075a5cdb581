"""What hostile inputs are tried with."""

import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from configs.registry import load_registry
from configs.schema import SensorConfig
from processing.testing.minimal import MinimalPackage, write_dimap_v2


@pytest.fixture(scope="session")
def sensors() -> Mapping[str, SensorConfig]:
    return load_registry().sensors


@pytest.fixture
def kz1(tmp_path: Path) -> MinimalPackage:
    return write_dimap_v2(tmp_path / "delivered")


@dataclass
class Listener:
    """A server on loopback that only counts who calls."""

    port: int
    calls: list[str] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        found, stop = Listener(port=server.getsockname()[1]), threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    found.calls.append(str(address))

        thread = threading.Thread(target=serve)
        thread.start()
        yield found
        # A caller that was under way would have arrived by now.
        stop.wait(0.15)
        stop.set()
        thread.join()
