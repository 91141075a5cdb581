"""``qyran recover``: after a crash, everything finished or cleared away, and told of."""

from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json

_COLOURS = {"finished": "green", "cleared": "green", "kept": "yellow"}


def recover(
    home: HomeOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what interrupted runs point at, as every start of Qyran does.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Finish or clear away what a crash, a kill or a power cut left, and say which.

    Every start of Qyran does so for what interrupted runs point at; this command also compares all products with the
    catalogue and looks for stores that no record names. What another process is working on is left alone.

    Example: `qyran recover --home /srv/qyran`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.registry import load_registry
        from configs.settings import Home
        from pipelines.recovery import recover_home

        place = Home.resolve(home)
        found = recover_home(place, load_registry(place.configs), thorough=not quick)
        if as_json:
            print_json({"leftovers": [{"what": one.what, "where": one.where, "done": one.done} for one in found]})
            return
        for one in found:
            out.print(f"[{_COLOURS[one.done]}]{one.done}[/] {escape(one.what)}\n  {escape(one.where)}")
        if not found:
            out.print("nothing was left behind")
