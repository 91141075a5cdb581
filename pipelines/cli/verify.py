"""``qyran verify``: whether everything is there, and is what was written."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar

_SHOWN = 50
"""Findings that are told of on a terminal; ``--json`` has them all."""


def verify(
    home: HomeOption = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Hash every byte. An interrupted check goes on where it stopped.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="With --deep: begin again, do not go on.")] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Say what could be repaired, from the second location and from what is here."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: do it.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check the archive: catalogue, records, manifests and bytes against each other, both ways.

    Without `--deep`: every object is there, as long as it should be, and all documents agree. With `--deep`: every bit
    is what was written. Exit code 1 if anything is not.

    With `--repair`, what could be put right is said, every copy having been read through; with `--repair --yes` it is
    put right, and checked again. Objects come from the second place (`url` in HOME/configs/archive.yaml; `qyran mirror`
    fills it), and replace nothing unless their SHA-256 is that of the manifest. Items and rows of the catalogue are
    made again from the products.

    Example: `qyran verify --deep --home /srv/qyran`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home

        if yes and not repair:
            raise typer.BadParameter("it goes with --repair", param_hint="--yes")
        place = Home.resolve(home)
        with progress_bar("verifying") as report:
            if repair:
                from pipelines.verify_repair import verify_and_repair

                found = verify_and_repair(place, deep=deep, anew=anew, act=yes, report=report)
            else:
                from pipelines.verify import verify as check

                found = check(place, deep=deep, anew=anew, report=report)
        document = found.model_dump(mode="json")
        if as_json:
            print_json(document)
        else:
            show_report(document)
        if not found.ok:
            raise typer.Exit(FAILED)


def show_report(document: dict[str, Any]) -> None:
    """The findings, each with its object and its remedy, and what was covered."""
    for note in document["notes"]:
        err.print(f"[yellow]note[/] {escape(note)}")
    for finding in document["findings"][:_SHOWN]:
        out.print(f"[bold red]{finding['kind']}[/] {escape(finding['object'])}")
        out.print(f"  {escape(finding['detail'])}")
        out.print(f"  [dim]remedy:[/] {escape(finding['remedy'])}")
    for repair in document["repairs"]:
        colour = "red" if repair["outcome"] == "not repaired" else "green"
        out.print(f"[bold {colour}]{repair['outcome']}[/] {escape(repair['object'])}: {escape(repair['detail'])}")
    left = sum(document["counts"].values()) - min(_SHOWN, len(document["findings"]))
    if left > 0:
        out.print(f"and {left} more: --json lists them")
    how = f"{document['hashed']} of them hashed" if document["deep"] else "presence, sizes and documents"
    colour, word = ("green", "in order") if document["ok"] else ("red", _counted(document["counts"]))
    out.print(
        f"[bold {colour}]{word}[/]: {document['checked']} products checked ({how}) in {document['seconds']:.1f} s"
    )
    share = document["coverage"]
    out.print(
        f"hashed again in the last 30 days: {share['percent_30_days']:g} % of {share['total_bytes'] / 1e9:.3g} GB,"
        f" in the last 12 months: {share['percent_12_months']:g} %"
    )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
