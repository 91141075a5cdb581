"""``qyran process``: delivered packages to catalogued products, here and now."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption, LinesOption
from pipelines.cli.output import (
    FAILED,
    configure_logging,
    err,
    out,
    plain_errors,
    print_fault,
    print_json,
    progress_bar,
)
from pipelines.outcomes import PackageOutcome
from pipelines.requests import VerticalDatumChoice
from processing.model.quality import Outcome

_COLOURS = {
    Outcome.PUBLISHED: "green",
    Outcome.HELD: "yellow",
    Outcome.REJECTED: "yellow",
    Outcome.QUARANTINED: "magenta",
    Outcome.FAILED: "red",
}


def process(
    packages: Annotated[
        list[Path],
        typer.Argument(help="Delivered packages: folders, archives or images.", exists=True, metavar="PACKAGE..."),
    ],
    home: HomeOption = None,
    dem: Annotated[
        Path | None,
        typer.Option(help="DEM file or folder. [default: HOME/auxiliary/dem]", exists=True, metavar="PATH"),
    ] = None,
    vertical_datum: Annotated[
        VerticalDatumChoice, typer.Option(help="What the DEM's heights count from, where its files do not say.")
    ] = VerticalDatumChoice.AUTO,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Make this product and what it derives from. [default: l1c, then every derived product whose bands "
            "the sensor has]",
            metavar="NAME",
        ),
    ] = None,
    lines: LinesOption = None,
    keep: Annotated[
        bool, typer.Option(help="Keep copies of package and elevation tiles in HOME/inputs, to make products again.")
    ] = True,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Process delivered packages to products in archive and catalogue.

    Each package gets its own run of the flow `process-scene`, so one that fails stops no other. The outcome is
    published, held, rejected, quarantined or failed; only failed exits with 1. `--json` prints an object for one
    package and a list for several.

    `--lines` counts the lines of the multispectral image; the panchromatic one is cut to the same ground. A segment
    becomes an item of its own.

    Example: `qyran process deliveries/*.zip --dem dem/ --home /srv/qyran`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.run import process_packages, scene_requests

        asked = scene_requests(packages, home=home, dem=dem, vertical_datum=vertical_datum, recipe=recipe, lines=lines)
        requests = [request.model_copy(update={"keep_inputs": keep}) for request in asked]
        with progress_bar("processing") as report:
            outcomes = []
            for outcome in process_packages(requests, report=report):
                outcomes.append(outcome)
                if not as_json:
                    show_outcome(outcome)
        if as_json:
            documents = [outcome.model_dump(mode="json") for outcome in outcomes]
            print_json(documents[0] if len(documents) == 1 else documents)
        if any(outcome.outcome is Outcome.FAILED for outcome in outcomes):
            raise typer.Exit(FAILED)


def show_outcome(outcome: PackageOutcome) -> None:
    """One package's outcome in a few lines: results on stdout, reasons on stderr."""
    colour = _COLOURS[outcome.outcome]
    why = f" ({', '.join(outcome.reasons)})" if outcome.reasons else ""
    name = escape(Path(outcome.package).name)
    out.print(f"[bold {colour}]{outcome.outcome}[/]{escape(why)} {name} in {outcome.seconds:.1f} s")
    for item in outcome.items:
        out.print(f"  {item.collection}/{item.id}\n    {escape(item.href)}")
    if outcome.registration:
        out.print(f"  bands, {escape(outcome.registration)}")
    if outcome.message:
        fault = {"kind": ", ".join(outcome.reasons), "message": outcome.message, "where": outcome.where}
        print_fault(fault | {"remedy": outcome.remedy}, word=outcome.outcome, colour=colour)
    if outcome.quarantine:
        err.print(f"  kept in: {escape(outcome.quarantine)}")
