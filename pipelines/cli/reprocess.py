"""``qyran reprocess``: catalogued items again, with the recipe, elevation model and software of today."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, out, plain_errors, print_fault, print_json, progress_bar
from pipelines.outcomes import ReprocessOutcome
from pipelines.requests import ReprocessRequest, VerticalDatumChoice
from processing.model.quality import Outcome


def reprocess(
    items: Annotated[
        list[str] | None, typer.Argument(help="COLLECTION/ID, or ID alone where it is unique.", metavar="ITEM...")
    ] = None,
    collection: Annotated[str, typer.Option(help="All items of this collection.")] = "",
    recipe: Annotated[str, typer.Option(help="All items made by this recipe.", metavar="NAME")] = "",
    stale: Annotated[
        bool, typer.Option("--stale", help="Only items that derive from a superseded version of another.")
    ] = False,
    package: Annotated[
        Path | None, typer.Option(help="The package, for one item. [default: as kept in HOME/inputs]", exists=True)
    ] = None,
    dem: Annotated[
        Path | None,
        typer.Option(help="DEM file or folder. [default: HOME/auxiliary/dem, else the tiles of then]", exists=True),
    ] = None,
    vertical_datum: Annotated[
        VerticalDatumChoice | None,
        typer.Option(help="What the DEM's heights count from. [default: as it was said the first time]"),
    ] = None,
    derive: Annotated[
        bool, typer.Option(help="Derive again what was derived from them; otherwise that is marked stale.")
    ] = True,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Process items again. What comes out otherwise is a new version; the earlier one stays, and is found through it.

    Packages are taken from `HOME/inputs`, where `qyran process` kept them. `--json` prints a list: an object for each
    item, with its version before (`was`) and after (`now`).

    Example: `qyran reprocess --collection kazeosat-1-l1c --dem /data/new-dem --json`
    """
    configure_logging(debug=debug)
    if package is not None and len(items or []) != 1:
        raise typer.BadParameter("a package belongs to one item: name that one", param_hint="--package")
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.run import reprocess_items

        request = ReprocessRequest(
            home=str(Home.resolve(home).path),
            items=items or [],
            collection=collection,
            recipe=recipe,
            stale=stale,
            package=str(package.resolve()) if package else "",
            dem=str(dem.resolve()) if dem else "",
            vertical_datum=vertical_datum,
            derive=derive,
        )
        with progress_bar("processing again") as report:
            outcomes = reprocess_items(request, report=report)
        if as_json:
            print_json([outcome.model_dump(mode="json") for outcome in outcomes])
        else:
            for outcome in outcomes:
                _show(outcome)
        if any(outcome.outcome is Outcome.FAILED for outcome in outcomes):
            raise typer.Exit(FAILED)


def _show(outcome: ReprocessOutcome) -> None:
    if outcome.outcome is Outcome.PUBLISHED:
        what = f"version {outcome.now}, was {outcome.was}" if outcome.changed else f"version {outcome.now} as it was"
        out.print(f"[bold green]{what}[/] {escape(outcome.package)} in {outcome.seconds:.1f} s")
    else:
        out.print(f"[bold yellow]{outcome.outcome}[/] {escape(outcome.package)}")
    if outcome.message:
        fault = {"kind": ", ".join(outcome.reasons), "message": outcome.message, "where": outcome.where}
        print_fault(fault | {"remedy": outcome.remedy}, word=outcome.outcome, colour="yellow")
