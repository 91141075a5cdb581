"""``qyran cube``: time series over a tile, as one array, without copying a pixel."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.options import DebugOption, HomeOption, JsonOption
from pipelines.cli.output import FAILED, configure_logging, err, out, plain_errors, print_json, progress_bar

cube = typer.Typer(
    name="cube",
    help="Time series over squares of 100 km: every scene of a collection as one array, no pixel copied.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

CollectionOption = Annotated[str | None, typer.Option(help="Only of this collection.", metavar="ID")]
TileOption = Annotated[str | None, typer.Option(help="Only this tile.", metavar="epsg32643-e6-n47")]


@cube.command("list")
def list_command(
    collection: CollectionOption = None,
    tile: TileOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List cubes: what they hold, and whether it is what they should. Exits with 1 where one is damaged.

    Example: `qyran cube list --collection kazeosat-1-l1c --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.cubes import list_cubes

        found = list_cubes(Home.resolve(home), collection=collection, tile=tile)
    _show([report.model_dump(mode="json") for report in found], as_json=as_json)


@cube.command("build")
def build_command(
    collection: CollectionOption = None,
    tile: TileOption = None,
    only_behind: Annotated[
        bool, typer.Option("--only-behind", help="Leave cubes alone that hold what they should.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make cubes from the products alone; who reads the ones before goes on undisturbed.

    Publishing a scene keeps its cubes by itself. This makes them again after damage, or where there were none.

    Example: `qyran cube build --only-behind --json`
    """
    configure_logging(debug=debug)
    with plain_errors(as_json=as_json, debug=debug):
        from configs.settings import Home
        from pipelines.cubes import build_cubes

        with progress_bar("cubes") as tell:
            made = build_cubes(
                Home.resolve(home), collection=collection, tile=tile, only_behind=only_behind, progress=tell
            )
    _show([report.model_dump(mode="json") for report in made], as_json=as_json)


def _show(reports: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print_json({"cubes": reports})
    elif not reports:
        err.print("no cube, and no product to make one of")
    else:
        table = Table(box=None, padding=(0, 2))
        for title in ("collection", "tile", "group", "scenes", "from", "to", "index", "status"):
            table.add_column(title, overflow="fold")
        for report in reports:
            _rows(table, report)
        out.print(table)
    if any(report["status"] == "damaged" for report in reports):
        raise typer.Exit(FAILED)


def _rows(table: Table, report: dict[str, object]) -> None:
    groups = report["groups"]
    assert isinstance(groups, dict)
    lacking = report["waiting"]
    assert isinstance(lacking, list)
    status = f"{report['status']}{f', {len(lacking)} waiting' if lacking else ''}"
    first, last = (str(report[key] or "-")[:10] for key in ("first", "last"))
    for name, scenes in (groups or {"-": 0}).items():
        table.add_row(
            escape(str(report["collection"])), str(report["tile"]), name, str(scenes), first, last,
            f"{int(str(report['bytes'])) / 1000:.0f} kB", status,
        )  # fmt: skip
    left_out = report["left_out"]
    assert isinstance(left_out, dict)
    for item, reason in left_out.items():
        err.print(f"[yellow]left out[/] {escape(item)}: {escape(reason)}")
