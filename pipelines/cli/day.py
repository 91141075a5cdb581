"""``qyran day``: the operators' page of one day."""

from datetime import UTC, date, datetime
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import configure_logging, out, plain_errors, print_json


def day(
    when: Annotated[str | None, typer.Argument(help="The day, in UTC. [default: today]", metavar="DATE")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the page of a day: passes, packages, times, failures by reason, alarms, disk.

    It is one HTML file, `HOME/logs/day/<date>.html`, that needs no server. `qyran up` writes it every hour.

    Example: `qyran day 2026-11-22`
    """
    configure_logging(debug=debug)
    try:
        wanted = date.fromisoformat(when) if when else datetime.now(UTC).date()
    except ValueError as error:
        raise typer.BadParameter("a day is written 2026-11-22", param_hint="DATE") from error
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.day_facts import day_document, day_facts
        from pipelines.day_page import day_markdown, write_day_page

        place = Home.resolve(home)
        facts = day_facts(place, wanted)
        path = write_day_page(place, facts)
        if as_json:
            print_json(day_document(facts) | {"page": str(path)})
        else:
            out.print(escape(day_markdown(facts)))
            out.print(f"\npage: {escape(str(path))}")
