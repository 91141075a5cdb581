"""``qyran simulate``: delivery packages whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json, progress_bar


def simulate(
    target: Annotated[Path, typer.Option("--out", help="Folder to write to.", metavar="DIR")],
    sensor: Annotated[
        str, typer.Option(help="Sensor id, e.g. kazeosat-1-naomi or kazeosat-2-keis.")
    ] = "kazeosat-1-naomi",
    size: Annotated[int, typer.Option(help="Lines and samples of the multispectral image.", min=64, max=20000)] = 1000,
    scenes: Annotated[int, typer.Option(help="How many acquisitions.", min=1, max=100)] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write delivery packages over known mountains near Almaty, with the DEM and the exact truth.

    Example: `qyran simulate --out sim/ --sensor kazeosat-2-keis --size 1000`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.simulation import simulate_packages

        with progress_bar("simulating") as report:
            result = simulate_packages(target, sensor=sensor, size=size, scenes=scenes, seed=seed, report=report)
        if as_json:
            print_json(result)
            return
        for package in result["packages"]:
            out.print(f"[bold green]written[/] {escape(str(package))}")
        out.print(f"  DEM:   {escape(str(result['dem']))}\n  truth: {escape(str(result['truth']))}")
        out.print(f"\nNext: qyran process {escape(str(result['packages'][0]))} --dem {escape(str(result['dem']))}")
