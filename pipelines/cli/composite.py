"""``qyran composite``: one image of an area from the clear observations of many."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, out, plain_errors, print_fault, print_json, progress_bar
from pipelines.outcomes import PackageOutcome
from processing.model.quality import Outcome
from processing.products.composite import Method

_DAY = "%Y-%m-%d"


def composite(
    collection: Annotated[str, typer.Argument(help="Collection of the items, e.g. kazeosat-1-l1c.")],
    area: Annotated[
        str, typer.Option(help="West,South,East,North in degrees, or a GeoJSON file.", metavar="W,S,E,N|FILE")
    ],
    start: Annotated[datetime, typer.Option(help="First day, UTC.", formats=[_DAY])],
    end: Annotated[datetime, typer.Option(help="Last day, UTC; it counts too.", formats=[_DAY])],
    method: Annotated[
        Method,
        typer.Option(
            help="median of each band, the latest clear observation, or the clearest: least doubt, then nadir."
        ),
    ] = Method.MEDIAN,
    max_cloud: Annotated[
        float, typer.Option(help="Leave out items known to have more cloud, %.", min=0, max=100)
    ] = 80.0,
    min_observations: Annotated[int, typer.Option(help="Clear observations that a pixel needs.", min=1, max=1000)] = 1,
    group: Annotated[str, typer.Option(help="Bands to compose: reflectance, or pan.")] = "reflectance",
    crs: Annotated[str, typer.Option(help="Only items on this map.", metavar="EPSG:n")] = "",
    recipe: Annotated[str, typer.Option(help="Recipe of the composite.")] = "composite",
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compose what is clear of all items of a collection over an area, and catalogue it as `<mission>-composite`.

    The same command again takes the items of that day: what comes out otherwise is a new version under the same id.
    `--json` prints `outcome`, `reasons` and `items`, as `qyran process` does for a package.

    Example: `qyran composite kazeosat-1-l1c --area 76.8,43.1,77.1,43.3 --start 2026-05-01 --end 2026-08-31 --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.composite_request import composite_request
        from pipelines.run import compose

        named = Path(area)
        request = composite_request(
            home=str(Home.resolve(home).path),
            collection=collection,
            area=named.read_text() if area.endswith("json") and named.is_file() else area,
            start=start.date(),
            end=end.date(),
            method=method,
            max_cloud=max_cloud,
            min_observations=min_observations,
            group=group,
            crs=crs,
            recipe=recipe,
        )
        with progress_bar("composing") as report:
            outcome = compose(request, report=report)
        if as_json:
            print_json(outcome.model_dump(mode="json"))
        else:
            _show(outcome)
        if outcome.outcome is Outcome.FAILED:
            raise typer.Exit(FAILED)


def _show(outcome: PackageOutcome) -> None:
    if outcome.outcome is Outcome.PUBLISHED:
        for item in outcome.items:
            out.print(f"[bold green]{outcome.outcome}[/] {escape(f'{item.collection}/{item.id}')}")
            out.print(f"  {escape(item.href)} in {outcome.seconds:.1f} s")
        return
    fault = {"kind": ", ".join(outcome.reasons), "message": outcome.message, "where": outcome.where}
    print_fault(fault | {"remedy": outcome.remedy}, word=outcome.outcome, colour="yellow")
