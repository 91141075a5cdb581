"""``qyran demo``: the main job, from raw delivery to measured accuracy."""

import typer

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, plain_errors, print_json, progress_bar


def demo(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
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
