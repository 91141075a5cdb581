"""``qyran versions``: every revision of an item, and what changed from one to the next."""

from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json


def versions(
    item: Annotated[str, typer.Argument(help="COLLECTION/ID, or ID alone where it is unique.", metavar="ITEM")],
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List an item's versions, newest first: when each was made, where it lies, and what changed since the one before.

    Example: `qyran versions kazeosat-1-l1c/KZ1_20260424T052011_1A2B3C4D_L1C --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.versions import version_history

        found = version_history(Home.resolve(home), item)
        if as_json:
            print_json(found)
            return
        for version in found["versions"]:
            mark = " [bold green]latest[/]" if version["latest"] else ""
            out.print(f"[bold]{version['version']}[/] {version['created']}{mark}\n  {escape(version['store'])}")
            for change in version["changes"]:
                out.print(f"  {escape(change)}")
