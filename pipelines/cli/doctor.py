"""``qyran doctor``: what is installed, what is missing, what to do."""

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, out, plain_errors, print_json

_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[bold red]missing[/]"}


def doctor(home: HomeOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Look over the installation: versions, geoid, DEM, disk, cores, sandbox. Exits 1 if something needed is missing.

    Example: `qyran doctor --home /srv/qyran`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from pipelines.doctor import examine

        findings = examine(home)
        healthy = all(finding.state != "missing" for finding in findings)
        if as_json:
            print_json({"ok": healthy, "findings": [finding.model_dump(mode="json") for finding in findings]})
        else:
            table = Table(box=None, padding=(0, 2))
            for title in ("", "what", "found", "to do"):
                table.add_column(title)
            for finding in findings:
                table.add_row(
                    _MARKS[finding.state], escape(finding.what), escape(finding.found), escape(finding.remedy or "")
                )
            out.print(table)
        if not healthy:
            raise typer.Exit(FAILED)
