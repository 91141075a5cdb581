"""``qyran demo``: the main job, from raw delivery to measured accuracy."""

import os
import sys
from typing import Annotated

import typer

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, plain_errors, print_json, progress_bar


def demo(
    home: HomeOption = None,
    serve: Annotated[bool, typer.Option("--serve", help="Then serve the installation, as `qyran up` does.")] = False,
    port: Annotated[int, typer.Option(help="With --serve: of the catalogue.", min=1, max=65535)] = 8480,
    prefect_port: Annotated[int, typer.Option(help="With --serve: of Prefect.", min=1, max=65535)] = 4200,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Simulate a delivery near Almaty, process it to catalogued products, and measure them against the truth.

    Takes under three minutes on two cores and needs no network. Run again, it finds its products published.

    Example: `qyran demo --home qyran-demo`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.demo import run_demo
        from pipelines.demo_report import show_report

        with progress_bar("demo") as report:
            result = run_demo(home, report=report, say=err.print)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            show_report(result)
        if not result.ok:
            raise typer.Exit(FAILED)
    if serve:
        from pipelines.prefect_env import stop_server

        # In the place of this process, whose Prefect had a server of its own.
        stop_server()
        start = "from pipelines.cli import main; main()"
        options = [*(["--home", str(home)] if home else []), *(["--json"] if as_json else [])]
        options += ["--port", str(port), "--prefect-port", str(prefect_port)]
        os.execv(sys.executable, [sys.executable, "-c", start, "up", *options])  # noqa: S606 - our own command
