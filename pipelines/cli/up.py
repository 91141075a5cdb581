"""``qyran up``: everything in one command."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, err, out, plain_errors, print_json


def up(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="Of the catalogue.", min=1, max=65535)] = 8480,
    prefect_port: Annotated[int, typer.Option(help="Of Prefect.", min=1, max=65535)] = 4200,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Serve an installation on this machine: catalogue, Prefect with its flows and schedules, and a worker.

    Prints the addresses when everything answers (`--json`: as one document) and runs until Ctrl-C, which ends it all.
    Logs lie in HOME/logs.

    Example: `qyran up --home qyran-home --port 8480`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.serve import serve

        def ready(addresses: dict[str, Any]) -> None:
            if as_json:
                print_json(addresses)
            else:
                _show(addresses)

        serve(Home.resolve(home), port=port, prefect_port=prefect_port, say=err.print, ready=ready)


def _show(addresses: dict[str, Any]) -> None:
    seen = ", ".join(addresses["public_collections"]) or "no collection"
    out.print(f"catalogue     {addresses['catalogue']}")
    out.print(f"STAC API      {addresses['stac']}")
    out.print(f"documentation {addresses['docs']}")
    out.print(f"Prefect       {addresses['prefect']}  (user:password in {escape(addresses['prefect_auth'])})")
    out.print(f"operators     Authorization: Bearer <the token in {escape(addresses['operator_token'])}>")
    everybody = "every collection" if seen == "*" else escape(seen)
    out.print(f"anybody who reaches the port sees {everybody}; set public_collections in configs/catalogue.yaml")
    out.print("Ctrl-C ends it all")
