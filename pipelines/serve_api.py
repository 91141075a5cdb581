"""The process that serves the catalogue: no Prefect in it, and no way to start a flow."""

import gc
import sys
from pathlib import Path


def serve_api(home_path: Path, port: int, host: str = "127.0.0.1") -> None:
    """Serve an installation's catalogue until a signal ends it.

    Parameters
    ----------
    home_path, port
        The installation, and where it answers.
    host
        Address to listen at: loopback, unless a container or a proxy of one's own stands before it.
    """
    import uvicorn

    from catalogs import open_store
    from catalogs.api.app import Serving, create_app
    from configs.catalogue import load_catalogue_config
    from configs.settings import Home
    from pipelines.secret_files import operator_token

    home = Home.resolve(home_path)
    app = create_app(
        Serving(
            home=home.path,
            store=open_store(home.catalogue),
            authority=f"127.0.0.1:{port}",
            config=load_catalogue_config(home.configs),
            operator_token=operator_token(home),
        )
    )
    # What is there now stays: the collector need not go through it again and again, 50 ms each time, between answers.
    gc.collect()
    gc.freeze()
    # h11 refuses heads beyond 64 KiB. Whom a proxy speaks for is not believed: its address is all there is to go by.
    uvicorn.run(
        app,
        host=host,
        port=port,
        http="h11",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    serve_api(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4])
