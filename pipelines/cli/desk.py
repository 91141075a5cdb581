"""``qyran desk``: the quality desk, where products wait for an operator."""

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar

desk = typer.Typer(
    help="The quality desk: products that a rule of HOME/configs/desk.yaml holds wait here for an operator.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
ItemArgument = Annotated[str, typer.Argument(help="COLLECTION/ID, or the ID alone.", metavar="ITEM")]
ReasonOption = Annotated[str, typer.Option(help="Why: it stays with the item.", metavar="TEXT")]
ByOption = Annotated[str, typer.Option(help="Your name: it stays with the item.", metavar="NAME")]


@desk.command("list")
def list_(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """What waits, longest first, and why.

    Example: `qyran desk list`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.desk import waiting

        found = waiting(Home.resolve(home))
        if as_json:
            print_json([each.model_dump(mode="json") for each in found])
            return
        for each in found:
            out.print(f"[bold]{each.item}[/] since {each.since:%Y-%m-%d %H:%M} UTC")
            for finding in each.findings:
                out.print(f"  {finding.code}: {escape(finding.text)}")
            if each.decided is not None:
                out.print(f"  decided ({each.decided.verdict}) and not carried out: decide the same again")
        if not found:
            err.print("nothing waits")


@desk.command()
def show(item: ItemArgument, home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """What to decide by: figures, residuals, and where picture and masks lie.

    Example: `qyran desk show KZ1_20260425T055357_5afcfec5_L1C`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.desk_report import desk_report

        report = desk_report(Home.resolve(home), item)
        if as_json:
            print_json(report)
            return
        _print_report(report)


@desk.command()
def accept(
    item: ItemArgument,
    reason: ReasonOption,
    by: ByOption = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Publish and catalogue a product that waits, and derive from it what was asked for.

    Example: `qyran desk accept KZ1_20260425T055357_5afcfec5_L1C --reason "haze over the lake only"`
    """
    _decide("accept", item, reason=reason, by=by, home=home, as_json=as_json, debug=debug)


@desk.command()
def reject(
    item: ItemArgument,
    reason: ReasonOption,
    by: ByOption = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Delete a product that waits. Its package is kept; made otherwise, it is looked at anew.

    Example: `qyran desk reject KZ1_20260425T055357_5afcfec5_L1C --reason "bands do not fit"`
    """
    _decide("reject", item, reason=reason, by=by, home=home, as_json=as_json, debug=debug)


def _decide(verdict: str, item: str, *, reason: str, by: str, home: Path | None, as_json: bool, debug: bool) -> None:
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.desk_report import decided
        from pipelines.requests import DecisionRequest
        from processing.model.errors import BadInput

        try:
            request = DecisionRequest.model_validate(
                {
                    "home": "" if home is None else str(home.resolve()),
                    "item": item,
                    "verdict": verdict,
                    "reason": reason,
                    "by": by or getpass.getuser(),
                }
            )
        except ValueError as error:
            raise BadInput(
                "a decision needs a name and a reason of a few words", kind="desk.reason", remedy="See --reason, --by."
            ) from error
        with progress_bar(verdict) as report:
            outcome = decided(request, report=report)
        if as_json:
            print_json(outcome.model_dump(mode="json"))
        else:
            from pipelines.cli.process import show_outcome

            show_outcome(outcome)
        if outcome.outcome == "failed":
            raise typer.Exit(FAILED)


def _print_report(report: dict[str, Any]) -> None:
    out.print(f"[bold]{report['item']}[/] acquired {report['acquired']}")
    for finding in report["findings"]:
        out.print(f"  [yellow]{finding['code']}[/]: {escape(finding['text'])}")
    for name, value in report["figures"].items():
        out.print(f"  {name}: {escape(str(value))}")
    for group, points in report["residuals"].items():
        out.print(f"  residuals of {group}, px (line, sample), largest first:")
        for point in points[:10]:
            used = "" if point["used"] else "  not used"
            out.print(f"    {escape(str(point['name']))}: {point['line']:+.2f} {point['sample']:+.2f}{used}")
    out.print("  files:")
    for role, path in report["files"].items():
        out.print(f"    {role}: {escape(path)}", soft_wrap=True)
