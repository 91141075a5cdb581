"""A real server of the catalogue's API on loopback, for everything that is tested through HTTP."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from catalogs import open_store
from catalogs.api.app import Serving, create_app
from catalogs.store.protocol import CatalogueStore
from configs.schema.catalogue import CatalogueConfig

TOKEN = "operators-only-for-tests"
UNHURRIED = CatalogueConfig(requests_per_second=1e6, burst=1_000_000, policy="open-data")


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running server."""

    url: str
    """Origin, without a slash at its end."""
    home: Path
    store: CatalogueStore
    token: str = TOKEN

    @property
    def stac(self) -> str:
        """Root of the STAC API."""
        return f"{self.url}/stac"

    def client(self, *, operator: bool = False) -> httpx.Client:
        """A client of this server that knows no proxies."""
        headers = {"Authorization": f"Bearer {self.token}"} if operator else {}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60)


@contextmanager
def api_serving(
    home: Path, *, config: CatalogueConfig = UNHURRIED, store: CatalogueStore | None = None
) -> Iterator[ApiServer]:
    """Serve an installation from a thread of this process until the block ends.

    Parameters
    ----------
    store
        Another catalogue than the one in ``home``.
    """
    store = store or open_store(home / "catalogue")
    # Named TCP: asyncio switches Nagle's delays off only for sockets that say what they are.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        authority = f"127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(Serving(home=home, store=store, authority=authority, config=config, operator_token=TOKEN))
        settings = uvicorn.Config(app, http="h11", log_level="error", proxy_headers=False, server_header=False,
                                  timeout_graceful_shutdown=3)  # fmt: skip
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            for _ in range(600):
                if server.started:
                    break
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.05)
            yield ApiServer(url=f"http://{authority}", home=home, store=store)
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            store.close()
