"""``qyran reproduce``: an archived product again from its record, compared byte for byte."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar


def reproduce(
    item: Annotated[
        str, typer.Argument(help="COLLECTION/ID, or ID alone; @REVISION for an earlier one.", metavar="ITEM")
    ],
    package: Annotated[
        Path | None,
        typer.Option(help="The delivered package. [default: as kept in HOME/inputs]", exists=True, metavar="PATH"),
    ] = None,
    dem: Annotated[
        Path | None,
        typer.Option(
            help="Elevation tiles and geoid grids, file or folder, under whatever names. [default: as kept in "
            "HOME/inputs, else HOME/auxiliary]",
            exists=True,
            metavar="PATH",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads to compute with.", min=1, metavar="N")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make an item again from its record, beside the archive, and compare every byte.

    Inputs are found by their SHA-256: as `qyran process` kept them in `HOME/inputs`, or where `--package` and `--dem`
    say. One that is missing or has changed is named with the hash that is wanted. Exit code 1 if any object differs.

    Example: `qyran reproduce kazeosat-1-l1c/KZ1_20260424T052011_1A2B3C4D_L1C --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.remake import Sources
        from pipelines.reproduce import reproduce as again

        sources = Sources(package=package, dem=dem)
        with progress_bar("reproducing") as report:
            found = again(Home.resolve(home), item, sources, workers=workers, report=report)
        if as_json:
            print_json(found.model_dump(mode="json"))
        elif found.identical:
            out.print(
                f"[bold green]identical[/] {escape(found.item)}@{found.revision}: {found.objects} objects, "
                f"byte for byte, in {found.seconds:.1f} s"
            )
        else:
            out.print(f"[bold red]not identical[/] {escape(found.item)}@{found.revision}")
            for line in found.differences:
                out.print(f"  {escape(line)}")
        if found.identical and found.software and not as_json:
            err.print(f"made with other software, to the same bytes: {escape('; '.join(map(str, found.software)))}")
        if not found.identical:
            raise typer.Exit(FAILED)
